/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock that nobody sets, for how long something takes, and the one that
 * tells when it was.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);

	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since some moment in the past. */
uint64_t clock_monotonic_ns(void)
{
	return nanoseconds(CLOCK_MONOTONIC);
}

/* The same in milliseconds. */
int64_t clock_monotonic_ms(void)
{
	return (int64_t)(clock_monotonic_ns() / 1000000);
}

/* Nanoseconds since the epoch, as the host has it: this clock may be set. */
uint64_t clock_realtime_ns(void)
{
	return nanoseconds(CLOCK_REALTIME);
}

/* The shorter one of two times to wait, where -1 is for ever. */
int clock_sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;

	return a < b ? a : b;
}
