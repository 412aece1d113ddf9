/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay between two network namespaces of the test's own: the client is in
 * one, and the upstream in the other is bound to lo as systemd-resolved is.
 */
#include "relay/relay.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* The last: it has a macro fail(). */
#include <cmocka.h>

static int outside;
static int inside;

static int new_namespace(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);

	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int enter_new_namespaces(void **state)
{
	(void)state;
	outside = new_namespace();
	inside = new_namespace();

	return outside < 0 || inside < 0;
}

static int socket_in(int namespace, bool tcp)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd;

	assert_int_equal(setns(namespace, CLONE_NEWNET), 0);
	fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)),
		0);

	return fd;
}

static pid_t start_relay(const struct relay_service *service, int listener,
			 int end[2])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;

	close(end[1]);
	/* The relay has no rights; the listener was made before. */
	if (setns(outside, CLONE_NEWNET) < 0 ||
	    setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(1);
	_exit(relay_serve(service, &listener, 1, end[0], NULL) < 0);
}

/* What @client sends is what the upstream gets, and back. */
static void exchange(int client, int upstream, bool tcp)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	char got[8] = { 0 };

	assert_int_equal(send(client, "query", 5, 0), 5);
	if (tcp)
		upstream = accept(upstream, NULL, NULL);
	assert_int_equal(recvfrom(upstream, got, sizeof(got), 0,
				  (struct sockaddr *)&from, &length),
			 5);
	assert_string_equal(got, "query");
	assert_int_equal(sendto(upstream, "answer", 6, 0,
				tcp ? NULL : (struct sockaddr *)&from, length),
			 6);
	assert_int_equal(recv(client, got, sizeof(got), 0), 6);
	assert_memory_equal(got, "answer", 6);
	if (tcp)
		close(upstream);
}

static void try_service(struct relay_service *service)
{
	struct sockaddr_storage address;
	socklen_t length;
	int upstream = socket_in(outside, service->tcp);
	int end[2], listener, client, status, on = 1;
	pid_t pid;

	/* The pair of ports from the case before may still be in TIME_WAIT. */
	assert_int_equal(
		setsockopt(upstream, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)),
		0);
	assert_int_equal(
		setsockopt(upstream, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	length = ip_sockaddr(&service->upstream, 53, &address);
	assert_int_equal(bind(upstream, (struct sockaddr *)&address, length),
			 0);
	assert_true(!service->tcp || listen(upstream, 1) == 0);

	client = socket_in(inside, service->tcp);
	length = ip_sockaddr(&service->listen, 53, &address);
	if (service->tcp) /* nothing is there before the relay is */
		assert_int_equal(
			connect(client, (struct sockaddr *)&address, length),
			-1);
	listener = relay_listen(service);
	assert_true(listener >= 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	pid = start_relay(service, listener, end);
	assert_int_equal(connect(client, (struct sockaddr *)&address, length),
			 0);
	exchange(client, upstream, service->tcp);

	close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(end[0]);
	close(client);
	close(listener);
	close(upstream);
}

static void bytes_cross_the_wall(void **state)
{
	static const char *const devices[] = { "", "lo" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct relay_service service = {
			.tcp = i & 1,
			.port = 53,
			.upstream_port = 53,
		};

		assert_true(ip_parse("127.0.0.53", &service.listen));
		service.upstream = service.listen;
		strcpy(service.device, devices[i / 2]);
		try_service(&service);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_cross_the_wall),
	};

	alarm(60);

	return cmocka_run_group_tests(tests, enter_new_namespaces, NULL);
}
