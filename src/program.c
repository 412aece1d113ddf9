/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traced program, from its birth to its exec. It is born in the run's
 * cgroup, enters the namespaces, becomes the user, and then waits at the door
 * until everything else is ready: the first packet cannot come too early.
 */
#include "program.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "channel.h"
#include "mounts.h"

static void report(int door, enum program_step step, int err)
{
	const struct program_report message = { .step = step, .err = err };

	send(door, &message, sizeof(message), MSG_NOSIGNAL);
}

static void give_up(int door, enum program_step step, int err)
{
	report(door, step, err);
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

/* Whether the namespaces could be entered; failures are reported. */
static bool enter(const struct plan *plan, int netns_fd)
{
	if (setns(netns_fd, CLONE_NEWNET) < 0) {
		fail(errno, "cannot enter the network namespace");
		return false;
	}

	return !mounts_needed(&plan->mounts) ||
	       mounts_enter(&plan->mounts) == 0;
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
	char released;

	if (!enter(plan, netns_fd))
		give_up(door, PROGRAM_SETUP, 0);
	/* Nothing but the capture may be on standard output. */
	if (plan->to_stdout && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		give_up(door, PROGRAM_RIGHTS, errno);
	if (plan->options->user)
		set_environment(&plan->facts->user);
	int ret = rights_become(&plan->facts->user);

	if (ret < 0)
		give_up(door, PROGRAM_RIGHTS, -ret);
	proc_die_with_parent(keeper);

	report(door, PROGRAM_PREPARED, 0);
	if (recv(door, &released, 1, 0) != 1)
		_exit(125);

	if (heritage->ignores_child)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &heritage->mask, NULL);
	execvp(argv[0], argv);
	give_up(door, PROGRAM_EXEC, errno);
}

/*
 * Make the program's process and hold it. The caller owns @program, and ends
 * the process by ending itself if it comes to that. @cgroup_fd is -1 where
 * there is no cgroup. Returns 0, or a negative errno already reported.
 */
int program_hold(const struct plan *plan, const struct heritage *heritage,
		 int cgroup_fd, int netns_fd, struct program *program)
{
	pid_t keeper = getpid();
	int pair[2];
	int ret = channel_pair(pair);

	if (ret < 0)
		return ret;
	program->door = pair[0];

	program->pid = cgroup_fd < 0 ? proc_fork(&program->pidfd)
				     : proc_fork_into_cgroup(cgroup_fd,
							     &program->pidfd);
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

/* Open the door. Returns 0 or -errno. */
int program_release(struct program *program)
{
	if (send(program->door, "", 1, MSG_NOSIGNAL) < 0)
		return -errno;

	return 0;
}

/*
 * Read what the held process has to say. Returns 1 with a @report, 0 when it
 * has become the program (or died, which its wait status tells), or -errno.
 */
int program_read_report(struct program *program, struct program_report *report_)
{
	ssize_t size = recv(program->door, report_, sizeof(*report_), 0);

	if (size == sizeof(*report_))
		return 1;

	return size < 0 && errno != ECONNRESET ? -errno : 0;
}

/* Close the descriptors; the process is not touched. */
void program_close(struct program *program)
{
	fd_close(&program->door);
	fd_close(&program->pidfd);
}
