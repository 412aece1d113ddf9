/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random frames with random stamps, in batches of several lanes, through merge,
 * checksums and both writers, read back by libpcap: each comes out once and in
 * order, and nothing but an open checksum has changed. What the sources promise
 * is kept or broken, as the input says: if it is broken, order cannot be asked
 * for. Packets are random bytes, or TCP and UDP whose checksum is known here by
 * the plainest of sums.
 */
#include <endian.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "capture/checksum.h"
#include "capture/merge.h"
#include "capture/queue.h"
#include "readback.h"

#define LANES	    3
#define FORMATS	    2
#define QUEUE_BYTES (64UL * 1024 * 1024)
#define PAYLOAD_MAX 1500
#define ETHERNET    14

/* A frame on its way: where it is, as it went in, and as it should come out. */
struct sent {
	const struct frame *frame;
	struct frame *before;
	bool out;
	size_t field;	/* of a checksum that is open, or 0 */
	uint16_t right; /* what belongs there, as it is in memory */
	bool known;	/* the two tell all */
};

struct pipeline {
	struct stage sink; /* first, as stages are cast to it */
	struct checksum_stage checksum;
	struct merge *merge;
	struct queue *queue;
	struct writer writers[FORMATS];
	int fds[FORMATS];
	bool ordered; /* the sources keep their promises */
	struct lane lanes[LANES];
	struct sent sent[FRAMES_MAX];
	unsigned sent_count;
	struct frame *out[FRAMES_MAX]; /* copies, in the order of the file */
	unsigned out_count;
};

static const struct writer_ops *const formats[FORMATS] = {
	&writer_pcap,
	&writer_pcapng,
};

static struct frame *copy_of(const struct frame *frame)
{
	size_t size = sizeof(*frame) + frame->caplen;

	return memcpy(xcalloc(1, size), frame, size);
}

static void ignore(struct stage *stage __attribute__((unused)),
		   struct frame *frame __attribute__((unused)))
{
}

/* What went through the stage once is not changed by it again. */
static void check_settled(const struct frame *frame)
{
	static const struct stage_ops ops = { .frame = ignore };
	struct stage end = { .ops = &ops };
	struct checksum_stage checksum;
	struct frame *again = copy_of(frame);

	checksum_init(&checksum, interfaces, &end);
	stage_frame(&checksum.stage, again);
	CHECK(memcmp(again->bytes, frame->bytes, frame->caplen) == 0);
	free(again);
}

static void check_change(const struct sent *sent, const struct frame *frame)
{
	struct frame *expected = copy_of(sent->before);
	size_t first = 0;
	size_t last = frame->caplen;

	CHECK(memcmp(expected, frame, sizeof(*frame)) == 0);
	if (sent->field)
		memcpy(expected->bytes + sent->field, &sent->right,
		       sizeof(sent->right));

	while (first < last && expected->bytes[first] == frame->bytes[first])
		first++;
	while (first < last &&
	       expected->bytes[last - 1] == frame->bytes[last - 1])
		last--;
	/* At most the CRC of SCTP, and only where it may be. */
	CHECK(last - first <= (sent->known ? 0U : 4U));
	free(expected);
	check_settled(frame);
}

/* The end of the stages, whose frames are recognised by where they are. */
static void sink_frame(struct stage *stage, struct frame *frame)
{
	struct pipeline *pipeline = (struct pipeline *)stage;
	struct sent *sent = pipeline->sent;

	while (sent->out || sent->frame != frame) {
		sent++;
		CHECK(sent < pipeline->sent + pipeline->sent_count);
	}
	sent->out = true;
	check_change(sent, frame);
	pipeline->out[pipeline->out_count++] = copy_of(frame);
	for (unsigned i = 0; i < FORMATS; i++)
		CHECK(writer_packet(&pipeline->writers[i], frame) == 0);
}

static const struct stage_ops sink_ops = { .frame = sink_frame };

static void open_pipeline(struct pipeline *pipeline, uint8_t how)
{
	const struct writer_about about = {
		.application = "fuzz",
		.snaplen = SNAPLEN,
		.nanoseconds = how & 1,
	};

	pipeline->ordered = how & 2;
	pipeline->sink.ops = &sink_ops;
	checksum_init(&pipeline->checksum, interfaces, &pipeline->sink);
	pipeline->merge = merge_new(LANES, false, &pipeline->checksum.stage);
	pipeline->queue = queue_new(QUEUE_BYTES);
	for (unsigned i = 0; i < LANES; i++)
		pipeline->lanes[i].number = i;
	for (unsigned i = 0; i < FORMATS; i++) {
		pipeline->fds[i] = memfd_create("capture", MFD_CLOEXEC);
		CHECK(writer_open(&pipeline->writers[i], formats[i],
				  dup(pipeline->fds[i]), &about, interfaces,
				  2) == 0);
	}
}

/* Nobody needs the frames any more that have come out. */
static void flush(struct pipeline *pipeline)
{
	for (unsigned i = 0; i < FORMATS; i++)
		CHECK(writer_flush(&pipeline->writers[i]) == 0);
	merge_recycle(pipeline->merge);
}

static void put(uint8_t *bytes, size_t value)
{
	uint16_t wire = htobe16((uint16_t)value);

	memcpy(bytes, &wire, sizeof(wire));
}

static uint32_t plain_sum(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);

	return sum;
}

/* How the bytes of a frame begin. */
struct shape {
	unsigned tags;
	bool v6;
	bool udp;
};

static size_t head_size(const struct shape *shape)
{
	return ETHERNET + 4 * shape->tags + (shape->v6 ? 40 : 20) +
	       (shape->udp ? 8 : 20);
}

/* Make @bytes, random so far, a packet of this shape with an open checksum. */
static void fill_in(const struct shape *shape, struct sent *sent,
		    uint8_t *bytes, size_t size)
{
	uint8_t protocol = shape->udp ? IPPROTO_UDP : IPPROTO_TCP;
	size_t ip = ETHERNET + 4 * shape->tags;
	size_t start = ip + (shape->v6 ? 40 : 20);
	uint32_t sum = protocol + (uint32_t)(size - start);

	for (unsigned i = 0; i < shape->tags; i++)
		put(bytes + 12 + 4 * i, i ? 0x8100 : 0x88a8);
	put(bytes + ip - 2, shape->v6 ? 0x86dd : 0x0800);
	if (shape->v6) {
		bytes[ip] = 0x60;
		put(bytes + ip + 4, size - start);
		bytes[ip + 6] = protocol;
		sum = plain_sum(sum, bytes + ip + 8, 32);
	} else {
		bytes[ip] = 0x45;
		put(bytes + ip + 2, size - ip);
		put(bytes + ip + 6, 0);
		bytes[ip + 9] = protocol;
		sum = plain_sum(sum, bytes + ip + 12, 8);
	}
	if (shape->udp)
		put(bytes + start + 4, size - start);
	sent->field = start + (shape->udp ? 6 : 16);
	put(bytes + sent->field, sum);

	sum = (uint16_t)~plain_sum(0, bytes + start, size - start);
	/* For UDP, 0 means that there is none. */
	put((uint8_t *)&sent->right, sum || !shape->udp ? sum : UINT16_MAX);
}

/* The bytes of a frame; then a bit or so that may topple. */
static void take_bytes(struct input *input, const struct shape *shape,
		       struct sent *sent, struct frame *frame)
{
	uint8_t toppled, bits;
	uint16_t where;

	take(input, frame->bytes, frame->caplen);
	if (shape)
		fill_in(shape, sent, frame->bytes, frame->caplen);
	sent->known = sent->field;

	take(input, &toppled, sizeof(toppled));
	for (toppled &= 3; toppled && frame->caplen; toppled--) {
		take(input, &where, sizeof(where));
		take(input, &bits, sizeof(bits));
		frame->bytes[where % frame->caplen] ^= bits;
		sent->field = 0;
		sent->known = false;
	}

	take(input, &bits, sizeof(bits));
	frame->checksum = bits % (CHECKSUM_FILLED + 1);
	frame->len = frame->caplen + (bits & 0x80 ? bits : 0);
	if (frame->checksum == CHECKSUM_FILLED || frame->len > frame->caplen) {
		sent->field = 0;
		sent->known = true;
	}
}

static void take_frame(struct pipeline *pipeline, struct input *input,
		       struct lane *lane)
{
	struct sent *sent = &pipeline->sent[pipeline->sent_count++];
	struct shape shape;
	struct frame *frame;
	uint16_t size, after;
	uint8_t kind;

	take(input, &kind, sizeof(kind));
	take(input, &size, sizeof(size));
	size %= PAYLOAD_MAX + 1;
	shape.tags = (kind >> 4 & 3) % 3;
	shape.v6 = kind & 4;
	shape.udp = kind & 8;
	if (kind & 3)
		size += (uint16_t)head_size(&shape);

	frame = lane_frame(lane, pipeline->queue, size);
	CHECK(frame);
	take_bytes(input, kind & 3 ? &shape : NULL, sent, frame);
	frame->interface = kind >> 7;
	frame->direction = (kind >> 6 & 1) * DIRECTION_OUTBOUND;

	/* A lane's stamps lie together, or a clock was set back: see merge.c */
	if (pipeline->ordered) {
		take(input, &after, sizeof(after));
		frame->time = lane->settled + after * 512UL;
	} else {
		take(input, &frame->time, sizeof(frame->time));
	}
	sent->frame = frame;
	sent->before = copy_of(frame);
}

/* Hand over what a lane has, which arrives at a time of the input's choice. */
static void push(struct pipeline *pipeline, struct input *input,
		 struct lane *lane, uint64_t settled)
{
	struct batch *batch;
	bool ended;

	lane_push(lane, pipeline->queue, settled);
	while ((batch = queue_pop(pipeline->queue, 0, &ended))) {
		batch->arrived = 0;
		if (!pipeline->ordered)
			take(input, &batch->arrived, sizeof(batch->arrived));
		merge_push(pipeline->merge, batch);
	}
}

static void take_batch(struct pipeline *pipeline, struct input *input)
{
	struct lane *lane;
	uint8_t what;
	uint16_t step;

	take(input, &what, sizeof(what));
	lane = &pipeline->lanes[what % LANES];
	for (unsigned i = what >> 4; i; i--)
		if (pipeline->sent_count < FRAMES_MAX)
			take_frame(pipeline, input, lane);

	take(input, &step, sizeof(step));
	push(pipeline, input, lane, lane->settled + step * 1024UL);
	if (what & 8)
		flush(pipeline);
}

static void close_pipeline(struct pipeline *pipeline, struct input *input,
			   bool nanoseconds)
{
	for (unsigned i = 0; i < LANES; i++)
		push(pipeline, input, &pipeline->lanes[i], UINT64_MAX);
	merge_flush(pipeline->merge);
	CHECK(pipeline->out_count == pipeline->sent_count);
	for (unsigned i = 1; i < pipeline->out_count && pipeline->ordered; i++)
		CHECK(pipeline->out[i - 1]->time <= pipeline->out[i]->time);

	for (unsigned i = 0; i < FORMATS; i++) {
		CHECK(writer_close(&pipeline->writers[i]) == 0);
		CHECK(pipeline->writers[i].written == pipeline->out_count);
		check_file(pipeline->fds[i], formats[i] == &writer_pcapng,
			   nanoseconds, pipeline->out, pipeline->out_count);
	}

	for (unsigned i = 0; i < pipeline->out_count; i++) {
		free(pipeline->out[i]);
		free(pipeline->sent[i].before);
	}
	merge_free(pipeline->merge);
	queue_free(pipeline->queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { .bytes = bytes, .size = size };
	static struct pipeline pipeline;
	uint8_t how;

	memset(&pipeline, 0, sizeof(pipeline));
	take(&input, &how, sizeof(how));
	open_pipeline(&pipeline, how);
	while (input.size && pipeline.sent_count < FRAMES_MAX)
		take_batch(&pipeline, &input);
	close_pipeline(&pipeline, &input, how & 1);

	return 0;
}
