/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_TRACER_H
#define NSNTRACE_TRACER_H

#include "base/freezer.h"
#include "netlink/rtnl.h"
#include "plan.h"

void tracer_main(const struct plan *plan, int channel, struct rtnl *host,
		 int relay, const struct freezer *freezer)
	__attribute__((noreturn));

#endif
