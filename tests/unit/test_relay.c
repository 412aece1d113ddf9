/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the relay has for both kinds of service: listeners, devices, its bounds,
 * and its end.
 */
#include "relay/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* The last: it has a macro fail(). */
#include <cmocka.h>

#include "relay_bench.h"

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

#define BOUND 2048
#define CROWD (BOUND + 8)

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
	for (int i = 0; i < BOUND; i++) {
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
	for (int i = BOUND; i < CROWD; i++) {
		close(clients[i - BOUND]);
		expect_end(servers[i - BOUND]);
		close(servers[i - BOUND]);
		servers[i] = accepted(&bench);
		expect_text(servers[i], "x");
	}
	assert_in_range(clock_monotonic_ms() - start, 0, 4000);
	/* The relay ends with all of these alive. */
	close(bench.end);
	bench.end = -1;
	expect_end(clients[CROWD - 1]);
	for (int i = CROWD - BOUND; i < CROWD; i++) {
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

/*
 * A client that is gone, and not even accepted: all that it sent arrives, also
 * where the upstream takes its time.
 */
static void last_words_are_passed_on(void **state)
{
	static char bytes[65536];
	struct bench bench;
	size_t sent = 0, received = 0;
	ssize_t size;
	int client, server;

	(void)state;
	bench_start(&bench, "127.0.0.1", true, "", 0);
	kill(bench.pid, SIGSTOP);
	client = client_of(&bench);
	while ((size = send(client, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		sent += (size_t)size;
	close(client);
	assert_int_equal(write(bench.end, "x", 1), 1);
	kill(bench.pid, SIGCONT);
	server = accepted(&bench);
	while ((size = recv(server, bytes, sizeof(bytes), 0)) > 0)
		received += (size_t)size;
	assert_int_equal(size, 0);
	assert_int_equal(received, sent);
	close(server);
	bench_stop(&bench, "");
}

/* What becomes of a connection that is closed at once: 0, or its error. */
static int try_connect(const struct bench *bench)
{
	int fd = with_deadline(socket(bench->service.listen.family,
				      SOCK_STREAM | SOCK_CLOEXEC, 0));
	int ret = connect(fd, (struct sockaddr *)&bench->address,
			  bench->length) < 0
			  ? errno
			  : 0;

	close(fd);

	return ret;
}

/* What a datagram to nobody comes back as, or 0 if it is taken. */
static int try_datagram(const struct bench *bench)
{
	struct timeval soon = { .tv_usec = 1000 };
	int fd = client_of(bench);
	char byte;
	int ret;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	send_text(fd, "x");
	ret = recv(fd, &byte, 1, 0) < 0 && errno == ECONNREFUSED ? errno : 0;
	close(fd);

	return ret;
}

/* Ask again until @expected is the answer. */
static void comes_to(const struct bench *bench, int expected)
{
	for (int i = 0; i < DEADLINE_MS; i++) {
		if ((bench->service.tcp ? try_connect : try_datagram)(bench) ==
		    expected)
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("never got %s", strerror(expected));
}

/* A relay that follows, of a service that is not there yet. */
static void start_following(struct bench *bench, const char *text, bool tcp)
{
	bench_begin(bench, text, tcp, "");
	bench->service.follow = true;
	fd_close(&bench->upstream);
	bench_listen(bench);
	bench_fork(bench, 0);
	/* Refused from the first moment on. */
	assert_int_equal(tcp ? try_connect(bench) : try_datagram(bench),
			 ECONNREFUSED);
}

/* Refused while nobody listens, and only then, as often as that changes. */
static void clients_are_refused_with_the_upstream(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * LOOPBACKS; i++) {
		bool tcp = i & 1;
		struct bench bench;

		start_following(&bench, loopbacks[i / 2], tcp);
		for (int round = 0; round < 3; round++) {
			bench.upstream =
				bound_socket(&bench.service.upstream,
					     tcp ? SOCK_STREAM : SOCK_DGRAM,
					     bench.service.upstream_port);
			comes_to(&bench, 0);
			fd_close(&bench.upstream);
			comes_to(&bench, ECONNREFUSED);
		}
		bench_stop(&bench, "");
	}
}

/* Nobody takes the port while it refuses, and nothing is left of it after. */
static void a_closed_port_is_not_free(void **state)
{
	struct relay_service again;
	struct bench bench;

	(void)state;
	start_following(&bench, "127.0.0.1", true);
	again = bench.service;
	log_set_sink(remember, NULL);
	assert_int_equal(relay_listen(&again), -EADDRINUSE);
	log_set_sink(NULL, NULL);
	bench_stop(&bench, "");
	bench.listener = relay_listen(&again);
	assert_true(bench.listener >= 0);
	close(bench.listener);
}

/* Where the kernel does not tell who listens, all is open: reset, no hang. */
static void who_cannot_see_lets_all_come(void **state)
{
	struct bench bench;
	int client, server;

	(void)state;
	bench_begin(&bench, "127.0.0.1", true, "");
	bench.service.follow = true;
	bench.blind = true;
	bench_listen(&bench);
	bench_fork(&bench, 0);
	comes_to(&bench, 0);
	close(accepted(&bench));
	client = client_of(&bench);
	server = accepted(&bench);
	send_text(client, "hello");
	expect_text(server, "hello");
	close(client);
	close(server);
	fd_close(&bench.upstream);
	client = client_of(&bench);
	expect_reset(client);
	close(client);
	bench_stop(&bench, "");
}

/* The first of several places at which somebody listens. */
static void upstreams_are_looked_for(void **state)
{
	static const char *const places[] = { "127.0.0.4", "::1", "127.0.0.3" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct bench bench;
		struct ip place;
		int client, server;

		bench_begin(&bench, "127.0.0.1", true, "");
		bench.service.follow = true;
		for (int j = 0; j < 3; j++)
			assert_true(ip_parse(places[j],
					     &bench.service.fallbacks[j]));
		fd_close(&bench.upstream);
		assert_true(ip_parse(places[i], &place));
		bench.upstream = bound_socket(&place, SOCK_STREAM,
					      bench.service.upstream_port);
		bench_listen(&bench);
		bench_fork(&bench, 0);
		comes_to(&bench, 0);
		client = client_of(&bench);
		send_text(client, "hello");
		shutdown(client, SHUT_WR);
		do {
			char got[5];

			server = accepted(&bench);
			if (recv(server, got, 5, MSG_WAITALL) == 5)
				break;
			close(server);
		} while (true);
		close(client);
		close(server);
		bench_stop(&bench, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lack_of_descriptors_is_waited_out),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(device_is_used),
		cmocka_unit_test(missing_device_is_told_once),
		cmocka_unit_test(taken_port_is_told),
		cmocka_unit_test(listeners_are_as_promised),
		cmocka_unit_test(a_message_ends_it_too),
		cmocka_unit_test(last_words_are_passed_on),
		cmocka_unit_test(clients_are_refused_with_the_upstream),
		cmocka_unit_test(a_closed_port_is_not_free),
		cmocka_unit_test(who_cannot_see_lets_all_come),
		cmocka_unit_test(upstreams_are_looked_for),
	};

	/* A relay that hangs must not hang the tests. */
	alarm(120);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
