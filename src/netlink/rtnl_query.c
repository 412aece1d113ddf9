/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of links, addresses and routes when it is asked. How its
 * messages read is left to rtnl_parse.c, news to rtnl_monitor.c.
 */
#include "netlink/rtnl.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>

#include "netlink/rtnl_internal.h"

/* Names longer than IFNAMSIZ are alternative names (linux/if.h). */
#define ALTERNATIVE_NAME_SIZE 128

static int keep_link(const struct nlmsghdr *message, void *context)
{
	return rtnl_parse_link(message, context) ? 0 : -EBADMSG;
}

/*
 * Look up the interface called @name, which may be an alternative name of it,
 * or, if @name is NULL, numbered @index. Returns 0, or -ENODEV if there is
 * none.
 */
int rtnl_link_get(struct rtnl *rtnl, uint32_t index, const char *name,
		  struct link *link)
{
	struct nlmsghdr *message;

	/* The kernel would say ERANGE to a name that nothing can have. */
	if (name && strlen(name) >= ALTERNATIVE_NAME_SIZE)
		return -ENODEV;

	message = name ? netlink_request(&rtnl->nl, RTM_GETLINK, 0,
					 "look up interface %s", name)
		       : netlink_request(&rtnl->nl, RTM_GETLINK, 0,
					 "look up interface %u", index);
	rtnl_put_link(message, index);
	if (name)
		mnl_attr_put_strz(message,
				  strlen(name) < IFNAMSIZ ? IFLA_IFNAME
							  : IFLA_ALT_IFNAME,
				  name);

	return netlink_query(&rtnl->nl, keep_link, link);
}

/*
 * Wait until an interface that is up can send. That of a veth pair which went
 * up first gets its queue only when a worker of the kernel has seen the other
 * one go up; until then what it sends is lost without a trace. Linux 6.8 lets
 * the worker's part happen inside the question; older kernels are asked again.
 *
 * Returns 0, or -errno; -ETIMEDOUT after a second.
 */
int rtnl_link_await(struct rtnl *rtnl, uint32_t index)
{
	struct link link;
	int ret;

	for (int i = 0; i < 1000; i++) {
		ret = rtnl_link_get(rtnl, index, NULL, &link);
		if (ret < 0 || link.state == IF_OPER_UP)
			return ret;
		poll(NULL, 0, 1);
	}

	return -ETIMEDOUT;
}

/* Whom a dump is for. */
struct dump {
	union {
		int (*link)(const struct link *link, void *context);
		int (*address)(const struct address *address, void *context);
		int (*route)(const struct route *route, void *context);
	} each;
	void *context;
};

static int each_link(const struct nlmsghdr *message, void *context)
{
	const struct dump *dump = context;
	struct link link;

	return rtnl_parse_link(message, &link)
		       ? dump->each.link(&link, dump->context)
		       : 0;
}

/* Hand every interface to @each. Returns 0, its answer, or -errno. */
int rtnl_links(struct rtnl *rtnl,
	       int (*each)(const struct link *link, void *context),
	       void *context)
{
	struct dump dump = { .each.link = each, .context = context };

	rtnl_put_link(netlink_request(&rtnl->nl, RTM_GETLINK, NLM_F_DUMP,
				      "list interfaces"),
		      0);

	return netlink_query(&rtnl->nl, each_link, &dump);
}

static int each_address(const struct nlmsghdr *message, void *context)
{
	const struct dump *dump = context;
	struct address address;

	return rtnl_parse_address(message, &address)
		       ? dump->each.address(&address, dump->context)
		       : 0;
}

/* Hand every address of both families to @each, like rtnl_links(). */
int rtnl_addresses(struct rtnl *rtnl,
		   int (*each)(const struct address *address, void *context),
		   void *context)
{
	struct dump dump = { .each.address = each, .context = context };

	mnl_nlmsg_put_extra_header(netlink_request(&rtnl->nl, RTM_GETADDR,
						   NLM_F_DUMP,
						   "list addresses"),
				   sizeof(struct ifaddrmsg));

	return netlink_query(&rtnl->nl, each_address, &dump);
}

static int each_route(const struct nlmsghdr *message, void *context)
{
	const struct dump *dump = context;

	return rtnl_parse_route(message, dump->each.route, dump->context);
}

/*
 * Hand every route of @family in every table to @each, like rtnl_links(); one
 * with several next hops once for each.
 */
int rtnl_routes(struct rtnl *rtnl, sa_family_t family,
		int (*each)(const struct route *route, void *context),
		void *context)
{
	struct dump dump = { .each.route = each, .context = context };
	struct nlmsghdr *message;
	struct rtmsg *header;

	message = netlink_request(&rtnl->nl, RTM_GETROUTE, NLM_F_DUMP,
				  "list routes");
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = (uint8_t)family;

	return netlink_query(&rtnl->nl, each_route, &dump);
}

/* Of several next hops the first is kept. */
static int keep_route(const struct route *route, void *context)
{
	struct route *kept = context;

	if (!kept->destination.family)
		*kept = *route;

	return 0;
}

static int look_up(struct rtnl *rtnl, const struct ip *destination,
		   uint32_t index, uint32_t flags, struct route *route)
{
	struct dump dump = { .each.route = keep_route, .context = route };
	struct nlmsghdr *message;
	char text[IP_TEXT_SIZE];
	struct rtmsg *header;
	int ret;

	message = netlink_request(&rtnl->nl, RTM_GETROUTE, 0,
				  "look up the route to %s",
				  ip_format(destination, text));
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = (uint8_t)destination->family;
	header->rtm_dst_len = (uint8_t)(8 * ip_size(destination));
	header->rtm_flags = flags;
	/* IPv6 tells the table unasked, and refuses to be asked. */
	if (destination->family == AF_INET)
		header->rtm_flags |= RTM_F_LOOKUP_TABLE;
	rtnl_put_ip(message, RTA_DST, destination);
	if (index)
		mnl_attr_put_u32(message, RTA_OIF, index);

	*route = (struct route){ 0 };
	ret = netlink_query(&rtnl->nl, each_route, &dump);
	if (ret == 0 && !route->destination.family)
		return -ENETUNREACH;

	return ret;
}

/*
 * Ask the kernel by which route it would send to @destination, out of the
 * interface @index unless that is 0. @route is the entry of the routing table
 * that decides, with its own prefix length (FIB_MATCH, Linux 4.13).
 *
 * Returns 0, or -errno: -ENETUNREACH if no route leads there, and what routes
 * say that turn packets away: -EHOSTUNREACH (unreachable), -EACCES (prohibit),
 * -EINVAL (blackhole).
 */
int rtnl_route_lookup(struct rtnl *rtnl, const struct ip *destination,
		      uint32_t index, struct route *route)
{
	struct route used;
	int ret = look_up(rtnl, destination, index, RTM_F_FIB_MATCH, route);

	if (ret < 0 || route->type != RTN_UNICAST || route->index)
		return ret;
	/*
	 * With nexthop_compat_mode=0 the entry of a nexthop object does not
	 * tell where that leads; what comes of it does.
	 */
	ret = look_up(rtnl, destination, index, 0, &used);
	route->index = used.index;
	route->gateway = used.gateway;

	return ret;
}
