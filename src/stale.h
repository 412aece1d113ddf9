/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_STALE_H
#define NSNTRACE_STALE_H

#include "netlink/rtnl.h"

void stale_restore(struct rtnl *rtnl, const char *dir);
unsigned stale_count(const char *dir);
void stale_trials(void);
int stale_cleanup(void);

#endif
