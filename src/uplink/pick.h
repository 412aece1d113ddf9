/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_PICK_H
#define NSNTRACE_UPLINK_PICK_H

#include <stdbool.h>

#include "netlink/rtnl.h"
#include "plan.h"

/* How far the search is; all zeros is its beginning. */
struct pick {
	unsigned attempt;
	unsigned pool;
	unsigned pool6;
};

bool pick_next(struct rtnl *host, const struct plan *plan, struct pick *pick,
	       struct run *run);
int pick_refuse(void);

#endif
