/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PROGRAM_H
#define NSNTRACE_PROGRAM_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/cgroup.h"
#include "plan.h"

/* How the user's shell had set us up: the program gets it back. */
struct heritage {
	sigset_t mask;
	bool ignores_child; /* SIGCHLD was ignored */
};

/* The traced program, held at the door until program_release(). */
struct program {
	pid_t pid;
	int pidfd;
	int door; /* a channel: reports come in, the release goes out */
};

int program_hold(const struct plan *plan, const struct heritage *heritage,
		 struct cgroup *cgroup, int netns_fd, struct program *program);
void program_release(struct program *program);
void program_close(struct program *program);

#endif
