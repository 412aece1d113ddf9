/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of nft(8) that our rules use, each a function that appends what it
 * compiles to, so that a rule in nft.c reads like its text. All of them go
 * through one register.
 */
#include "netlink/nft_expr.h"

#include <arpa/inet.h>
#include <stdio.h> /* that libnftnl/expr.h forgets */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <string.h>

#include "base/log.h"

static struct nftnl_expr *expression(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	if (!expr)
		die_no_memory();
	nftnl_rule_add_expr(rule, expr);

	return expr;
}

static void load_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *expr = expression(rule, "meta");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void load_payload(struct nftnl_rule *rule, uint32_t base,
			 uint32_t offset, uint32_t size)
{
	struct nftnl_expr *expr = expression(rule, "payload");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size);
}

static void mask(struct nftnl_rule *rule, const void *bits, uint32_t size)
{
	static const uint8_t zeros[16];
	struct nftnl_expr *expr = expression(rule, "bitwise");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, size);
	nftnl_expr_set_data(expr, NFTNL_EXPR_BITWISE_MASK, bits, size);
	nftnl_expr_set_data(expr, NFTNL_EXPR_BITWISE_XOR, zeros, size);
}

static void compare(struct nftnl_rule *rule, uint32_t op, const void *value,
		    uint32_t size)
{
	struct nftnl_expr *expr = expression(rule, "cmp");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set_data(expr, NFTNL_EXPR_CMP_DATA, value, size);
}

/* meta nfproto @protocol (NFPROTO_*), in tables of family inet */
void nft_meta_nfproto(struct nftnl_rule *rule, uint8_t protocol)
{
	load_meta(rule, NFT_META_NFPROTO);
	compare(rule, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

/* meta protocol @ethertype (ETH_P_*), in tables of family netdev */
void nft_meta_protocol(struct nftnl_rule *rule, uint16_t ethertype)
{
	uint16_t wire = htons(ethertype);

	load_meta(rule, NFT_META_PROTOCOL);
	compare(rule, NFT_CMP_EQ, &wire, sizeof(wire));
}

static void meta_l4proto(struct nftnl_rule *rule, uint8_t protocol)
{
	load_meta(rule, NFT_META_L4PROTO);
	compare(rule, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

static void compare_name(struct nftnl_rule *rule, uint32_t key, uint32_t op,
			 const char *name)
{
	char padded[IFNAMSIZ] = "";

	strncpy(padded, name, sizeof(padded) - 1);
	load_meta(rule, key);
	compare(rule, op, padded, sizeof(padded));
}

/* iifname @name; @op is NFT_CMP_EQ or NFT_CMP_NEQ */
void nft_iifname(struct nftnl_rule *rule, uint32_t op, const char *name)
{
	compare_name(rule, NFT_META_IIFNAME, op, name);
}

/* oifname @name; @op is NFT_CMP_EQ or NFT_CMP_NEQ */
void nft_oifname(struct nftnl_rule *rule, uint32_t op, const char *name)
{
	compare_name(rule, NFT_META_OIFNAME, op, name);
}

/*
 * @ll,0,8 & 1 == 1: to a group address. Not "ether daddr", which nft(8) makes
 * depend on the type of the input interface; at egress there is none.
 */
void nft_ether_daddr_group(struct nftnl_rule *rule)
{
	static const uint8_t group = 1;

	load_payload(rule, NFT_PAYLOAD_LL_HEADER, 0, sizeof(group));
	mask(rule, &group, sizeof(group));
	compare(rule, NFT_CMP_EQ, &group, sizeof(group));
}

/* ip saddr @ip, or ip6 saddr */
void nft_ip_saddr(struct nftnl_rule *rule, const struct ip *ip)
{
	bool v4 = ip->family == AF_INET;

	nft_meta_nfproto(rule, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 12 : 8,
		     (uint32_t)ip_size(ip));
	compare(rule, NFT_CMP_EQ, ip->bytes, (uint32_t)ip_size(ip));
}

/*
 * ip daddr 224.0.0.0/3: groups and the broadcast address; what lies between
 * them is nobody's.
 */
void nft_ip_daddr_group(struct nftnl_rule *rule)
{
	const uint32_t group = htonl(0xe0000000);

	nft_meta_nfproto(rule, NFPROTO_IPV4);
	load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, 16, sizeof(group));
	mask(rule, &group, sizeof(group));
	compare(rule, NFT_CMP_EQ, &group, sizeof(group));
}

/* ip6 daddr ff00::/8 */
void nft_ip6_daddr_group(struct nftnl_rule *rule)
{
	static const uint8_t group = 0xff;

	nft_meta_nfproto(rule, NFPROTO_IPV6);
	load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, 24, sizeof(group));
	compare(rule, NFT_CMP_EQ, &group, sizeof(group));
}

/*
 * icmpv6 type @first-@last. The type is found behind extension headers too: MLD
 * has one (hop-by-hop, router alert).
 */
void nft_icmpv6_type(struct nftnl_rule *rule, uint8_t first, uint8_t last)
{
	meta_l4proto(rule, IPPROTO_ICMPV6);
	load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
	if (first == last) {
		compare(rule, NFT_CMP_EQ, &first, sizeof(first));
		return;
	}
	compare(rule, NFT_CMP_GTE, &first, sizeof(first));
	compare(rule, NFT_CMP_LTE, &last, sizeof(last));
}

/* masquerade */
void nft_masquerade(struct nftnl_rule *rule)
{
	expression(rule, "masq");
}

/* counter */
void nft_counter(struct nftnl_rule *rule)
{
	expression(rule, "counter");
}

/* quota name @name */
void nft_quota(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expr = expression(rule, "objref");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_QUOTA);
	nftnl_expr_set_str(expr, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

static void verdict(struct nftnl_rule *rule, uint32_t code)
{
	struct nftnl_expr *expr = expression(rule, "immediate");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, code);
}

/* accept */
void nft_accept(struct nftnl_rule *rule)
{
	verdict(rule, NF_ACCEPT);
}

/* drop */
void nft_drop(struct nftnl_rule *rule)
{
	verdict(rule, NF_DROP);
}
