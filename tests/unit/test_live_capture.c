/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A live capture on lo and on a veth, in a network namespace that this test
 * makes for itself as root: nothing is lost at the end, nothing waits without
 * need, everything is in order and counted.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "capture/capture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define NOBODY 65534
#define PORT   4242
#define MIB    (1024 * 1024)

/* What a header of Ethernet, IPv4 and UDP adds to a datagram. */
#define HEADERS 42

static const char *const namespace_commands =
	"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 &&"
	"echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 &&"
	"ip link set lo up &&"
	"ip link add eth0 address 02:00:00:00:00:01 type veth "
	"peer name peer0 address 02:00:00:00:00:02 &&"
	"ip address add 192.0.2.1/24 dev eth0 && "
	"ip link set peer0 arp off up && ip link set eth0 arp off up &&"
	"ip neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 &&"
	"ip neighbour replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev peer0";

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 } },
	{ .name = "lo" },
};

enum {
	ETH0,
	LO
};

/* A file format that remembers the frames, for the test to look at. */
#define SEEN_MAX 100000
static struct frame seen[SEEN_MAX];
static unsigned seen_count;

static void remember_interface(struct writer *writer,
			       const struct capture_interface *interface)
{
	assert_int_equal(interface->link_type, DLT_EN10MB);
	buf_string(&writer->buf, interface->name);
}

static void remember(struct writer *writer, const struct frame *frame)
{
	(void)writer;
	assert_true(seen_count < SEEN_MAX);
	memcpy(&seen[seen_count++], frame, sizeof(*frame));
}

static const struct writer_ops memory = {
	.name = "memory",
	.interface = remember_interface,
	.packet = remember,
};

/* What each test is run over. */
static const struct source_ops *const over_libpcap = &source_libpcap;
static const struct source_ops *const over_packet = &source_packet;

static struct capture_settings default_settings(void **state)
{
	const struct source_ops *const *source = *state;

	return (struct capture_settings){
		.source = *source,
		.from = {
			.interfaces = interfaces,
			.interface_count = ARRAY_SIZE(interfaces),
			.ring_bytes = 16 * MIB,
			.snaplen = 262144,
		},
		.format = &memory,
		.about = { .application = "test", .snaplen = 262144 },
		.queue_bytes = 256 * MIB,
	};
}

/* As the tracer does: opened by root, everything else without any right. */
static struct capture *start(const struct capture_settings *settings, int fd)
{
	struct capture *capture;

	seen_count = 0;
	assert_int_equal(capture_open(settings, &capture), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	assert_int_equal(capture_start(capture, fd), 0);

	return capture;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* How long the last capture_stop() took, in milliseconds. */
static double stop_took;

static struct capture_result stop(struct capture *capture)
{
	struct capture_result result;

	stop_took = milliseconds();
	assert_int_equal(capture_stop(capture, &result), 0);
	stop_took = milliseconds() - stop_took;
	capture_free(capture);
	assert_int_equal(seteuid(0), 0);

	return result;
}

static int memory_file(void)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);

	assert_true(fd >= 0);

	return fd;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);

	return values[count / 2];
}

static int udp_to(const char *address)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);

	return fd;
}

/*
 * Somebody listens on lo, or there would be ICMP errors between. What he does
 * not read is dropped behind the capture.
 */
static int listener(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);

	return fd;
}

static void send_each(const int *fds, size_t count, unsigned times, size_t size)
{
	char bytes[1400] = { 0 };

	while (times--)
		for (size_t i = 0; i < count; i++)
			assert_int_equal(send(fds[i], bytes, size, 0), size);
}

static unsigned seen_on(unsigned interface)
{
	unsigned count = 0;

	for (unsigned i = 0; i < seen_count; i++)
		count += seen[i].interface == interface;

	return count;
}

static void assert_in_order(void)
{
	for (unsigned i = 1; i < seen_count; i++)
		assert_true(seen[i - 1].time <= seen[i].time);
}

static void test_last_packets(void **state)
{
	struct capture_settings settings = default_settings(state);
	int fds[] = { udp_to("192.0.2.2"), udp_to("127.0.0.1") };
	int sink = listener();
	double took[50];

	for (size_t i = 0; i < ARRAY_SIZE(took); i++) {
		struct capture *capture = start(&settings, memory_file());
		struct capture_result result;

		send_each(fds, 2, 250, 100);
		result = stop(capture);
		took[i] = stop_took;
		assert_int_equal(result.written, 500);
		assert_int_equal(seen_on(ETH0), 250);
		assert_int_equal(seen_on(LO), 250);
		assert_int_equal(result.interfaces[ETH0].received, 250);
		assert_int_equal(result.interfaces[LO].received, 250);
		assert_int_equal(result.dropped_ring, 0);
		assert_int_equal(result.dropped_queue, 0);
		assert_int_equal(result.truncated, 0);
		assert_int_equal(result.lost, 0);
		assert_in_order();
	}
	print_message("# stop after 500 packets: median %.2f ms\n",
		      median(took, ARRAY_SIZE(took)));
	close(fds[0]);
	close(fds[1]);
	close(sink);
}

static void test_nothing_to_wait_for(void **state)
{
	struct capture_settings settings = default_settings(state);
	double opened[20], stopped[20];

	for (size_t i = 0; i < ARRAY_SIZE(stopped); i++) {
		struct capture *capture;

		opened[i] = milliseconds();
		assert_int_equal(capture_open(&settings, &capture), 0);
		opened[i] = milliseconds() - opened[i];
		assert_int_equal(capture_start(capture, memory_file()), 0);

		assert_int_equal(stop(capture).written, 0);
		stopped[i] = stop_took;
	}
	print_message("# open: median %.2f ms; stop: median %.3f ms\n",
		      median(opened, ARRAY_SIZE(opened)),
		      median(stopped, ARRAY_SIZE(stopped)));
	/* Another process may be in the way, but not each time. */
	assert_true(stopped[0] < 2);
}

/* Wait for @fd to be readable and read it. */
static void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char bytes[4096];

	assert_int_equal(poll(&poll_fd, 1, 5000), 1);
	assert_true(read(fd, bytes, sizeof(bytes)) > 0);
}

/*
 * A packet is sent at every point of a block's time, also just before its end,
 * when it is read before it can be told that nothing earlier follows.
 */
static void test_live_pipe(void **state)
{
	struct capture_settings settings = default_settings(state);
	int eth0 = udp_to("192.0.2.2");
	struct pollfd quiet = { .events = POLLIN };
	struct capture *capture;
	double took[50];
	int ends[2];

	settings.format = &writer_pcapng;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	capture = start(&settings, ends[1]);
	await(ends[0]);
	quiet.fd = ends[0];

	for (size_t i = 0; i < ARRAY_SIZE(took); i++) {
		struct timespec phase = { .tv_nsec = (long)i * 200000 };

		assert_int_equal(ppoll(&quiet, 1, &phase, NULL), 0);
		took[i] = milliseconds();
		send_each(&eth0, 1, 1, 100);
		await(ends[0]);
		took[i] = milliseconds() - took[i];
	}
	assert_int_equal(stop(capture).written, ARRAY_SIZE(took));
	print_message("# from sending to the pipe: median %.1f ms\n",
		      median(took, ARRAY_SIZE(took)));
	print_message("# from sending to the pipe: at most %.1f ms\n",
		      took[ARRAY_SIZE(took) - 1]);
	/* Other processes may be in the way now and then. */
	assert_true(took[ARRAY_SIZE(took) / 2] < 50);
	close(ends[0]);
	close(eth0);
}

static void test_direction(void **state)
{
	static const uint8_t from_peer[60] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00,
	};
	struct capture_settings settings = default_settings(state);
	int fds[] = { udp_to("192.0.2.2"), udp_to("127.0.0.1") };
	char reason[PCAP_ERRBUF_SIZE];
	pcap_t *peer = pcap_open_live("peer0", 100, 0, 1, reason);
	int sink = listener();
	struct capture *capture;

	assert_non_null(peer);
	capture = start(&settings, memory_file());
	send_each(&fds[0], 1, 1, 100);
	assert_int_equal(pcap_inject(peer, from_peer, sizeof(from_peer)), 60);
	send_each(&fds[1], 1, 1, 100);
	assert_int_equal(stop(capture).written, 3);

	assert_int_equal(seen[0].direction, DIRECTION_OUTBOUND);
	assert_int_equal(seen[0].interface, ETH0);
	assert_int_equal(seen[1].direction, DIRECTION_INBOUND);
	assert_int_equal(seen[1].interface, ETH0);
	assert_int_equal(seen[2].direction, DIRECTION_UNKNOWN);
	assert_int_equal(seen[2].interface, LO);
	pcap_close(peer);
	close(fds[0]);
	close(fds[1]);
	close(sink);
}

static void test_filter_and_snaplen(void **state)
{
	struct capture_settings settings = default_settings(state);
	int eth0 = udp_to("192.0.2.2");
	struct bpf_program program;
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 64);
	struct capture_result result;
	struct capture *capture;

	assert_int_equal(pcap_compile(dead, &program, "len > 200", 1, 0), 0);
	settings.from.snaplen = 64;
	settings.from.filter.count = program.bf_len;
	settings.from.filter.instructions = program.bf_insns;

	capture = start(&settings, memory_file());
	send_each(&eth0, 1, 10, 100);
	send_each(&eth0, 1, 10, 1000);
	result = stop(capture);
	assert_int_equal(result.written, 10);
	assert_int_equal(result.truncated, 10);
	assert_int_equal(result.interfaces[ETH0].received, 10);

	settings.from.filter.count = 0;
	capture = start(&settings, memory_file());
	send_each(&eth0, 1, 10, 10);
	send_each(&eth0, 1, 10, 1000);
	result = stop(capture);
	assert_int_equal(result.written, 20);
	assert_int_equal(result.truncated, 10);
	assert_int_equal(seen[0].caplen, HEADERS + 10);
	assert_int_equal(seen[19].caplen, 64);
	assert_int_equal(seen[19].len, HEADERS + 1000);

	pcap_freecode(&program);
	pcap_close(dead);
	close(eth0);
}

static void *drain(void *argument)
{
	const int *fd = argument;
	char bytes[65536];

	while (read(*fd, bytes, sizeof(bytes)) > 0)
		;

	return NULL;
}

/* Each packet is in the file or in one of the counts. */
static void test_every_loss_is_counted(void **state)
{
	struct capture_settings settings = default_settings(state);
	int eth0 = udp_to("192.0.2.2");
	struct capture_result result;
	struct capture *capture;
	pthread_t reader;
	int ends[2];

	settings.format = &writer_pcap;
	settings.queue_bytes = MIB;
	settings.from.ring_bytes = MIB;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	capture = start(&settings, ends[1]);

	send_each(&eth0, 1, 20000, 1400);
	pthread_create(&reader, NULL, drain, &ends[0]);
	result = stop(capture);
	pthread_join(reader, NULL);

	assert_int_equal(result.interfaces[ETH0].received, 20000);
	assert_int_not_equal(result.dropped_queue, 0);
	assert_int_not_equal(result.written, 0);
	assert_int_equal(result.written + result.dropped_queue +
				 result.dropped_ring,
			 20000);
	close(ends[0]);
	close(eth0);
}

/* The drain too hears of all lanes in turn: the merge waits for none long. */
static void test_drain_in_rounds(void **state)
{
	struct capture_settings settings = default_settings(state);
	int fds[] = { udp_to("192.0.2.2"), udp_to("127.0.0.1") };
	struct queue *queue = queue_new(settings.queue_bytes);
	int sink = listener();
	struct capture_statistics statistics;
	unsigned ahead = 0, frames = 0;
	struct source *source;
	struct batch *batch;
	bool ended;

	/* A block is handed over after 10 ms, full or not: many of them. */
	settings.from.ring_bytes = 256 * MIB;
	assert_int_equal(settings.source->open(&settings.from, &source), 0);
	send_each(fds, 2, 8000, 100);
	assert_int_equal(source->ops->stop(source, queue), 0);
	while ((batch = queue_pop(queue, 0, &ended))) {
		ahead = batch->lane ? 0 : ahead + batch->frames;
		assert_in_range(ahead, 0, 5000);
		frames += batch->frames;
		batch_free(batch);
	}
	/* Blocks end by time too: a sender held up fills a ring with few. */
	for (unsigned i = 0; i < source->interface_count; i++) {
		source->ops->statistics(source, i, &statistics);
		frames += statistics.dropped;
	}
	assert_int_equal(frames, 16000);
	source->ops->close(source);
	queue_free(queue);
	close(fds[0]);
	close(fds[1]);
	close(sink);
}

/* A reader of a pipe that takes its time, and what it got. */
struct slow_reader {
	int fd;
	size_t size;
	uint8_t bytes[16 * MIB];
};

static void *read_late(void *argument)
{
	struct slow_reader *reader = argument;
	ssize_t got;

	/* By then the capture is being stopped, and stuck. */
	poll(NULL, 0, 50);
	while ((got = read(reader->fd, reader->bytes + reader->size,
			   sizeof(reader->bytes) - reader->size)) > 0)
		reader->size += (size_t)got;

	return NULL;
}

/*
 * A queue that is full and a writer that is stuck lose nothing as long as the
 * ring has room, and what is there at the end waits for its turn.
 */
static void test_full_queue_waits(void **state)
{
	static struct slow_reader reader;
	struct capture_settings settings = default_settings(state);
	int eth0 = udp_to("192.0.2.2");
	struct capture_result result;
	struct capture *capture;
	uint32_t last_length;
	pthread_t thread;
	int ends[2];

	settings.format = &writer_pcap;
	settings.queue_bytes = 64 * 1024;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reader.fd = ends[0];
	reader.size = 0;
	capture = start(&settings, ends[1]);
	send_each(&eth0, 1, 3000, 1400);
	send_each(&eth0, 1, 1, 77);
	pthread_create(&thread, NULL, read_late, &reader);
	result = stop(capture);
	pthread_join(thread, NULL);
	close(ends[0]);

	assert_int_equal(result.dropped_queue, 0);
	assert_int_equal(result.dropped_ring, 0);
	assert_int_equal(result.written, 3001);
	memcpy(&last_length, &reader.bytes[reader.size - HEADERS - 77 - 4],
	       sizeof(last_length));
	assert_int_equal(last_length, HEADERS + 77);
	close(eth0);
}

static void test_write_error_is_told_at_once(void **state)
{
	struct capture_settings settings = default_settings(state);
	int eth0 = udp_to("192.0.2.2");
	struct capture_result result;
	struct capture *capture;
	struct pollfd told;
	int ends[2];

	settings.format = &writer_pcap;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	capture = start(&settings, ends[1]);
	told = (struct pollfd){ capture_error_fd(capture), POLLIN, 0 };
	assert_int_equal(poll(&told, 1, 0), 0);
	close(ends[0]);

	send_each(&eth0, 1, 10, 100);
	assert_int_equal(poll(&told, 1, 5000), 1);
	assert_int_equal(capture_stop(capture, &result), -EPIPE);
	assert_int_equal(result.error, -EPIPE);
	assert_int_equal(result.written, 0);
	assert_int_equal(result.lost, 10);
	capture_free(capture);
	assert_int_equal(seteuid(0), 0);
	close(eth0);
}

static char said[1024];

static void hear(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	snprintf(said, sizeof(said), "%s", line);
}

/* The policy of the thread of this name, or -1 while there is none. */
static int look_for_policy(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int policy = -1;

	while ((task = readdir(tasks))) {
		char path[64], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%.10s/comm",
			 task->d_name);
		file = fopen(path, "re");
		if (file && fgets(comm, sizeof(comm), file) &&
		    strncmp(comm, name, strlen(name)) == 0)
			policy = sched_getscheduler(atoi(task->d_name));
		if (file)
			fclose(file);
	}
	closedir(tasks);

	return policy;
}

/* The same, of one that has yet to take its name. */
static int policy_of(const char *name)
{
	int policy = look_for_policy(name);

	for (int i = 0; policy < 0 && i < 5000; i++) {
		poll(NULL, 0, 1);
		policy = look_for_policy(name);
	}

	return policy;
}

/* Only the reader goes before others, and gets that from who opened it all. */
static void test_reader_goes_first(void **state)
{
	struct capture_settings settings = default_settings(state);
	struct capture *capture;

	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	capture = start(&settings, memory_file());
	assert_int_equal(policy_of("reader"), SCHED_FIFO);
	assert_int_equal(policy_of("writer"), SCHED_OTHER);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	stop(capture);
}

/* Not the hint that may follow. */
static void hear_first(enum log_level level, const char *line, void *context)
{
	if (!*said)
		hear(level, line, context);
}

static void test_no_such_interface(void **state)
{
	static const struct capture_interface missing[] = {
		{ .name = "lo" },
		{ .name = "eth7" },
	};
	struct capture_settings settings = default_settings(state);
	struct capture *capture;

	settings.from.interfaces = missing;
	log_set_sink(hear, NULL);
	assert_true(capture_open(&settings, &capture) < 0);
	log_set_sink(NULL, NULL);
	assert_non_null(strstr(said, "nsntrace: cannot capture on eth7: "));
}

/* lo is taken down and up again by the program: what follows is captured. */
static void test_interface_goes_down(void **state)
{
	struct capture_settings settings = default_settings(state);
	int fds[] = { udp_to("192.0.2.2"), udp_to("127.0.0.1") };
	int sink = listener();
	struct capture *capture;

	seen_count = 0;
	assert_int_equal(capture_open(&settings, &capture), 0);
	assert_int_equal(capture_start(capture, memory_file()), 0);
	send_each(fds, 2, 10, 100);
	assert_int_equal(system("ip link set lo down"), 0);
	send_each(fds, 1, 10, 100);
	assert_int_equal(system("ip link set lo up"), 0);
	send_each(fds, 2, 10, 100);
	assert_int_equal(stop(capture).written, 50);
	assert_int_equal(seen_on(LO), 20);
	close(fds[0]);
	close(fds[1]);
	close(sink);
}

static void expect_refusal(const struct capture_settings *settings,
			   const char *words)
{
	struct capture *capture;

	log_set_sink(hear_first, NULL);
	*said = '\0';
	assert_true(capture_open(settings, &capture) < 0);
	log_set_sink(NULL, NULL);
	if (!strstr(said, words))
		fail_msg("said '%s', not '%s'", said, words);
}

/* What goes before the filter takes room of it. */
static void test_filter_too_long(void **state)
{
	static struct sock_filter instructions[BPF_MAXINSNS - 1];
	struct capture_settings settings = default_settings(state);

	settings.from.filter.count = ARRAY_SIZE(instructions);
	settings.from.filter.instructions = instructions;
	expect_refusal(&settings, "more instructions (4095) than the kernel");
}

static void test_no_ethernet(void **state)
{
	static const struct capture_interface tunnel[] = {
		{ .name = "lo" },
		{ .name = "tun0" },
	};
	struct capture_settings settings = default_settings(state);

	assert_int_equal(system("ip tuntap add dev tun0 mode tun"), 0);
	settings.from.interfaces = tunnel;
	expect_refusal(&settings, "cannot capture on tun0: it has no Ethernet");
	assert_int_equal(system("ip link del tun0"), 0);
}

/* The program deletes an interface: what passed it is there, and the rest. */
static void test_interface_is_deleted(void **state)
{
	static const struct capture_interface with_short_lived[] = {
		{ .name = "short0" },
		{ .name = "lo" },
	};
	struct capture_settings settings = default_settings(state);
	int sink = listener(), lo = udp_to("127.0.0.1"), short_lived;
	/* Only a handle of its own hears of it. */
	int told = settings.source == &source_libpcap ? -ENODEV : 0;
	struct capture_result result;
	struct capture *capture;

	assert_int_equal(system("ip link add short0 type veth peer name short1"
				" && ip address add 198.51.100.1/24 dev short0"
				" && ip link set short1 arp off up"
				" && ip link set short0 arp off up"),
			 0);
	short_lived = udp_to("198.51.100.2");
	settings.from.interfaces = with_short_lived;
	seen_count = 0;
	assert_int_equal(capture_open(&settings, &capture), 0);
	assert_int_equal(capture_start(capture, memory_file()), 0);
	send_each(&short_lived, 1, 10, 100);
	assert_int_equal(system("ip link del short0"), 0);
	send_each(&lo, 1, 10, 100);
	assert_int_equal(capture_stop(capture, &result), told);
	capture_free(capture);
	assert_int_equal(result.written, 20);
	assert_int_equal(seen_on(LO), 10);
	close(short_lived);
	close(lo);
	close(sink);
}

#define OVER(test, source)                                  \
	{                                                   \
#test " over " #source, (test), NULL, NULL, \
			(void *)&over_##source              \
	}
#define OVER_LIBPCAP(test) OVER(test, libpcap)
#define OVER_PACKET(test)  OVER(test, packet)
#define OVER_BOTH(test)	   OVER(test, libpcap), OVER(test, packet)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_BOTH(test_last_packets),
		OVER_BOTH(test_nothing_to_wait_for),
		OVER_BOTH(test_live_pipe),
		OVER_BOTH(test_direction),
		OVER_BOTH(test_filter_and_snaplen),
		OVER_BOTH(test_every_loss_is_counted),
		OVER_LIBPCAP(test_drain_in_rounds),
		OVER_BOTH(test_full_queue_waits),
		OVER_BOTH(test_write_error_is_told_at_once),
		OVER_BOTH(test_reader_goes_first),
		OVER_BOTH(test_no_such_interface),
		OVER_BOTH(test_interface_goes_down),
		OVER_BOTH(test_interface_is_deleted),
		OVER_PACKET(test_filter_too_long),
		OVER_PACKET(test_no_ethernet),
	};

	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWNET) < 0 || system(namespace_commands) != 0) {
		fprintf(stderr, "cannot make a network namespace: be root\n");
		return 1;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
