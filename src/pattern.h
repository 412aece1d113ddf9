/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PATTERN_H
#define NSNTRACE_PATTERN_H

#include <sys/types.h>
#include <time.h>

/* What the patterns of a file name stand for. */
struct pattern_values {
	pid_t pid;	  /* %p */
	const char *path; /* %E, and %e its last part */
	const char *host; /* %h */
	time_t started;	  /* %t */
	uid_t uid;	  /* %u */
};

int pattern_check(const char *pattern);
char *pattern_expand(const char *pattern, const struct pattern_values *values);

#endif
