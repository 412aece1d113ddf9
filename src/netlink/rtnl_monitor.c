/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * News of routes and rules, as they change. Where hundreds of runs come and go
 * each would be woken by all others; the kernel keeps that from them.
 */
#include "netlink/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

#include "netlink/rtnl_internal.h"

/* The groups of before 2005 lack this one; a mask has room for it. */
#define RULES6 (1u << (RTNLGRP_IPV6_RULE - 1))

/* Where things are in a message about a route. */
#define ROUTE		 NLMSG_HDRLEN
#define ROUTE_TYPE	 offsetof(struct nlmsghdr, nlmsg_type)
#define ROUTE_LENGTH	 (ROUTE + offsetof(struct rtmsg, rtm_dst_len))
#define ROUTE_TABLE	 (ROUTE + offsetof(struct rtmsg, rtm_table))
#define ROUTE_ATTRIBUTES (ROUTE + NLMSG_ALIGN(sizeof(struct rtmsg)))

/* Filters read most significant byte first, netlink writes as we do. */
#define UPPER_HALF	(htons(1) == 1 ? 0 : 2)
#define ANCILLARY(what) ((uint32_t)(SKF_AD_OFF + (what)))

/*
 * Have the kernel hide what @hidden of rtnl_monitor_open() says. A socket that
 * is told of it all the same costs time and nothing else.
 */
static void hide(struct rtnl *monitor, uint16_t hidden)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ROUTE_TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 18),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ROUTE_TABLE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_TABLE_LOCAL, 17, 0),
		/* In a table so numbered. */
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, RTA_TABLE),
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, ROUTE_ATTRIBUTES),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANCILLARY(SKF_AD_NLATTR)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, NLA_HDRLEN + UPPER_HALF),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(hidden), 10, 0),
		/* To a single address, by a link so numbered. */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ROUTE_LENGTH),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 32, 0, 7),
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, RTA_OIF),
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, ROUTE_ATTRIBUTES),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANCILLARY(SKF_AD_NLATTR)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, NLA_HDRLEN + UPPER_HALF),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(hidden), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	netlink_filter(&monitor->nl, filter, sizeof(filter) / sizeof(*filter));
}

/*
 * Open a socket that is told of routes and of rules in the current network
 * namespace; for rtnl_fd(), rtnl_monitor_read() and rtnl_close() only. Not of
 * the host's own addresses, nor of routes in tables, or to single addresses by
 * links, whose number has @hidden in its upper half.
 *
 * Returns 0, or -errno and *@monitor is NULL.
 */
int rtnl_monitor_open(struct rtnl **monitor, uint16_t hidden)
{
	int ret = rtnl_open_groups(monitor, SOCK_NONBLOCK,
				   RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
					   RTMGRP_IPV4_RULE | RULES6);

	if (!ret)
		hide(*monitor, hidden);

	return ret;
}

/* Whom news is for. */
struct watch {
	void (*each)(enum rtnl_event event, const struct route *route,
		     void *context);
	void *context;
	enum rtnl_event event;
};

static int tell_route(const struct route *route, void *context)
{
	const struct watch *watch = context;

	watch->each(watch->event, route, watch->context);

	return 0;
}

static int tell(const struct nlmsghdr *message, void *context)
{
	struct watch *watch = context;

	switch (message->nlmsg_type) {
	case RTM_NEWROUTE:
		watch->event = RTNL_EVENT_ROUTE_NEW;
		return rtnl_parse_route(message, tell_route, watch);
	case RTM_DELROUTE:
		watch->event = RTNL_EVENT_ROUTE_DEL;
		return rtnl_parse_route(message, tell_route, watch);
	case RTM_NEWRULE:
	case RTM_DELRULE:
		watch->each(RTNL_EVENT_RULE, NULL, watch->context);
		return 0;
	default:
		return 0;
	}
}

/*
 * Hand over what has been told since the last call, without waiting. IPv4
 * routes that vanish because their interface went down are not told. Returns 0
 * or -errno.
 */
int rtnl_monitor_read(struct rtnl *monitor,
		      void (*each)(enum rtnl_event event,
				   const struct route *route, void *context),
		      void *context)
{
	struct watch watch = { .each = each, .context = context };
	int ret;

	while ((ret = netlink_events(&monitor->nl, tell, &watch)) == -ENOBUFS)
		each(RTNL_EVENT_OVERRUN, NULL, context);

	return ret;
}
