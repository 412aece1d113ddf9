/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_RTNL_INTERNAL_H
#define NSNTRACE_NETLINK_RTNL_INTERNAL_H

#include "netlink/rtnl.h"
#include "netlink/socket.h"

/* Between the parts of rtnl, and for their tests. */
struct rtnl {
	struct netlink nl;
};

int rtnl_open_groups(struct rtnl **rtnl, int flags, unsigned int groups);
struct ifinfomsg *rtnl_put_link(struct nlmsghdr *message, uint32_t index);
void rtnl_put_ip(struct nlmsghdr *message, uint16_t type, const struct ip *ip);

bool rtnl_parse_link(const struct nlmsghdr *message, struct link *link);
bool rtnl_parse_address(const struct nlmsghdr *message,
			struct address *address);
int rtnl_parse_route(const struct nlmsghdr *message,
		     int (*each)(const struct route *route, void *context),
		     void *context);

#endif
