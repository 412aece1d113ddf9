/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock that nobody sets, for how long something takes.
 */
#include "base/clock.h"

#include <time.h>

/* Nanoseconds since some moment in the past. */
uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The same in milliseconds. */
int64_t clock_monotonic_ms(void)
{
	return (int64_t)(clock_monotonic_ns() / 1000000);
}
