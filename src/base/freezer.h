/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_FREEZER_H
#define NSNTRACE_BASE_FREEZER_H

#include <stdbool.h>

enum freezer_kind {
	FREEZER_NONE,
	FREEZER_CGROUP2, /* Linux 5.2: what is frozen can be killed */
	FREEZER_CGROUP1, /* a signal, SIGKILL too, waits until it is thawed */
};

/* The switch that freezes all processes of a cgroup. */
struct freezer {
	enum freezer_kind kind;
	int fd; /* or -1, where there is none */
};

#define FREEZER_OFF ((struct freezer){ .kind = FREEZER_NONE, .fd = -1 })

int freezer_open(struct freezer *freezer, enum freezer_kind kind,
		 const char *cgroup);
int freezer_set(const struct freezer *freezer, bool frozen);
bool freezer_is_set(const struct freezer *freezer);
void freezer_close(struct freezer *freezer);

#endif
