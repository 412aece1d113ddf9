/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_KEEPER_H
#define NSNTRACE_KEEPER_H

#include "plan.h"
#include "program.h"

void keeper_main(const struct plan *plan, const struct heritage *heritage,
		 int front) __attribute__((noreturn));

#endif
