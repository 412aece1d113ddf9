/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_ROTATE_H
#define NSNTRACE_CAPTURE_ROTATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Where a file or a capture ends, or how far it has come. */
struct rotate_limits {
	uint64_t bytes; /* 0 in limits: any number */
	uint64_t packets;
	uint64_t duration; /* nanoseconds */
	uint64_t files;	   /* full ones */
};

bool rotate_reached(const struct rotate_limits *limits,
		    const struct rotate_limits *so_far);
int rotate_wait(const struct rotate_limits *limits, uint64_t elapsed);
char *rotate_name(const char *name, unsigned number, time_t when);

#endif
