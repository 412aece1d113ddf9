/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_COUNTERS_H
#define NSNTRACE_COUNTERS_H

#include "capture/capture.h"
#include "channel.h"
#include "netlink/rtnl.h"
#include "plan.h"

/* What the captured interfaces count by themselves, since the start. */
struct counters {
	struct rtnl *inner; /* a socket in the namespace; borrowed */
	unsigned count;
	uint32_t indices[INTERFACES_MAX];
	struct interface_counts start[INTERFACES_MAX];
};

void counters_begin(struct counters *counters, const struct plan *plan,
		    struct rtnl *inner);
void counters_read(void *context, unsigned interface,
		   struct interface_counts *counts);
struct interface_counts counters_sum(struct counters *counters);

#endif
