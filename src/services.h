/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_SERVICES_H
#define NSNTRACE_SERVICES_H

#include <stddef.h>
#include <stdio.h>

#include "plan.h"

int services_plan(struct plan *plan);
void services_settle(struct relay_service *services, size_t count,
		     const struct run *run);
void services_print(const struct plan *plan, FILE *stream);

#endif
