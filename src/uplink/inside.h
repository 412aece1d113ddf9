/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_INSIDE_H
#define NSNTRACE_UPLINK_INSIDE_H

#include "netlink/rtnl.h"
#include "plan.h"

void inside_copy_sysctls(const struct plan *plan);
int inside_loopback(struct rtnl *inner);

#endif
