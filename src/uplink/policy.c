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
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "routes.h"

/* Directly after the rule that leads to the table "local". */
#define RULE_PRIORITY 1

/* The host's routes by the device, and the copies of them. */
struct comparison {
	const struct uplink *uplink;
	uint32_t device;
	struct routes wanted;
	struct routes copies;
};

static int collect(const struct route *route, void *context)
{
	struct comparison *both = context;
	const struct plan *plan = both->uplink->plan;
	bool carried =
		route->destination.family == AF_INET ? plan->ip4 : plan->ip6;

	if (!carried || route->type != RTN_UNICAST)
		return 0;
	if (route->table == both->uplink->run.table)
		routes_append(&both->copies, route);
	else if (route->index == both->device && route_leaves(route))
		routes_append(&both->wanted, route);

	return 0;
}

/* What a table has but one route for. */
static int by_key(const struct route *a, const struct route *b)
{
	int ret = a->destination.family - b->destination.family;

	if (!ret)
		ret = a->prefix - b->prefix;
	if (!ret)
		ret = memcmp(a->destination.bytes, b->destination.bytes,
			     ip_size(&a->destination));
	if (!ret)
		ret = (a->metric > b->metric) - (a->metric < b->metric);

	return ret;
}

/*
 * The host may have several for one key, in several tables or with several
 * next hops: the main table's comes first, and always the same of those.
 */
static int by_choice(const void *left, const void *right)
{
	const struct route *a = left;
	const struct route *b = right;
	int ret = by_key(a, b);

	if (!ret)
		ret = (a->table != RT_TABLE_MAIN) - (b->table != RT_TABLE_MAIN);
	if (!ret)
		ret = (a->table > b->table) - (a->table < b->table);
	if (!ret)
		ret = a->gateway.family - b->gateway.family;
	if (!ret)
		ret = memcmp(a->gateway.bytes, b->gateway.bytes,
			     ip_size(&a->gateway));

	return ret;
}

/* Sort, and keep the first for each key. */
static void choose(struct routes *routes)
{
	size_t kept = 0;

	if (!routes->count)
		return;
	qsort(routes->route, routes->count, sizeof(*routes->route), by_choice);
	for (size_t i = 1; i < routes->count; i++) {
		if (by_key(&routes->route[i], &routes->route[kept]) != 0)
			routes->route[++kept] = routes->route[i];
	}
	routes->count = kept + 1;
}

/*
 * Whether a route can be without its copy: what the kernel takes from others it
 * may turn down from us, and some go with the device in this moment.
 */
static bool is_dispensable(int err)
{
	return err != ENOMEM && err != ENOBUFS && err != EPERM;
}

/*
 * Have a copy of @new for the copy @old; either may be NULL for none. There is
 * no moment without a route, in which the program would get an error. Returns 0
 * or a negative errno, reported.
 */
static int exchange(const struct uplink *uplink, const struct route *old,
		    const struct route *new)
{
	int ret;

	if (!new) {
		rtnl_route_delete(uplink->host, old);
	} else {
		struct route copy = *new;

		copy.table = uplink->run.table;
		copy.protocol = RTPROT_STATIC;
		copy.multipath = false;
		copy.source = (struct ip){ 0 };
		/* The gateway's own route may stand in another table. */
		copy.onlink = copy.gateway.family != AF_UNSPEC;
		if (old)
			rtnl_route_replace(uplink->host, &copy);
		else
			rtnl_route_add(uplink->host, &copy);
	}
	ret = rtnl_commit(uplink->host);
	if (ret < 0 && !is_dispensable(-ret))
		return fail(-ret, "cannot %s", rtnl_failed(uplink->host));
	if (ret < 0)
		debug("cannot %s: %s", rtnl_failed(uplink->host),
		      strerror(-ret));

	return 0;
}

/* Go through both lists, which are in the same order, side by side. */
static int reconcile(const struct comparison *both)
{
	int ret = 0;
	const struct routes *wanted = &both->wanted;
	const struct routes *copies = &both->copies;
	size_t i = 0;
	size_t j = 0;

	while (!ret && (i < wanted->count || j < copies->count)) {
		const struct route *new =
			i < wanted->count ? &wanted->route[i] : NULL;
		const struct route *old =
			j < copies->count ? &copies->route[j] : NULL;
		int order = !old ? -1 : !new ? 1 : by_key(new, old);

		if (order > 0)
			new = NULL;
		if (order < 0)
			old = NULL;
		i += new != NULL;
		j += old != NULL;
		if (!new || !old || new->index != old->index ||
		    !ip_equal(&new->gateway, &old->gateway))
			ret = exchange(both->uplink, old, new);
	}

	return ret;
}

/*
 * Make the routes of the run's own table those by which the host itself leaves
 * by the interface numbered @device, and no others. That everything else is
 * unreachable is no such route, and stays.
 *
 * Returns 0, or a negative errno already reported.
 */
int policy_follow(const struct uplink *uplink, uint32_t device)
{
	struct comparison both = { .uplink = uplink, .device = device };
	int ret = rtnl_routes(uplink->host, AF_UNSPEC, collect, &both);

	if (ret < 0)
		return fail(-ret, "cannot read the routes of this host");
	choose(&both.wanted);
	choose(&both.copies);
	ret = reconcile(&both);
	routes_free(&both.wanted);
	routes_free(&both.copies);

	return ret;
}

/*
 * -EEXIST: a killed run that had no place for a record has left it, and its
 * number with that.
 */
static int commit(const struct uplink *uplink)
{
	int ret = rtnl_commit(uplink->host);

	return ret < 0 && ret != -EEXIST
		       ? fail(-ret, "cannot %s", rtnl_failed(uplink->host))
		       : 0;
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
	ret = commit(uplink);
	if (ret < 0)
		return ret;
	rtnl_rule_add(uplink->host, &rule);

	return commit(uplink);
}

/*
 * Have what the program sends routed by the run's own table, which leads
 * nowhere yet. Written down in the uplink's undo list first. Returns 0, or a
 * negative errno already reported.
 */
int policy_install(const struct uplink *uplink)
{
	int ret = 0;

	if (uplink->plan->ip4)
		ret = install_family(uplink, AF_INET);
	if (!ret && uplink->plan->ip6)
		ret = install_family(uplink, AF_INET6);

	return ret;
}
