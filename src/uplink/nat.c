/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine of root: a veth pair whose far end is born in the program's
 * namespace, and masquerading on the host. tracer makes the pair and its own
 * end; keeper makes the host's half, because what lives as long as a
 * descriptor (the nftables tables) must live as long as keeper. The host's end
 * is set up last: not one packet crosses before everything is in place.
 */
#include "uplink/uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/sysctl.h"
#include "netlink/conntrack.h"
#include "netlink/nft.h"
#include "routes.h"
#include "uplink/answers.h"
#include "uplink/firewall.h"
#include "uplink/forward.h"
#include "uplink/inside.h"
#include "uplink/pick.h"
#include "uplink/policy.h"

/* A namespace may inherit from the host that new interfaces have no IPv6. */
#define INSIDE_NO_IP6 "net/ipv6/conf/" PLAN_INSIDE_NAME "/disable_ipv6"

/* keeper's side of the engine; a run has one uplink. */
static struct {
	struct nft *nft;
	struct nft_tables tables;
	struct rtnl *monitor;
	int changes; /* of routes or firewalls: one descriptor for both */
} nat = { .changes = -1 };

static int add_veth(struct uplink *uplink, int netns)
{
	const struct veth veth = {
		.name = uplink->run.name,
		.index = uplink->run.index,
		.mac = plan_outside_mac,
		.peer_name = PLAN_INSIDE_NAME,
		.peer_index = PLAN_INSIDE_INDEX,
		.peer_mac = plan_inside_mac,
		.peer_netns = netns,
		.mtu = uplink->plan->mtu,
	};

	rtnl_veth_add(uplink->host, &veth);

	return rtnl_commit(uplink->host);
}

/*
 * Create the pair under the first name that is free. The name is the lock:
 * with it come number and addresses, however many runs start at once.
 */
static int create_veth(struct uplink *uplink, int netns)
{
	struct pick pick = { 0 };

	while (pick_next(uplink->host, uplink->plan, &pick, &uplink->run)) {
		int ret = add_veth(uplink, netns);

		if (ret >= 0)
			return 0;
		if (ret != -EEXIST && ret != -EBUSY)
			return fail(-ret, "cannot %s",
				    rtnl_failed(uplink->host));
	}

	return pick_refuse();
}

static void route_by_gateway(struct rtnl *inner, const struct ip *gateway)
{
	const struct route route = {
		.destination.family = gateway->family,
		.gateway = *gateway,
		.index = PLAN_INSIDE_INDEX,
		.onlink = true,
	};

	rtnl_neighbour_add(inner, PLAN_INSIDE_INDEX, gateway, plan_outside_mac);
	rtnl_route_add(inner, &route);
}

static void add_whole_address(struct rtnl *rtnl, uint32_t index,
			      const struct ip *ip, uint8_t scope)
{
	const struct address address = {
		.index = index,
		.ip = *ip,
		.prefix = (uint8_t)(8 * ip_size(ip)),
		.scope = scope,
	};

	rtnl_address_add(rtnl, &address);
}

/* The kernel would do this for an IPv6 address too, but only in a while. */
static void receive_at(struct rtnl *inner, const struct ip *ip)
{
	const struct route route = {
		.type = RTN_LOCAL,
		.table = RT_TABLE_LOCAL,
		.destination = *ip,
		.prefix = (uint8_t)(8 * ip_size(ip)),
		.index = PLAN_INSIDE_INDEX,
	};

	rtnl_route_add(inner, &route);
}

static int set_up_inside(struct uplink *uplink, struct rtnl *inner)
{
	int ret;

	if (uplink->plan->ip6_links)
		rtnl_link_no_addrgen(inner, PLAN_INSIDE_INDEX);
	/* Without ARP the kernel also reports no multicast membership. */
	rtnl_link_flags(inner, PLAN_INSIDE_INDEX, IFF_UP | IFF_NOARP,
			IFF_UP | IFF_NOARP);
	ret = rtnl_commit(inner);

	return ret < 0 ? fail(-ret, "cannot %s inside", rtnl_failed(inner)) : 0;
}

static int nat_create(struct uplink *uplink, struct rtnl *inner)
{
	autoclose int netns = proc_netns_open(getpid());
	int ret;

	if (netns < 0)
		return fail(-netns, "cannot open the new network namespace");
	ret = inside_loopback(inner);
	if (!ret)
		ret = create_veth(uplink, netns);

	return ret < 0 ? ret : set_up_inside(uplink, inner);
}

/* Everything that is to be known is told: nothing has to be asked for. */
static int configure_inside(struct uplink *uplink, struct rtnl *inner)
{
	const struct plan *plan = uplink->plan;
	int ret;

	if (plan->ip4) {
		add_whole_address(inner, PLAN_INSIDE_INDEX, &uplink->run.ip4,
				  RT_SCOPE_UNIVERSE);
		route_by_gateway(inner, &plan->gateway4);
	}
	if (plan->ip6) {
		add_whole_address(inner, PLAN_INSIDE_INDEX, &uplink->run.ip6,
				  RT_SCOPE_UNIVERSE);
		receive_at(inner, &uplink->run.ip6);
		route_by_gateway(inner, &plan->gateway6);
	}
	ret = rtnl_commit(inner);

	return ret < 0 ? fail(-ret, "cannot %s inside", rtnl_failed(inner)) : 0;
}

static int nat_inside(struct uplink *uplink, struct rtnl *inner)
{
	inside_copy_sysctls(uplink->plan);
	if (uplink->plan->ip6 && sysctl_is(INSIDE_NO_IP6, "1"))
		sysctl_write(INSIDE_NO_IP6, "0");

	return configure_inside(uplink, inner);
}

/* One that fails, as it is just going away, keeps no other from it. */
static int forward_by_all(struct uplink *uplink, const struct egress *egress,
			  size_t count)
{
	int first = 0;

	for (size_t i = 0; i < count; i++) {
		int ret = forward_by(uplink, egress[i].name);

		first = first ? first : ret;
	}

	return first;
}

/*
 * With -d: leave by DEV, and nothing else. It may have been made anew under its
 * name, as VPNs do, or be known by its number only; while there is none there
 * are no routes by it either.
 */
static int follow_device(struct uplink *uplink)
{
	const struct link *known = &uplink->plan->facts->device;
	struct link device;
	int ret;

	if (rtnl_link_get(uplink->host, 0, known->name, &device) < 0 &&
	    rtnl_link_get(uplink->host, known->index, NULL, &device) < 0)
		return 0;
	ret = forward_by(uplink, device.name);
	if (!ret && uplink->plan->ip4)
		ret = forward_loosen(uplink, device.name);
	if (!ret)
		ret = policy_follow(uplink, device.index);

	return ret;
}

static int bind_to_device(struct uplink *uplink)
{
	int ret = policy_install(uplink);

	return ret < 0 ? ret : follow_device(uplink);
}

static void route_inside(struct uplink *uplink, const struct ip *ip)
{
	const struct route route = {
		.scope = RT_SCOPE_LINK,
		.destination = *ip,
		.prefix = (uint8_t)(8 * ip_size(ip)),
		.index = uplink->run.index,
	};

	rtnl_neighbour_add(uplink->host, uplink->run.index, ip,
			   plan_inside_mac);
	rtnl_route_add(uplink->host, &route);
}

static int configure_host(struct uplink *uplink)
{
	const struct plan *plan = uplink->plan;
	const struct run *run = &uplink->run;
	struct rtnl *host = uplink->host;
	int ret;

	if (plan->ip6_links)
		rtnl_link_no_addrgen(host, run->index);
	if (plan->ip4)
		add_whole_address(host, run->index, &plan->gateway4,
				  RT_SCOPE_LINK);
	if (plan->ip6)
		add_whole_address(host, run->index, &plan->gateway6,
				  RT_SCOPE_LINK);
	rtnl_link_flags(host, run->index, IFF_UP, IFF_UP);
	if (plan->ip4)
		route_inside(uplink, &run->ip4);
	if (plan->ip6)
		route_inside(uplink, &run->ip6);
	ret = rtnl_commit(host);
	if (ret < 0)
		return fail(-ret, "cannot %s", rtnl_failed(host));

	return answers_lead_back(uplink);
}

static int add_tables(struct uplink *uplink)
{
	int ret = nft_open(&nat.nft);

	if (ret < 0)
		return fail(-ret, "cannot open an nftables socket");
	nat.tables = (struct nft_tables){
		.name = uplink->run.name,
		.interface = uplink->run.name,
		.ip4 = uplink->run.ip4,
		.ip6 = uplink->run.ip6,
		.owner = true,
		.egress = true,
	};
	ret = nft_tables_add(nat.nft, &nat.tables);
	/*
	 * Ours is the link of that name, so these are of a killed run that had
	 * no place for a record, on a kernel where they have no owner.
	 */
	if (ret == -EEXIST) {
		nft_tables_delete(nat.nft, &nat.tables);
		ret = nft_tables_add(nat.nft, &nat.tables);
	}

	return ret < 0 ? fail(-ret, "cannot %s", nft_failed(nat.nft)) : 0;
}

static int watch_changes(void)
{
	const int fds[] = { rtnl_fd(nat.monitor), firewall_fd(),
			    firewall_timer_fd() };
	struct epoll_event readable = { .events = EPOLLIN };
	bool watched;

	nat.changes = epoll_create1(EPOLL_CLOEXEC);
	watched = nat.changes >= 0;
	for (size_t i = 0; watched && i < sizeof(fds) / sizeof(*fds); i++)
		watched = fds[i] < 0 || epoll_ctl(nat.changes, EPOLL_CTL_ADD,
						  fds[i], &readable) == 0;

	return watched ? 0 : fail(errno, "cannot watch this host");
}

/* What nobody puts back if keeper is killed; the link goes before the rest. */
static int write_down(const struct uplink *uplink)
{
	const struct run *run = &uplink->run;
	int ret = undo_link(uplink->undo, run->index, run->name);

	if (!ret)
		ret = undo_table(uplink->undo, run->name);
	if (!ret)
		ret = undo_connections(uplink->undo, &run->ip4);
	if (!ret)
		ret = undo_connections(uplink->undo, &run->ip6);

	return ret;
}

static int nat_host(struct uplink *uplink)
{
	const struct facts *facts = uplink->plan->facts;
	int ret = write_down(uplink);

	if (!ret)
		ret = add_tables(uplink);
	/* Opened before the host is read: no change falls in between. */
	if (!ret) {
		ret = rtnl_monitor_open(&nat.monitor, ROUTES_RUN_HALF);
		if (ret < 0)
			fail(-ret, "cannot watch the routes of this host");
	}
	if (!ret)
		ret = firewall_open(uplink, nat.nft, &nat.tables);
	if (!ret)
		ret = watch_changes();
	if (!ret)
		ret = forward_link(uplink);
	if (!ret && uplink->plan->options->device)
		ret = bind_to_device(uplink);
	else if (!ret)
		ret = forward_by_all(uplink, facts->egress,
				     facts->egress_count);
	if (!ret)
		ret = configure_host(uplink);

	return ret;
}

/* Our end went up first: the kernel lets it send a moment after the other. */
static int nat_ready(struct uplink *uplink, struct rtnl *inner)
{
	int ret = rtnl_link_await(inner, PLAN_INSIDE_INDEX);

	(void)uplink;
	return ret < 0 ? fail(-ret, "cannot send by the new interface") : 0;
}

static int nat_fd(const struct uplink *uplink)
{
	(void)uplink;
	return nat.changes;
}

/* What has changed on the host. */
struct news {
	bool routes;
	bool rules;
};

static void note_event(enum rtnl_event event, const struct route *route,
		       void *context)
{
	struct news *news = context;

	/*
	 * What runs do themselves is no news, or it would never end; nor are
	 * the host's own addresses.
	 */
	if (route &&
	    (route_is_of_a_run(route) || route->table == RT_TABLE_LOCAL))
		return;
	news->routes |= event != RTNL_EVENT_RULE;
	news->rules |= event == RTNL_EVENT_RULE || event == RTNL_EVENT_OVERRUN;
}

/* Without -d: answers may come in wherever a route leads now. */
static int follow_routes(struct uplink *uplink)
{
	struct survey survey;
	int ret = routes_survey(uplink->host, 0, &survey);

	if (ret < 0)
		return fail(-ret, "cannot read the routes of this host");
	ret = forward_by_all(uplink, survey.egress, survey.egress_count);
	free(survey.egress);

	return ret;
}

static int follow_host(struct uplink *uplink)
{
	struct news news = { 0 };
	int ret = rtnl_monitor_read(nat.monitor, note_event, &news);

	if (ret < 0)
		return fail(-ret, "cannot follow the routes of this host");
	if (news.routes || news.rules)
		ret = answers_lead_back(uplink);
	if (ret < 0 || !news.routes)
		return ret;
	if (uplink->plan->options->device)
		return follow_device(uplink);

	return follow_routes(uplink);
}

static int nat_events(struct uplink *uplink)
{
	int routes = follow_host(uplink);
	int rules = firewall_events(uplink);

	return routes ? routes : rules;
}

static void cut_link(struct uplink *uplink)
{
	int ret;

	rtnl_link_delete(uplink->host, uplink->run.index);
	ret = rtnl_commit(uplink->host);
	/* It may have gone with the namespace in this moment. */
	if (ret < 0 && ret != -ENODEV)
		warn("cannot %s: %s", rtnl_failed(uplink->host),
		     strerror(-ret));
}

/*
 * The host will not see connections end any more. What it has seen end it
 * forgets by itself, at most two minutes later.
 */
static void nat_cut(struct uplink *uplink)
{
	cut_link(uplink);
	if (nat.nft) {
		conntrack_forget(nat.nft, &uplink->run.ip4);
		conntrack_forget(nat.nft, &uplink->run.ip6);
	}
}

/*
 * Tables without an owner (before Linux 5.12) go while the record tells of
 * them, and the link before: who lives on is not to send untranslated.
 */
static void nat_ended(struct uplink *uplink)
{
	firewall_judge(uplink);
	if (!nat.nft || nat.tables.owner)
		return;
	cut_link(uplink);
	nft_tables_delete(nat.nft, &nat.tables);
}

static void nat_down(struct uplink *uplink)
{
	(void)uplink;
	nft_close(nat.nft);
	firewall_close();
	rtnl_close(nat.monitor);
	fd_close(&nat.changes);
	nat.nft = NULL;
	nat.monitor = NULL;
}

const struct uplink_ops uplink_nat = {
	.name = "nat",
	.create = nat_create,
	.inside = nat_inside,
	.host = nat_host,
	.ready = nat_ready,
	.fd = nat_fd,
	.events = nat_events,
	.ended = nat_ended,
	.cut = nat_cut,
	.down = nat_down,
};
