/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_VALUE_H
#define NSNTRACE_VALUE_H

#include <stdint.h>

#include "capture/rotate.h"

int value_number(const char *option, const char *value, uint32_t min,
		 uint32_t max, uint32_t *number);
int value_seconds(const char *option, const char *value, double max,
		  double *seconds);
int value_limit(const char *option, const char *value,
		struct rotate_limits *limits);

#endif
