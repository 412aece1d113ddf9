/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_SANDBOX_RULES_H
#define NSNTRACE_BASE_SANDBOX_RULES_H

#include <stdint.h>

/* A system call, by name, for some of our processes. */
struct sandbox_rule {
	const char *call;
	unsigned who;	   /* bits of enum sandbox_process */
	unsigned argument; /* which has to be as the next two tell: */
	uint32_t mask;	   /* what counts of it; 0: it may be anything */
	uint32_t value;
};

/* For a value that is only known when it runs. */
#define SANDBOX_OWN_PID UINT32_MAX

/*
 * The newest call, of Linux 5.8, that the rules take into account: any C
 * library does without those that came later, as it runs on such kernels too.
 */
#define SANDBOX_NEWEST "faccessat2"

/* Both end with one whose call is NULL. */
extern const struct sandbox_rule sandbox_allowed[];
extern const struct sandbox_rule sandbox_denied[];

#endif
