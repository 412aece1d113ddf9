/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_DESCENT_H
#define NSNTRACE_BASE_DESCENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/proc.h"

bool descent_from(pid_t pid, pid_t ancestor);
unsigned descent_children(void);
int descent_each(const pid_t *except, size_t count, proc_each *each,
		 void *context);

#endif
