/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a run: what leaves for the world is masqueraded or does not
 * leave, and what the host would say to the program by itself is dropped. All
 * in one transaction, so that there is never half of it. Silent: nft_failed()
 * says what could not be done. What other tables do to the traffic is not dealt
 * with here.
 */
#include "netlink/nft.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "netlink/nft_expr.h"
#include "netlink/nft_internal.h"
#include "netlink/socket.h"

/* Where a chain hangs. */
struct chain {
	uint8_t family; /* of its table */
	const char *name;
	const char *type;
	uint32_t hook;
	int32_t priority;
};

static const struct chain nat = {
	NFPROTO_INET,	      "postrouting",	 "nat",
	NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC,
};

/* Behind all chains that could give a packet another source. */
static const struct chain leaks = {
	NFPROTO_INET,		"leaks", "filter", NF_INET_POST_ROUTING,
	NF_IP_PRI_NAT_SRC + 50,
};

static const struct chain egress = {
	NFPROTO_NETDEV, "silence", "filter", NF_NETDEV_EGRESS, NF_IP_PRI_FILTER,
};

/* Where the kernel lacks the egress hook; host daemons get EPERM from it. */
static const struct chain output = {
	NFPROTO_INET, "silence", "filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER,
};

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_INET ? "inet" : "netdev";
}

/* Begin a request about something in a table of @family. */
static struct nlmsghdr *request(struct nft *nft, uint16_t type, uint16_t flags,
				uint8_t family, const char *what,
				const char *name)
{
	struct nlmsghdr *message;

	message = netlink_request(&nft->nl, NFT_TYPE(type), NLM_F_ACK | flags,
				  "%s table %s %s", what, family_name(family),
				  name);
	nft_header(message, family);

	return message;
}

/* Put the header of all nftables messages into @message. */
void nft_header(struct nlmsghdr *message, uint8_t family)
{
	struct nfgenmsg *header;

	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
}

/*
 * Neither end of a transaction is acknowledged, but what the kernel has against
 * the transaction as a whole it says of the opening.
 */
static struct nlmsghdr *bracket(struct nft *nft, uint16_t type)
{
	struct nlmsghdr *message =
		netlink_request(&nft->nl, type, 0, "change nftables rules");
	struct nfgenmsg *header;

	nft_header(message, AF_UNSPEC);
	header = mnl_nlmsg_get_payload(message);
	header->res_id = htons(NFNL_SUBSYS_NFTABLES);

	return message;
}

/*
 * Open a transaction, which fails with -ERESTART if the rules of this host are
 * not of @generation any more; 0 is any.
 */
void nft_begin(struct nft *nft, uint32_t generation)
{
	struct nlmsghdr *message = bracket(nft, NFNL_MSG_BATCH_BEGIN);

	if (generation)
		mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(generation));
}

/* Close a transaction; netlink_commit() sends it. */
void nft_end(struct nft *nft)
{
	bracket(nft, NFNL_MSG_BATCH_END);
}

static void add_table(struct nft *nft, const struct nft_tables *tables,
		      uint8_t family)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table)
		die_no_memory();
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, tables->name);
	nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS,
			    tables->owner ? NFT_TABLE_F_OWNER : 0);
	nftnl_table_nlmsg_build_payload(request(nft, NFT_MSG_NEWTABLE,
						NLM_F_CREATE | NLM_F_EXCL,
						family, "add", tables->name),
					table);
	nftnl_table_free(table);
}

static void add_chain(struct nft *nft, const struct nft_tables *tables,
		      const struct chain *where)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	char what[64];

	if (!chain)
		die_no_memory();
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, tables->name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, where->name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, where->type);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, where->hook);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, where->priority);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	if (where->family == NFPROTO_NETDEV)
		nftnl_chain_set_str(chain, NFTNL_CHAIN_DEV, tables->interface);

	snprintf(what, sizeof(what), "add chain %s to", where->name);
	nftnl_chain_nlmsg_build_payload(
		request(nft, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL,
			where->family, what, tables->name),
		chain);
	nftnl_chain_free(chain);
}

/* A rule that is still without words; add_rule() puts it into its chain. */
static struct nftnl_rule *new_rule(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (!rule)
		die_no_memory();

	return rule;
}

/* Put @rule, which is @what in short, at the end of the chain, and free it. */
static void add_rule(struct nft *nft, const struct nft_tables *tables,
		     const struct chain *chain, struct nftnl_rule *rule,
		     const char *what)
{
	char text[64];

	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, tables->name);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain->name);
	snprintf(text, sizeof(text), "add rule %s to", what);
	nftnl_rule_nlmsg_build_payload(
		request(nft, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
			chain->family, text, tables->name),
		rule);
	nftnl_rule_free(rule);
}

static void add_masquerade(struct nft *nft, const struct nft_tables *tables,
			   const struct ip *source)
{
	struct nftnl_rule *rule = new_rule();

	nft_ip_saddr(rule, source);
	nft_oifname(rule, NFT_CMP_NEQ, tables->interface);
	nft_counter(rule); /* for gauge.c */
	nft_masquerade(rule);
	add_rule(nft, tables, &nat, rule, "masquerade");
}

/*
 * Conntrack calls some packets invalid (a reset out of nowhere, flags that do
 * not go together), and the host may exempt others from it: no NAT chain sees
 * those. Where the program's own address means nothing, they must not appear.
 */
static void add_leaks(struct nft *nft, const struct nft_tables *tables,
		      const struct ip *source)
{
	struct nftnl_rule *rule = new_rule();

	nft_ip_saddr(rule, source);
	nft_oifname(rule, NFT_CMP_NEQ, tables->interface);
	nft_drop(rule);
	add_rule(nft, tables, &leaks, rule, "drop of leaks");
}

static void add_nat(struct nft *nft, const struct nft_tables *tables)
{
	static const struct {
		const struct chain *chain;
		void (*add)(struct nft *nft, const struct nft_tables *tables,
			    const struct ip *source);
	} parts[] = { { &nat, add_masquerade }, { &leaks, add_leaks } };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		add_chain(nft, tables, parts[i].chain);
		if (tables->ip4.family)
			parts[i].add(nft, tables, &tables->ip4);
		if (tables->ip6.family)
			parts[i].add(nft, tables, &tables->ip6);
	}
}

/*
 * What a host says by itself that need not go to a group: multicast listener
 * discovery, router and neighbour discovery; version 2 of the first.
 */
static const struct {
	uint8_t first;
	uint8_t last;
} discovery[] = { { 130, 136 }, { 143, 143 } };

#define DISCOVERY_COUNT (sizeof(discovery) / sizeof(*discovery))

static void add_egress(struct nft *nft, const struct nft_tables *tables)
{
	struct nftnl_rule *rule = new_rule();

	add_chain(nft, tables, &egress);

	nft_ether_daddr_group(rule);
	nft_drop(rule);
	add_rule(nft, tables, &egress, rule, "drop of groups");

	for (size_t i = 0; i < DISCOVERY_COUNT; i++) {
		rule = new_rule();
		nft_meta_protocol(rule, ETH_P_IPV6);
		nft_icmpv6_type(rule, discovery[i].first, discovery[i].last);
		nft_drop(rule);
		add_rule(nft, tables, &egress, rule, "drop of discovery");
	}
}

static void add_output(struct nft *nft, const struct nft_tables *tables)
{
	static void (*const groups[])(struct nftnl_rule * rule) = {
		nft_ip_daddr_group,
		nft_ip6_daddr_group,
	};
	struct nftnl_rule *rule;

	add_chain(nft, tables, &output);

	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		rule = new_rule();
		nft_oifname(rule, NFT_CMP_EQ, tables->interface);
		groups[i](rule);
		nft_drop(rule);
		add_rule(nft, tables, &output, rule, "drop of groups");
	}
	for (size_t i = 0; i < DISCOVERY_COUNT; i++) {
		rule = new_rule();
		nft_oifname(rule, NFT_CMP_EQ, tables->interface);
		nft_meta_nfproto(rule, NFPROTO_IPV6);
		nft_icmpv6_type(rule, discovery[i].first, discovery[i].last);
		nft_drop(rule);
		add_rule(nft, tables, &output, rule, "drop of discovery");
	}
}

static bool translates(const struct nft_tables *tables)
{
	return tables->ip4.family || tables->ip6.family;
}

/*
 * Make the requests for the tables of a run without sending them: NAT for the
 * addresses there are, and silence by the egress hook or, without @egress, by
 * the output hook.
 */
void nft_tables_build(struct nft *nft, const struct nft_tables *tables)
{
	nft_begin(nft, 0);
	if (translates(tables) || !tables->egress)
		add_table(nft, tables, NFPROTO_INET);
	if (translates(tables))
		add_nat(nft, tables);
	if (tables->egress) {
		add_table(nft, tables, NFPROTO_NETDEV);
		add_egress(nft, tables);
	} else {
		add_output(nft, tables);
	}
	nft_end(nft);
}

/*
 * How a kernel says that it lacks something we can do without: of the one
 * family an owner, of the other a hook, or all of it. Since 6.8 it says of a
 * family that it lacks what it says of a flag that it does not know.
 */
static const struct {
	uint8_t family;
	uint16_t type;
	int error;
} lacks[] = {
	{ NFPROTO_INET, NFT_MSG_NEWTABLE, EINVAL },
	{ NFPROTO_INET, NFT_MSG_NEWTABLE, EOPNOTSUPP },
	{ NFPROTO_NETDEV, NFT_MSG_NEWTABLE, EAFNOSUPPORT },
	{ NFPROTO_NETDEV, NFT_MSG_NEWTABLE, EOPNOTSUPP },
	{ NFPROTO_NETDEV, NFT_MSG_NEWCHAIN, EINVAL },
	{ NFPROTO_NETDEV, NFT_MSG_NEWCHAIN, EOPNOTSUPP },
	{ NFPROTO_NETDEV, NFT_MSG_NEWCHAIN, ENOENT },
};

/* Take back the wish that failed with @error, if there was one. */
static bool wish_less(const struct nft *nft, struct nft_tables *tables,
		      int error)
{
	const struct netlink *nl = &nft->nl;
	bool *wish = nl->failed_family == NFPROTO_INET ? &tables->owner
						       : &tables->egress;

	for (size_t i = 0; *wish && i < sizeof(lacks) / sizeof(*lacks); i++) {
		if (nl->failed_family == lacks[i].family &&
		    (nl->failed_type & 0xff) == lacks[i].type &&
		    -error == lacks[i].error) {
			*wish = false;
			return true;
		}
	}

	return false;
}

/*
 * Add the tables of a run, all of them or none. With @owner they die with the
 * socket (Linux 5.12), else somebody must delete them; @egress wants silence
 * from the egress hook (5.16), else it comes from the output hook. Both say
 * afterwards what was got.
 *
 * Returns 0, or -errno; -EEXIST if there is a table of that name.
 */
int nft_tables_add(struct nft *nft, struct nft_tables *tables)
{
	int ret;

	do {
		nft_tables_build(nft, tables);
		ret = netlink_commit(&nft->nl);
	} while (ret < 0 && wish_less(nft, tables, ret));

	return ret;
}

static int delete_table(struct nft *nft, const struct nft_tables *tables,
			uint8_t family)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table)
		die_no_memory();
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, tables->name);
	nft_begin(nft, 0);
	nftnl_table_nlmsg_build_payload(request(nft, NFT_MSG_DELTABLE, 0,
						family, "delete", tables->name),
					table);
	nft_end(nft);
	nftnl_table_free(table);

	return netlink_commit(&nft->nl);
}

/*
 * Delete the tables that nft_tables_add() made and that have no owner. Goes on
 * past a failure. Returns 0 or the last -errno; -ENOENT if one was gone.
 */
int nft_tables_delete(struct nft *nft, const struct nft_tables *tables)
{
	int inet = 0, netdev = 0;

	if (translates(tables) || !tables->egress)
		inet = delete_table(nft, tables, NFPROTO_INET);
	if (tables->egress)
		netdev = delete_table(nft, tables, NFPROTO_NETDEV);

	return netdev ? netdev : inet;
}

/*
 * Open an nftables socket in the current network namespace. Returns 0, or
 * -errno and *@nft is NULL.
 */
int nft_open(struct nft **nft)
{
	int ret;

	*nft = xcalloc(1, sizeof(**nft));
	ret = netlink_open(&(*nft)->nl, NETLINK_NETFILTER, 0, 0);
	if (ret < 0) {
		free(*nft);
		*nft = NULL;
	}

	return ret;
}

/* Close the socket, and with it the tables it owns; NULL is none. */
void nft_close(struct nft *nft)
{
	if (nft)
		netlink_close(&nft->nl);
	free(nft);
}

/* What to poll for news; the socket stays the owner's. */
int nft_fd(const struct nft *nft)
{
	return mnl_socket_get_fd(nft->nl.socket);
}

/* The messages made but not sent yet, good until the next call. */
const void *nft_batch(struct nft *nft, size_t *size)
{
	return netlink_batch(&nft->nl, size);
}

/* What could not be done when last something failed, as in "cannot ...". */
const char *nft_failed(const struct nft *nft)
{
	return nft->nl.failed;
}
