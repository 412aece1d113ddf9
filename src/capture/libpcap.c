/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live capture with libpcap: one handle, one ring and one lane per interface.
 * Filters are attached to the sockets directly, as pcap_setfilter() on a live
 * handle goes on to filter in user space what the kernel has counted, and the
 * end of a capture rests on that count. Order over the interfaces is left to
 * the merge, for which each round tells how far a lane is settled.
 */
#include "capture/source.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "capture/ring.h"

/* Linux 4.20; its own header cannot be included beside that of glibc. */
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

/* Two blocks of libpcap's, so that one can be filled while one is read. */
#define RING_BYTES_MIN (512UL * 1024)

/* Frames taken from one ring before the next one has its turn. */
#define ROUND_FRAMES 4096

struct handle {
	const struct source_settings *settings; /* until it is open */
	struct capture_interface *interface;
	struct lane lane;
	struct queue *queue; /* of the round under way */
	pcap_t *pcap;
	char reason[PCAP_ERRBUF_SIZE]; /* it could not be opened */
	struct pcap_stat counted;      /* 32 bits, as libpcap last told */
	struct ring ring;
	struct capture_statistics stale; /* counted before the start */
	size_t round; /* bytes that it may still take in this round */
	bool gone;
};

struct live {
	struct source source;
	struct handle handles[INTERFACES_MAX];
	uint64_t newest; /* stamp of the last frame of the last round */
	bool unsettled;
};

static int attach(const struct handle *handle, const void *instructions,
		  unsigned count)
{
	struct sock_fprog program = {
		.len = (unsigned short)count,
		.filter = (struct sock_filter *)instructions,
	};

	if (count > BPF_MAXINSNS)
		return -E2BIG;
	if (setsockopt(pcap_fileno(handle->pcap), SOL_SOCKET, SO_ATTACH_FILTER,
		       &program, sizeof(program)) < 0)
		return -errno;

	return 0;
}

/* From now on no packet enters the ring or the counts. */
static int attach_nothing(const struct handle *handle)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);

	return attach(handle, &nothing, 1);
}

/* Without an expression too: only a filter makes the kernel cut a packet. */
static int attach_filter(const struct handle *handle)
{
	const struct source_settings *settings = handle->settings;
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, settings->snaplen);

	if (!settings->filter.count)
		return attach(handle, &all, 1);

	return attach(handle, settings->filter.instructions,
		      settings->filter.count);
}

/* Read the kernel's counts. libpcap adds them up in 32 bits. */
static void count(struct handle *handle)
{
	struct pcap_stat now;

	if (pcap_stats(handle->pcap, &now) < 0)
		return;

	ring_count(&handle->ring, now.ps_recv - handle->counted.ps_recv,
		   now.ps_drop - handle->counted.ps_drop);
	handle->counted = now;
}

static void explain(struct handle *handle, const char *reason)
{
	snprintf(handle->reason, sizeof(handle->reason), "%s", reason);
}

static void explain_status(struct handle *handle, int status)
{
	const char *text = pcap_geterr(handle->pcap);

	explain(handle, *text ? text : pcap_statustostr(status));
}

/*
 * Start with an empty ring: what came in while the handle was opened is counted
 * and will be skipped. On lo every packet passes twice, and libpcap throws the
 * first pass away only after it was counted; the kernel can do so before.
 */
static int begin_empty(struct handle *handle)
{
	int on = 1;
	int ret = attach_nothing(handle);

	if (ret < 0)
		return ret;
	if (strcmp(handle->interface->name, "lo") == 0 &&
	    setsockopt(pcap_fileno(handle->pcap), SOL_PACKET,
		       PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0)
		return -errno;

	count(handle);
	handle->stale.received = handle->ring.received;
	handle->stale.dropped = handle->ring.dropped;

	return attach_filter(handle);
}

static void *open_handle(void *argument)
{
	struct handle *handle = argument;
	struct capture_interface *interface = handle->interface;
	int ret;

	handle->pcap = pcap_create(interface->name, handle->reason);
	if (!handle->pcap)
		return NULL;

	/* Without immediate mode, which would make the ring one of frames. */
	pcap_set_snaplen(handle->pcap, (int)handle->settings->snaplen);
	pcap_set_timeout(handle->pcap, RING_BLOCK_TIMEOUT_MS);
	pcap_set_buffer_size(handle->pcap, (int)handle->ring.size);
	pcap_set_tstamp_precision(handle->pcap, PCAP_TSTAMP_PRECISION_NANO);
	ret = pcap_activate(handle->pcap);
	if (ret < 0) {
		explain_status(handle, ret);
		return NULL;
	}
	/* A blocking dispatch never returns while no packet comes. */
	if (pcap_setnonblock(handle->pcap, 1, handle->reason) < 0)
		return NULL;

	interface->link_type = (uint16_t)pcap_datalink(handle->pcap);
	ret = begin_empty(handle);
	if (ret < 0)
		explain(handle, strerror(-ret));

	return NULL;
}

/*
 * Opening takes the kernel milliseconds of waiting for other processors, which
 * the handles do at the same time. No thread is left when this returns: rights
 * go one thread at a time.
 */
static int open_handles(struct live *live)
{
	pthread_t threads[INTERFACES_MAX];
	unsigned handles = live->source.interface_count;
	unsigned started;
	int ret = 0;

	for (started = 0; started < handles && !ret; started++)
		ret = pthread_create(&threads[started], NULL, open_handle,
				     &live->handles[started]);
	if (ret)
		ret = fail(ret, "cannot start a thread");

	for (unsigned i = 0; i < started - (ret ? 1 : 0); i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < handles && !ret; i++)
		if (live->handles[i].reason[0])
			ret = refuse("cannot capture on %s: %s",
				     live->source.interfaces[i].name,
				     live->handles[i].reason);

	return ret;
}

/* Most of the memory goes to the first interface, where the world is. */
static size_t ring_share(const struct source_settings *settings, unsigned i)
{
	unsigned others = settings->interface_count - 1;
	size_t rest = others ? settings->ring_bytes / 4 : 0;
	size_t share = i ? rest / others : settings->ring_bytes - rest;

	if (share < RING_BYTES_MIN)
		return RING_BYTES_MIN;

	return share < INT_MAX ? share : INT_MAX;
}

static void live_close(struct source *source)
{
	struct live *live = (struct live *)source;

	for (unsigned i = 0; i < source->interface_count; i++)
		if (live->handles[i].pcap)
			pcap_close(live->handles[i].pcap);
	free(live);
}

static int live_open(const struct source_settings *settings,
		     struct source **source)
{
	struct live *live = xcalloc(1, sizeof(*live));
	int ret;

	live->source.ops = &source_libpcap;
	live->source.interface_count = settings->interface_count;
	live->source.lanes = settings->interface_count;
	for (unsigned i = 0; i < settings->interface_count; i++) {
		struct handle *handle = &live->handles[i];

		live->source.interfaces[i] = settings->interfaces[i];
		handle->settings = settings;
		handle->interface = &live->source.interfaces[i];
		handle->lane.number = i;
		handle->ring.size = ring_share(settings, i);
	}

	ret = open_handles(live);
	for (unsigned i = 0; i < settings->interface_count; i++)
		live->handles[i].settings = NULL;
	if (ret < 0) {
		live_close(&live->source);
		return ret;
	}
	*source = &live->source;

	return 0;
}

static enum direction direction(const struct capture_interface *interface,
				const uint8_t *bytes, size_t size)
{
	static const uint8_t unknown[ETH_ALEN];

	if (size < sizeof(struct ether_header) ||
	    memcmp(interface->mac, unknown, ETH_ALEN) == 0)
		return DIRECTION_UNKNOWN;

	return memcmp(bytes + ETH_ALEN, interface->mac, ETH_ALEN) == 0
		       ? DIRECTION_OUTBOUND
		       : DIRECTION_INBOUND;
}

/* One packet from the ring, whose memory goes back to the kernel after it. */
static void take(u_char *user, const struct pcap_pkthdr *header,
		 const u_char *bytes)
{
	struct handle *handle = (struct handle *)user;
	struct frame *frame;

	/* tv_usec holds nanoseconds, as was asked for. */
	ring_see(&handle->ring,
		 (uint64_t)header->ts.tv_sec * 1000000000 +
			 (uint64_t)header->ts.tv_usec,
		 header->caplen);
	if (handle->ring.seen <= handle->stale.received - handle->stale.dropped)
		return;

	frame = lane_frame(&handle->lane, handle->queue, header->caplen);
	frame->time = handle->ring.newest;
	frame->len = header->len;
	frame->interface = (uint16_t)handle->lane.number;
	frame->direction =
		(uint8_t)direction(handle->interface, bytes, header->caplen);
	memcpy(frame->bytes, bytes, header->caplen);

	if (handle->round > header->caplen)
		handle->round -= header->caplen;
	else
		pcap_breakloop(handle->pcap);
}

/*
 * Take what a ring has. An interface can be deleted by the program; the others
 * go on. Returns whether there were any.
 */
static bool dispatch(struct handle *handle, struct queue *queue)
{
	int ret;

	if (handle->gone && ring_is_drained(&handle->ring))
		return false;

	handle->queue = queue;
	handle->round = queue_round(queue);
	ret = pcap_dispatch(handle->pcap, ROUND_FRAMES, take, (u_char *)handle);
	if (ret == PCAP_ERROR_BREAK)
		return true;
	handle->gone |= ret < 0;

	return ret > 0;
}

/* Tell the queue what is known of a handle after a round. */
static void tell(struct handle *handle, struct queue *queue, bool seen)
{
	uint64_t now = clock_realtime_ns();

	count(handle);
	handle->lane.late = handle->ring.late;
	lane_push(&handle->lane, queue,
		  ring_settled(&handle->ring, now, handle->lane.settled, seen));
}

/*
 * While the queue is full the rings fill up: what they cannot hold the kernel
 * drops and counts, which is cheaper than reading it for nothing.
 */
static void wait_for_room(struct live *live, struct queue *queue)
{
	if (!queue_wait_for_room(queue))
		return;

	for (unsigned i = 0; i < live->source.lanes; i++)
		live->handles[i].ring.held_up = true;
}

/*
 * Take what there is from every ring and tell how far the lanes are settled, of
 * those without a frame too: an idle lo must not hold up what eth0 has.
 */
static void read_round(struct live *live, struct queue *queue)
{
	bool seen[INTERFACES_MAX] = { false };
	uint64_t newest = 0;

	wait_for_room(live, queue);
	for (unsigned i = 0; i < live->source.lanes; i++) {
		struct handle *handle = &live->handles[i];

		seen[i] = dispatch(handle, queue);
		if (seen[i] && handle->ring.newest > newest)
			newest = handle->ring.newest;
	}
	if (newest)
		live->newest = newest;
	else if (!live->unsettled)
		return;

	live->unsettled = false;
	for (unsigned i = 0; i < live->source.lanes; i++) {
		struct handle *handle = &live->handles[i];

		tell(handle, queue, seen[i]);
		live->unsettled |= handle->lane.settled < live->newest;
	}
	/* If the clock was set back this may take hours, and is the merge's. */
	live->unsettled &= live->newest <= clock_realtime_ns();
}

static int live_batch(struct source *source, struct queue *queue, int wake_fd)
{
	struct live *live = (struct live *)source;
	struct pollfd fds[INTERFACES_MAX + 1];
	unsigned lanes = source->lanes;

	for (unsigned i = 0; i < lanes; i++) {
		struct handle *handle = &live->handles[i];

		fds[i].fd = handle->gone ? -1 : pcap_fileno(handle->pcap);
		fds[i].events = POLLIN;
	}
	fds[lanes] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };

	if (poll(fds, lanes + 1, live->unsettled ? RING_SETTLE_MS : -1) < 0)
		return errno == EINTR || errno == ENOMEM ? 1 : -errno;
	if (fds[lanes].revents)
		return 0;
	read_round(live, queue);

	return 1;
}

/*
 * Wait until a ring whose packets are not all seen has some to read. Returns
 * whether there is any use in going on.
 */
static bool wait_for_rest(const struct live *live)
{
	struct pollfd fds[INTERFACES_MAX];
	unsigned waiting = 0;

	for (unsigned i = 0; i < live->source.lanes; i++) {
		const struct handle *handle = &live->handles[i];

		if (ring_is_drained(&handle->ring))
			continue;
		fds[waiting].fd = pcap_fileno(handle->pcap);
		fds[waiting++].events = POLLIN;
	}

	return waiting && poll(fds, waiting, RING_STALL_MS) > 0;
}

/*
 * The counts stand still once nothing is let in, and the rest is in the rings:
 * at most one block's time away.
 */
static int live_stop(struct source *source, struct queue *queue)
{
	struct live *live = (struct live *)source;
	int ret = 0;

	for (unsigned i = 0; i < source->lanes; i++)
		attach_nothing(&live->handles[i]);

	for (unsigned i = 0; i < source->lanes; i++)
		count(&live->handles[i]);

	do
		read_round(live, queue);
	while (wait_for_rest(live));

	for (unsigned i = 0; i < source->lanes; i++) {
		struct handle *handle = &live->handles[i];

		lane_push(&handle->lane, queue, UINT64_MAX);
		if (handle->gone)
			ret = -ENODEV;
	}

	return ret;
}

static void live_statistics(const struct source *source, unsigned interface,
			    struct capture_statistics *statistics)
{
	const struct live *live = (const struct live *)source;
	const struct handle *handle = &live->handles[interface];

	*statistics = (struct capture_statistics){
		.received = handle->ring.received - handle->stale.received,
		.dropped = handle->ring.dropped - handle->stale.dropped,
		.dropped_queue = handle->ring.dropped_queue,
	};
}

const struct source_ops source_libpcap = {
	.name = "libpcap",
	.open = live_open,
	.batch = live_batch,
	.stop = live_stop,
	.statistics = live_statistics,
	.close = live_close,
};
