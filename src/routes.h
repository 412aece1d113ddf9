/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_ROUTES_H
#define NSNTRACE_ROUTES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/rtnl.h"

/*
 * Links and routing tables of runs are numbered from here, far above what the
 * kernel hands out by itself; there are as many as a /16 has addresses that end
 * in neither 0 nor 255.
 */
#define ROUTES_RUN_BASE 0x100000
#define ROUTES_RUN_HALF (ROUTES_RUN_BASE >> 16) /* the upper one, of all */
#define ROUTES_RUNS	(256 * 254)

/* A list that grows; all zeros is an empty one. */
struct routes {
	struct route *route;
	size_t count;
	size_t room;
};

/* An interface that some route of the host leaves by. */
struct egress {
	uint32_t index;
	char name[IFNAMSIZ];
};

/* Where the routes of one family lead. */
struct way {
	bool leads;	 /* somewhere */
	bool beyond;	 /* and not to neighbours only */
	uint32_t device; /* that of the default route; 0: there is none */
};

/* What the routes of a host tell. */
struct survey {
	struct way ip4;
	struct way ip6;
	struct egress *egress; /* the default routes' first, IPv4 before IPv6 */
	size_t egress_count;
};

bool route_is_default(const struct route *route);
bool routes_number_of_a_run(uint32_t number);
bool route_is_of_a_run(const struct route *route);
bool route_leaves(const struct route *route);

void routes_append(struct routes *routes, const struct route *route);
void routes_free(struct routes *routes);

int routes_survey(struct rtnl *rtnl, uint32_t device, struct survey *survey);

#endif
