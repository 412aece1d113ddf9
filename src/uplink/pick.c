/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Picking a number and addresses for a run that nobody on this host has a use
 * for. Asks the kernel and changes nothing; who really has them is decided by
 * who makes the interface, which is left to the engine.
 */
#include "uplink/pick.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "routes.h"

/* A run that finds so many numbers taken has another problem. */
#define ATTEMPTS_MAX 4096

/*
 * Whether nobody here has a use for the address: the kernel's own lookup finds
 * nothing but the default route. A route of length 32 or 128 by one of our
 * links is another run, which leaves the pool as such free.
 */
static bool is_free(struct rtnl *host, const struct ip *ip, bool *other_run)
{
	const uint8_t whole = (uint8_t)(8 * ip_size(ip));
	struct route route;
	struct link link;
	int ret;

	*other_run = false;
	if (!ip->family)
		return true;
	ret = rtnl_route_lookup(host, ip, 0, &route);
	/* Without memory the kernel has not said anything of it. */
	if (ret < 0)
		return ret != -ENOBUFS && ret != -ENOMEM;
	if (route_is_default(&route))
		return true;
	*other_run = route.prefix == whole && route.index &&
		     rtnl_link_get(host, route.index, NULL, &link) == 0 &&
		     !strncmp(link.name, "nsn-", 4);

	return false;
}

/*
 * Fill in @run with the next candidate whose addresses are free on the host of
 * @host. Returns whether there is one.
 */
bool pick_next(struct rtnl *host, const struct plan *plan, struct pick *pick,
	       struct run *run)
{
	while (pick->attempt < ATTEMPTS_MAX) {
		bool other4;
		bool other6;

		plan_candidate(plan, pick->attempt++, pick->pool, pick->pool6,
			       run);
		if (!is_free(host, &run->ip4, &other4))
			pick->pool += !other4;
		else if (!is_free(host, &run->ip6, &other6))
			pick->pool6 += !other6;
		else
			return true;
	}

	return false;
}

/* Report that there was none. Returns a negative errno. */
int pick_refuse(void)
{
	refuse("cannot find a free address for the program");
	hint("all of the pools are in use on this host");

	return -EADDRNOTAVAIL;
}
