/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections through the relay: what is sent, ended or reset on one side is so
 * on the other, and neither side is served faster than the other takes it.
 */
#include "relay/relay.h"

#include <linux/sockios.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "relay/relay_internal.h"

/* The last: it has a macro fail(). */
#include <cmocka.h>

#include "relay_bench.h"

#define MIB (1 << 20)

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
				  .listener.service = &hand->service,
				  .listener.upstream =
					  &hand->service.upstream };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	/* A relay that hangs must not hang the tests. */
	alarm(120);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
