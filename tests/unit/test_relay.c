/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay over loopback addresses: it runs in a process of its own, the test
 * is both the client and the upstream. What it says is kept, and must be
 * nothing unless a test expects it.
 */
#include "relay/relay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/relay_internal.h"

/* The last: it has a macro fail(). */
#include <cmocka.h>

#define DEADLINE_MS 10000
#define MIB	    (1 << 20)

/* A relay of one service, and the sockets at its upstream. */
struct bench {
	struct relay_service service;
	struct sockaddr_storage address; /* where clients go */
	socklen_t length;
	int upstream; /* bound, listening if TCP */
	int listener;
	int end; /* closed: the relay ends */
	int said;
	pid_t pid;
};

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address; /* the port is where it is for IPv4 */
	socklen_t length = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length),
			 0);

	return ntohs(address.sin6_port);
}

/* No test waits longer than this for one packet. */
static int with_deadline(int fd)
{
	struct timeval limit = { .tv_sec = DEADLINE_MS / 1000 };

	assert_true(fd >= 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
		0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)),
		0);

	return fd;
}

static int bound_socket(const struct ip *ip, int type, uint16_t port)
{
	int fd = with_deadline(socket(ip->family, type | SOCK_CLOEXEC, 0));
	struct sockaddr_storage address;
	socklen_t length = ip_sockaddr(ip, port, &address);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, SOMAXCONN), 0);

	return fd;
}

static void run_relay(struct bench *bench, int end, rlim_t descriptors)
{
	struct rlimit limit = { descriptors, descriptors };
	int ret;

	dup2(bench->said, STDERR_FILENO);
	close(bench->end);
	close(bench->upstream);
	if (descriptors)
		setrlimit(RLIMIT_NOFILE, &limit);
	ret = relay_serve(&bench->service, &bench->listener, 1, end);
	/* With the checks that sanitizers do at the end. */
	exit(ret < 0 ? -ret : 0);
}

static void bench_fork(struct bench *bench, rlim_t descriptors)
{
	int end[2];

	bench->said = memfd_create("said", MFD_CLOEXEC);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	bench->end = end[1];
	fflush(NULL);
	bench->pid = fork();
	assert_true(bench->pid >= 0);
	if (bench->pid == 0)
		run_relay(bench, end[0], descriptors);
	close(end[0]);
}

/* A relay between two free ports of @text, which has @descriptors if not 0. */
static void bench_start(struct bench *bench, const char *text, bool tcp,
			const char *device, rlim_t descriptors)
{
	*bench = (struct bench){ .service.tcp = tcp };
	assert_true(ip_parse(text, &bench->service.listen));
	bench->service.upstream = bench->service.listen;
	snprintf(bench->service.device, sizeof(bench->service.device), "%s",
		 device);

	bench->upstream = bound_socket(&bench->service.upstream,
				       tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	bench->service.upstream_port = port_of(bench->upstream);
	bench->listener = relay_listen(&bench->service);
	assert_true(bench->listener >= 0);
	bench->service.port = port_of(bench->listener);
	bench->length = ip_sockaddr(&bench->service.listen, bench->service.port,
				    &bench->address);
	bench_fork(bench, descriptors);
}

/* End the relay, which must go well, and have said @expected and no more. */
static void bench_stop(struct bench *bench, const char *expected)
{
	char said[4096] = { 0 };
	int status;

	close(bench->end);
	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	assert_true(pread(bench->said, said, sizeof(said) - 1, 0) >= 0);
	assert_string_equal(said, expected);
	assert_int_equal(status, 0);
	close(bench->said);
	close(bench->listener);
	close(bench->upstream);
}

static int client_of(const struct bench *bench)
{
	int type = bench->service.tcp ? SOCK_STREAM : SOCK_DGRAM;
	int fd = with_deadline(
		socket(bench->service.listen.family, type | SOCK_CLOEXEC, 0));

	assert_int_equal(
		connect(fd, (struct sockaddr *)&bench->address, bench->length),
		0);

	return fd;
}

static int accepted(const struct bench *bench)
{
	return with_deadline(
		accept4(bench->upstream, NULL, NULL, SOCK_CLOEXEC));
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

static void expect_text(int fd, const char *text)
{
	char got[64] = { 0 };

	assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL),
			 strlen(text));
	assert_string_equal(got, text);
}

/* Exactly one end: the other side sends no more, but without an error. */
static void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void expect_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The upstream of datagrams sends back what it got. */
static void echo_datagram(const struct bench *bench, size_t size)
{
	static char bytes[65536];
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);

	assert_int_equal(recvfrom(bench->upstream, bytes, sizeof(bytes), 0,
				  (struct sockaddr *)&from, &length),
			 size);
	assert_int_equal(sendto(bench->upstream, bytes, size, 0,
				(struct sockaddr *)&from, length),
			 size);
}

static size_t descriptors_of(pid_t pid)
{
	autofree char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);

	return count - 2; /* "." and ".." */
}

static const char *const loopbacks[] = { "127.0.0.1", "127.0.0.53", "::1" };
#define LOOPBACKS (sizeof(loopbacks) / sizeof(loopbacks[0]))

static void datagrams_go_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < LOOPBACKS; i++) {
		struct bench bench;
		int one, two;

		bench_start(&bench, loopbacks[i], false, "", 0);
		one = client_of(&bench);
		two = client_of(&bench);
		/* Both wait at once: each gets what is its own. */
		send_text(one, "query one");
		send_text(two, "query two");
		echo_datagram(&bench, 9);
		echo_datagram(&bench, 9);
		expect_text(two, "query two");
		expect_text(one, "query one");
		/* Nothing in it is a datagram too. */
		assert_int_equal(send(one, "", 0, 0), 0);
		echo_datagram(&bench, 0);
		expect_end(one);
		close(one);
		close(two);
		bench_stop(&bench, "");
	}
}

static void one_client_keeps_its_port(void **state)
{
	struct bench bench;
	struct sockaddr_in from[2];
	socklen_t length = sizeof(from[0]);
	char bytes[8];
	int client;

	(void)state;
	bench_start(&bench, "127.0.0.1", false, "", 0);
	client = client_of(&bench);
	for (int i = 0; i < 2; i++) {
		send_text(client, "x");
		assert_int_equal(recvfrom(bench.upstream, bytes, sizeof(bytes),
					  0, (struct sockaddr *)&from[i],
					  &length),
				 1);
	}
	assert_int_equal(from[0].sin_port, from[1].sin_port);
	close(client);
	bench_stop(&bench, "");
}

static void longest_datagrams_pass(void **state)
{
	/* 65,535 less the headers of IPv4 and UDP; of UDP alone. */
	static const size_t sizes[] = { 65507, 65507, 65527 };
	static char bytes[65536], got[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < LOOPBACKS; i++) {
		struct bench bench;
		int client;

		bench_start(&bench, loopbacks[i], false, "", 0);
		client = client_of(&bench);
		assert_int_equal(send(client, bytes, sizes[i], 0), sizes[i]);
		echo_datagram(&bench, sizes[i]);
		assert_int_equal(recv(client, got, sizeof(got), 0), sizes[i]);
		assert_memory_equal(got, bytes, sizes[i]);
		close(client);
		bench_stop(&bench, "");
	}
}

static void flows_are_bounded(void **state)
{
	struct bench bench;
	size_t before;
	int first;

	(void)state;
	bench_start(&bench, "127.0.0.1", false, "", 0);
	first = client_of(&bench);
	send_text(first, "x");
	echo_datagram(&bench, 1);
	expect_text(first, "x");
	before = descriptors_of(bench.pid);

	for (int i = 0; i < 2000; i++) {
		int client = client_of(&bench);

		send_text(client, "x");
		echo_datagram(&bench, 1);
		expect_text(client, "x");
		close(client);
	}
	assert_int_equal(descriptors_of(bench.pid), before + 1023);
	/* Its flow is long gone: it gets a new one. */
	send_text(first, "again");
	echo_datagram(&bench, 5);
	expect_text(first, "again");
	close(first);
	bench_stop(&bench, "");
}

static void idle_flows_are_closed(void **state)
{
	struct relay_service service = { 0 };
	struct listener listener = { .service = &service };
	struct relay relay = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	int64_t now;
	int client, timeout;

	(void)state;
	TAILQ_INIT(&relay.flows);
	assert_int_equal(datagram_expire(&relay, clock_monotonic_ms()), -1);

	assert_true(ip_parse("127.0.0.1", &service.listen));
	service.upstream = service.listen;
	service.upstream_port = 9;
	listener.watch.fd = relay_listen(&service);
	service.port = port_of(listener.watch.fd);
	client = bound_socket(&service.listen, SOCK_DGRAM, 0);
	struct sockaddr_storage address;
	socklen_t length = ip_sockaddr(&service.listen, service.port, &address);
	assert_int_equal(
		sendto(client, "x", 1, 0, (struct sockaddr *)&address, length),
		1);
	datagram_ready(&relay, &listener.watch);
	assert_int_equal(relay.flow_count, 1);

	now = clock_monotonic_ms();
	timeout = datagram_expire(&relay, now);
	assert_in_range(timeout, 50000, 60000);
	assert_int_equal(datagram_expire(&relay, now + timeout - 1), 1);
	assert_int_equal(relay.flow_count, 1);
	assert_int_equal(datagram_expire(&relay, now + timeout), -1);
	assert_int_equal(relay.flow_count, 0);
	close(client);
	close(listener.watch.fd);
	close(relay.epoll);
}

static void datagrams_outlive_their_upstream(void **state)
{
	struct bench bench;
	uint16_t port;
	int client;

	(void)state;
	bench_start(&bench, "127.0.0.1", false, "", 0);
	port = bench.service.upstream_port;
	client = client_of(&bench);
	send_text(client, "before");
	echo_datagram(&bench, 6);
	expect_text(client, "before");

	close(bench.upstream);
	for (int i = 0; i < 3; i++)
		send_text(client, "lost");
	bench.upstream =
		bound_socket(&bench.service.upstream, SOCK_DGRAM, port);
	send_text(client, "after");
	for (;;) {
		char got[64] = { 0 };

		assert_true(recv(bench.upstream, got, sizeof(got), 0) > 0);
		if (strcmp(got, "after") == 0)
			break;
		assert_string_equal(got, "lost");
	}
	close(client);
	bench_stop(&bench, "");
}

static void connections_go_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < LOOPBACKS; i++) {
		struct bench bench;
		int client, server;

		bench_start(&bench, loopbacks[i], true, "", 0);
		client = client_of(&bench);
		send_text(client, "hello");
		server = accepted(&bench);
		expect_text(server, "hello");
		send_text(server, "world");
		expect_text(client, "world");
		/* Half closed, either side first: the other still speaks. */
		shutdown(i % 2 ? client : server, SHUT_WR);
		expect_end(i % 2 ? server : client);
		send_text(i % 2 ? server : client, "last words");
		expect_text(i % 2 ? client : server, "last words");
		shutdown(i % 2 ? server : client, SHUT_WR);
		expect_end(i % 2 ? client : server);
		close(client);
		close(server);
		bench_stop(&bench, "");
	}
}

static void upstream_may_speak_first(void **state)
{
	struct bench bench;
	int client, server;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	client = client_of(&bench);
	server = accepted(&bench);
	send_text(server, "220 ready");
	expect_text(client, "220 ready");
	close(server);
	expect_end(client);
	close(client);
	bench_stop(&bench, "");
}

static void refused_is_reset(void **state)
{
	struct bench bench;
	int client;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	close(bench.upstream);
	client = client_of(&bench);
	expect_reset(client);
	close(client);
	bench.upstream = bound_socket(&bench.service.upstream, SOCK_STREAM, 0);
	bench_stop(&bench, "");
}

static void reset_is_passed_on(void **state)
{
	struct linger at_once = { .l_onoff = 1 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct bench bench;
		int ends[2];

		bench_start(&bench, "127.0.0.1", true, "", 0);
		ends[0] = client_of(&bench);
		ends[1] = accepted(&bench);
		send_text(ends[0], "x");
		expect_text(ends[1], "x");
		setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &at_once,
			   sizeof(at_once));
		close(ends[i]);
		expect_reset(ends[!i]);
		close(ends[!i]);
		bench_stop(&bench, "");
	}
}

/* Who goes after his end is gone for the other too, which may wait for ever. */
static void reset_after_the_end_is_passed_on(void **state)
{
	struct linger at_once = { .l_onoff = 1 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct bench bench;
		struct pollfd other;
		int ends[2];

		bench_start(&bench, "127.0.0.1", true, "", 0);
		ends[0] = client_of(&bench);
		ends[1] = accepted(&bench);
		assert_int_equal(shutdown(ends[i], SHUT_WR), 0);
		expect_end(ends[!i]);
		setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &at_once,
			   sizeof(at_once));
		close(ends[i]);
		other = (struct pollfd){ .fd = ends[!i] };
		assert_int_equal(poll(&other, 1, DEADLINE_MS), 1);
		assert_true(other.revents & POLLERR);
		close(ends[!i]);
		bench_stop(&bench, "");
	}
}

/* A relay without its loop: one connection, and what it takes to move it. */
struct by_hand {
	struct relay_service service;
	struct listener listener;
	struct relay relay;
	int accepting;
	int client;
	int upstream;
};

static void by_hand_start(struct by_hand *hand)
{
	struct sockaddr_storage address;
	socklen_t length;

	*hand = (struct by_hand){ .service.tcp = true,
				  .listener.service = &hand->service };
	hand->relay.epoll = epoll_create1(EPOLL_CLOEXEC);
	TAILQ_INIT(&hand->relay.flows);
	TAILQ_INIT(&hand->relay.connections);
	TAILQ_INIT(&hand->relay.halves);
	assert_true(ip_parse("127.0.0.1", &hand->service.listen));
	hand->service.upstream = hand->service.listen;
	hand->accepting = bound_socket(&hand->service.upstream, SOCK_STREAM, 0);
	hand->service.upstream_port = port_of(hand->accepting);
	hand->listener.watch.fd = relay_listen(&hand->service);
	hand->client =
		with_deadline(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	length = ip_sockaddr(&hand->service.listen,
			     port_of(hand->listener.watch.fd), &address);
	assert_int_equal(
		connect(hand->client, (struct sockaddr *)&address, length), 0);
	stream_ready(&hand->relay, &hand->listener.watch);
	hand->upstream = with_deadline(
		accept4(hand->accepting, NULL, NULL, SOCK_CLOEXEC));
}

/* Do what there is to do; where @wait, there must be something. */
static void by_hand_move(struct by_hand *hand, bool wait)
{
	struct epoll_event event;
	int timeout = wait ? DEADLINE_MS : 0;

	while (epoll_wait(hand->relay.epoll, &event, 1, timeout) > 0) {
		struct watch *watch = event.data.ptr;

		watch->ready(&hand->relay, watch);
		timeout = 0;
	}
	assert_int_equal(timeout, 0);
}

static void by_hand_stop(struct by_hand *hand)
{
	stream_close_all(&hand->relay);
	close(hand->client);
	close(hand->upstream);
	close(hand->accepting);
	close(hand->listener.watch.fd);
	close(hand->relay.epoll);
}

static void half_closed_is_not_for_ever(void **state)
{
	struct by_hand hand;
	int64_t now;
	int timeout;

	(void)state;
	by_hand_start(&hand);
	by_hand_move(&hand, true);
	/* Open both ways it may be silent for as long as it likes. */
	now = clock_monotonic_ms();
	assert_int_equal(stream_expire(&hand.relay, now + 3600000), -1);
	assert_int_equal(hand.relay.connection_count, 1);

	assert_int_equal(shutdown(hand.client, SHUT_WR), 0);
	by_hand_move(&hand, true);
	now = clock_monotonic_ms();
	timeout = stream_expire(&hand.relay, now);
	assert_in_range(timeout, 50000, 60000);
	assert_int_equal(stream_expire(&hand.relay, now + timeout - 1), 1);
	assert_int_equal(stream_expire(&hand.relay, now + timeout), -1);
	assert_int_equal(hand.relay.connection_count, 0);
	expect_reset(hand.client);
	by_hand_stop(&hand);
}

/* A client that is stopped does not lose what it has yet to read. */
static void half_closed_but_not_read_is_kept(void **state)
{
	static char bytes[MIB];
	struct by_hand hand;
	int64_t now;

	(void)state;
	by_hand_start(&hand);
	assert_int_equal(shutdown(hand.client, SHUT_WR), 0);
	while (send(hand.upstream, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		by_hand_move(&hand, false);
	now = clock_monotonic_ms();
	assert_int_equal(stream_expire(&hand.relay, now + 100000), 60000);
	assert_int_equal(hand.relay.connection_count, 1);
	by_hand_stop(&hand);
}

/* One end of a transfer: what is still to be sent, and what has come. */
struct end {
	int fd;
	size_t sent;
	size_t received;
};

static unsigned char byte_at(size_t offset, int which)
{
	return (unsigned char)(offset * 31 + offset / 65521 + (size_t)which);
}

static void end_step(struct end *end, int which, short events)
{
	unsigned char bytes[5000];
	ssize_t size;

	if (events & POLLIN) {
		size = recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		assert_true(size > 0);
		for (ssize_t i = 0; i < size; i++, end->received++)
			assert_int_equal(bytes[i],
					 byte_at(end->received, !which));
	}
	if (events & POLLOUT) {
		size_t left = MIB - end->sent;

		left = left < sizeof(bytes) ? left : sizeof(bytes);
		for (size_t i = 0; i < left; i++)
			bytes[i] = byte_at(end->sent + i, which);
		size = send(end->fd, bytes, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(size > 0);
		end->sent += (size_t)size;
	}
}

static void a_mebibyte_each_way_at_once(void **state)
{
	struct bench bench;
	struct end ends[2] = { 0 };

	(void)state;
	bench_start(&bench, "::1", true, "", 0);
	ends[0].fd = client_of(&bench);
	ends[1].fd = accepted(&bench);
	while (ends[0].received < MIB || ends[1].received < MIB) {
		struct pollfd polled[2];

		for (int i = 0; i < 2; i++) {
			polled[i].fd = ends[i].fd;
			polled[i].events = POLLIN;
			if (ends[i].sent < MIB)
				polled[i].events |= POLLOUT;
		}
		assert_true(poll(polled, 2, DEADLINE_MS) > 0);
		for (int i = 0; i < 2; i++)
			end_step(&ends[i], i, polled[i].revents);
	}
	for (int i = 0; i < 2; i++)
		shutdown(ends[i].fd, SHUT_WR);
	for (int i = 0; i < 2; i++) {
		expect_end(ends[i].fd);
		close(ends[i].fd);
	}
	bench_stop(&bench, "");
}

/* Who does not read stops who sends: nothing is heaped up in between. */
static void slow_side_sets_the_pace(void **state)
{
	static char bytes[65536];
	struct timeval soon = { .tv_usec = 300000 };
	struct bench bench;
	size_t sent = 0, received = 0;
	int client, server;
	ssize_t size;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	client = client_of(&bench);
	server = accepted(&bench);
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	do {
		size = send(client, bytes, sizeof(bytes), MSG_NOSIGNAL);
		sent += size > 0 ? (size_t)size : 0;
		assert_true(sent < 64 * MIB);
	} while (size > 0);
	assert_int_equal(errno, EAGAIN);

	/* The end comes while there is still much to be passed on. */
	shutdown(client, SHUT_WR);
	while ((size = recv(server, bytes, sizeof(bytes), 0)) > 0)
		received += (size_t)size;
	assert_int_equal(size, 0);
	assert_int_equal(received, sent);
	close(client);
	close(server);
	bench_stop(&bench, "");
}

/* More than the relay moves in one turn, and nothing that would wake it again.
 */
static void nothing_is_left_lying(void **state)
{
	static char bytes[200000];
	struct bench bench;
	siginfo_t stopped;
	int client, server;
	int size = sizeof(bytes), unread = 1;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	/* Accepted sockets inherit it. */
	setsockopt(bench.listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(bench.upstream, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	client = client_of(&bench);
	server = accepted(&bench);
	send_text(server, "x");
	expect_text(client, "x");

	kill(bench.pid, SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)bench.pid, &stopped, WSTOPPED), 0);
	assert_int_equal(send(client, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (int i = 0; unread && i < DEADLINE_MS; i++) {
		assert_int_equal(ioctl(client, SIOCOUTQ, &unread), 0);
		poll(NULL, 0, 1);
	}
	assert_int_equal(unread, 0);
	kill(bench.pid, SIGCONT);
	assert_int_equal(recv(server, bytes, sizeof(bytes), MSG_WAITALL),
			 sizeof(bytes));
	close(client);
	close(server);
	bench_stop(&bench, "");
}

/*
 * A response that came before the upstream refused to hear more reaches the
 * client, as it would without a relay.
 */
static void answer_before_the_end_arrives(void **state)
{
	struct bench bench;
	int client, server;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	client = client_of(&bench);
	server = accepted(&bench);
	send_text(server, "413 too large");
	shutdown(server, SHUT_RDWR);
	expect_text(client, "413 too large");
	expect_end(client);
	close(server);
	close(client);
	bench_stop(&bench, "");
}

#define CLIENTS 6

/* With no descriptor left, clients wait their turn; nobody is sent away. */
static void lack_of_descriptors_is_waited_out(void **state)
{
	int clients[CLIENTS];
	struct bench bench, probe;
	size_t used;

	(void)state;
	/* How many there are before the first client. */
	bench_start(&probe, "127.0.0.1", false, "", 0);
	clients[0] = client_of(&probe);
	send_text(clients[0], "x");
	echo_datagram(&probe, 1);
	expect_text(clients[0], "x");
	used = descriptors_of(probe.pid) - 1;
	close(clients[0]);
	bench_stop(&probe, "");

	/* Room for two connections and one half. */
	bench_start(&bench, "127.0.0.1", true, "", used + 5);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_of(&bench);
		send_text(clients[i], "x");
	}
	for (int i = 0; i < CLIENTS; i++) {
		int server = accepted(&bench);

		expect_text(server, "x");
		send_text(server, "y");
		expect_text(clients[i], "y");
		close(server);
		expect_end(clients[i]);
		close(clients[i]);
	}
	bench_stop(&bench, "");
}

#define CROWD 520

static void connections_are_bounded(void **state)
{
	static int clients[CROWD], servers[CROWD];
	struct rlimit limit;
	struct pollfd polled;
	struct bench bench;
	uint64_t start;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

	bench_start(&bench, "127.0.0.1", true, "", 0);
	for (int i = 0; i < CROWD; i++) {
		clients[i] = client_of(&bench);
		send_text(clients[i], "x");
	}
	for (int i = 0; i < 512; i++) {
		servers[i] = accepted(&bench);
		expect_text(servers[i], "x");
	}
	/* By the time that these are through, the next would have come too. */
	for (int i = 0; i < 2; i++) {
		send_text(clients[0], "y");
		expect_text(servers[0], "y");
	}
	polled = (struct pollfd){ .fd = bench.upstream, .events = POLLIN };
	assert_int_equal(poll(&polled, 1, 0), 0);
	/* One goes, one comes, and not only when the relay looks by itself. */
	start = clock_monotonic_ms();
	for (int i = 512; i < CROWD; i++) {
		close(clients[i - 512]);
		expect_end(servers[i - 512]);
		close(servers[i - 512]);
		servers[i] = accepted(&bench);
		expect_text(servers[i], "x");
	}
	assert_in_range(clock_monotonic_ms() - start, 0, 4000);
	/* The relay ends with all of these alive. */
	close(bench.end);
	bench.end = -1;
	expect_end(clients[CROWD - 1]);
	for (int i = CROWD - 512; i < CROWD; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	bench_stop(&bench, "");
}

static void device_is_used(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct bench bench;
		int client, server;

		bench_start(&bench, "127.0.0.53", tcp, "lo", 0);
		client = client_of(&bench);
		send_text(client, "x");
		if (tcp) {
			server = accepted(&bench);
			expect_text(server, "x");
			close(server);
		} else {
			echo_datagram(&bench, 1);
			expect_text(client, "x");
		}
		close(client);
		bench_stop(&bench, "");
	}
}

static void missing_device_is_told_once(void **state)
{
	struct bench bench;
	char *expected;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "none0", 0);
	for (int i = 0; i < 3; i++) {
		int client = client_of(&bench);

		expect_reset(client);
		close(client);
	}
	expected = xasprintf("nsntrace: cannot relay to 127.0.0.1 port %u"
			     " by none0: No such device\n",
			     bench.service.upstream_port);
	bench_stop(&bench, expected);
	free(expected);
}

static char told[256];

static void remember(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	snprintf(told, sizeof(told), "%s", line);
}

static void taken_port_is_told(void **state)
{
	struct relay_service service = { .tcp = true };
	autofree char *expected = NULL;
	int taken;

	(void)state;
	assert_true(ip_parse("::1", &service.listen));
	taken = bound_socket(&service.listen, SOCK_STREAM, 0);
	service.port = port_of(taken);
	log_set_sink(remember, NULL);
	assert_int_equal(relay_listen(&service), -EADDRINUSE);
	log_set_sink(NULL, NULL);
	expected = xasprintf("nsntrace: cannot listen on ::1 port %u/tcp for"
			     " relaying: Address already in use\n",
			     service.port);
	assert_string_equal(told, expected);
	close(taken);
}

static void listeners_are_as_promised(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct relay_service service = { .tcp = tcp };
		int fd, listening, v6only;
		socklen_t length = sizeof(int);

		assert_true(ip_parse("::1", &service.listen));
		fd = relay_listen(&service);
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
		assert_int_equal(listening, tcp);
		getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &length);
		assert_int_equal(v6only, 1);
		close(fd);
	}
}

static void a_message_ends_it_too(void **state)
{
	struct bench bench;
	siginfo_t ended;

	(void)state;
	bench_start(&bench, "127.0.0.1", false, "", 0);
	assert_int_equal(write(bench.end, "x", 1), 1);
	assert_int_equal(
		waitid(P_PID, (id_t)bench.pid, &ended, WEXITED | WNOWAIT), 0);
	bench_stop(&bench, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_go_both_ways),
		cmocka_unit_test(one_client_keeps_its_port),
		cmocka_unit_test(longest_datagrams_pass),
		cmocka_unit_test(flows_are_bounded),
		cmocka_unit_test(idle_flows_are_closed),
		cmocka_unit_test(datagrams_outlive_their_upstream),
		cmocka_unit_test(connections_go_both_ways),
		cmocka_unit_test(upstream_may_speak_first),
		cmocka_unit_test(refused_is_reset),
		cmocka_unit_test(reset_is_passed_on),
		cmocka_unit_test(reset_after_the_end_is_passed_on),
		cmocka_unit_test(half_closed_is_not_for_ever),
		cmocka_unit_test(half_closed_but_not_read_is_kept),
		cmocka_unit_test(a_mebibyte_each_way_at_once),
		cmocka_unit_test(slow_side_sets_the_pace),
		cmocka_unit_test(nothing_is_left_lying),
		cmocka_unit_test(answer_before_the_end_arrives),
		cmocka_unit_test(lack_of_descriptors_is_waited_out),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(device_is_used),
		cmocka_unit_test(missing_device_is_told_once),
		cmocka_unit_test(taken_port_is_told),
		cmocka_unit_test(listeners_are_as_promised),
		cmocka_unit_test(a_message_ends_it_too),
	};

	/* A relay that hangs must not hang the tests. */
	alarm(120);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
