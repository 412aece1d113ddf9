/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting TCP sockets with something under way, in a network namespace of the
 * test's own and without any rights in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/ip.h"
#include "netlink/rtnl.h"
#include "netlink/sockdiag.h"

#define LO_INDEX    1
#define NOBODY	    65534
#define DEADLINE_MS 5000

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int enter_namespace(void **state)
{
	struct rtnl *rtnl;

	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET)) {
		perror("unshare");
		return -1;
	}
	assert_int_equal(rtnl_open(&rtnl), 0);
	rtnl_link_flags(rtnl, LO_INDEX, IFF_UP, IFF_UP);
	assert_int_equal(rtnl_commit(rtnl), 0);
	rtnl_close(rtnl);
	if (geteuid() == 0)
		assert_int_equal(seteuid(NOBODY), 0);

	return sockdiag_open((struct sockdiag **)state);
}

static int leave_namespace(void **state)
{
	sockdiag_close(*state);

	/* A leak checker cannot look at a process of two users. */
	return geteuid() == getuid() ? 0 : seteuid(getuid());
}

/* Listen at @text, port 7000, with room for @backlog connections plus one. */
static int listener(const char *text, int backlog)
{
	int fd, on = 1;
	struct sockaddr_storage address;
	socklen_t size;
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	size = ip_sockaddr(&ip, 7000, &address);
	fd = socket(ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, backlog), 0);

	return fd;
}

static int dial(const char *text, int flags)
{
	struct sockaddr_storage address;
	socklen_t size;
	struct ip ip;
	int fd;

	assert_true(ip_parse(text, &ip));
	size = ip_sockaddr(&ip, 7000, &address);
	fd = socket(ip.family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (connect(fd, (struct sockaddr *)&address, size) < 0)
		assert_int_equal(errno, EINPROGRESS);

	return fd;
}

/* Acknowledgements take their time, so ask until @expected is the answer. */
static void comes_to(struct sockdiag *sockdiag, int expected)
{
	int64_t deadline = now_ms() + DEADLINE_MS;
	int count;

	do
		count = sockdiag_tcp_unfinished(sockdiag);
	while (count != expected && now_ms() < deadline);
	assert_int_equal(count, expected);
}

static void idle_connections_do_not_count(void **state)
{
	comes_to(*state, 0);
	for (size_t i = 0; i < 2; i++) {
		autoclose int server = listener(loopbacks[i], 5);
		autoclose int client = dial(loopbacks[i], 0);
		autoclose int accepted = accept(server, NULL, NULL);

		assert_true(accepted >= 0);
		assert_int_equal(write(client, "hello", 5), 5);
		comes_to(*state, 0);
	}
}

/* Nobody reads, so at some point bytes stay with the sender. */
static void unacknowledged_bytes_count(void **state)
{
	static const char bytes[65536];

	for (size_t i = 0; i < 2; i++) {
		autoclose int server = listener(loopbacks[i], 5);
		autoclose int client = dial(loopbacks[i], 0);
		autoclose int accepted = accept(server, NULL, NULL);
		char drained[65536];

		fcntl(client, F_SETFL, O_NONBLOCK);
		while (write(client, bytes, sizeof(bytes)) > 0)
			;
		comes_to(*state, 1);

		/* A sender that is gone leaves its bytes to the kernel. */
		fd_close(&client);
		comes_to(*state, 1);
		while (read(accepted, drained, sizeof(drained)) > 0)
			;
		comes_to(*state, 0);
	}
}

/* A full backlog lets a connection hang half open. */
static void unanswered_connections_count(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		autoclose int server = listener(loopbacks[i], 0);
		autoclose int first = dial(loopbacks[i], 0);
		autoclose int second = -1;

		assert_true(server >= 0 && first >= 0);
		comes_to(*state, 0);
		second = dial(loopbacks[i], SOCK_NONBLOCK);
		comes_to(*state, 1);
		fd_close(&second);
		comes_to(*state, 0);
	}
}

static void connections_at_their_end_do_not_count(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		autoclose int server = listener(loopbacks[i], 5);
		autoclose int client = dial(loopbacks[i], 0);
		autoclose int accepted = accept(server, NULL, NULL);

		fd_close(&client); /* FIN_WAIT2 here, CLOSE_WAIT there */
		comes_to(*state, 0);
		fd_close(&accepted); /* TIME_WAIT */
		comes_to(*state, 0);
	}
}

static int bound(const char *text, int type, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size;
	struct ip ip;
	int fd;

	assert_true(ip_parse(text, &ip));
	size = ip_sockaddr(&ip, port, &address);
	fd = socket(ip.family, type | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);

	return fd;
}

/* Found at @where is who is bound to @at, with IPv6 sockets taking both. */
static void who_listens_is_found(void **state)
{
	static const struct {
		const char *at;
		const char *where;
		bool found;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1", true },
		{ "0.0.0.0", "127.0.0.1", true },
		{ "127.0.0.2", "127.0.0.1", false },
		{ "::1", "::1", true },
		{ "::", "::1", true },
		{ "::", "127.0.0.1", true },
		{ "::1", "127.0.0.1", false },
		{ "127.0.0.1", "::1", false },
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		int type = i & 1 ? SOCK_STREAM : SOCK_DGRAM;
		uint8_t protocol = i & 1 ? IPPROTO_TCP : IPPROTO_UDP;
		autoclose int fd = bound(cases[i / 2].at, type, 7010);
		struct ip where;

		assert_true(ip_parse(cases[i / 2].where, &where));
		assert_true(sockdiag_knows(*state, protocol));
		assert_int_equal(sockdiag_finds(*state, protocol, &where, 7010),
				 cases[i / 2].found);
		assert_int_equal(sockdiag_finds(*state, protocol, &where, 7011),
				 0);
		fd_close(&fd);
		assert_int_equal(sockdiag_finds(*state, protocol, &where, 7010),
				 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_connections_do_not_count),
		cmocka_unit_test(unacknowledged_bytes_count),
		cmocka_unit_test(unanswered_connections_count),
		cmocka_unit_test(connections_at_their_end_do_not_count),
		cmocka_unit_test(who_listens_is_found),
	};

	return cmocka_run_group_tests(tests, enter_namespace, leave_namespace);
}
