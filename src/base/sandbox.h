/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_SANDBOX_H
#define NSNTRACE_BASE_SANDBOX_H

/* Whose list of system calls it is. */
enum sandbox_process {
	SANDBOX_FRONT,
	SANDBOX_TRACER,
	SANDBOX_RELAY,
};

int sandbox_enter(enum sandbox_process process);

#endif
