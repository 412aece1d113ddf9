/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No way out: the namespace has its loopback interface and nothing else. Also
 * what every engine does to a new namespace first.
 */
#include "uplink/inside.h"
#include "uplink/uplink.h"

#include <string.h>

#include "base/log.h"
#include "base/sysctl.h"

/*
 * Give the new namespace the limits and defaults that the program would find
 * on the host: a namespace starts with the kernel's. One that cannot be set is
 * no reason not to run.
 */
void inside_copy_sysctls(const struct plan *plan)
{
	const struct facts *facts = plan->facts;

	for (size_t i = 0; i < facts->copied_count; i++) {
		const struct copied_sysctl *copied = &facts->copied[i];
		int ret = 0;

		if (!sysctl_is(copied->name, copied->value))
			ret = sysctl_write(copied->name, copied->value);
		if (ret < 0)
			debug("cannot set %s inside: %s", copied->name,
			      strerror(-ret));
	}
}

/* Set lo up, with which it gets its addresses. Returns 0 or -errno, reported.
 */
int inside_loopback(struct rtnl *inner)
{
	int ret;

	rtnl_link_flags(inner, PLAN_LO_INDEX, IFF_UP, IFF_UP);
	ret = rtnl_commit(inner);

	return ret < 0 ? fail(-ret, "cannot %s", rtnl_failed(inner)) : 0;
}

static int none_create(struct uplink *uplink, struct rtnl *inner)
{
	(void)uplink;

	return inside_loopback(inner);
}

static int none_inside(struct uplink *uplink, struct rtnl *inner)
{
	(void)inner;
	inside_copy_sysctls(uplink->plan);

	return 0;
}

static int nothing(struct uplink *uplink)
{
	(void)uplink;

	return 0;
}

static int none_ready(struct uplink *uplink, struct rtnl *inner)
{
	(void)uplink;
	(void)inner;

	return 0;
}

static int none_fd(const struct uplink *uplink)
{
	(void)uplink;

	return -1;
}

static void none_down(struct uplink *uplink)
{
	(void)uplink;
}

const struct uplink_ops uplink_none = {
	.name = "none",
	.create = none_create,
	.inside = none_inside,
	.host = nothing,
	.ready = none_ready,
	.fd = none_fd,
	.events = nothing,
	.ended = none_down,
	.cut = none_down,
	.down = none_down,
};
