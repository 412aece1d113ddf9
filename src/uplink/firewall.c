/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside the firewalls of others: the packets of a run are let through by
 * accepts at the top of each of their chains that may drop what is forwarded,
 * and again after such a firewall was loaded anew. If all the same nothing gets
 * through the user is told. Taking the accepts out is left to the undo list.
 */
#include "uplink/firewall.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "legacy.h"
#include "netlink/foreign.h"
#include "netlink/gauge.h"

/* A run has one uplink. */
static struct {
	struct nft *nft;
	struct nft *monitor;
	struct nft *owner; /* of the run's own tables; borrowed */
	const struct nft_tables *tables;
	char tag[FOREIGN_TAG_SIZE];
	bool recorded;	 /* in the undo list */
	char closed[64]; /* a table that nobody else may change, or "" */
	int timer;	 /* runs out when it is time to judge */
	bool traffic;	 /* of a family that has not been judged */
	bool judged[2];
} firewall = { .timer = -1 };

/*
 * How long after the first packet the counters are read. It is gone or dropped
 * at once, but for firewalls that ask somebody.
 */
#define JUDGE_MS 500

/* Whoever reads the rules sees which run has made them. */
static void make_tag(const struct uplink *uplink)
{
	snprintf(firewall.tag, sizeof(firewall.tag), FOREIGN_TAG "%s:%d",
		 uplink->run.name, (int)getpid());
}

/* A table that another process owns is closed to us, root or not. */
static int note_closed(const struct foreign_chain *chain)
{
	snprintf(firewall.closed, sizeof(firewall.closed), "%s %s",
		 foreign_family(chain), chain->table);
	debug("cannot accept packets in table %s, which has an owner",
	      firewall.closed);

	return 0;
}

/*
 * See that our accepts are in @chain. Returns 0, or a negative errno already
 * reported.
 */
static int let_through(struct uplink *uplink, const struct foreign_chain *chain)
{
	const struct foreign_accepts accepts = {
		.interface = uplink->run.name,
		.tag = firewall.tag,
	};
	int ret = foreign_accepted(firewall.nft, chain, firewall.tag);

	if (ret > 0)
		return 0;
	if (!ret)
		ret = foreign_accept(firewall.nft, chain, &accepts);
	if (ret == -EPERM)
		return note_closed(chain);
	/* It has just gone, as happens while a firewall is loaded anew. */
	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return fail(-ret, "cannot %s", nft_failed(firewall.nft));
	debug("accepted packets in chain %s of table %s %s", chain->name,
	      foreign_family(chain), chain->table);

	return 0;
}

/* See that our accepts are wherever they are needed now. */
static int let_through_all(struct uplink *uplink)
{
	struct foreign_chains chains;
	int ret = foreign_chains(firewall.nft, &chains);

	if (ret < 0)
		fail(-ret, "cannot %s", nft_failed(firewall.nft));
	else if (chains.count && !firewall.recorded)
		ret = undo_accepts(uplink->undo, firewall.nft, firewall.tag);
	firewall.recorded |= chains.count && !ret;
	for (size_t i = 0; !ret && i < chains.count; i++)
		ret = let_through(uplink, &chains.chain[i]);
	foreign_chains_free(&chains);

	return ret;
}

/*
 * What iptables made before there was nftables. Nobody tells when it changes.
 * Returns 0, or a negative errno already reported.
 */
static int let_through_legacy(struct uplink *uplink, sa_family_t family)
{
	int ret;

	if (!legacy_in_use(family))
		return 0;
	ret = undo_legacy(uplink->undo, family, uplink->run.name, firewall.tag);
	if (ret < 0)
		return ret;
	ret = legacy_accept(family, uplink->run.name, firewall.tag);
	if (ret < 0)
		warn("cannot accept packets by %s: %s: the firewall may drop "
		     "the program's",
		     legacy_name(family), strerror(-ret));
	else
		debug("accepted packets by %s", legacy_name(family));

	return 0;
}

/* Without this nothing is lost but a line for the user. */
static void count_packets(void)
{
	int ret = gauge_add(firewall.owner, firewall.tables);

	firewall.timer =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ret < 0)
		debug("cannot %s: %s", nft_failed(firewall.owner),
		      strerror(-ret));
}

/*
 * Let the run's packets through the firewalls of this host, and begin to watch
 * these. Written down in the uplink's undo list first. @owner has made
 * @tables, the run's own; both must live as long. Returns 0, or a negative
 * errno already reported; to be closed in both cases.
 */
int firewall_open(struct uplink *uplink, struct nft *owner,
		  const struct nft_tables *tables)
{
	const struct plan *plan = uplink->plan;
	int ret;

	firewall.owner = owner;
	firewall.tables = tables;
	/* Before the monitor, which would take it for the first packets. */
	count_packets();
	ret = nft_open(&firewall.nft);
	if (!ret)
		ret = foreign_monitor_open(&firewall.monitor, tables);
	if (ret < 0)
		return fail(-ret, "cannot watch the firewall of this host");
	make_tag(uplink);
	ret = let_through_all(uplink);
	if (!ret && plan->ip4)
		ret = let_through_legacy(uplink, AF_INET);
	if (!ret && plan->ip6)
		ret = let_through_legacy(uplink, AF_INET6);

	return ret;
}

/* What to poll for changes of firewalls, and for the first packets. */
int firewall_fd(void)
{
	return nft_fd(firewall.monitor);
}

/* What to poll for the moment to judge, or -1. */
int firewall_timer_fd(void)
{
	return firewall.timer;
}

static void judge_later(void)
{
	const struct itimerspec soon = {
		.it_value.tv_nsec = JUDGE_MS * 1000000L,
	};

	if (!firewall.traffic)
		timerfd_settime(firewall.timer, 0, &soon, NULL);
	firewall.traffic = true;
}

static void tell_blocked(const char *family)
{
	const char *closed = firewall.closed;

	warn("nothing that the program sends by %s leaves this host: let the "
	     "interfaces nsn-* through its firewall%s%s",
	     family, *closed ? ", table " : "", closed);
}

/*
 * Find out whether anything of what the program has sent so far has left the
 * host, and tell if not. Each family is judged once.
 */
void firewall_judge(const struct uplink *uplink)
{
	static const char *const families[] = { "IPv4", "IPv6" };
	const bool carried[] = { uplink->plan->ip4, uplink->plan->ip6 };
	struct gauge gauge;
	bool all = true;

	if (!firewall.traffic)
		return;
	firewall.traffic = false;
	if (gauge_read(firewall.nft, firewall.tables, &gauge) < 0)
		return;
	for (int i = 0; i < 2; i++) {
		if (gauge.asked[i] && !gauge.left[i] && !firewall.judged[i])
			tell_blocked(families[i]);
		firewall.judged[i] |= gauge.asked[i] != 0;
		all = all && (firewall.judged[i] || !carried[i]);
	}
	if (all)
		gauge_delete(firewall.owner, firewall.tables);
}

/*
 * Some rules have changed: put our accepts in again where they are gone. Or the
 * first packets have come, or it is time to judge. Returns as firewall_open().
 */
int firewall_events(struct uplink *uplink)
{
	const struct foreign_accepts accepts = {
		.interface = uplink->run.name,
		.tag = firewall.tag,
	};
	struct foreign_news news;
	uint64_t times;
	int ret = foreign_monitor_read(firewall.monitor, &accepts, &news);

	if (ret < 0)
		return fail(-ret, "cannot follow the firewall of this host");
	if (news.traffic)
		judge_later();
	if (read(firewall.timer, &times, sizeof(times)) > 0)
		firewall_judge(uplink);

	return news.changed ? let_through_all(uplink) : 0;
}

/* Stop watching. The accepts are the undo list's. */
void firewall_close(void)
{
	nft_close(firewall.nft);
	nft_close(firewall.monitor);
	fd_close(&firewall.timer);
	firewall.nft = NULL;
	firewall.monitor = NULL;
}
