/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the relay has for both kinds of service: listeners, devices, its bounds,
 * and its end.
 */
#include "relay/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
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
