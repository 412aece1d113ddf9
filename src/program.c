/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traced program, from its birth to its exec. It is born in the run's
 * cgroup, enters the namespaces, becomes the user, and then waits at the door
 * until everything else is ready: the first packet cannot come too early.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "channel.h"
#include "mounts.h"

/* Say how far it came; @mount_ns, if not -1, goes along. */
static void report(int door, enum program_step step, int err, int mount_ns)
{
	const struct message_report message = { .step = step, .err = err };

	channel_send(door, MESSAGE_REPORT, &message, sizeof(message), &mount_ns,
		     mount_ns < 0 ? 0 : 1);
}

static void give_up(int door, enum program_step step, int err)
{
	report(door, step, err, -1);
	_exit(125);
}

/* What a login sets. */
static void set_environment(const struct identity *user)
{
	char number[16];
	const char *name = user->name;

	if (!name) {
		snprintf(number, sizeof(number), "%u", user->uid);
		name = number;
	}
	setenv("HOME", user->home, 1);
	setenv("USER", name, 1);
	setenv("LOGNAME", name, 1);
	setenv("USERNAME", name, 1);
	setenv("SHELL", user->shell, 1);
}

/*
 * Enter the namespaces. @mount_ns becomes a descriptor of the program's own
 * mount namespace, for keeper; or stays -1 if there is none. Failures are
 * reported.
 */
static bool enter(const struct plan *plan, int netns_fd, int *mount_ns)
{
	if (setns(netns_fd, CLONE_NEWNET) < 0) {
		fail(errno, "cannot enter the network namespace");
		return false;
	}
	if (!mounts_needed(&plan->mounts))
		return true;
	if (mounts_enter(&plan->mounts) < 0)
		return false;
	*mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*mount_ns < 0)
		fail(errno, "cannot open the program's mount namespace");

	return *mount_ns >= 0;
}

/*
 * The child, to its exec. Everything of ours is close-on-exec; terminal,
 * process group, directory, umask, limits and descriptors 0-2 were never
 * changed. The signal mask is given back last: what came in meanwhile strikes
 * the program, as it would have without us.
 */
static void become_program(const struct plan *plan,
			   const struct heritage *heritage, int netns_fd,
			   pid_t keeper, int door)
{
	char **argv = plan->options->argv;
	struct message released;
	int mount_ns = -1;
	int ret;

	before_dying(NULL, NULL);
	if (!enter(plan, netns_fd, &mount_ns))
		give_up(door, PROGRAM_SETUP, 0);
	/* Nothing but the capture may be on standard output. */
	if (plan->to_stdout && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		give_up(door, PROGRAM_RIGHTS, errno);
	if (plan->options->user)
		set_environment(&plan->facts->user);
	ret = rights_become(&plan->facts->user);
	if (ret < 0)
		give_up(door, PROGRAM_RIGHTS, -ret);
	proc_die_with_parent(keeper);

	report(door, PROGRAM_PREPARED, 0, mount_ns);
	ret = channel_receive(door, &released);
	if (ret < 0) {
		fail(-ret, "cannot hear the keeper process");
		give_up(door, PROGRAM_SETUP, 0);
	}
	if (!ret)
		_exit(125);

	if (heritage->ignores_child)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &heritage->mask, NULL);
	execvp(argv[0], argv);
	give_up(door, PROGRAM_EXEC, errno);
}

/* In the cgroup if that works, which some kinds of cgroup do not let. */
static pid_t fork_program(struct cgroup *cgroup, int *pidfd)
{
	pid_t pid;

	if (cgroup->dir >= 0) {
		pid = proc_fork_into_cgroup(cgroup->dir, pidfd);
		/* Too many processes are too many without it as well. */
		if (pid >= 0 || pid == -EAGAIN || pid == -ENOMEM)
			return pid;
		debug("cannot use cgroup %s: %s", cgroup->path,
		      strerror((int)-pid));
		cgroup_close(cgroup);
	}

	return proc_fork(pidfd);
}

/*
 * Make the program's process and hold it. The caller owns @program, and ends
 * the process by ending itself if it comes to that. A @cgroup that cannot be
 * used is closed. Returns 0, or a negative errno already reported.
 */
int program_hold(const struct plan *plan, const struct heritage *heritage,
		 struct cgroup *cgroup, int netns_fd, struct program *program)
{
	pid_t keeper = getpid();
	int pair[2];
	int ret = channel_pair(pair);

	if (ret < 0)
		return ret;
	program->door = pair[0];

	program->pid = fork_program(cgroup, &program->pidfd);
	if (!program->pid) {
		close(pair[0]);
		become_program(plan, heritage, netns_fd, keeper, pair[1]);
	}
	close(pair[1]);
	if (program->pid < 0)
		return fail(-program->pid, "cannot make a process for '%s'",
			    plan->options->argv[0]);

	return 0;
}

/* Open the door. If nobody waits behind it, its wait status tells why. */
void program_release(struct program *program)
{
	channel_tell(program->door, MESSAGE_GO);
}

/* Close the descriptors; the process is not touched. */
void program_close(struct program *program)
{
	fd_close(&program->door);
	fd_close(&program->pidfd);
}
