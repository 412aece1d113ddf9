/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -d DEV: what comes from the program leaves by DEV or not at all. A rule by
 * the incoming interface, before any other but "local", leads to a table of
 * the run's own, which has every route of the host that leaves by DEV and ends
 * in "unreachable": without that, lookup would fall through to the main table
 * when DEV goes down and takes its routes along.
 */
#include "uplink/policy.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

/* Directly after the rule that leads to the table "local". */
#define RULE_PRIORITY 1

/* Tables from here on are those of runs. */
#define PRIVATE_TABLES 0x100000

#define ROUTES_MAX 512

struct routes {
	uint32_t device;
	struct route route[ROUTES_MAX];
	size_t count;
};

static bool is_of_the_link(const struct ip *ip)
{
	return ip->family == AF_INET6 && (IN6_IS_ADDR_LINKLOCAL(&ip->v6) ||
					  IN6_IS_ADDR_MULTICAST(&ip->v6));
}

static int collect(const struct route *route, void *context)
{
	struct routes *routes = context;

	if (route->type != RTN_UNICAST || route->index != routes->device ||
	    route->table == RT_TABLE_LOCAL || route->table >= PRIVATE_TABLES ||
	    is_of_the_link(&route->destination) || routes->count == ROUTES_MAX)
		return 0;
	routes->route[routes->count++] = *route;

	return 0;
}

/* The same way into the run's own table. */
static void copy_route(const struct uplink *uplink, const struct route *route)
{
	struct route copy = *route;
	int ret;

	copy.table = uplink->run.table;
	copy.protocol = RTPROT_STATIC;
	copy.multipath = false;
	copy.source = (struct ip){ 0 };
	/* The gateway's own route may stand in another table. */
	copy.onlink = copy.gateway.family != AF_UNSPEC;
	rtnl_route_add(uplink->host, &copy);
	ret = rtnl_commit(uplink->host);
	if (ret < 0 && ret != -EEXIST)
		debug("cannot %s: %s", rtnl_failed(uplink->host),
		      strerror(-ret));
}

static int copy_routes(const struct uplink *uplink)
{
	autofree struct routes *routes = xcalloc(1, sizeof(*routes));
	int ret;

	routes->device = uplink->plan->facts->device.index;
	ret = rtnl_routes(uplink->host, AF_UNSPEC, collect, routes);
	if (ret < 0)
		return fail(-ret, "cannot read the routes of this host");
	/*
	 * Shorter prefixes may lead to the gateways of longer ones, hence in
	 * the order of the dump: connected routes come before the others.
	 */
	for (size_t i = 0; i < routes->count; i++)
		copy_route(uplink, &routes->route[i]);

	return 0;
}

static int install_family(const struct uplink *uplink, sa_family_t family)
{
	const struct rule rule = {
		.family = family,
		.iif = uplink->run.name,
		.table = uplink->run.table,
		.priority = RULE_PRIORITY,
	};
	const struct route unreachable = {
		.type = RTN_UNREACHABLE,
		.table = uplink->run.table,
		.destination.family = family,
		.metric = UINT32_MAX,
	};
	int ret = undo_rule(uplink->undo, &rule);

	if (ret < 0)
		return ret;
	rtnl_route_add(uplink->host, &unreachable);
	rtnl_rule_add(uplink->host, &rule);
	ret = rtnl_commit(uplink->host);

	return ret < 0 ? fail(-ret, "cannot %s", rtnl_failed(uplink->host)) : 0;
}

/*
 * Bind what the program sends to the device of the plan. Written down in the
 * uplink's undo list first. Returns 0, or a negative errno already reported.
 */
int policy_install(const struct uplink *uplink)
{
	int ret = 0;

	if (uplink->plan->ip4)
		ret = install_family(uplink, AF_INET);
	if (!ret && uplink->plan->ip6)
		ret = install_family(uplink, AF_INET6);

	return ret < 0 ? ret : copy_routes(uplink);
}

/*
 * Routes of the host have changed: those that are new by the device come into
 * the table too; those that went with the device the kernel has removed.
 * Returns 0, or a negative errno already reported.
 */
int policy_follow(const struct uplink *uplink)
{
	return copy_routes(uplink);
}
