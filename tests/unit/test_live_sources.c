/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both live sources at once on the same traffic, in a network namespace that
 * this test makes for itself as root: what they say of each frame is the same,
 * time included, as the kernel stamps frames before it hands them to anybody
 * while somebody asks for that.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "capture/capture.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* What a header of Ethernet, IPv4 and UDP adds to a datagram. */
#define HEADERS 42

#define PORT	   4242
#define MIB	   (1024 * 1024)
#define LARGE	   60000
#define SEGMENT	   1400
#define FRAMES_MAX 20000

static const char *const namespace_commands =
	"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 &&"
	"echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 &&"
	"ip link set lo up &&"
	"ip link add eth0 address 02:00:00:00:00:01 type veth "
	"peer name peer0 address 02:00:00:00:00:02 &&"
	"ip address add 192.0.2.1/24 dev eth0 && "
	"ip link set peer0 arp off up && ip link set eth0 arp off up &&"
	"ip neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 &&"
	"ip link add other0 type veth peer name other1 && "
	"ip address add 10.9.9.1/24 dev other0 && "
	"ip link set other0 arp off up && ip link set other1 arp off up &&"
	"ip neighbour add 10.9.9.2 lladdr 02:00:00:00:00:03 dev other0";

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 } },
	{ .name = "lo" },
};

enum {
	ETH0,
	LO
};

/* The frames that one source has seen. */
struct store {
	struct frame *frames[FRAMES_MAX];
	unsigned count;
};

static struct store by_libpcap, by_packet;

static void keep(struct store *store, const struct frame *frame)
{
	size_t size = sizeof(*frame) + frame->caplen;

	assert_true(store->count < FRAMES_MAX);
	store->frames[store->count] = malloc(size);
	memcpy(store->frames[store->count++], frame, size);
}

static void no_interface(struct writer *writer,
			 const struct capture_interface *interface)
{
	(void)writer;
	assert_int_equal(interface->link_type, DLT_EN10MB);
}

static void keep_libpcap(struct writer *writer, const struct frame *frame)
{
	(void)writer;
	keep(&by_libpcap, frame);
}

static void keep_packet(struct writer *writer, const struct frame *frame)
{
	(void)writer;
	keep(&by_packet, frame);
}

static const struct writer_ops libpcap_frames = {
	.interface = no_interface,
	.packet = keep_libpcap,
};

static const struct writer_ops packet_frames = {
	.interface = no_interface,
	.packet = keep_packet,
};

static void empty(struct store *store)
{
	while (store->count)
		free(store->frames[--store->count]);
}

static struct capture *start(const struct source_ops *source,
			     const struct writer_ops *frames, uint32_t snaplen,
			     const struct capture_filter *filter)
{
	const struct capture_settings settings = {
		.source = source,
		.from = {
			.interfaces = interfaces,
			.interface_count = ARRAY_SIZE(interfaces),
			.ring_bytes = 16 * MIB,
			.snaplen = snaplen,
			.filter = *filter,
		},
		.format = frames,
		.about = { .application = "test", .snaplen = snaplen },
		.queue_bytes = 64 * MIB,
	};
	struct capture *capture;

	assert_int_equal(capture_open(&settings, &capture), 0);
	assert_int_equal(
		capture_start(capture, memfd_create("none", MFD_CLOEXEC)), 0);

	return capture;
}

static void stop(struct capture *capture)
{
	struct capture_result result;

	assert_int_equal(capture_stop(capture, &result), 0);
	assert_int_equal(result.dropped_ring + result.dropped_queue, 0);
	capture_free(capture);
}

static pcap_t *injector(const char *device)
{
	char reason[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_live(device, 100, 0, 1, reason);

	assert_non_null(pcap);

	return pcap;
}

/* A frame of any protocol, from the end of the link with that address. */
static void inject(pcap_t *pcap, uint8_t from, uint16_t type, uint16_t next)
{
	uint8_t bytes[80] = { 2, 0, 0, 0, 0, 3 - from, 2, 0, 0, 0, 0, from };
	const uint16_t words[] = { htons(type), htons(0x6123), htons(next) };

	memcpy(bytes + 12, words, sizeof(words));
	assert_int_equal(pcap_inject(pcap, bytes, sizeof(bytes)),
			 sizeof(bytes));
}

static void send_udp(int fd, const char *address, size_t size)
{
	static const char bytes[LARGE];
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
	};

	assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
	assert_int_equal(
		sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof(to)),
		size);
}

static void send_everything(void)
{
	pcap_t *ours = injector("eth0"), *peer = injector("peer0");
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int segments = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int segment = SEGMENT;

	assert_int_equal(setsockopt(segments, SOL_UDP, UDP_SEGMENT, &segment,
				    sizeof(segment)),
			 0);
	for (unsigned i = 0; i < 200; i++) {
		send_udp(fd, "192.0.2.2", 100 + i);
		send_udp(fd, "127.0.0.1", 100 + i);
		send_udp(fd, "10.9.9.2", 100 + i); /* not captured */
		inject(peer, 2, 0x0800, 0x4500);
		inject(peer, 2, 0x8100, 0x88b5); /* 802.1Q */
		inject(peer, 2, 0x88a8, 0x8100); /* 802.1ad, and another tag */
		inject(ours, 1, 0x8100, 0x88b5);
	}
	for (unsigned i = 0; i < 20; i++) {
		send_udp(fd, "127.0.0.1", LARGE);
		send_udp(segments, "192.0.2.2", 10 * SEGMENT);
	}
	close(segments);
	close(fd);
	pcap_close(ours);
	pcap_close(peer);
}

static void capture_both(uint32_t snaplen, const struct capture_filter *filter)
{
	struct capture *libpcap, *packet;

	empty(&by_libpcap);
	empty(&by_packet);
	libpcap = start(&source_libpcap, &libpcap_frames, snaplen, filter);
	packet = start(&source_packet, &packet_frames, snaplen, filter);
	send_everything();
	stop(packet);
	stop(libpcap);
}

/*
 * While a socket asks for time stamps, each frame has one before the first
 * packet socket sees it, else each socket stamps by itself. The switch is
 * thrown by a worker of the kernel's, in its own time.
 */
static int ask_for_stamps(void **state)
{
	static const int on = 1;
	const struct capture_filter none = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*state = (void *)(intptr_t)fd;
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
	for (unsigned i = 0; i < 100; i++) {
		capture_both(96, &none);
		if (by_libpcap.frames[0]->time == by_packet.frames[0]->time)
			return 0;
	}

	return -1;
}

static int ask_no_more(void **state)
{
	return close((int)(intptr_t)*state);
}

/* The n-th frame of an interface, counted by *@next. */
static const struct frame *next_on(const struct store *store,
				   unsigned interface, unsigned *next)
{
	while (*next < store->count)
		if (store->frames[(*next)++]->interface == interface)
			return store->frames[*next - 1];

	return NULL;
}

static void assert_same(const struct frame *a, const struct frame *b)
{
	assert_int_equal(a->time, b->time);
	/* libpcap tells it by the address, unless that is cut off. */
	if (a->caplen >= ETH_HLEN)
		assert_int_equal(a->direction, b->direction);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->caplen, b->caplen);
	assert_memory_equal(a->bytes, b->bytes, a->caplen);
}

/* Two frames of one stamp may come in any order over the interfaces. */
static void assert_same_frames(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(interfaces); i++) {
		unsigned at_libpcap = 0, at_packet = 0;
		const struct frame *frame, *other;

		do {
			frame = next_on(&by_libpcap, i, &at_libpcap);
			other = next_on(&by_packet, i, &at_packet);
			assert_int_equal(!frame, !other);
			if (frame)
				assert_same(frame, other);
		} while (frame);
	}
	for (unsigned i = 1; i < by_packet.count; i++)
		assert_true(by_packet.frames[i - 1]->time <=
			    by_packet.frames[i]->time);
}

static unsigned count_frames(unsigned interface, uint16_t type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < by_packet.count; i++) {
		const struct frame *frame = by_packet.frames[i];
		uint16_t found;

		memcpy(&found, frame->bytes + 12, sizeof(found));
		count += frame->interface == interface && found == htons(type);
	}

	return count;
}

static void test_same(void **state)
{
	const struct capture_filter none = { 0 };
	unsigned large = 0, segments = 0;

	(void)state;
	capture_both(262144, &none);
	/* All of what is compared is there. */
	assert_int_equal(count_frames(ETH0, 0x8100), 400);
	assert_int_equal(count_frames(ETH0, 0x88a8), 200);
	assert_int_equal(count_frames(ETH0, 0x0800), 420);
	for (unsigned i = 0; i < by_packet.count; i++) {
		large += by_packet.frames[i]->caplen == HEADERS + LARGE;
		segments +=
			by_packet.frames[i]->caplen == HEADERS + 10 * SEGMENT;
	}
	assert_int_equal(large, 20);
	assert_int_equal(segments, 20);
	assert_same_frames();
}

/* Cut before, within and behind a tag. */
static void test_same_when_cut(void **state)
{
	static const uint32_t snaplens[] = { 1, 12, 13, 15, 16, 17, 96 };
	const struct capture_filter none = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(snaplens); i++) {
		capture_both(snaplens[i], &none);
		assert_same_frames();
	}
}

static void test_same_when_filtered(void **state)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 200);
	struct capture_filter filter;
	struct bpf_program program;

	(void)state;
	assert_int_equal(pcap_compile(dead, &program,
				      "udp and (len < 200 or host 127.0.0.1)",
				      1, 0),
			 0);
	filter.count = program.bf_len;
	filter.instructions = program.bf_insns;
	capture_both(200, &filter);
	assert_int_not_equal(by_packet.count, 0);
	assert_same_frames();
	pcap_freecode(&program);
	pcap_close(dead);
}

/* What the kernel left open, and what came filled in. */
static void test_checksum(void **state)
{
	const struct capture_filter none = { 0 };

	(void)state;
	capture_both(262144, &none);
	for (unsigned i = 0; i < by_packet.count; i++) {
		const struct frame *frame = by_packet.frames[i];
		bool udp = frame->bytes[12] == 8 &&
			   frame->bytes[23] == IPPROTO_UDP;

		assert_int_equal(frame->checksum,
				 udp ? CHECKSUM_OPEN : CHECKSUM_FILLED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_same_when_cut),
		cmocka_unit_test(test_same_when_filtered),
		cmocka_unit_test(test_checksum),
	};

	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWNET) < 0 || system(namespace_commands) != 0) {
		fprintf(stderr, "cannot make a network namespace: be root\n");
		return 1;
	}

	return cmocka_run_group_tests(tests, ask_for_stamps, ask_no_more);
}
