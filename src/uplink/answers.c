/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * That answers find back to the program. The route to its address stands in
 * the main table, and on some hosts a rule leads everything elsewhere before
 * that is asked: VPNs have a default route in a table of their own. There, and
 * only there, a rule for the address leads to the main table first.
 */
#include "uplink/answers.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#include "base/log.h"

/* After the rules of -d, which are to decide alone of what programs send. */
#define RULE_PRIORITY 2

static int lead_back(const struct uplink *uplink, const struct ip *ip)
{
	/* A run has one uplink; one line is enough for any number of times. */
	static bool written_down[2];
	bool *written = &written_down[ip->family == AF_INET6];
	const struct rule rule = {
		.family = ip->family,
		.table = RT_TABLE_MAIN,
		.priority = RULE_PRIORITY,
		.destination = *ip,
		.prefix = (uint8_t)(8 * ip_size(ip)),
	};
	struct route route;
	int ret;

	if (rtnl_route_lookup(uplink->host, ip, 0, &route) == 0 &&
	    route.index == uplink->run.index)
		return 0;
	ret = *written ? 0 : undo_rule_to(uplink->undo, &rule);
	if (ret < 0)
		return ret;
	*written = true;
	rtnl_rule_add(uplink->host, &rule);
	ret = rtnl_commit(uplink->host);
	/* -EEXIST: some rule comes even before ours. */
	if (ret < 0 && ret != -EEXIST)
		return fail(-ret, "cannot %s", rtnl_failed(uplink->host));

	return 0;
}

/*
 * See that the host sends to the program's addresses by its link. Written down
 * in the uplink's undo list first. Returns 0, or a negative errno already
 * reported.
 */
int answers_lead_back(const struct uplink *uplink)
{
	const struct run *run = &uplink->run;
	int ret = 0;

	if (run->ip4.family)
		ret = lead_back(uplink, &run->ip4);
	if (!ret && run->ip6.family)
		ret = lead_back(uplink, &run->ip6);

	return ret;
}
