/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that answers any bytes to whatever it is asked over netlink: links,
 * addresses, routes, sockets, connections, the firewalls of others and what
 * they tell of themselves. Every question comes to an end, what is told to the
 * asker is sound, and so is every request that comes of it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "netlink/conntrack.h"
#include "netlink/foreign.h"
#include "netlink/gauge.h"
#include "netlink/nft_internal.h"
#include "netlink/rtnl_internal.h"
#include "netlink/sockdiag.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define TAG	  FOREIGN_TAG "nsn-7:1"
#define REPLY_MAX 32768

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the input, and which question is answered by it. */
static struct {
	const uint8_t *bytes;
	size_t size;
	uint32_t sequence;
} kernel;

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* The kernel takes it for all connections if none is named. */
static void check_deletion(const struct nlmsghdr *message)
{
	const struct nlattr *attr;
	bool named = false;

	if (message->nlmsg_type !=
	    (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE))
		return;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg))
		named |= mnl_attr_get_type(attr) == CTA_TUPLE_ORIG &&
			 mnl_attr_get_payload_len(attr) > 0;
	check(named);
}

/* In place of libmnl's: whole messages, and nothing behind the last one. */
ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *bytes,
			  size_t size)
{
	const struct nlmsghdr *message = bytes;
	int left = (int)size;

	(void)nl;
	check(netlink_ok(message, left));
	kernel.sequence = message->nlmsg_seq;
	for (; netlink_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		check(message->nlmsg_flags & NLM_F_REQUEST);
		check_deletion(message);
	}
	check(left == 0);

	return (ssize_t)size;
}

/*
 * In place of libmnl's: so many bytes of the input as its next two tell. The
 * numbers in them count from that of the question, or nothing would fit.
 */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *nl, void *bytes,
			    size_t room)
{
	struct nlmsghdr *message = bytes;
	size_t size;
	int left;

	(void)nl;
	check(room <= REPLY_MAX);
	if (kernel.size < 2) {
		errno = EIO;
		return -1;
	}
	size = (size_t)(kernel.bytes[0] | kernel.bytes[1] << 8) % room;
	kernel.bytes += 2;
	kernel.size -= 2;
	size = size < kernel.size ? size : kernel.size;
	memcpy(bytes, kernel.bytes, size);
	kernel.bytes += size;
	kernel.size -= size;
	left = (int)size;
	for (; netlink_ok(message, left);
	     message = mnl_nlmsg_next(message, &left))
		message->nlmsg_seq += kernel.sequence;

	return (ssize_t)size;
}

static struct nft *new_nft(void)
{
	struct nft *nft = calloc(1, sizeof(*nft));

	nft->nl.sequence = 1;

	return nft;
}

static void ask_chains(void)
{
	const struct foreign_accepts accepts = { "nsn-7", TAG };
	struct nft *nft = new_nft();
	struct foreign_chains chains;

	if (foreign_chains(nft, &chains) < 0)
		check(nft->nl.failed[0]);
	for (size_t i = 0; i < chains.count; i++) {
		const struct foreign_chain *chain = &chains.chain[i];

		check(chain->family == NFPROTO_IPV4 ||
		      chain->family == NFPROTO_IPV6 ||
		      chain->family == NFPROTO_INET);
		check(strlen(chain->table) < NFT_NAME_MAXLEN);
		check(strlen(chain->name) < NFT_NAME_MAXLEN);
		check(strncmp(chain->table, "nsn-", 4) != 0);
		if (foreign_accepted(nft, chain, TAG) == 0)
			foreign_accept(nft, chain, &accepts);
	}
	foreign_chains_free(&chains);
	nft_close(nft);
}

static void ask_withdraw(void)
{
	struct nft *nft = new_nft();

	foreign_withdraw(nft, TAG);
	nft_close(nft);
}

static void ask_news(void)
{
	const struct foreign_accepts accepts = { "nsn-7", TAG };
	struct nft *nft = new_nft();
	struct foreign_news news;

	foreign_monitor_read(nft, &accepts, &news);
	nft_close(nft);
}

static void ask_gauge(void)
{
	struct nft_tables tables = { .name = "nsn-7", .interface = "nsn-7" };
	struct nft *nft = new_nft();
	struct gauge gauge;

	tables.ip4.family = AF_INET;
	tables.ip6.family = AF_INET6;
	gauge_read(nft, &tables, &gauge);
	gauge_delete(nft, &tables);
	nft_close(nft);
}

static void ask_tables(void)
{
	struct nft_tables tables = { .name = "nsn-7", .interface = "nsn-7" };
	struct nft *nft = new_nft();

	tables.ip4.family = AF_INET;
	tables.owner = tables.egress = true;
	if (nft_tables_add(nft, &tables) < 0)
		check(nft->nl.failed[0]);
	nft_tables_delete(nft, &tables);
	nft_close(nft);
}

static void ask_sockets(void)
{
	struct sockdiag *sockdiag;
	struct ip ip;

	check(sockdiag_open(&sockdiag) == 0);
	check(ip_parse("192.0.2.1", &ip));
	sockdiag_tcp_unfinished(sockdiag);
	sockdiag_finds(sockdiag, IPPROTO_TCP, &ip, 80);
	sockdiag_abort(sockdiag, &ip);
	sockdiag_close(sockdiag);
}

static int see_link(const struct link *link, void *context)
{
	(void)context;
	check(memchr(link->name, '\0', sizeof(link->name)));

	return 0;
}

static int see_address(const struct address *address, void *context)
{
	(void)context;
	check(ip_size(&address->ip) > 0);

	return 0;
}

static int see_route(const struct route *route, void *context)
{
	(void)context;
	check(ip_size(&route->destination) > 0);

	return 0;
}

static void ask_routes(void)
{
	struct rtnl rtnl = { .nl.sequence = 1 };
	struct link link = { 0 };
	struct route route;
	struct ip ip;

	check(ip_parse("2001:db8::1", &ip));
	rtnl_link_get(&rtnl, 0, "eth0", &link);
	see_link(&link, NULL);
	rtnl_route_lookup(&rtnl, &ip, 0, &route);
	rtnl_links(&rtnl, see_link, NULL);
	rtnl_addresses(&rtnl, see_address, NULL);
	rtnl_routes(&rtnl, AF_UNSPEC, see_route, NULL);
	netlink_close(&rtnl.nl);
}

static void see_event(enum rtnl_event event, const struct route *route,
		      void *context)
{
	(void)event;
	if (route)
		see_route(route, context);
}

static void ask_changes(void)
{
	struct rtnl rtnl = { .nl.sequence = 1 };

	rtnl_monitor_read(&rtnl, see_event, NULL);
	netlink_close(&rtnl.nl);
}

static void ask_connections(void)
{
	struct nft *nft = new_nft();
	struct ip ip;

	check(ip_parse("192.0.2.1", &ip));
	conntrack_forget(nft, &ip);
	nft_close(nft);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const questions[])(void) = {
		ask_chains, ask_withdraw, ask_news,
		ask_gauge,  ask_tables,	  ask_sockets,
		ask_routes, ask_changes,  ask_connections,
	};

	if (!size)
		return 0;
	kernel.bytes = data + 1;
	kernel.size = size - 1;
	kernel.sequence = 0;
	questions[*data % (sizeof(questions) / sizeof(*questions))]();

	return 0;
}
