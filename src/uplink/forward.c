/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host must be told so that it forwards for the program, and takes the
 * answers: settings of our own link, and of interfaces of the host's, which go
 * through the uplink's undo list. By which interfaces is left to the engine.
 */
#include "uplink/forward.h"

#include <stdio.h>

#include "base/log.h"
#include "base/sysctl.h"

#define RP_FILTER_ALL "net/ipv4/conf/all/rp_filter"

/* Set a value of our own link; it goes with the link. */
static int set_link(const struct uplink *uplink, const char *family,
		    const char *key, const char *value)
{
	char name[80];
	int ret;

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", family,
		 uplink->run.name, key);
	/* In a container it may be right already, and not ours to write. */
	if (sysctl_is(name, value))
		return 0;
	ret = sysctl_write(name, value);

	return ret < 0 ? fail(-ret, "cannot set %s=%s", name, value) : 0;
}

static int set_host(struct uplink *uplink, const char *family,
		    const char *interface, const char *key, const char *value)
{
	char name[80];

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", family, interface,
		 key);
	/* An interface that goes away in this moment needs nothing. */
	if (!sysctl_exists(name))
		return 0;

	return undo_sysctl(uplink->undo, name, value);
}

/*
 * Let answers come in by an interface of the host's. Returns 0, or a negative
 * errno already reported.
 *
 * Forwarding is decided by the interface at which a packet comes in. The switch
 * for all of them stays as it is: for IPv6 it would make the host a router that
 * forgets its own default route.
 */
int forward_by(struct uplink *uplink, const char *interface)
{
	const struct plan *plan = uplink->plan;
	int ret = 0;

	if (plan->ip4)
		ret = set_host(uplink, "ipv4", interface, "forwarding", "1");
	if (!ret && plan->ip6 && !plan->facts->ip6_forwards)
		ret = set_host(uplink, "ipv6", interface, "force_forwarding",
			       "1");

	return ret;
}

/*
 * Let what the program sends by our own link go on. Returns 0, or a negative
 * errno already reported.
 */
int forward_link(struct uplink *uplink)
{
	const struct plan *plan = uplink->plan;
	const struct facts *facts = plan->facts;
	int ret = 0;

	/* A host may have IPv6 off for interfaces that are new. */
	if (plan->ip6)
		ret = set_link(uplink, "ipv6", "disable_ipv6", "0");
	if (!ret && plan->ip4)
		ret = set_link(uplink, "ipv4", "forwarding", "1");
	if (!ret && plan->ip6 && !facts->ip6_forwards)
		ret = set_link(uplink, "ipv6", "force_forwarding", "1");
	/* The program may be root inside, and must not advertise to us. */
	if (!ret && plan->ip6_links && facts->ip6)
		ret = set_link(uplink, "ipv6", "accept_ra", "0");

	return ret;
}

/*
 * An answer that comes in by DEV from beyond its gateway is not where the
 * host's own routing would send it: strict checks would drop it. The kernel
 * takes the higher of two values; 2 is loose (RFC 3704), and must stay so for
 * us if it is another run that has set it. Returns as forward_by().
 */
int forward_loosen(struct uplink *uplink, const char *device)
{
	char name[80];

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/rp_filter", device);
	if (sysctl_is(RP_FILTER_ALL, "2") ||
	    (sysctl_is(RP_FILTER_ALL, "0") && sysctl_is(name, "0")))
		return 0;

	return set_host(uplink, "ipv4", device, "rp_filter", "2");
}
