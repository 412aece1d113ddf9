/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which routes of a host lead out of it, by which interfaces, and by which of
 * those goes all that nothing better is known of. Reads only, and is silent;
 * what follows from it is left to probe and to the uplink.
 */
#include "routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define LO_INDEX 1

/*
 * Addresses far apart that are nobody's neighbours. Any of them may have a
 * route of its own, as that of a well-known resolver; not so all of them.
 */
static const char *const far_away4[] = { "8.8.8.8", "193.0.14.129",
					 "17.253.144.10", "130.89.148.77" };
static const char *const far_away6[] = { "2001:4860:4860::8888",
					 "2a00:1450:4001::1",
					 "2600:9000:2000::1",
					 "2400:cb00:2048::1" };

#define FAR_AWAY (sizeof(far_away4) / sizeof(*far_away4))

/*
 * Whether the route stands for "everything". So do short prefixes: VPNs split
 * it in two, or take what is global of IPv6.
 */
bool route_is_default(const struct route *route)
{
	return route->prefix < (route->destination.family == AF_INET ? 8 : 16);
}

/* Whether a link or a table with this number is a run's. */
bool routes_number_of_a_run(uint32_t number)
{
	return number - ROUTES_RUN_BASE < ROUTES_RUNS;
}

/*
 * Whether a run, this one or another, made the route. Their links lead to
 * single addresses; the number alone might be that of somebody's interface, on
 * a host that has made a million of them.
 */
bool route_is_of_a_run(const struct route *route)
{
	return routes_number_of_a_run(route->table) ||
	       (routes_number_of_a_run(route->index) &&
		route->prefix == 8 * ip_size(&route->destination));
}

/*
 * Not so the link-local addresses of IPv4: a network may have no others, and
 * clouds keep services there, behind routers.
 */
static bool is_group_or_link(const struct route *route)
{
	const struct ip *ip = &route->destination;

	if (ip->family == AF_INET6)
		return IN6_IS_ADDR_LINKLOCAL(&ip->v6) ||
		       IN6_IS_ADDR_MULTICAST(&ip->v6);

	return IN_MULTICAST(ntohl(ip->v4.s_addr));
}

/*
 * Whether the program's packets may leave the host by the route, and answers
 * come in by its interface.
 */
bool route_leaves(const struct route *route)
{
	return route->type == RTN_UNICAST && route->table != RT_TABLE_LOCAL &&
	       route->index && route->index != LO_INDEX &&
	       !is_group_or_link(route) && !route_is_of_a_run(route);
}

/* Add a copy of @route to the list. */
void routes_append(struct routes *routes, const struct route *route)
{
	if (routes->count == routes->room) {
		routes->room = routes->room ? 2 * routes->room : 64;
		routes->route =
			xrealloc(routes->route, routes->room * sizeof(*route));
	}
	routes->route[routes->count++] = *route;
}

/* Empty the list, and free what it holds. */
void routes_free(struct routes *routes)
{
	free(routes->route);
	*routes = (struct routes){ 0 };
}

/* A survey while the routes are read. */
struct reading {
	struct survey *survey;
	uint32_t device;    /* only routes by this one; 0: by any */
	struct route main4; /* the main table's best default routes */
	struct route main6;
};

static void add_egress(struct survey *survey, uint32_t index)
{
	for (size_t i = 0; i < survey->egress_count; i++) {
		if (survey->egress[i].index == index)
			return;
	}
	survey->egress_count++;
	survey->egress = xrealloc(
		survey->egress, survey->egress_count * sizeof(*survey->egress));
	survey->egress[survey->egress_count - 1] =
		(struct egress){ .index = index };
}

static int read_route(const struct route *route, void *context)
{
	struct reading *reading = context;
	bool ip4 = route->destination.family == AF_INET;
	struct way *way = ip4 ? &reading->survey->ip4 : &reading->survey->ip6;
	struct route *best = ip4 ? &reading->main4 : &reading->main6;

	if (!route_leaves(route) ||
	    (reading->device && route->index != reading->device))
		return 0;
	add_egress(reading->survey, route->index);
	way->leads = true;
	if (!route_is_default(route))
		return 0;
	way->beyond = true;
	if (route->table == RT_TABLE_MAIN &&
	    (!best->index || route->metric < best->metric))
		*best = *route;

	return 0;
}

/* By which interface the kernel itself would send to any of @far_away. */
static uint32_t look_up_default(struct rtnl *rtnl,
				const char *const far_away[FAR_AWAY])
{
	for (size_t i = 0; i < FAR_AWAY; i++) {
		struct route route;
		struct ip ip;

		ip_parse(far_away[i], &ip);
		if (rtnl_route_lookup(rtnl, &ip, 0, &route) == 0 &&
		    route.type == RTN_UNICAST && route_is_default(&route) &&
		    route.index != LO_INDEX)
			return route.index;
	}

	return 0;
}

/*
 * The host's own choice. It may lie behind rules, or name a nexthop object in
 * place of an interface: the kernel's lookup knows better than the tables.
 */
static void find_default(struct rtnl *rtnl, const char *const *far_away,
			 const struct route *best, struct way *way)
{
	way->device = look_up_default(rtnl, far_away);
	if (!way->device)
		way->device = best->index;
	way->beyond = way->device;
	way->leads |= way->beyond;
}

static void put_first(struct survey *survey, uint32_t index)
{
	size_t i = 0;

	if (!index)
		return;
	add_egress(survey, index);
	while (survey->egress[i].index != index)
		i++;
	memmove(survey->egress + 1, survey->egress, i * sizeof(struct egress));
	survey->egress[0] = (struct egress){ .index = index };
}

/* One that went meanwhile is no way out. Returns 0 or -errno. */
static int name_egress(struct rtnl *rtnl, struct survey *survey)
{
	size_t kept = 0;

	for (size_t i = 0; i < survey->egress_count; i++) {
		struct egress *egress = &survey->egress[i];
		struct link link;
		int ret = rtnl_link_get(rtnl, egress->index, NULL, &link);

		if (ret == -ENODEV)
			continue;
		if (ret < 0)
			return ret;
		memcpy(egress->name, link.name, sizeof(egress->name));
		survey->egress[kept++] = *egress;
	}
	survey->egress_count = kept;

	return 0;
}

/*
 * See where the routes of the host of @rtnl lead: those by the interface
 * numbered @device, or all of them if that is 0. Only then the default routes'
 * devices are looked for. The caller frees @survey's egress if this succeeds.
 * Returns 0 or -errno.
 */
int routes_survey(struct rtnl *rtnl, uint32_t device, struct survey *survey)
{
	struct reading reading = { .survey = survey, .device = device };
	int ret;

	*survey = (struct survey){ 0 };
	ret = rtnl_routes(rtnl, AF_UNSPEC, read_route, &reading);
	if (ret < 0)
		return ret;
	if (!device) {
		find_default(rtnl, far_away4, &reading.main4, &survey->ip4);
		find_default(rtnl, far_away6, &reading.main6, &survey->ip6);
		put_first(survey, survey->ip6.device);
		put_first(survey, survey->ip4.device);
	}
	ret = name_egress(rtnl, survey);
	if (ret < 0) {
		free(survey->egress);
		*survey = (struct survey){ 0 };
	}

	return ret;
}
