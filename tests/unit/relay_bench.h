/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_TESTS_RELAY_BENCH_H
#define NSNTRACE_TESTS_RELAY_BENCH_H

/*
 * The relay over loopback addresses: it runs in a process of its own, the test
 * is both the client and the upstream. What it says is kept, and must be
 * nothing unless a test expects it. Included by its tests after cmocka.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ip.h"
#include "relay/relay.h"

#define DEADLINE_MS 10000

/* A relay of one service, and the sockets at its upstream. */
struct bench {
	struct relay_service service;
	struct sockaddr_storage address; /* where clients go */
	socklen_t length;
	int upstream; /* bound, listening if TCP */
	int listener;
	int end; /* closed: the relay ends */
	int said;
	bool blind; /* the relay cannot ask who listens */
	pid_t pid;
};

static inline uint16_t port_of(int fd)
{
	struct sockaddr_in6 address; /* the port is where it is for IPv4 */
	socklen_t length = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length),
			 0);

	return ntohs(address.sin6_port);
}

/* No test waits longer than this for one packet. */
static inline int with_deadline(int fd)
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

static inline int bound_socket(const struct ip *ip, int type, uint16_t port)
{
	int fd = with_deadline(socket(ip->family, type | SOCK_CLOEXEC, 0));
	struct sockaddr_storage address;
	socklen_t length = ip_sockaddr(ip, port, &address);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, SOMAXCONN), 0);

	return fd;
}

/* As in a kernel, or a container, that has no netlink for it. */
static inline void deny_netlink(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { 6, rules };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

static inline void run_relay(struct bench *bench, int end, rlim_t descriptors)
{
	struct rlimit limit = { descriptors, descriptors };
	int ret;

	dup2(bench->said, STDERR_FILENO);
	close(bench->end);
	fd_close(&bench->upstream);
	if (descriptors)
		setrlimit(RLIMIT_NOFILE, &limit);
	if (bench->blind)
		deny_netlink();
	ret = relay_serve(&bench->service, &bench->listener, 1, end, NULL);
	/* With the checks that sanitizers do at the end. */
	exit(ret < 0 ? -ret : 0);
}

static inline void bench_fork(struct bench *bench, rlim_t descriptors)
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

/* A service between two free ports of @text, whose relay is yet to start. */
static inline void bench_begin(struct bench *bench, const char *text, bool tcp,
			       const char *device)
{
	*bench = (struct bench){ .service.tcp = tcp };
	assert_true(ip_parse(text, &bench->service.listen));
	bench->service.upstream = bench->service.listen;
	snprintf(bench->service.device, sizeof(bench->service.device), "%s",
		 device);

	bench->upstream = bound_socket(&bench->service.upstream,
				       tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	bench->service.upstream_port = port_of(bench->upstream);
}

/* A port that was free just now: only one that is asked for is kept. */
static inline uint16_t free_port(const struct relay_service *service)
{
	autoclose int fd = bound_socket(
		&service->listen, service->tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	return port_of(fd);
}

static inline void bench_listen(struct bench *bench)
{
	if (bench->service.follow)
		bench->service.port = free_port(&bench->service);
	bench->listener = relay_listen(&bench->service);
	assert_true(bench->listener >= 0);
	bench->service.port = port_of(bench->listener);
	bench->length = ip_sockaddr(&bench->service.listen, bench->service.port,
				    &bench->address);
}

/* A relay between two free ports of @text, which has @descriptors if not 0. */
static inline void bench_start(struct bench *bench, const char *text, bool tcp,
			       const char *device, rlim_t descriptors)
{
	bench_begin(bench, text, tcp, device);
	bench_listen(bench);
	bench_fork(bench, descriptors);
}

/* End the relay, which must go well, and have said @expected and no more. */
static inline void bench_stop(struct bench *bench, const char *expected)
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
	fd_close(&bench->upstream);
}

static inline int client_of(const struct bench *bench)
{
	int type = bench->service.tcp ? SOCK_STREAM : SOCK_DGRAM;
	int fd = with_deadline(
		socket(bench->service.listen.family, type | SOCK_CLOEXEC, 0));

	assert_int_equal(
		connect(fd, (struct sockaddr *)&bench->address, bench->length),
		0);

	return fd;
}

static inline int accepted(const struct bench *bench)
{
	return with_deadline(
		accept4(bench->upstream, NULL, NULL, SOCK_CLOEXEC));
}

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

static inline void expect_text(int fd, const char *text)
{
	char got[64] = { 0 };

	assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL),
			 strlen(text));
	assert_string_equal(got, text);
}

/* Exactly one end: the other side sends no more, but without an error. */
static inline void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static inline void expect_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The upstream of datagrams sends back what it got. */
static inline void echo_datagram(const struct bench *bench, size_t size)
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

static inline size_t descriptors_of(pid_t pid)
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

#endif
