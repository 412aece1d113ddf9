/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_SERIES_H
#define NSNTRACE_SERIES_H

#include <sys/types.h>

#include "plan.h"

/* The files that a trace goes to: one, or with a rotation one after another. */
struct series {
	const struct plan *plan;
	char *base;	   /* what their names are made of */
	char *name;	   /* of the one that is written; NULL: none yet */
	int directory;	   /* where relative names begin; or -1 */
	unsigned count;	   /* of files so far */
	struct kept *kept; /* the last ones, of a ring; else NULL */
};

int series_begin(struct series *series, const struct plan *plan, pid_t pid);
int series_open(struct series *series);
int series_next(struct series *series);

#endif
