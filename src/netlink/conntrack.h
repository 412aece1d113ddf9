/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_CONNTRACK_H
#define NSNTRACE_NETLINK_CONNTRACK_H

#include "base/ip.h"
#include "netlink/nft.h"

int conntrack_forget(struct nft *nft, const struct ip *ip);

#endif
