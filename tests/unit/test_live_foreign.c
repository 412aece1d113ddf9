/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our accepts in the chains of others, against the kernel and as nft(8) sees
 * them, in a network namespace of each test's own; also while those others
 * change their rules at the worst moment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "live_world.h"
#include "netlink/foreign.h"

#define LIST "nft -a list ruleset"
#define TAG  FOREIGN_TAG "nsn-7:1"

/* Three that may drop, and those that do not or are not about forwarding. */
#define OWNERS                                                                \
	"add table ip a\n"                                                    \
	"add table ip6 b\n"                                                   \
	"add table inet c\n"                                                  \
	"add table inet d\n"                                                  \
	"add table bridge e\n"                                                \
	"add chain ip a forward { type filter hook forward priority 0; "      \
	"policy drop; }\n"                                                    \
	"add rule ip a forward tcp dport 1 accept\n"                          \
	"add rule ip a forward tcp dport 2 accept\n"                          \
	"add chain ip6 b forward { type filter hook forward priority 0; }\n"  \
	"add rule ip6 b forward tcp dport 1 drop\n"                           \
	"add chain inet c f { type filter hook forward priority 5; policy "   \
	"drop; }\n"                                                           \
	"add chain inet d f { type filter hook forward priority 6; }\n"       \
	"add chain inet d i { type filter hook input priority 0; policy "     \
	"drop; }\n"                                                           \
	"add chain inet d plain\n"                                            \
	"add rule inet d plain tcp dport 1 drop\n"                            \
	"add chain bridge e f { type filter hook forward priority 0; policy " \
	"drop; }\n"

#define LOAD "nft -f - <<'EOF'\nflush ruleset\n" OWNERS "EOF\n"

/* What others do in the moment before our rules are deleted, once. */
static const char *meanwhile;

/* In place of libmnl's. */
ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *bytes,
			  size_t size)
{
	const struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	const struct nlmsghdr *message = bytes;

	for (int left = (int)size; meanwhile && mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		if ((message->nlmsg_type & 0xff) != NFT_MSG_DELRULE ||
		    message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
			continue;
		assert_int_equal(system(meanwhile), 0);
		meanwhile = NULL;
	}

	return sendto(mnl_socket_get_fd(nl), bytes, size, 0,
		      (const struct sockaddr *)&to, sizeof(to));
}

static void load(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* Accept in all chains; returns in how many. */
static size_t accept_everywhere(struct nft *nft, const char *tag)
{
	const struct foreign_accepts accepts = { "nsn-7", tag };
	struct foreign_chains chains;
	size_t count;

	assert_int_equal(foreign_chains(nft, &chains), 0);
	for (size_t i = 0; i < chains.count; i++)
		assert_int_equal(
			foreign_accept(nft, &chains.chain[i], &accepts), 0);
	count = chains.count;
	foreign_chains_free(&chains);

	return count;
}

static bool told(struct nft *monitor)
{
	const struct foreign_accepts accepts = { "nsn-7", TAG };
	struct foreign_news news;

	assert_int_equal(foreign_monitor_read(monitor, &accepts, &news), 0);

	return news.changed;
}

static void finds_those_that_can_drop(void **state)
{
	struct foreign_chains chains;
	struct nft *nft;

	(void)state;
	load(LOAD);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(foreign_chains(nft, &chains), 0);
	assert_int_equal(chains.count, 3);
	for (size_t i = 0; i < chains.count; i++) {
		static const char *const families[] = { "ip", "ip6", "inet" };
		static const char *const tables[] = { "a", "b", "c" };
		static const char *const names[] = { "forward", "forward",
						     "f" };

		assert_string_equal(foreign_family(&chains.chain[i]),
				    families[i]);
		assert_string_equal(chains.chain[i].table, tables[i]);
		assert_string_equal(chains.chain[i].name, names[i]);
	}
	foreign_chains_free(&chains);
	nft_close(nft);
}

static void accepts_come_first_and_go(void **state)
{
	autofree char *before = NULL;
	autofree char *after = NULL;
	struct nft *nft;

	(void)state;
	load(LOAD);
	before = output_of(LIST);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(accept_everywhere(nft, TAG), 3);
	assert_int_equal(accept_everywhere(nft, FOREIGN_TAG "nsn-7:10"), 3);
	shows("nft list chain ip a forward",
	      "policy drop;\n"
	      "\t\tiifname \"nsn-7\" counter packets 0 bytes 0 accept "
	      "comment \"nsntrace:nsn-7:10\"\n"
	      "\t\toifname \"nsn-7\" counter packets 0 bytes 0 accept "
	      "comment \"nsntrace:nsn-7:10\"\n"
	      "\t\tiifname \"nsn-7\" counter packets 0 bytes 0 accept "
	      "comment \"nsntrace:nsn-7:1\"\n",
	      true);

	/* Those of another run stay, one tag being the other's beginning. */
	assert_int_equal(foreign_withdraw(nft, TAG), 6);
	shows(LIST, "\"nsntrace:nsn-7:1\"", false);
	shows(LIST, "\"nsntrace:nsn-7:10\"", true);
	assert_int_equal(foreign_withdraw(nft, FOREIGN_TAG "nsn-7:10"), 6);
	after = output_of(LIST);
	assert_string_equal(after, before);
	nft_close(nft);
}

static void a_rehearsal_changes_nothing(void **state)
{
	const struct nft_tables own = { .name = "nsn-7", .owner = true };
	const struct foreign_accepts accepts = { "nsn-7", TAG };
	autofree char *before = NULL;
	autofree char *after = NULL;
	struct foreign_chains chains;
	struct nft *nft, *monitor;

	(void)state;
	load(LOAD);
	before = output_of(LIST);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(foreign_monitor_open(&monitor, &own), 0);
	assert_int_equal(foreign_chains(nft, &chains), 0);
	assert_int_equal(chains.count, 3);
	for (size_t i = 0; i < chains.count; i++)
		assert_int_equal(
			foreign_rehearse(nft, &chains.chain[i], &accepts), 0);
	after = output_of(LIST);
	assert_string_equal(after, before);
	assert_false(told(monitor));
	load("nft flush ruleset");
	assert_int_equal(foreign_rehearse(nft, &chains.chain[0], &accepts),
			 -ENOENT);
	foreign_chains_free(&chains);
	nft_close(monitor);
	nft_close(nft);
}

/*
 * Loaded anew between looking and deleting: the handles are now those of the
 * owner's rules. All of these survive, and of ours none does.
 */
static void owners_rules_survive(void **state)
{
	struct nft *nft;

	(void)state;
	load(LOAD);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(accept_everywhere(nft, TAG), 3);
	/* Where ours were the fourth and fifth are two more of the owner's. */
	meanwhile = "nft -f - <<'EOF'\nflush ruleset\n" OWNERS
		    "add rule ip a forward tcp dport 3 accept\n"
		    "add rule ip a forward tcp dport 4 accept\n"
		    "add rule ip a forward tcp dport 5 accept "
		    "comment \"nsntrace:nsn-7:1\"\n"
		    "EOF\n";
	assert_int_equal(foreign_withdraw(nft, TAG), 1);
	assert_null(meanwhile);
	for (int port = 1; port <= 4; port++) {
		autofree char *rule = xasprintf("tcp dport %d accept", port);

		shows(LIST, rule, true);
	}
	/* That one was made by us, as far as anybody can tell. */
	shows(LIST, "tcp dport 5 accept", false);
	nft_close(nft);
}

static void chain_goes_meanwhile(void **state)
{
	struct nft *nft;

	(void)state;
	load(LOAD);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(accept_everywhere(nft, TAG), 3);
	meanwhile = "nft flush ruleset";
	assert_int_equal(foreign_withdraw(nft, TAG), 0);
	assert_null(meanwhile);
	nft_close(nft);
}

static void only_news_is_told(void **state)
{
	const struct nft_tables own = { .name = "nsn-7", .owner = true };
	struct nft_tables tables = {
		.name = "nsn-8",
		.interface = "lo",
		.ip4 = { .family = AF_INET, .bytes = { 10, 200, 0, 8 } },
		.owner = true,
		.egress = true,
	};
	struct nft *nft, *other, *monitor;

	(void)state;
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(foreign_monitor_open(&monitor, &own), 0);
	assert_false(told(monitor));
	load(LOAD);
	assert_true(told(monitor));

	/* Neither our own accepts nor what another run does. */
	assert_int_equal(accept_everywhere(nft, TAG), 3);
	assert_int_equal(nft_open(&other), 0);
	assert_int_equal(nft_tables_add(other, &tables), 0);
	assert_int_equal(accept_everywhere(other, FOREIGN_TAG "nsn-8:2"), 3);
	assert_int_equal(foreign_withdraw(other, FOREIGN_TAG "nsn-8:2"), 6);
	nft_close(other);
	assert_false(told(monitor));

	load("nft add rule ip a forward tcp dport 9 drop");
	assert_true(told(monitor));
	load("nft flush chain ip a forward");
	assert_true(told(monitor));
	assert_false(told(monitor));
	/* More than the socket has room for. */
	for (int i = 0; i < 20; i++)
		load("i=0; while [ $i -lt 400 ]; do i=$((i+1)); "
		     "echo add rule ip a forward tcp dport $i accept; done | "
		     "nft -f -");
	assert_true(told(monitor));
	nft_close(monitor);
	nft_close(nft);
}

static void owned_by_another(void **state)
{
	const struct foreign_accepts accepts = { "nsn-7", TAG };
	char table[] = "nsn-8", name[] = "postrouting", none[] = "none";
	struct foreign_chain chain = { NFPROTO_INET, table, name };
	struct nft_tables tables = {
		.name = "nsn-8",
		.interface = "lo",
		.ip4 = { .family = AF_INET, .bytes = { 10, 200, 0, 8 } },
		.owner = true,
		.egress = true,
	};
	struct nft *nft, *other;

	(void)state;
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_open(&other), 0);
	assert_int_equal(nft_tables_add(other, &tables), 0);
	assert_int_equal(foreign_accept(nft, &chain, &accepts), -EPERM);
	assert_int_equal(foreign_rehearse(nft, &chain, &accepts), -EPERM);
	assert_string_equal(nft_failed(nft), "accept packets in chain "
					     "postrouting of table inet nsn-8");
	chain.table = none;
	assert_int_equal(foreign_accept(nft, &chain, &accepts), -ENOENT);
	nft_close(other);
	nft_close(nft);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LIVE_TEST(finds_those_that_can_drop),
		LIVE_TEST(accepts_come_first_and_go),
		LIVE_TEST(a_rehearsal_changes_nothing),
		LIVE_TEST(owners_rules_survive),
		LIVE_TEST(chain_goes_meanwhile),
		LIVE_TEST(only_news_is_told),
		LIVE_TEST(owned_by_another),
	};

	if (geteuid() != 0) {
		fputs("1..0 # SKIP needs root\n", stderr);
		return 77;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
