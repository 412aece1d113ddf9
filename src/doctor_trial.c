/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last check: a run from beginning to end, of this very program, on a host
 * made for it that has nothing but a way out. Whatever the other checks do not
 * know of shows here. The program that is traced is this one too: it sends one
 * packet, which must arrive, from the host's address, and be in the trace.
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "doctor_checks.h"
#include "netlink/rtnl.h"
#include "stale.h"
#include "state.h"

/* TEST-NET-1 (RFC 5737), and the port where everything is discarded. */
#define HOST	 "192.0.2.2"
#define FAR_AWAY "192.0.2.1"
#define PORT	 9
#define PREFIX	 24

#define NEAR_INDEX 2
#define FAR_INDEX  2
#define LO_INDEX   1

/* A loaded machine may take seconds for what takes milliseconds. */
#define TRIAL_MS  15000
#define ARRIVE_MS 1000

/* A file header, a packet's header, and that packet: Ethernet, IP, UDP. */
#define TRACE_MIN (24 + 16 + 14 + 20 + 8)

#define PROGRAM "/proc/self/exe"

static int open_udp(struct sockaddr_storage *address, socklen_t *size)
{
	struct ip ip;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ip_parse(FAR_AWAY, &ip);
	*size = ip_sockaddr(&ip, PORT, address);

	return fd < 0 ? fail(errno, "cannot open a UDP socket") : fd;
}

/* Be the program of a trial run. Returns the exit status. */
int doctor_knock(void)
{
	struct sockaddr_storage address;
	socklen_t size;
	autoclose int fd = open_udp(&address, &size);

	return fd >= 0 && sendto(fd, "", 1, 0, (struct sockaddr *)&address,
				 size) == 1
		       ? 0
		       : 1;
}

static void configure(struct rtnl *rtnl, uint32_t index, const char *ip)
{
	struct address address = { .index = index, .prefix = PREFIX };

	ip_parse(ip, &address.ip);
	rtnl_link_flags(rtnl, LO_INDEX, IFF_UP, IFF_UP);
	rtnl_address_add(rtnl, &address);
	rtnl_link_flags(rtnl, index, IFF_UP, IFF_UP);
}

static int commit(struct rtnl *rtnl)
{
	int ret = rtnl_commit(rtnl);

	return ret < 0 ? fail(-ret, "cannot %s", rtnl_failed(rtnl)) : 0;
}

/* Both ends of the way out of the host, which is that of @host. */
static int join(struct rtnl *host, struct rtnl *world, int netns)
{
	const uint8_t near_mac[6] = { 0x02, 0x6e, 0x73, 0x6e, 0x01, 0x01 };
	const uint8_t far_mac[6] = { 0x02, 0x6e, 0x73, 0x6e, 0x01, 0x02 };
	const struct veth veth = {
		.name = "way-out",
		.index = NEAR_INDEX,
		.mac = near_mac,
		.peer_name = "way-in",
		.peer_index = FAR_INDEX,
		.peer_mac = far_mac,
		.peer_netns = netns,
		.mtu = 1500,
	};
	struct route route = { .destination.family = AF_INET };
	int ret;

	rtnl_veth_add(host, &veth);
	ret = commit(host);
	if (ret < 0)
		return ret;
	configure(world, FAR_INDEX, FAR_AWAY);
	configure(host, NEAR_INDEX, HOST);
	ip_parse(FAR_AWAY, &route.gateway);
	rtnl_route_add(host, &route);
	ret = commit(world);

	return ret < 0 ? ret : commit(host);
}

static int enter_new_netns(struct rtnl **rtnl)
{
	int ret;

	if (unshare(CLONE_NEWNET) < 0)
		return fail(errno, "cannot make a network namespace");
	ret = rtnl_open(rtnl);

	return ret < 0 ? fail(-ret, "cannot open a route netlink socket") : 0;
}

/*
 * Make the host, and stay in its namespace. Returns a socket beyond it, which
 * hears the program's packet, or a negative errno already reported.
 */
static int build_host(void)
{
	struct sockaddr_storage address;
	autoclose int beyond = -1;
	autoclose int hears = -1;
	struct rtnl *world = NULL;
	struct rtnl *host = NULL;
	socklen_t size;
	int ret = enter_new_netns(&world);

	if (ret < 0)
		return ret;
	beyond = proc_netns_open(getpid());
	hears = open_udp(&address, &size);
	ret = enter_new_netns(&host);
	if (!ret)
		ret = join(host, world, beyond);
	if (!ret && bind(hears, (struct sockaddr *)&address, size) < 0)
		ret = fail(errno, "cannot bind a UDP socket");

	return ret < 0 ? ret : take_fd(&hears);
}

/*
 * Whoever finds the mark, and nobody who holds it, knows that the records
 * beside it are of a host that goes with us: if all of us are killed, nobody
 * can look there as the next run does. Returns a descriptor the caller owns, or
 * -errno: then there can be no records either.
 */
static int leave_mark(const char *dir, const char *mark)
{
	for (;;) {
		autoclose int fd = state_open(dir, mark);
		int ret = fd < 0 ? fd : state_lock(fd, LOCK_EX);

		if (ret < 0 || state_is_current(fd, mark))
			return ret < 0 ? ret : take_fd(&fd);
	}
}

/* Nobody reads what is written there before the end. */
static int open_memory(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	return fd < 0 ? fail(errno, "cannot get memory for a trace") : fd;
}

static void be_trial(int trace, int messages)
{
	autoclose int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(trace, STDOUT_FILENO);
	dup2(messages, STDERR_FILENO);
	/* The very same program, whatever became of its file. */
	execl(PROGRAM, "nsntrace", "-q", "--sync", "-o", "-", PROGRAM,
	      "--doctor=knock", (char *)NULL);
	_exit(1);
}

/* Returns its wait status, or a negative errno already reported. */
static int await_trial(pid_t pid, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int wstatus;

	if (poll(&ended, 1, TRIAL_MS) > 0) {
		waitpid(pid, &wstatus, 0);
		return wstatus;
	}
	/* It puts things back before it ends, as ours do when front is gone. */
	kill(pid, SIGKILL);

	return refuse("a run on a host made for it was not done after %d "
		      "seconds",
		      TRIAL_MS / 1000);
}

/* What it said itself is the best that can be said. */
static int pass_on(int messages, int wstatus)
{
	static const char ours[] = "nsntrace: ";
	char text[1024] = "";
	const char *line = text;

	if (pread(messages, text, sizeof(text) - 1, 0) < 0)
		return refuse("a run on a host made for it failed");
	if (!strncmp(line, ours, strlen(ours)))
		line += strlen(ours);

	return refuse("a run on a host made for it failed (status %d): %.*s",
		      exit_status(wstatus), (int)strcspn(line, "\n"), line);
}

/* From the host's address: the program's own means nothing beyond. */
static int hear_knock(int hears)
{
	struct pollfd readable = { .fd = hears, .events = POLLIN };
	struct sockaddr_in from = { .sin_family = AF_UNSPEC };
	socklen_t size = sizeof(from);
	struct ip host;
	char byte;

	ip_parse(HOST, &host);
	if (poll(&readable, 1, ARRIVE_MS) <= 0 ||
	    recvfrom(hears, &byte, 1, 0, (struct sockaddr *)&from, &size) < 0)
		return refuse("a packet that was sent in a trial run did not "
			      "arrive");
	if (from.sin_addr.s_addr != host.v4.s_addr)
		return refuse("a packet that was sent in a trial run did not "
			      "have its address translated");

	return 0;
}

/* A run, from the host that was made for it to what @hears beyond. */
static int run_trial(int hears)
{
	autoclose int trace = open_memory("trace");
	autoclose int messages = open_memory("messages");
	autoclose int pidfd = -1;
	int wstatus, ret;
	pid_t pid;

	if (trace < 0 || messages < 0)
		return -1;
	pid = proc_fork(&pidfd);
	if (pid < 0)
		return fail(-pid, "cannot fork");
	if (!pid)
		be_trial(trace, messages);
	wstatus = await_trial(pid, pidfd);
	if (wstatus < 0)
		return wstatus;
	if (wstatus)
		return pass_on(messages, wstatus);
	ret = hear_knock(hears);
	if (ret < 0)
		return ret;
	if (lseek(trace, 0, SEEK_END) < TRACE_MIN)
		return refuse("a packet that was sent in a trial run is not in "
			      "the trace");

	return 0;
}

int check_run(const struct options *options)
{
	autofree char *dir = NULL;
	autofree char *mark = NULL;
	autoclose int hears = -1;
	autoclose int held = -1;
	int ret;

	(void)options;
	/* Whoever ends the job lets this end by itself, and in order. */
	setsid();
	stale_trials();
	hears = build_host();
	if (hears < 0)
		return hears;
	dir = doctor_records();
	mark = xasprintf("%s/" STATE_TRIAL, dir);
	held = leave_mark(dir, mark);
	if (held < 0)
		debug("cannot mark the records of a trial: %s",
		      strerror(-held));
	ret = run_trial(hears);
	unlink(mark);
	state_remove_directories(dir);
	if (!ret)
		note("works: a packet was sent, translated, received and "
		     "captured");

	return ret;
}
