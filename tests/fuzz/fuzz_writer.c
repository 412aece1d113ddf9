/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random frames through both writers into a file in memory, read back by
 * libpcap: every packet must come out as it went in.
 */
#include <sys/mman.h>

#include "base/fd.h"
#include "readback.h"

static struct frame *take_frame(struct input *input)
{
	struct frame *frame;
	uint16_t caplen, more;
	uint8_t where;
	uint64_t time;

	take(input, &caplen, sizeof(caplen));
	caplen %= SNAPLEN + 1;
	frame = xcalloc(1, sizeof(*frame) + caplen);
	take(input, &time, sizeof(time));
	take(input, &more, sizeof(more));
	take(input, &where, sizeof(where));
	take(input, frame->bytes, caplen);
	frame->time = time;
	frame->caplen = caplen;
	frame->len = caplen + (uint32_t)more;
	frame->interface = where & 1;
	frame->direction = (where >> 1) % (DIRECTION_OUTBOUND + 1);

	return frame;
}

/* Write all frames and return the file. */
static int write_file(const struct writer_ops *ops, bool nanoseconds,
		      bool flush, struct frame *const *frames, unsigned count)
{
	const struct writer_about about = {
		.application = "fuzz",
		.snaplen = SNAPLEN,
		.nanoseconds = nanoseconds,
	};
	const struct writer_statistics statistics = { .received = count };
	int fd = memfd_create("capture", MFD_CLOEXEC);
	struct writer writer;

	CHECK(writer_open(&writer, ops, dup(fd), &about, interfaces, 2) == 0);
	for (unsigned i = 0; i < count; i++) {
		CHECK(writer_packet(&writer, frames[i]) == 0);
		if (flush)
			CHECK(writer_flush(&writer) == 0);
	}
	CHECK(writer_statistics(&writer, 0, &statistics) == 0);
	CHECK(writer_close(&writer) == 0);
	CHECK(writer.written == count && writer.lost == 0);
	CHECK(writer.bytes == (uint64_t)lseek(fd, 0, SEEK_END));

	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { .bytes = bytes, .size = size };
	struct frame *frames[FRAMES_MAX] = { NULL };
	unsigned count = 0;
	uint8_t how;
	int fd;

	take(&input, &how, sizeof(how));
	while (input.size && count < FRAMES_MAX)
		frames[count++] = take_frame(&input);

	fd = write_file(&writer_pcap, how & 1, how & 2, frames, count);
	check_file(fd, false, how & 1, frames, count);
	fd = write_file(&writer_pcapng, how & 1, how & 2, frames, count);
	check_file(fd, true, how & 1, frames, count);
	while (count)
		free(frames[--count]);

	return 0;
}
