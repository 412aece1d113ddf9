/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_CLOCK_H
#define NSNTRACE_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void);
int64_t clock_monotonic_ms(void);
uint64_t clock_realtime_ns(void);
int clock_sooner(int a, int b);

#endif
