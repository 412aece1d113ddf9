/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages for our nftables tables, read back by libnftnl. Needs no rights:
 * nothing is sent.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/nft.h"

/* meta keys, in the order of enum nft_meta_keys */
#define PROTOCOL "meta1"
#define OIFNAME	 "meta7"
#define NFPROTO	 "meta15"
#define L4PROTO	 "meta16"

/* load SIZE at BASE+OFFSET */
#define ETHER_DADDR_1 "load1@0+0"
#define IP_SADDR      "load4@1+12"
#define IP_DADDR      "load4@1+16"
#define IP6_SADDR     "load16@1+8"
#define IP6_DADDR_1   "load1@1+24"
#define ICMPV6_TYPE   "load1@2+0"

#define NSN_7 "6e736e2d370000000000000000000000"
#define DROP  "verdict0"

#define INET_TABLE(flags) "table 1 nsn-7 flags " flags
#define NAT		  "chain 1 nsn-7 postrouting nat hook 4 prio 100 policy 1 dev none"
#define LEAKS		  "chain 1 nsn-7 leaks filter hook 4 prio 150 policy 1 dev none"
#define LEAVING4	  NFPROTO " ==02 " IP_SADDR " ==0ac80007 " OIFNAME " !=" NSN_7
#define LEAVING6                   \
	NFPROTO " ==0a " IP6_SADDR \
		" ==20010db8000000000000000000000007 " OIFNAME " !=" NSN_7
#define MASQUERADE4 "rule 1 nsn-7 postrouting " LEAVING4 " counter masq"
#define MASQUERADE6 "rule 1 nsn-7 postrouting " LEAVING6 " counter masq"
#define DROP4	    "rule 1 nsn-7 leaks " LEAVING4 " " DROP
#define DROP6	    "rule 1 nsn-7 leaks " LEAVING6 " " DROP

#define DISCOVERY L4PROTO " ==3a " ICMPV6_TYPE " >=82 <=88 " DROP
#define MLDV2	  L4PROTO " ==3a " ICMPV6_TYPE " ==8f " DROP

#define EGRESS(flags)                                                    \
	"table 5 nsn-7 flags " flags,                                    \
		"chain 5 nsn-7 silence filter hook 1 prio 0 policy 1 "   \
		"dev nsn-7",                                             \
		"rule 5 nsn-7 silence " ETHER_DADDR_1 " &01 ==01 " DROP, \
		"rule 5 nsn-7 silence " PROTOCOL " ==86dd " DISCOVERY,   \
		"rule 5 nsn-7 silence " PROTOCOL " ==86dd " MLDV2

#define OUTPUT_RULE "rule 1 nsn-7 silence " OIFNAME " ==" NSN_7 " "
#define OUTPUT                                                          \
	"chain 1 nsn-7 silence filter hook 3 prio 0 policy 1 dev none", \
		OUTPUT_RULE NFPROTO " ==02 " IP_DADDR                   \
				    " &e0000000 ==e0000000 " DROP,      \
		OUTPUT_RULE NFPROTO " ==0a " IP6_DADDR_1 " ==ff " DROP, \
		OUTPUT_RULE NFPROTO " ==0a " DISCOVERY,                 \
		OUTPUT_RULE NFPROTO " ==0a " MLDV2

#define MESSAGES 24

/* What was built, one line for each message. */
struct built {
	size_t count;
	char text[MESSAGES][1024];
};

static void describe_table(const struct nlmsghdr *message, char *text,
			   size_t size)
{
	struct nftnl_table *table = nftnl_table_alloc();

	assert_int_equal(nftnl_table_nlmsg_parse(message, table), 0);
	snprintf(text, size, "table %u %s flags %u",
		 nftnl_table_get_u32(table, NFTNL_TABLE_FAMILY),
		 nftnl_table_get_str(table, NFTNL_TABLE_NAME),
		 nftnl_table_get_u32(table, NFTNL_TABLE_FLAGS));
	nftnl_table_free(table);
}

static void describe_chain(const struct nlmsghdr *message, char *text,
			   size_t size)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	const char *device;

	assert_int_equal(nftnl_chain_nlmsg_parse(message, chain), 0);
	device = nftnl_chain_get_str(chain, NFTNL_CHAIN_DEV);
	snprintf(text, size,
		 "chain %u %s %s %s hook %u prio %d policy %u dev %s",
		 nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY),
		 nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE),
		 nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME),
		 nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE),
		 nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM),
		 nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO),
		 nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY),
		 device ? device : "none");
	nftnl_chain_free(chain);
}

/* Append the bytes of @attribute, as they are compared. */
static void hex(const struct nftnl_expr *expr, uint16_t attribute, char *text,
		size_t size)
{
	uint32_t count;
	const uint8_t *bytes = nftnl_expr_get(expr, attribute, &count);

	for (uint32_t i = 0; i < count; i++) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, "%02x", bytes[i]);
	}
}

/* One word for each expression: what is loaded, masked, compared, done. */
static int describe_expr(struct nftnl_expr *expr, void *context)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
	char word[128] = "", *text = context;

	if (!strcmp(name, "meta")) {
		snprintf(word, sizeof(word), "meta%u",
			 nftnl_expr_get_u32(expr, NFTNL_EXPR_META_KEY));
	} else if (!strcmp(name, "payload")) {
		snprintf(word, sizeof(word), "load%u@%u+%u",
			 nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_LEN),
			 nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_BASE),
			 nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET));
	} else if (!strcmp(name, "bitwise")) {
		strcpy(word, "&");
		hex(expr, NFTNL_EXPR_BITWISE_MASK, word, sizeof(word));
	} else if (!strcmp(name, "cmp")) {
		static const char *const operators[] = { "==", "!=", "<",
							 "<=", ">",  ">=" };

		strcpy(word,
		       operators[nftnl_expr_get_u32(expr, NFTNL_EXPR_CMP_OP)]);
		hex(expr, NFTNL_EXPR_CMP_DATA, word, sizeof(word));
	} else if (!strcmp(name, "immediate")) {
		snprintf(word, sizeof(word), "verdict%u",
			 nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_VERDICT));
	} else {
		snprintf(word, sizeof(word), "%s", name);
	}
	strcat(text, " ");
	strcat(text, word);

	return 0;
}

static void describe_rule(const struct nlmsghdr *message, char *text,
			  size_t size)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	assert_int_equal(nftnl_rule_nlmsg_parse(message, rule), 0);
	snprintf(text, size, "rule %u %s %s",
		 nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
		 nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
		 nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));
	nftnl_expr_foreach(rule, describe_expr, text);
	nftnl_rule_free(rule);
}

static const struct {
	uint16_t type;
	void (*describe)(const struct nlmsghdr *message, char *text,
			 size_t size);
} kinds[] = {
	{ NFT_MSG_NEWTABLE, describe_table },
	{ NFT_MSG_NEWCHAIN, describe_chain },
	{ NFT_MSG_NEWRULE, describe_rule },
};

static void describe(const struct nlmsghdr *message, char *text, size_t size)
{
	text[0] = '\0';
	if (message->nlmsg_type == NFNL_MSG_BATCH_BEGIN ||
	    message->nlmsg_type == NFNL_MSG_BATCH_END) {
		snprintf(text, size, "%s",
			 message->nlmsg_type == NFNL_MSG_BATCH_BEGIN ? "begin"
								     : "end");
		return;
	}
	assert_int_equal(message->nlmsg_type >> 8, NFNL_SUBSYS_NFTABLES);
	assert_true(message->nlmsg_flags & NLM_F_ACK);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if ((message->nlmsg_type & 0xff) == kinds[i].type)
			kinds[i].describe(message, text, size);
}

static void build(const struct nft_tables *tables, struct built *built)
{
	const struct nlmsghdr *message;
	uint32_t sequence = 0;
	struct nft *nft;
	size_t size;
	int left;

	*built = (struct built){ 0 };
	assert_int_equal(nft_open(&nft), 0);
	nft_tables_build(nft, tables);
	message = nft_batch(nft, &size);
	for (left = (int)size; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		assert_true(message->nlmsg_seq > sequence);
		sequence = message->nlmsg_seq;
		assert_true(built->count < MESSAGES);
		describe(message, built->text[built->count++],
			 sizeof(built->text[0]));
	}
	assert_int_equal(left, 0);
	nft_close(nft);
}

static void is(const struct built *built, const char *const *expected)
{
	for (size_t i = 0; i < built->count; i++) {
		assert_non_null(expected[i]);
		assert_string_equal(built->text[i], expected[i]);
	}
	assert_null(expected[built->count]);
}

static struct nft_tables tables_of(const char *ip4, const char *ip6)
{
	struct nft_tables tables = { .name = "nsn-7",
				     .interface = "nsn-7",
				     .owner = true,
				     .egress = true };

	if (ip4)
		assert_true(ip_parse(ip4, &tables.ip4));
	if (ip6)
		assert_true(ip_parse(ip6, &tables.ip6));

	return tables;
}

/* Every combination that a plan can ask for. */
static const struct {
	const char *ip4;
	const char *ip6;
	bool owner;
	bool egress;
	const char *const expected[MESSAGES];
} cases[] = {
	{ "10.200.0.7",
	  "2001:db8::7",
	  true,
	  true,
	  { "begin", INET_TABLE("2"), NAT, MASQUERADE4, MASQUERADE6, LEAKS,
	    DROP4, DROP6, EGRESS("2"), "end" } },
	{ "10.200.0.7",
	  NULL,
	  true,
	  true,
	  { "begin", INET_TABLE("2"), NAT, MASQUERADE4, LEAKS, DROP4,
	    EGRESS("2"), "end" } },
	{ NULL,
	  "2001:db8::7",
	  false,
	  true,
	  { "begin", INET_TABLE("0"), NAT, MASQUERADE6, LEAKS, DROP6,
	    EGRESS("0"), "end" } },
	{ NULL, NULL, true, true, { "begin", EGRESS("2"), "end" } },
	{ "10.200.0.7",
	  "2001:db8::7",
	  true,
	  false,
	  { "begin", INET_TABLE("2"), NAT, MASQUERADE4, MASQUERADE6, LEAKS,
	    DROP4, DROP6, OUTPUT, "end" } },
	{ NULL,
	  NULL,
	  false,
	  false,
	  { "begin", INET_TABLE("0"), OUTPUT, "end" } },
};

static void tables_say_what_is_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct nft_tables tables =
			tables_of(cases[i].ip4, cases[i].ip6);
		struct built built;

		tables.owner = cases[i].owner;
		tables.egress = cases[i].egress;
		build(&tables, &built);
		is(&built, cases[i].expected);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_say_what_is_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
