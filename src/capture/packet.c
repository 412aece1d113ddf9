/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live capture straight from one packet socket that hears every interface of
 * the namespace: one ring, one lane and one count for all of them, which takes
 * the kernel one wait for other processors instead of one for each interface.
 * Which interfaces those are is for the filter to tell (prologue.c). The kernel
 * itself tells the direction of a frame and whether its checksum is still to be
 * filled in.
 *
 * Frames are stamped after they were given their place in the ring, each by the
 * processor it is on, or earlier if somebody on the host asked for that: two
 * processors can fill it in another order than they read the clock (of small
 * frames sent by both at once up to 1 %, by up to 0.1 ms). Sorting that is left
 * to the merge.
 */
#include "capture/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "capture/prologue.h"
#include "capture/ring.h"

/*
 * A frame is cut to what a block has room for. This holds the largest snaplen
 * and is filled in half a millisecond at line rate, by when it pays to wake up.
 */
#define BLOCK_BYTES 524288U

/* One can be filled while one is read. */
#define BLOCKS_MIN 2

/* Blocks do not divide into frames, but the kernel wants a number. */
#define FRAME_BYTES 2048

#define LINK_TYPE_ETHERNET 1

#define VLAN_OFFSET 12 /* of the tag, behind both addresses */
#define VLAN_SIZE   4

struct packet {
	struct source source;
	struct prologue_interface numbers[INTERFACES_MAX];
	struct capture_statistics statistics[INTERFACES_MAX];
	struct lane lane;
	uint32_t snaplen;
	int fd;
	struct ring ring;
	uint8_t *memory; /* of the ring */
	unsigned blocks;
	unsigned next; /* block to be read */
	bool unsettled;
};

static int attach(const struct packet *packet, struct sock_filter *program,
		  int count)
{
	const struct sock_fprog filter = {
		.len = (unsigned short)count,
		.filter = program,
	};

	if (setsockopt(packet->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
		       sizeof(filter)) < 0)
		return fail(errno, "cannot attach a filter to a packet socket");

	return 0;
}

/* From now on no packet enters the ring or the counts. */
static int attach_nothing(const struct packet *packet)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);

	return attach(packet, &nothing, 1);
}

static int attach_filter(const struct packet *packet,
			 const struct source_settings *settings)
{
	struct sock_filter program[BPF_MAXINSNS];
	int count = prologue_prepend(
		packet->numbers, packet->source.interface_count,
		&settings->filter, settings->snaplen, program);

	if (count < 0) {
		refuse("the filter has more instructions (%u) than the kernel "
		       "takes for several interfaces at once",
		       settings->filter.count);
		hint("--source libpcap has a filter for each");
		return count;
	}

	return attach(packet, program, count);
}

/* The number of an interface, and whether its frames are Ethernet ones. */
static int find_interface(struct packet *packet, unsigned i)
{
	struct capture_interface *interface = &packet->source.interfaces[i];
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s",
		 interface->name);
	if (ioctl(packet->fd, SIOCGIFINDEX, &request) < 0)
		return fail(errno, "cannot capture on %s", interface->name);
	packet->numbers[i].index = (uint32_t)request.ifr_ifindex;

	if (ioctl(packet->fd, SIOCGIFHWADDR, &request) < 0)
		return fail(errno, "cannot capture on %s", interface->name);
	packet->numbers[i].loopback =
		request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER &&
	    !packet->numbers[i].loopback) {
		refuse("cannot capture on %s: it has no Ethernet frames",
		       interface->name);
		hint("--source libpcap knows other kinds of interfaces");
		return -EPROTONOSUPPORT;
	}
	interface->link_type = LINK_TYPE_ETHERNET;

	return 0;
}

static int make_ring(struct packet *packet, size_t bytes)
{
	const int version = TPACKET_V3;
	const unsigned reserve = VLAN_SIZE;
	size_t blocks = bytes / BLOCK_BYTES;
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_frame_size = FRAME_BYTES,
		.tp_retire_blk_tov = RING_BLOCK_TIMEOUT_MS,
	};
	void *memory;

	packet->blocks = blocks < BLOCKS_MIN ? BLOCKS_MIN : (unsigned)blocks;
	request.tp_block_nr = packet->blocks;
	request.tp_frame_nr = packet->blocks * (BLOCK_BYTES / FRAME_BYTES);
	if (setsockopt(packet->fd, SOL_PACKET, PACKET_VERSION, &version,
		       sizeof(version)) < 0 ||
	    setsockopt(packet->fd, SOL_PACKET, PACKET_RESERVE, &reserve,
		       sizeof(reserve)) < 0 ||
	    setsockopt(packet->fd, SOL_PACKET, PACKET_RX_RING, &request,
		       sizeof(request)) < 0)
		return fail(errno,
			    "cannot make a ring of %zu bytes for packets",
			    (size_t)packet->blocks * BLOCK_BYTES);

	memory = mmap(NULL, (size_t)packet->blocks * BLOCK_BYTES,
		      PROT_READ | PROT_WRITE, MAP_SHARED, packet->fd, 0);
	if (memory == MAP_FAILED)
		return fail(errno, "cannot map the ring for packets");
	packet->memory = memory;
	packet->ring.size = (size_t)packet->blocks * BLOCK_BYTES;

	return 0;
}

/*
 * The socket hears nothing until it is bound, which comes last: no packet that
 * the filter has not seen is ever in the ring.
 */
static int open_socket(struct packet *packet,
		       const struct source_settings *settings)
{
	const struct sockaddr_ll everywhere = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	int ret = 0;

	packet->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (packet->fd < 0)
		return fail(errno, "cannot open a packet socket");

	for (unsigned i = 0; i < packet->source.interface_count && !ret; i++)
		ret = find_interface(packet, i);
	if (!ret)
		ret = attach_filter(packet, settings);
	if (!ret)
		ret = make_ring(packet, settings->ring_bytes);
	if (!ret && bind(packet->fd, (const struct sockaddr *)&everywhere,
			 sizeof(everywhere)) < 0)
		ret = fail(errno, "cannot bind a packet socket");

	return ret;
}

static void packet_close(struct source *source)
{
	struct packet *packet = (struct packet *)source;

	if (packet->memory)
		munmap(packet->memory, (size_t)packet->blocks * BLOCK_BYTES);
	fd_close(&packet->fd);
	free(packet);
}

static int packet_open(const struct source_settings *settings,
		       struct source **source)
{
	struct packet *packet = xcalloc(1, sizeof(*packet));
	int ret;

	packet->source.ops = &source_packet;
	packet->source.interface_count = settings->interface_count;
	packet->source.lanes = 1;
	memcpy(packet->source.interfaces, settings->interfaces,
	       settings->interface_count * sizeof(*settings->interfaces));
	packet->snaplen = settings->snaplen;

	ret = open_socket(packet, settings);
	if (ret < 0) {
		packet_close(&packet->source);
		return ret;
	}
	*source = &packet->source;

	return 0;
}

/* Read the kernel's counts, which start anew each time. */
static void count(struct packet *packet)
{
	struct tpacket_stats_v3 now;
	socklen_t size = sizeof(now);

	if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &now,
		       &size) == 0)
		ring_count(&packet->ring, now.tp_packets, now.tp_drops);
}

/* The interface that a frame passed: the filter lets no others through. */
static unsigned interface_of(const struct packet *packet, uint32_t index)
{
	unsigned i = 0;

	while (packet->numbers[i].index != index &&
	       i + 1 < packet->source.interface_count)
		i++;

	return i;
}

/* Behind the header of each frame. */
static const struct sockaddr_ll *sender(const struct tpacket3_hdr *header)
{
	return (const void *)((const uint8_t *)header +
			      TPACKET_ALIGN(sizeof(*header)));
}

/* On lo each packet goes both ways. */
static enum direction direction(const struct packet *packet, unsigned interface,
				uint8_t type)
{
	if (packet->numbers[interface].loopback)
		return DIRECTION_UNKNOWN;

	return type == PACKET_OUTGOING ? DIRECTION_OUTBOUND : DIRECTION_INBOUND;
}

static bool has_tag(const struct tpacket3_hdr *header)
{
	return header->tp_status & TP_STATUS_VLAN_VALID &&
	       header->tp_snaplen >= VLAN_OFFSET;
}

/*
 * The kernel takes a VLAN tag out of the frame: back to where it was, for which
 * the addresses move into what was reserved before it. Returns the frame.
 */
static uint8_t *put_tag_back(uint8_t *bytes, const struct tpacket3_hdr *header)
{
	uint16_t type = header->tp_status & TP_STATUS_VLAN_TPID_VALID
				? header->hv1.tp_vlan_tpid
				: ETH_P_8021Q;
	const uint16_t tag[] = {
		htons(type),
		htons((uint16_t)header->hv1.tp_vlan_tci),
	};

	bytes -= sizeof(tag);
	memmove(bytes, bytes + sizeof(tag), VLAN_OFFSET);
	memcpy(bytes + VLAN_OFFSET, tag, sizeof(tag));

	return bytes;
}

/* One frame of a block that is ours until it has been read. */
static void take(struct packet *packet, struct queue *queue,
		 struct tpacket3_hdr *header)
{
	uint8_t *bytes = (uint8_t *)header + header->tp_mac;
	const struct sockaddr_ll *from = sender(header);
	unsigned interface = interface_of(packet, (uint32_t)from->sll_ifindex);
	uint32_t tag = has_tag(header) ? VLAN_SIZE : 0;
	uint32_t caplen = header->tp_snaplen + tag;
	struct frame *frame;

	ring_see(&packet->ring,
		 header->tp_sec * 1000000000ULL + header->tp_nsec, caplen);
	packet->statistics[interface].received++;

	if (caplen > packet->snaplen)
		caplen = packet->snaplen;
	frame = lane_frame(&packet->lane, queue, caplen);
	frame->time = packet->ring.newest;
	frame->len = header->tp_len + tag;
	frame->interface = (uint16_t)interface;
	frame->direction =
		(uint8_t)direction(packet, interface, from->sll_pkttype);
	frame->checksum = header->tp_status & TP_STATUS_CSUMNOTREADY
				  ? CHECKSUM_OPEN
				  : CHECKSUM_FILLED;
	memcpy(frame->bytes, tag ? put_tag_back(bytes, header) : bytes, caplen);
}

/* Read the next block if it is ours, and hand it back. */
static bool take_block(struct packet *packet, struct queue *queue)
{
	uint8_t *bytes = packet->memory + (size_t)packet->next * BLOCK_BYTES;
	struct tpacket_hdr_v1 *block =
		&((struct tpacket_block_desc *)bytes)->hdr.bh1;

	if (!(__atomic_load_n(&block->block_status, __ATOMIC_ACQUIRE) &
	      TP_STATUS_USER))
		return false;

	bytes += block->offset_to_first_pkt;
	for (uint32_t i = 0; i < block->num_pkts; i++) {
		struct tpacket3_hdr *header = (struct tpacket3_hdr *)bytes;

		take(packet, queue, header);
		bytes += header->tp_next_offset;
	}
	__atomic_store_n(&block->block_status, TP_STATUS_KERNEL,
			 __ATOMIC_RELEASE);
	packet->next = (packet->next + 1) % packet->blocks;

	return true;
}

/* Take what there is, as much as a round has room for; tell what is settled. */
static void read_round(struct packet *packet, struct queue *queue)
{
	size_t room = queue_round(queue), taken = 0;
	uint64_t now;

	packet->ring.held_up |= queue_wait_for_room(queue);
	while (taken < room && take_block(packet, queue))
		taken += BLOCK_BYTES;
	if (!taken && !packet->unsettled)
		return;

	now = clock_realtime_ns();
	count(packet);
	packet->lane.late = packet->ring.late;
	lane_push(
		&packet->lane, queue,
		ring_settled(&packet->ring, now, packet->lane.settled, taken));
	/* If the clock was set back this may take hours, and is the merge's. */
	packet->unsettled = packet->lane.settled < packet->ring.newest &&
			    packet->ring.newest <= clock_realtime_ns();
}

static int packet_batch(struct source *source, struct queue *queue, int wake_fd)
{
	struct packet *packet = (struct packet *)source;
	struct pollfd fds[] = {
		{ .fd = packet->fd, .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN },
	};

	if (poll(fds, 2, packet->unsettled ? RING_SETTLE_MS : -1) < 0)
		return errno == EINTR || errno == ENOMEM ? 1 : -errno;
	if (fds[1].revents)
		return 0;
	read_round(packet, queue);

	return 1;
}

/*
 * The count stands still once nothing is let in, and the rest is in the ring:
 * at most one block's time away. That the program deletes an interface ends
 * nothing here: all that passed it is in the ring.
 */
static int packet_stop(struct source *source, struct queue *queue)
{
	struct packet *packet = (struct packet *)source;
	struct pollfd ring = { .fd = packet->fd, .events = POLLIN };

	attach_nothing(packet);
	count(packet);
	do
		read_round(packet, queue);
	while (!ring_is_drained(&packet->ring) &&
	       poll(&ring, 1, RING_STALL_MS) > 0);
	lane_push(&packet->lane, queue, UINT64_MAX);

	return 0;
}

/*
 * The ring is one, and does not tell on which interface it dropped: all that it
 * dropped stands with the first one, where most packets are expected.
 */
static void packet_statistics(const struct source *source, unsigned interface,
			      struct capture_statistics *statistics)
{
	const struct packet *packet = (const struct packet *)source;

	*statistics = packet->statistics[interface];
	if (interface == 0) {
		statistics->received += packet->ring.dropped;
		statistics->dropped = packet->ring.dropped;
		statistics->dropped_queue = packet->ring.dropped_queue;
	}
}

const struct source_ops source_packet = {
	.name = "packet",
	.open = packet_open,
	.batch = packet_batch,
	.stop = packet_stop,
	.statistics = packet_statistics,
	.close = packet_close,
};
