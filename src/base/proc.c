/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes and signals as descriptors: children with a pidfd, signals that are
 * read instead of handled, and who is in a network namespace.
 */
#include "base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * fork(), with a pidfd of the child for the parent, who owns it.
 *
 * Returns as fork() does, or -errno.
 */
pid_t proc_fork(int *pidfd)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		return 0;

	/* The child cannot be reaped by anybody else: the number is its own. */
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*pidfd < 0) {
		int err = errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -err;
	}

	return pid;
}

/*
 * Like proc_fork(), but the child is born in the cgroup behind @cgroup_fd
 * (Linux 5.7): moving it there afterwards would cost 6-16 ms. The C library
 * does not know of this fork, so the caller must have one thread only.
 */
pid_t proc_fork_into_cgroup(int cgroup_fd, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup_fd,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

/* Send @signo to the process behind @pidfd. Returns 0 or -errno. */
int proc_signal(int pidfd, int signo)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0)
		return -errno;

	return 0;
}

/*
 * Be killed when @parent ends. To be called after credentials were changed,
 * which clears it. The last net only: the kernel checks the dying parent's
 * right to signal, and grandchildren do not inherit it.
 */
void proc_die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
}

/*
 * What the process @pid calls itself, which may be anything: what is not plain
 * text becomes question marks. Returns 0, or -errno if it has ended.
 */
int proc_name(pid_t pid, char name[PROC_NAME_SIZE])
{
	autoclose int fd = -1;
	char path[64];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size = read(fd, name, PROC_NAME_SIZE);
	if (size <= 0)
		return size < 0 ? -errno : -ESRCH;
	/* The kernel ends it with a newline of its own. */
	name[size - 1] = '\0';
	for (char *c = name; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}

	return 0;
}

/* Open the network namespace of @pid; the caller owns it. Or -errno. */
int proc_netns_open(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What tells one live network namespace from another; 0 if unreadable. */
uint64_t proc_netns_inode(int netns_fd)
{
	struct stat status;

	return fstat(netns_fd, &status) < 0 ? 0 : status.st_ino;
}

/* Whether @pid is one of the @count of @pids. */
bool proc_is_among(const pid_t *pids, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++) {
		if (pids[i] == pid)
			return true;
	}

	return false;
}

/*
 * Call @each, if not NULL, for every process whose main thread is in the
 * network namespace with @inode, but not for the @count of @except. Returns how
 * many.
 */
unsigned proc_each_in_netns(uint64_t inode, const pid_t *except, size_t count,
			    proc_each *each, void *context)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned found = 0;

	if (!proc)
		return 0;

	while ((entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		autoclose int ns = -1;

		if (pid <= 0 || proc_is_among(except, count, pid))
			continue;
		ns = proc_netns_open(pid);
		if (ns < 0 || proc_netns_inode(ns) != inode)
			continue;
		found++;
		if (each)
			each(pid, context);
	}
	closedir(proc);

	return found;
}

static void kill_one(pid_t pid, void *context)
{
	(void)context;
	kill(pid, SIGKILL);
}

/* How often proc_kill_netns() looks at most: against a fork bomb. */
#define KILL_LOOKS_MAX 1000

/*
 * Kill every process in the network namespace with @inode but the @count of
 * @except, until two looks in a row find none: a child forked during one look
 * is seen by the next. For hosts without a cgroup to kill.
 */
void proc_kill_netns(uint64_t inode, const pid_t *except, size_t count)
{
	int quiet = 0;

	for (int i = 0; quiet < 2 && i < KILL_LOOKS_MAX; i++)
		quiet = proc_each_in_netns(inode, except, count, kill_one, NULL)
				? 0
				: quiet + 1;
}

/*
 * Block @set, or every signal if @set is NULL, and return a descriptor to read
 * them from, which the caller owns, or -errno.
 */
int signals_open(const sigset_t *set)
{
	sigset_t all;
	int fd;

	sigfillset(&all);
	if (!set)
		set = &all;
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* The exit status that a shell shows for a wait(2) status. */
int exit_status(int wstatus)
{
	if (WIFSIGNALED(wstatus))
		return 128 + WTERMSIG(wstatus);

	return WEXITSTATUS(wstatus);
}
