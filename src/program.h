/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PROGRAM_H
#define NSNTRACE_PROGRAM_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"

/* How the user's shell had set us up: the program gets it back. */
struct heritage {
	sigset_t mask;
	bool ignores_child; /* SIGCHLD was ignored */
};

/* Which step of becoming the program failed. */
enum program_step {
	PROGRAM_PREPARED, /* none: it waits to be released */
	PROGRAM_SETUP,	  /* and has been reported */
	PROGRAM_RIGHTS,
	PROGRAM_EXEC,
};

struct program_report {
	enum program_step step;
	int err;
};

/* The traced program, held at the door until program_release(). */
struct program {
	pid_t pid;
	int pidfd;
	int door; /* ours: reports come in, the release goes out */
};

int program_hold(const struct plan *plan, const struct heritage *heritage,
		 int cgroup_fd, int netns_fd, struct program *program);
int program_release(struct program *program);
int program_read_report(struct program *program, struct program_report *report);
void program_close(struct program *program);

#endif
