/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our nftables tables against the kernel and as nft(8) sees them, in network
 * namespaces that exist for one test; also on kernels that lack something.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "live_world.h"
#include "netlink/nft.h"

/*
 * A kernel that lacks something answers as this one does to what it does not
 * know either: so what the other lacks is made into that on its way.
 */
static struct {
	bool lacks_owner;
	bool lacks_egress;
	bool lacks_netdev; /* all tables of devices */
} kernel;

#define UNKNOWN	       0x40
#define UNKNOWN_FAMILY AF_IB

static void make_unknown(const struct nlattr *attr)
{
	*(uint32_t *)mnl_attr_get_payload(attr) = htonl(UNKNOWN);
}

static void pretend(const struct nlmsghdr *message)
{
	struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	uint16_t type = message->nlmsg_type & 0xff;
	const struct nlattr *attr, *part;

	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	if (kernel.lacks_netdev && type == NFT_MSG_NEWTABLE &&
	    header->nfgen_family == NFPROTO_NETDEV)
		header->nfgen_family = UNKNOWN_FAMILY;
	mnl_attr_for_each (attr, message, sizeof(*header)) {
		if (kernel.lacks_owner && type == NFT_MSG_NEWTABLE &&
		    mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS &&
		    mnl_attr_get_u32(attr) == htonl(NFT_TABLE_F_OWNER))
			make_unknown(attr);
		if (!kernel.lacks_egress || type != NFT_MSG_NEWCHAIN ||
		    header->nfgen_family != NFPROTO_NETDEV ||
		    mnl_attr_get_type(attr) != NFTA_CHAIN_HOOK)
			continue;
		mnl_attr_for_each_nested (part, attr) {
			if (mnl_attr_get_type(part) == NFTA_HOOK_HOOKNUM)
				make_unknown(part);
		}
	}
}

/* In place of libmnl's. */
ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *bytes,
			  size_t size)
{
	const struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	autofree uint8_t *sent = xcalloc(1, size);
	const struct nlmsghdr *message = (struct nlmsghdr *)sent;

	memcpy(sent, bytes, size);
	for (int left = (int)size; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left))
		pretend(message);

	return sendto(mnl_socket_get_fd(nl), sent, size, 0,
		      (const struct sockaddr *)&to, sizeof(to));
}

#define LIST "nft list ruleset"

#define MASQUERADE                                                          \
	"\tchain postrouting {\n"                                           \
	"\t\ttype nat hook postrouting priority srcnat; policy accept;\n"   \
	"\t\tip saddr 10.200.0.7 oifname != \"nsn-7\" counter packets 0 "   \
	"bytes 0 masquerade\n"                                              \
	"\t\tip6 saddr 2001:db8::7 oifname != \"nsn-7\" counter packets 0 " \
	"bytes 0 masquerade\n"                                              \
	"\t}\n\n"                                                           \
	"\tchain leaks {\n"                                                 \
	"\t\ttype filter hook postrouting priority 150; policy "            \
	"accept;\n"                                                         \
	"\t\tip saddr 10.200.0.7 oifname != \"nsn-7\" drop\n"               \
	"\t\tip6 saddr 2001:db8::7 oifname != \"nsn-7\" drop\n"             \
	"\t}\n"

static struct nft_tables tables_of(bool owner, bool egress)
{
	return (struct nft_tables){ .name = "nsn-7",
				    .interface = "nsn-7",
				    .ip4 = ip_of("10.200.0.7"),
				    .ip6 = ip_of("2001:db8::7"),
				    .owner = owner,
				    .egress = egress };
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The kernel takes owned tables away after the socket was closed. */
static void tables_go(void)
{
	int64_t deadline = now_ms() + DEADLINE_MS;
	bool empty;

	do {
		autofree char *output = output_of(LIST);

		empty = output[0] == '\0';
	} while (!empty && now_ms() < deadline);
	assert_true(empty);
}

static void owned_tables(void **state)
{
	struct world *world = *state;
	struct nft_tables tables = tables_of(true, true);
	struct nft *nft, *other;

	set_up(world);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_tables_add(nft, &tables), 0);
	assert_true(tables.owner);
	assert_true(tables.egress);

	shows(LIST, "\tflags owner\n", true);
	shows(LIST, MASQUERADE, true);
	shows(LIST,
	      "\tflags owner\n\n"
	      "\tchain silence {\n"
	      "\t\ttype filter hook egress device \"nsn-7\" priority filter; "
	      "policy accept;\n"
	      "\t\t@ll,0,8 & 0x1 == 0x1 drop\n"
	      "\t\ticmpv6 type 130-136 drop\n"
	      "\t\ticmpv6 type mld2-listener-report drop\n"
	      "\t}\n",
	      true);

	/* Nobody else gets at them, and the name is taken. */
	assert_int_equal(nft_open(&other), 0);
	tables = tables_of(true, true);
	assert_int_equal(nft_tables_add(other, &tables), -EPERM);
	assert_string_equal(nft_failed(other), "add table inet nsn-7");
	nft_close(other);

	nft_close(nft);
	tables_go();
}

static void silence_by_output(void **state)
{
	struct world *world = *state;
	struct nft_tables tables = tables_of(true, false);
	struct nft *nft;

	set_up(world);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_tables_add(nft, &tables), 0);
	assert_false(tables.egress);
	shows(LIST, "table netdev", false);
	shows(LIST, MASQUERADE, true);
	shows(LIST,
	      "\tchain silence {\n"
	      "\t\ttype filter hook output priority filter; policy accept;\n"
	      "\t\toifname \"nsn-7\" ip daddr 224.0.0.0/3 drop\n"
	      "\t\toifname \"nsn-7\" ip6 daddr ff00::/8 drop\n"
	      "\t\toifname \"nsn-7\" icmpv6 type 130-136 drop\n"
	      "\t\toifname \"nsn-7\" icmpv6 type mld2-listener-report "
	      "drop\n"
	      "\t}\n",
	      true);
	nft_close(nft);
	tables_go();
}

static void tables_without_owner(void **state)
{
	struct world *world = *state;
	struct nft_tables tables = tables_of(false, true);
	struct nft *nft;

	set_up(world);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_tables_add(nft, &tables), 0);
	nft_close(nft);
	shows(LIST, "flags owner", false);
	shows(LIST, MASQUERADE, true);
	shows(LIST, "table netdev nsn-7", true);

	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_tables_add(nft, &tables), -EEXIST);
	assert_int_equal(system("nft delete table inet nsn-7"), 0);
	/* One is gone already; the other goes all the same. */
	assert_int_equal(nft_tables_delete(nft, &tables), -ENOENT);
	assert_string_equal(nft_failed(nft), "delete table inet nsn-7");
	tables_go();
	nft_close(nft);
}

static void only_silence(void **state)
{
	struct world *world = *state;
	struct nft_tables tables = { .name = "nsn-7",
				     .interface = "nsn-7",
				     .owner = true,
				     .egress = true };
	struct nft *nft;

	set_up(world);
	assert_int_equal(nft_open(&nft), 0);
	assert_int_equal(nft_tables_add(nft, &tables), 0);
	shows(LIST, "table netdev nsn-7", true);
	shows(LIST, "table inet", false);
	nft_close(nft);
	tables_go();
}

static void falls_back(void **state)
{
	struct world *world = *state;

	set_up(world);
	for (int lacks = 1; lacks <= 5; lacks++) {
		struct nft_tables tables = tables_of(true, true);
		struct nft *nft;

		kernel.lacks_owner = lacks & 1;
		kernel.lacks_egress = lacks & 2;
		kernel.lacks_netdev = lacks & 4;
		assert_int_equal(nft_open(&nft), 0);
		assert_int_equal(nft_tables_add(nft, &tables), 0);
		memset(&kernel, 0, sizeof(kernel));

		assert_int_equal(tables.owner, !(lacks & 1));
		assert_int_equal(tables.egress, !(lacks & 6));
		shows(LIST, MASQUERADE, true);
		shows(LIST, "flags owner", tables.owner);
		shows(LIST, "hook egress", tables.egress);
		shows(LIST, "hook output", !tables.egress);

		if (!tables.owner)
			assert_int_equal(nft_tables_delete(nft, &tables), 0);
		nft_close(nft);
		tables_go();
	}
}

static uint64_t received(struct world *world)
{
	struct link link;

	assert_int_equal(
		rtnl_link_get(world->inside, INSIDE_INDEX, NULL, &link), 0);

	return link.rx_packets;
}

/* A daemon of the host: to a group of each family, out of our interface. */
static void send_to_groups(void)
{
	static const char *const groups[] = { "224.0.0.251", "ff02::fb" };
	const struct ip_mreqn out4 = { .imr_ifindex = HOST_INDEX };
	const int out6 = HOST_INDEX;

	for (size_t i = 0; i < 2; i++) {
		const struct ip group = ip_of(groups[i]);
		struct sockaddr_storage to;
		socklen_t size = ip_sockaddr(&group, 5353, &to);
		autoclose int fd =
			socket(group.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out4,
			   sizeof(out4));
		setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &out6,
			   sizeof(out6));
		/* The output hook answers EPERM, the egress hook nothing. */
		if (sendto(fd, "?", 1, 0, (struct sockaddr *)&to, size) < 0)
			assert_int_equal(errno, EPERM);
	}
}

static void send_to_program(void)
{
	const struct ip program = ip_of("10.200.0.7");
	struct sockaddr_storage to;
	socklen_t size = ip_sockaddr(&program, 7000, &to);
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, "?", 1, 0, (struct sockaddr *)&to, size),
			 1);
}

/* What goes to groups does not arrive, what goes to the program does. */
static void silence(void **state)
{
	struct world *world = *state;
	uint64_t before;

	set_up(world);
	before = received(world);
	send_to_groups();
	send_to_program();
	assert_true(received(world) >= before + 3);

	for (int egress = 0; egress <= 1; egress++) {
		struct nft_tables tables = tables_of(true, egress);
		struct nft *nft;

		assert_int_equal(nft_open(&nft), 0);
		assert_int_equal(nft_tables_add(nft, &tables), 0);
		before = received(world);
		send_to_groups();
		send_to_program();
		assert_int_equal(received(world), before + 1);
		nft_close(nft);
		tables_go();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LIVE_TEST(owned_tables),	 LIVE_TEST(silence_by_output),
		LIVE_TEST(tables_without_owner), LIVE_TEST(only_silence),
		LIVE_TEST(falls_back),		 LIVE_TEST(silence),
	};

	if (geteuid() != 0) {
		fputs("1..0 # SKIP needs root\n", stderr);
		return 77;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
