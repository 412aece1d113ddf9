/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RESTORE_H
#define NSNTRACE_RESTORE_H

#include <stdbool.h>

#include "netlink/nft.h"
#include "netlink/rtnl.h"

/* In a record beside each value: it overrules the forwarding of interfaces. */
#define IP_FORWARD "net/ipv4/ip_forward"

void restore_sysctl(int fd);
void restore_run(struct rtnl *rtnl, struct nft *nft, int fd, bool stale);

#endif
