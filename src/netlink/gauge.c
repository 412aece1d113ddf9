/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether what the program sends leaves the host. A chain before all others
 * that could drop counts what is to be forwarded, and the masquerading behind
 * them what has come that far. The first packet of each family makes the kernel
 * send word, so that nobody has to look before there is something to see.
 * Silent: nft_failed() says what could not be done.
 */
#include "netlink/gauge.h"

#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>

#include "base/log.h"
#include "netlink/nft_expr.h"
#include "netlink/nft_internal.h"

#define CHAIN "asked"

static const char *const quotas[] = { "first4", "first6" };
static const uint8_t protocols[] = { NFPROTO_IPV4, NFPROTO_IPV6 };

static bool has(const struct nft_tables *tables, int family)
{
	return family ? tables->ip6.family : tables->ip4.family;
}

static struct nlmsghdr *request(struct nft *nft, uint16_t type, uint16_t flags,
				const char *what,
				const struct nft_tables *tables)
{
	struct nlmsghdr *message =
		netlink_request(&nft->nl, NFT_TYPE(type), flags,
				"%s table inet %s", what, tables->name);

	nft_header(message, NFPROTO_INET);

	return message;
}

static struct nftnl_chain *chain_of(const struct nft_tables *tables)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();

	if (!chain)
		die_no_memory();
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, tables->name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, CHAIN);

	return chain;
}

static struct nftnl_rule *rule_of(const struct nft_tables *tables,
				  const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (!rule)
		die_no_memory();
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, tables->name);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);

	return rule;
}

static void add_chain(struct nft *nft, const struct nft_tables *tables)
{
	struct nftnl_chain *chain = chain_of(tables);

	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_FORWARD);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, INT_MIN);
	nftnl_chain_nlmsg_build_payload(
		request(nft, NFT_MSG_NEWCHAIN, NLM_F_ACK | NLM_F_CREATE,
			"add chain " CHAIN " to", tables),
		chain);
	nftnl_chain_free(chain);
}

/* One that the first byte uses up, of which the kernel tells. */
static void add_quota(struct nft *nft, const struct nft_tables *tables,
		      const char *name)
{
	struct nftnl_obj *quota = nftnl_obj_alloc();

	if (!quota)
		die_no_memory();
	nftnl_obj_set_str(quota, NFTNL_OBJ_TABLE, tables->name);
	nftnl_obj_set_str(quota, NFTNL_OBJ_NAME, name);
	nftnl_obj_set_u32(quota, NFTNL_OBJ_TYPE, NFT_OBJECT_QUOTA);
	nftnl_obj_set_u64(quota, NFTNL_OBJ_QUOTA_BYTES, 1);
	nftnl_obj_nlmsg_build_payload(request(nft, NFT_MSG_NEWOBJ,
					      NLM_F_ACK | NLM_F_CREATE,
					      "add a quota to", tables),
				      quota);
	nftnl_obj_free(quota);
}

static void add_rule(struct nft *nft, const struct nft_tables *tables,
		     int family)
{
	struct nftnl_rule *rule = rule_of(tables, CHAIN);

	nft_meta_nfproto(rule, protocols[family]);
	nft_iifname(rule, NFT_CMP_EQ, tables->interface);
	nft_counter(rule);
	nft_quota(rule, quotas[family]);
	nftnl_rule_nlmsg_build_payload(
		request(nft, NFT_MSG_NEWRULE,
			NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND,
			"add a counter to", tables),
		rule);
	nftnl_rule_free(rule);
}

/*
 * Begin to count in @tables, which nft_tables_add() has made over @nft. Returns
 * 0 or -errno: some kernels have no quotas.
 */
int gauge_add(struct nft *nft, const struct nft_tables *tables)
{
	nft_begin(nft, 0);
	add_chain(nft, tables);
	for (int family = 0; family < 2; family++) {
		if (!has(tables, family))
			continue;
		add_quota(nft, tables, quotas[family]);
		add_rule(nft, tables, family);
	}
	nft_end(nft);

	return netlink_commit(&nft->nl);
}

/* The counters of a chain, in the order of its rules. */
struct reading {
	uint64_t packets[2];
	unsigned count;
};

/* The attribute @type within @nest, or NULL. */
static const struct nlattr *find_in(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested (attr, nest) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}

	return NULL;
}

static void read_expression(const struct nlattr *expression,
			    struct reading *reading)
{
	const struct nlattr *name = find_in(expression, NFTA_EXPR_NAME);
	const struct nlattr *counter = find_in(expression, NFTA_EXPR_DATA);
	const struct nlattr *packets;

	if (!name || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0 ||
	    strcmp(mnl_attr_get_str(name), "counter") != 0 || !counter)
		return;
	packets = find_in(counter, NFTA_COUNTER_PACKETS);
	if (packets && mnl_attr_validate(packets, MNL_TYPE_U64) == 0 &&
	    reading->count < 2)
		reading->packets[reading->count++] =
			be64toh(mnl_attr_get_u64(packets));
}

/* Without libnftnl, which takes for granted that nothing is missing. */
static int read_rule(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *expression;
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) != NFTA_RULE_EXPRESSIONS)
			continue;
		mnl_attr_for_each_nested (expression, attr)
			read_expression(expression, context);
	}

	return 0;
}

/* There is a rule for each family that the run has, IPv4 first. */
static int read_chain(struct nft *nft, const struct nft_tables *tables,
		      const char *chain, uint64_t packets[2])
{
	struct nftnl_rule *rule = rule_of(tables, chain);
	struct reading reading = { .count = 0 };
	unsigned next = 0;
	int ret;

	nftnl_rule_nlmsg_build_payload(request(nft, NFT_MSG_GETRULE, NLM_F_DUMP,
					       "read the counters of", tables),
				       rule);
	nftnl_rule_free(rule);
	ret = netlink_query(&nft->nl, read_rule, &reading);
	for (int family = 0; family < 2; family++)
		packets[family] =
			has(tables, family) ? reading.packets[next++] : 0;

	return ret;
}

/* Read what was counted so far. Returns 0 or -errno. */
int gauge_read(struct nft *nft, const struct nft_tables *tables,
	       struct gauge *gauge)
{
	/* What left is read later: none can be missing that was asked. */
	int ret = read_chain(nft, tables, CHAIN, gauge->asked);

	return ret ? ret : read_chain(nft, tables, "postrouting", gauge->left);
}

/*
 * Count no more: a chain costs each packet that the host forwards. Over the
 * same @nft as gauge_add(). Returns 0 or -errno.
 */
int gauge_delete(struct nft *nft, const struct nft_tables *tables)
{
	struct nftnl_chain *chain = chain_of(tables);
	struct nftnl_rule *rules = rule_of(tables, CHAIN);

	nft_begin(nft, 0);
	nftnl_rule_nlmsg_build_payload(request(nft, NFT_MSG_DELRULE, NLM_F_ACK,
					       "delete counters of", tables),
				       rules);
	nftnl_chain_nlmsg_build_payload(
		request(nft, NFT_MSG_DELCHAIN, NLM_F_ACK,
			"delete chain " CHAIN " of", tables),
		chain);
	nft_end(nft);
	nftnl_rule_free(rules);
	nftnl_chain_free(chain);

	return netlink_commit(&nft->nl);
}
