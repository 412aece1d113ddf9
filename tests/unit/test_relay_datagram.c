/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams through the relay: each client has a flow of its own, bounded in
 * number, and closed when it is idle.
 */
#include "relay/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "relay/relay_internal.h"

/* The last: it has a macro fail(). */
#include <cmocka.h>

#include "relay_bench.h"

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
	struct listener listener = { .service = &service,
				     .upstream = &service.upstream };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_go_both_ways),
		cmocka_unit_test(one_client_keeps_its_port),
		cmocka_unit_test(longest_datagrams_pass),
		cmocka_unit_test(flows_are_bounded),
		cmocka_unit_test(idle_flows_are_closed),
		cmocka_unit_test(datagrams_outlive_their_upstream),
	};

	/* A relay that hangs must not hang the tests. */
	alarm(120);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
