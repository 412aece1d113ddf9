/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_FILTER_H
#define NSNTRACE_FILTER_H

#include <stdint.h>

#include "base/rights.h"

int filter_compile(const char *expression, uint32_t snaplen,
		   const struct identity *as, void **instructions,
		   unsigned *count);

#endif
