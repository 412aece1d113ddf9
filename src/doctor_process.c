/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of what a run asks of the kernel for its processes and the program's:
 * rights and giving them up, limits, cgroups.
 */
#include "doctor_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/fd.h"
#include "base/freezer.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "base/sandbox.h"
#include "netlink/rtnl.h"
#include "undo.h"

#define MIB ((size_t)1024 * 1024)

/* What keeper has at most in a run without ports. */
#define DESCRIPTORS 25

/* tracer's: it waits itself, reads, and writes. */
#define THREADS 2

static int become_nobody(void)
{
	struct identity nobody;

	identity_nobody(&nobody);

	return rights_drop_all(&nobody);
}

int check_rights(const struct options *options)
{
	autofree char *lacking = NULL;
	int ret;

	(void)options;
	if (geteuid() != 0) {
		refuse("only root can trace a program in a network namespace");
		hint("run it with sudo");
		return -EPERM;
	}
	lacking = rights_lacking();
	if (*lacking) {
		refuse("root lacks %s here", lacking);
		hint("a container may be given it: docker run --cap-add");
		return -EPERM;
	}
	ret = become_nobody();
	if (!ret)
		note("root, with all that a run needs, and able to give it up");

	return ret;
}

/* A child that waits to be killed, by us or by our death. */
static pid_t fork_victim(int cgroup_fd, int *pidfd)
{
	pid_t parent = getpid();
	pid_t pid = cgroup_fd < 0 ? proc_fork(pidfd)
				  : proc_fork_into_cgroup(cgroup_fd, pidfd);

	if (pid)
		return pid;
	proc_die_with_parent(parent);
	for (;;)
		pause();
}

int check_pidfd(const struct options *options)
{
	autoclose int pidfd = -1;
	struct pollfd ended = { .events = POLLIN };
	pid_t pid = fork_victim(-1, &pidfd);
	int ret;

	(void)options;
	if (pid < 0)
		return fail(-pid, "cannot fork with a pidfd");
	ended.fd = pidfd;
	ret = proc_signal(pidfd, SIGKILL);
	if (ret < 0)
		kill(pid, SIGKILL);
	else if (poll(&ended, 1, -1) < 0)
		ret = -errno;
	waitpid(pid, NULL, 0);
	if (ret < 0)
		return fail(-ret, "cannot signal a process by a pidfd");
	note("processes can be held, signalled and awaited");

	return 0;
}

/* All that is born in the cgroup ends by one write. */
static int try_cgroup(struct cgroup *cgroup)
{
	autoclose int pidfd = -1;
	pid_t pid = fork_victim(cgroup->dir, &pidfd);
	int ret;

	if (pid < 0)
		return fail(-pid, "cannot make a process in a cgroup");
	ret = cgroup_kill(cgroup->kill);
	if (ret < 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (ret < 0)
		return fail(-ret, "cannot kill a cgroup");
	note("the program and all its descendants can be ended at once");

	return 0;
}

static int try_freezer(enum freezer_kind kind, const char *path)
{
	struct freezer freezer = FREEZER_OFF;
	int ret = freezer_open(&freezer, kind, path);

	if (!ret)
		ret = freezer_set(&freezer, true);
	if (!ret && !freezer_is_set(&freezer))
		ret = -EIO;
	if (!ret)
		ret = freezer_set(&freezer, false);
	freezer_close(&freezer);
	if (ret < 0)
		return fail(-ret, "cannot freeze a cgroup");
	note("the program can be paused");

	return 0;
}

static int freeze_cgroup2(struct cgroup *cgroup)
{
	return try_freezer(FREEZER_CGROUP2, cgroup->path);
}

static int in_cgroup2(const char *path, int (*try)(struct cgroup *cgroup))
{
	struct cgroup cgroup;
	int ret = cgroup_create(&cgroup, path);

	if (ret < 0)
		return fail(-ret, "cannot make a cgroup like %s", path);
	ret = try(&cgroup);
	cgroup_close(&cgroup);

	return ret;
}

static int freeze_cgroup1(const char *path)
{
	if (mkdir(path, 0755) < 0)
		return fail(errno, "cannot make a cgroup like %s", path);

	return try_freezer(FREEZER_CGROUP1, path);
}

/*
 * Make a cgroup below @parent, of v1 if there is nothing to @try in one of v2,
 * and remove it. It is written down first, as that of a run: should we be
 * killed meanwhile, the next run removes it.
 */
static int in_cgroup(const char *parent, int (*try)(struct cgroup *cgroup))
{
	autofree char *path =
		xasprintf("%s/nsntrace-doctor-%d", parent, (int)getpid());
	struct rtnl *host;
	struct undo *undo;
	int ret = rtnl_open(&host);

	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket");
	ret = undo_begin(&undo, host);
	if (ret < 0)
		return ret;
	ret = undo_cgroup(undo, path);
	if (!ret)
		ret = try ? in_cgroup2(path, try) : freeze_cgroup1(path);
	undo_all(undo);

	return ret;
}

int check_cgroup(const struct options *options)
{
	autofree char *own = cgroup_own_path(NULL);

	(void)options;
	if (!own)
		return refuse("there is no cgroup v2 to be seen here: if a run "
			      "is killed, descendants of its program may live "
			      "on");

	return in_cgroup(own, try_cgroup);
}

int check_freezer(const struct options *options)
{
	autofree char *own = cgroup_own_path(NULL);
	autofree char *freezer = cgroup_own_path("freezer");

	(void)options;
	/* As a run does: the other one is asked only if this does not work. */
	if (own && (!freezer || access(own, W_OK) == 0))
		return in_cgroup(own, freeze_cgroup2);
	if (freezer)
		return in_cgroup(freezer, NULL);

	return refuse("there is no cgroup in which a program can be paused");
}

static int confine(void)
{
	int ret = become_nobody();

	return ret < 0 ? ret : sandbox_enter(SANDBOX_TRACER);
}

/* Who makes a call that is not on its list must die of it. */
int check_sandbox(const struct options *options)
{
	int wstatus;
	pid_t pid = fork();

	(void)options;
	if (pid < 0)
		return fail(errno, "cannot fork");
	if (!pid) {
		if (confine() < 0)
			_exit(1);
		syscall(SYS_execve, "/", NULL, NULL);
		_exit(0);
	}
	waitpid(pid, &wstatus, 0);
	if (WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGSYS)
		note("our own processes can be held to the system calls that "
		     "they need");
	else if (wstatus == 0)
		warn("system calls cannot be restricted: our own processes "
		     "have no rights, but may make all of them");
	else
		/* The reason, where it is heard. */
		return confine();

	return 0;
}

int check_priority(const struct options *options)
{
	const struct sched_param first = { .sched_priority = 1 };

	(void)options;
	if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		return fail(errno,
			    "cannot read packets before others run: a busy "
			    "host may lose some");
	note("packets are read before others run");

	return 0;
}

int check_descriptors(const struct options *options)
{
	int fd = 0;

	(void)options;
	while (fd < DESCRIPTORS - 1) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return fail(errno, "cannot have %d files open",
				    DESCRIPTORS);
	}
	note("%d files can be open at once", DESCRIPTORS);

	return 0;
}

static void *do_nothing(void *context)
{
	return context;
}

/* As whom tracer has become: limits are those of a user. */
int check_threads(const struct options *options)
{
	struct identity observer;
	pthread_t threads[THREADS];
	int made = 0;
	int ret = identity_of_invoker(&observer);

	(void)options;
	if (!ret && !observer.uid)
		identity_nobody(&observer);
	if (!ret)
		ret = rights_drop_all(&observer);
	for (; !ret && made < THREADS; made++)
		ret = -pthread_create(&threads[made], NULL, do_nothing, NULL);
	if (ret < 0)
		return fail(-ret, "cannot make threads as user %u",
			    observer.uid);
	while (made--)
		pthread_join(threads[made], NULL);
	note("user %u, who captures, can make threads", observer.uid);

	return 0;
}

int check_memory(const struct options *options)
{
	size_t mib = (size_t)options->queue_size + options->buffer_size;

	if (mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0) == MAP_FAILED)
		return fail(errno, "cannot get %zu MiB of memory for packets",
			    mib);
	note("%zu MiB of memory can be had for packets", mib);

	return 0;
}
