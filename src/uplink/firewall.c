/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside the firewalls of others: the packets of a run are let through by
 * accepts at the top of each of their chains that may drop what is forwarded,
 * and again after such a firewall was loaded anew. Taking the accepts out is
 * left to the undo list.
 */
#include "uplink/firewall.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "legacy.h"
#include "netlink/foreign.h"

/* A run has one uplink. */
static struct {
	struct nft *nft;
	struct nft *monitor;
	char tag[FOREIGN_TAG_SIZE];
	bool recorded; /* in the undo list */
	bool told;     /* of a table that nobody else may change */
} firewall;

/* Whoever reads the rules sees which run has made them. */
static void make_tag(const struct uplink *uplink)
{
	snprintf(firewall.tag, sizeof(firewall.tag), FOREIGN_TAG "%s:%d",
		 uplink->run.name, (int)getpid());
}

/* A table that another process owns is closed to us, root or not. */
static int tell_refusal(const struct foreign_chain *chain)
{
	if (!firewall.told)
		warn("the table %s %s belongs to another process and may drop "
		     "the program's packets",
		     foreign_family(chain), chain->table);
	firewall.told = true;

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
		return tell_refusal(chain);
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

/*
 * Let the run's packets through the firewalls of this host, and begin to watch
 * these. Written down in the uplink's undo list first. Returns 0, or a negative
 * errno already reported; to be closed in both cases.
 */
int firewall_open(struct uplink *uplink)
{
	const struct plan *plan = uplink->plan;
	int ret = nft_open(&firewall.nft);

	if (!ret)
		ret = foreign_monitor_open(&firewall.monitor);
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

/* What to poll for changes of firewalls. */
int firewall_fd(void)
{
	return nft_fd(firewall.monitor);
}

/*
 * Some rules have changed: put our accepts in again where they are gone.
 * Returns as firewall_open().
 */
int firewall_events(struct uplink *uplink)
{
	bool changed;
	int ret =
		foreign_monitor_read(firewall.monitor, firewall.tag, &changed);

	if (ret < 0)
		return fail(-ret, "cannot follow the firewall of this host");

	return changed ? let_through_all(uplink) : 0;
}

/* Stop watching. The accepts are the undo list's. */
void firewall_close(void)
{
	nft_close(firewall.nft);
	nft_close(firewall.monitor);
	firewall.nft = NULL;
	firewall.monitor = NULL;
}
