/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The netlink modules against the kernel, in network namespaces that exist for
 * one test: a veth pair with all that belongs to it, routes and rules, news,
 * and our nftables tables as nft(8) sees them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "netlink/nft.h"
#include "netlink/rtnl.h"

#define HOST_INDEX   1048583
#define INSIDE_INDEX 1048584
#define TABLE	     4711
#define DEADLINE_MS  5000

static const uint8_t host_mac[] = { 0x02, 0, 0, 0, 0, 1 };
static const uint8_t inside_mac[] = { 0x02, 0, 0, 0, 0, 2 };

/* Two namespaces; the process is in the host's. */
struct world {
	int host_netns;
	int inside_netns;
	struct rtnl *host;
	struct rtnl *inside;
};

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));

	return ip;
}

static int open_netns(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);

	return fd;
}

static int make_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	world->inside_netns = open_netns();
	assert_int_equal(rtnl_open(&world->inside), 0);
	world->host_netns = open_netns();
	assert_int_equal(rtnl_open(&world->host), 0);
	*state = world;

	return 0;
}

static int end_world(void **state)
{
	struct world *world = *state;

	rtnl_close(world->host);
	rtnl_close(world->inside);
	close(world->host_netns);
	close(world->inside_netns);
	free(world);

	return 0;
}

static void add_veth(struct world *world)
{
	const struct veth veth = {
		.name = "nsn-7",
		.index = HOST_INDEX,
		.mac = host_mac,
		.peer_name = "eth0",
		.peer_index = INSIDE_INDEX,
		.peer_mac = inside_mac,
		.peer_netns = world->inside_netns,
		.mtu = 1400,
	};

	rtnl_veth_add(world->host, &veth);
}

static void add_address(struct rtnl *rtnl, uint32_t index, const char *text,
			uint8_t prefix)
{
	rtnl_address_add(rtnl, &(struct address){ .index = index,
						  .ip = ip_of(text),
						  .prefix = prefix });
}

static void add_route(struct rtnl *rtnl, const char *destination,
		      uint8_t prefix, const char *gateway, uint32_t index,
		      uint32_t table)
{
	struct route route = { .destination = ip_of(destination),
			       .prefix = prefix,
			       .index = index,
			       .table = table,
			       .onlink = gateway != NULL };

	if (gateway)
		route.gateway = ip_of(gateway);
	rtnl_route_add(rtnl, &route);
}

/* That an IPv6 address receives from now on. */
static void add_local(struct rtnl *rtnl, uint32_t index, const char *text)
{
	rtnl_route_add(rtnl, &(struct route){ .type = RTN_LOCAL,
					      .table = RT_TABLE_LOCAL,
					      .destination = ip_of(text),
					      .prefix = 128,
					      .index = index });
}

/* Both ends as a run sets them up, one batch for each side. */
static void set_up(struct world *world)
{
	struct rtnl *host = world->host, *inside = world->inside;
	const struct ip v4 = ip_of("10.200.0.7"), v6 = ip_of("2001:db8::7");
	const struct ip gateway4 = ip_of("169.254.1.1");
	const struct ip gateway6 = ip_of("fe80::1");

	add_veth(world);
	rtnl_link_no_addrgen(host, HOST_INDEX);
	add_address(host, HOST_INDEX, "169.254.1.1", 32);
	add_address(host, HOST_INDEX, "fe80::1", 64);
	rtnl_link_flags(host, HOST_INDEX, IFF_UP, IFF_UP);
	rtnl_neighbour_add(host, HOST_INDEX, &v4, inside_mac);
	rtnl_neighbour_add(host, HOST_INDEX, &v6, inside_mac);
	add_route(host, "10.200.0.7", 32, NULL, HOST_INDEX, 0);
	add_route(host, "2001:db8::7", 128, NULL, HOST_INDEX, 0);
	assert_int_equal(rtnl_commit(host), 0);

	rtnl_link_flags(inside, 1, IFF_UP, IFF_UP);
	rtnl_link_no_addrgen(inside, INSIDE_INDEX);
	add_address(inside, INSIDE_INDEX, "10.200.0.7", 32);
	add_address(inside, INSIDE_INDEX, "2001:db8::7", 128);
	rtnl_link_flags(inside, INSIDE_INDEX, IFF_UP | IFF_NOARP,
			IFF_UP | IFF_NOARP);
	add_local(inside, INSIDE_INDEX, "2001:db8::7");
	rtnl_neighbour_add(inside, INSIDE_INDEX, &gateway4, host_mac);
	rtnl_neighbour_add(inside, INSIDE_INDEX, &gateway6, host_mac);
	add_route(inside, "0.0.0.0", 0, "169.254.1.1", INSIDE_INDEX, 0);
	add_route(inside, "::", 0, "fe80::1", INSIDE_INDEX, 0);
	assert_int_equal(rtnl_commit(inside), 0);
	assert_int_equal(rtnl_link_await(host, HOST_INDEX), 0);
}

static void veth_pair(void **state)
{
	struct world *world = *state;
	struct link link;

	set_up(world);

	assert_int_equal(rtnl_link_get(world->host, 0, "nsn-7", &link), 0);
	assert_int_equal(link.index, HOST_INDEX);
	assert_int_equal(link.mtu, 1400);
	assert_int_equal(link.type, ARPHRD_ETHER);
	assert_true(link.flags & IFF_UP);

	assert_int_equal(
		rtnl_link_get(world->inside, INSIDE_INDEX, NULL, &link), 0);
	assert_string_equal(link.name, "eth0");
	assert_int_equal(link.mtu, 1400);
	assert_true(link.flags & IFF_NOARP);
}

struct addresses {
	uint32_t index;
	size_t count;
	struct address found[8];
};

static int keep_address(const struct address *address, void *context)
{
	struct addresses *addresses = context;

	if (address->index == addresses->index)
		addresses->found[addresses->count++] = *address;

	return 0;
}

static void addresses_are_ours_only(void **state)
{
	struct world *world = *state;
	struct addresses addresses = { .index = INSIDE_INDEX };
	const struct ip v4 = ip_of("10.200.0.7"), v6 = ip_of("2001:db8::7");

	set_up(world);
	assert_int_equal(
		rtnl_addresses(world->inside, keep_address, &addresses), 0);
	assert_int_equal(addresses.count, 2);
	assert_true(ip_equal(&addresses.found[0].ip, &v4));
	assert_int_equal(addresses.found[0].prefix, 32);
	assert_true(ip_equal(&addresses.found[1].ip, &v6));
	assert_int_equal(addresses.found[1].prefix, 128);
}

/* Take one byte; returns who sent it. */
static struct sockaddr_storage take_byte(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	char byte;

	assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
	assert_int_equal(
		recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &size), 1);

	return from;
}

static void send_byte(int fd, const struct sockaddr_storage *to)
{
	assert_int_equal(
		sendto(fd, "?", 1, 0, (const struct sockaddr *)to, sizeof(*to)),
		1);
}

/* The very first packets of each family, there and back. */
static void no_packet_is_lost(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *from;
		const char *to;
	} ways[] = {
		{"10.200.0.7",	"169.254.1.1"},
		{ "2001:db8::7", "2001:db8::1"}
	};

	set_up(world);
	add_address(world->host, HOST_INDEX, "2001:db8::1", 128);
	add_local(world->host, HOST_INDEX, "2001:db8::1");
	assert_int_equal(rtnl_commit(world->host), 0);
	for (size_t i = 0; i < 2; i++) {
		const struct ip from = ip_of(ways[i].from);
		const struct ip to = ip_of(ways[i].to);
		struct sockaddr_storage address, expected;
		autoclose int server = -1, client = -1;
		socklen_t size = ip_sockaddr(&to, 7000, &address);

		server = socket(to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(
			bind(server, (struct sockaddr *)&address, size), 0);
		assert_int_equal(setns(world->inside_netns, CLONE_NEWNET), 0);
		client = socket(to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ip_sockaddr(&from, 7001, &expected);
		assert_int_equal(
			bind(client, (struct sockaddr *)&expected, size), 0);
		assert_int_equal(setns(world->host_netns, CLONE_NEWNET), 0);

		send_byte(client, &address);
		address = take_byte(server);
		assert_memory_equal(&address, &expected, size);
		send_byte(server, &address);
		take_byte(client);
	}
}

static void the_name_is_the_lock(void **state)
{
	struct world *world = *state;

	add_veth(world);
	assert_int_equal(rtnl_commit(world->host), 0);
	add_veth(world);
	assert_int_equal(rtnl_commit(world->host), -EEXIST);
	assert_string_equal(rtnl_failed(world->host),
			    "create veth pair nsn-7/eth0");
}

static void the_first_failure_is_told(void **state)
{
	struct world *world = *state;
	struct link link;

	rtnl_link_flags(world->host, 1, IFF_UP, IFF_UP);
	add_address(world->host, 77, "10.200.0.7", 32);
	add_route(world->host, "10.9.0.0", 16, NULL, 77, 0);
	assert_int_equal(rtnl_commit(world->host), -ENODEV);
	assert_non_null(strstr(rtnl_failed(world->host),
			       "add address 10.200.0.7/32 to interface 77"));

	/* What came before it was done, and the next batch knows nothing. */
	assert_int_equal(rtnl_link_get(world->host, 1, NULL, &link), 0);
	assert_true(link.flags & IFF_UP);
	assert_int_equal(rtnl_commit(world->host), 0);
}

static void what_is_gone_is_told(void **state)
{
	struct world *world = *state;
	const struct rule rule = { AF_INET, "nsn-7", TABLE, 100 };
	const struct route route = { .destination = ip_of("10.9.0.0"),
				     .prefix = 16,
				     .index = 1 };

	rtnl_link_delete(world->host, 77);
	assert_int_equal(rtnl_commit(world->host), -ENODEV);
	rtnl_rule_delete(world->host, &rule);
	assert_int_equal(rtnl_commit(world->host), -ENOENT);
	rtnl_route_delete(world->host, &route);
	assert_int_equal(rtnl_commit(world->host), -ESRCH);
}

static void links_by_name(void **state)
{
	struct world *world = *state;
	char name[300];
	struct link link;

	set_up(world);
	assert_int_equal(
		system("ip link property add dev nsn-7 altname "
		       "a-rather-long-alternative-name altname shorter"),
		0);
	assert_int_equal(rtnl_link_get(world->host, 0,
				       "a-rather-long-alternative-name", &link),
			 0);
	assert_string_equal(link.name, "nsn-7");
	assert_int_equal(rtnl_link_get(world->host, 0, "shorter", &link), 0);
	assert_int_equal(link.index, HOST_INDEX);

	assert_int_equal(rtnl_link_get(world->host, 0, "none", &link), -ENODEV);
	assert_string_equal(rtnl_failed(world->host), "look up interface none");
	assert_int_equal(rtnl_link_get(world->host, 77, NULL, &link), -ENODEV);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(rtnl_link_get(world->host, 0, name, &link), -ENODEV);
}

static int count_links(const struct link *link, void *context)
{
	(void)link;

	return ++*(int *)context == 2 ? -ECANCELED : 0;
}

static void a_callback_ends_the_dump(void **state)
{
	struct world *world = *state;
	int count = 0;

	assert_int_equal(rtnl_links(world->host, count_links, &count), 0);
	assert_int_equal(count, 1);

	add_veth(world);
	assert_int_equal(rtnl_commit(world->host), 0);
	count = 0;
	assert_int_equal(rtnl_links(world->host, count_links, &count),
			 -ECANCELED);
}

struct routes {
	const char *destination; /* looked for */
	uint8_t prefix;
	uint32_t table;
	size_t count;
	struct route found[4];
};

static int keep_route(const struct route *route, void *context)
{
	struct routes *routes = context;
	const struct ip destination = ip_of(routes->destination);

	if (route->table == routes->table && route->prefix == routes->prefix &&
	    ip_equal(&route->destination, &destination))
		routes->found[routes->count++] = *route;

	return 0;
}

static void routes_in_every_table(void **state)
{
	struct world *world = *state;
	struct routes v6 = { .destination = "::", .table = TABLE };
	struct routes v4 = { .destination = "10.9.0.0",
			     .prefix = 16,
			     .table = TABLE };
	const struct ip gateway = ip_of("169.254.7.7");
	const struct ip source = ip_of("169.254.1.1");
	const struct route full = { .destination = ip_of("10.9.0.0"),
				    .prefix = 16,
				    .table = TABLE,
				    .gateway = gateway,
				    .source = source,
				    .index = HOST_INDEX,
				    .metric = 77,
				    .onlink = true };

	set_up(world);
	rtnl_route_add(world->host, &full);
	rtnl_route_add(world->host, &(struct route){ .type = RTN_UNREACHABLE,
						     .destination = ip_of("::"),
						     .table = TABLE,
						     .metric = 4294967294 });
	assert_int_equal(rtnl_commit(world->host), 0);

	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &v4), 0);
	assert_int_equal(v4.count, 1);
	assert_int_equal(v4.found[0].type, RTN_UNICAST);
	assert_int_equal(v4.found[0].protocol, RTPROT_STATIC);
	assert_true(ip_equal(&v4.found[0].gateway, &gateway));
	assert_true(ip_equal(&v4.found[0].source, &source));
	assert_int_equal(v4.found[0].index, HOST_INDEX);
	assert_int_equal(v4.found[0].metric, 77);
	assert_true(v4.found[0].onlink);
	assert_false(v4.found[0].multipath);

	assert_int_equal(rtnl_routes(world->host, AF_INET6, keep_route, &v6),
			 0);
	assert_int_equal(v6.count, 1);
	assert_int_equal(v6.found[0].type, RTN_UNREACHABLE);

	/* It can be taken back with the same words. */
	rtnl_route_delete(world->host, &full);
	assert_int_equal(rtnl_commit(world->host), 0);
	v4.count = 0;
	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &v4), 0);
	assert_int_equal(v4.count, 0);
}

static void every_next_hop(void **state)
{
	struct world *world = *state;
	struct routes both = { .destination = "10.9.0.0",
			       .prefix = 16,
			       .table = RT_TABLE_MAIN };
	struct routes object = { .destination = "10.8.0.0",
				 .prefix = 16,
				 .table = RT_TABLE_MAIN };
	struct routes via = { .destination = "10.7.0.0",
			      .prefix = 16,
			      .table = RT_TABLE_MAIN };
	const struct ip gateway = ip_of("fe80::77");
	struct route copy;

	set_up(world);
	assert_int_equal(
		system("ip route add 10.9.0.0/16 "
		       "nexthop via 169.254.7.7 dev nsn-7 onlink "
		       "nexthop via 169.254.7.8 dev nsn-7 onlink && "
		       "ip nexthop add id 5 via 169.254.7.7 dev nsn-7 onlink "
		       "&& "
		       "ip route add 10.8.0.0/16 nhid 5 && "
		       "ip route add 10.7.0.0/16 via inet6 fe80::77 dev nsn-7"),
		0);

	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &both),
			 0);
	assert_int_equal(both.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(both.found[i].multipath);
		assert_true(both.found[i].onlink);
		assert_int_equal(both.found[i].index, HOST_INDEX);
		assert_int_equal(both.found[i].gateway.bytes[3], 7 + i);
	}

	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &object),
			 0);
	assert_int_equal(object.count, 1);
	assert_int_equal(object.found[0].index, HOST_INDEX);

	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &via),
			 0);
	assert_int_equal(via.count, 1);
	assert_true(ip_equal(&via.found[0].gateway, &gateway));

	/* A copy, gateway of the other family and all, is taken as well. */
	copy = via.found[0];
	copy.table = TABLE;
	rtnl_route_add(world->host, &copy);
	assert_int_equal(rtnl_commit(world->host), 0);
}

static void lookup_tells_the_entry(void **state)
{
	struct world *world = *state;
	const struct ip far = ip_of("10.9.1.2"), near = ip_of("10.200.0.7");
	const struct ip far6 = ip_of("2001:db8:1::1");
	const struct ip gateway = ip_of("169.254.1.1");
	struct route route;

	assert_int_equal(rtnl_route_lookup(world->host, &far, 0, &route),
			 -ENETUNREACH);
	assert_string_equal(rtnl_failed(world->host),
			    "look up the route to 10.9.1.2");

	set_up(world);
	assert_int_equal(rtnl_route_lookup(world->inside, &far, 0, &route), 0);
	assert_int_equal(route.prefix, 0);
	assert_int_equal(route.index, INSIDE_INDEX);
	assert_true(ip_equal(&route.gateway, &gateway));
	assert_int_equal(route.table, RT_TABLE_MAIN);
	assert_int_equal(route.type, RTN_UNICAST);

	assert_int_equal(rtnl_route_lookup(world->inside, &far6, 0, &route), 0);
	assert_int_equal(route.prefix, 0);
	assert_int_equal(route.destination.family, AF_INET6);
	assert_int_equal(route.index, INSIDE_INDEX);

	assert_int_equal(
		rtnl_route_lookup(world->host, &near, HOST_INDEX, &route), 0);
	assert_int_equal(route.prefix, 32);
	assert_int_equal(rtnl_route_lookup(world->inside, &near, 0, &route), 0);
	assert_int_equal(route.type, RTN_LOCAL);

	rtnl_route_add(world->host, &(struct route){ .type = RTN_UNREACHABLE,
						     .destination = far,
						     .prefix = 32 });
	assert_int_equal(rtnl_commit(world->host), 0);
	assert_int_equal(rtnl_route_lookup(world->host, &far, 0, &route),
			 -EHOSTUNREACH);
}

static int count_families(const struct route *route, void *context)
{
	int *count = context;

	count[route->destination.family == AF_INET6]++;

	return 0;
}

static void routes_of_both_families(void **state)
{
	struct world *world = *state;
	int count[2] = { 0 };

	set_up(world);
	assert_int_equal(
		rtnl_routes(world->inside, AF_UNSPEC, count_families, count),
		0);
	assert_true(count[0] > 0);
	assert_true(count[1] > 0);
}

/* The output of a command, to be freed. */
static char *output_of(const char *command)
{
	FILE *pipe = popen(command, "re");
	char *text = xcalloc(1, 65536);
	size_t used;

	assert_non_null(pipe);
	used = fread(text, 1, 65535, pipe);
	text[used] = '\0';
	pclose(pipe);

	return text;
}

static void shows(const char *command, const char *text, bool expected)
{
	autofree char *output = output_of(command);

	if (!!strstr(output, text) != expected)
		fail_msg("%s in the output of %s:\n%s\nwanted:\n%s",
			 expected ? "not" : "still", command, output, text);
}

static void rules_come_and_go(void **state)
{
	struct world *world = *state;
	static const struct {
		sa_family_t family;
		const char *list;
	} families[] = {
		{AF_INET,   "ip rule"   },
		{ AF_INET6, "ip -6 rule"}
	};

	for (size_t i = 0; i < 2; i++) {
		const struct rule rule = { families[i].family, "nsn-7", TABLE,
					   1 };
		const char *line = "1:	from all iif nsn-7 [detached] lookup "
				   "4711";

		rtnl_rule_add(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), 0);
		shows(families[i].list, line, true);
		rtnl_rule_add(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), -EEXIST);

		rtnl_rule_delete(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), 0);
		shows(families[i].list, line, false);
	}
}

/* More requests than acknowledgements fit the receive buffer. */
static void a_large_batch(void **state)
{
	struct world *world = *state;
	struct routes last = { .destination = "10.9.7.208",
			       .prefix = 32,
			       .table = TABLE };

	set_up(world);
	for (uint32_t i = 0; i <= 2000; i++) {
		struct route route = { .destination = ip_of("10.9.0.0"),
				       .prefix = 32,
				       .index = HOST_INDEX,
				       .table = TABLE };

		route.destination.v4.s_addr =
			htonl(ntohl(route.destination.v4.s_addr) + i);
		rtnl_route_add(world->host, &route);
	}
	assert_int_equal(rtnl_commit(world->host), 0);
	assert_int_equal(rtnl_routes(world->host, AF_INET, keep_route, &last),
			 0);
	assert_int_equal(last.count, 1);
}

struct news {
	int seen[RTNL_EVENT_OVERRUN + 1];
};

static void keep_news(enum rtnl_event event, const struct link *link,
		      const struct route *route, void *context)
{
	struct news *news = context;

	if (link && link->index != HOST_INDEX)
		return;
	if (route && route->destination.family == AF_INET &&
	    route->prefix == 16)
		assert_int_equal(route->index, HOST_INDEX);
	news->seen[event]++;
}

static void news_of_links_and_routes(void **state)
{
	struct world *world = *state;
	struct news news = { 0 };
	struct rtnl *monitor;

	assert_int_equal(rtnl_monitor_open(&monitor), 0);
	assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news), 0);
	assert_int_equal(news.seen[RTNL_EVENT_LINK_NEW], 0);

	set_up(world);
	add_route(world->host, "10.9.0.0", 16, NULL, HOST_INDEX, 0);
	assert_int_equal(rtnl_commit(world->host), 0);
	rtnl_link_delete(world->host, HOST_INDEX);
	assert_int_equal(rtnl_commit(world->host), 0);

	while (!news.seen[RTNL_EVENT_LINK_DEL]) {
		struct pollfd readable = { .fd = rtnl_fd(monitor),
					   .events = POLLIN };

		assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
		assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news),
				 0);
	}
	assert_true(news.seen[RTNL_EVENT_LINK_NEW] >= 1);
	assert_true(news.seen[RTNL_EVENT_ROUTE_NEW] >= 1);
	assert_true(news.seen[RTNL_EVENT_ROUTE_DEL] >= 1);
	assert_int_equal(news.seen[RTNL_EVENT_OVERRUN], 0);
	rtnl_close(monitor);
}

static void lost_news_is_told(void **state)
{
	struct world *world = *state;
	struct news news = { 0 };
	struct rtnl *monitor;

	assert_int_equal(rtnl_monitor_open(&monitor), 0);
	set_up(world);
	for (uint32_t i = 0; i < 2000; i++) {
		struct route route = { .destination = ip_of("10.9.0.0"),
				       .prefix = 32,
				       .index = HOST_INDEX };

		route.destination.v4.s_addr =
			htonl(ntohl(route.destination.v4.s_addr) + i);
		rtnl_route_add(world->host, &route);
	}
	assert_int_equal(rtnl_commit(world->host), 0);
	assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news), 0);
	assert_true(news.seen[RTNL_EVENT_OVERRUN] >= 1);
	assert_true(news.seen[RTNL_EVENT_ROUTE_NEW] >= 1);
	rtnl_close(monitor);
}

/*
 * A kernel that lacks something answers as this one does to what it does not
 * know either: so what the other lacks is made into that on its way.
 */
static struct {
	bool lacks_owner;
	bool lacks_egress;
} kernel;

#define UNKNOWN 0x40

static void make_unknown(const struct nlattr *attr)
{
	*(uint32_t *)mnl_attr_get_payload(attr) = htonl(UNKNOWN);
}

static void pretend(const struct nlmsghdr *message)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	uint16_t type = message->nlmsg_type & 0xff;
	const struct nlattr *attr, *part;

	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		if (kernel.lacks_owner && type == NFT_MSG_NEWTABLE &&
		    mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS &&
		    mnl_attr_get_u32(attr) == htonl(NFT_TABLE_F_OWNER))
			make_unknown(attr);
		if (!kernel.lacks_egress || type != NFT_MSG_NEWCHAIN ||
		    header->nfgen_family != NFPROTO_NETDEV ||
		    mnl_attr_get_type(attr) != NFTA_CHAIN_HOOK)
			continue;
		mnl_attr_for_each_nested(part, attr)
		{
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
	const struct nlmsghdr *message = bytes;

	for (int left = (int)size; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left))
		pretend(message);

	return sendto(mnl_socket_get_fd(nl), bytes, size, 0,
		      (const struct sockaddr *)&to, sizeof(to));
}

#define LIST "nft list ruleset"

#define MASQUERADE                                                        \
	"\tchain postrouting {\n"                                         \
	"\t\ttype nat hook postrouting priority srcnat; policy accept;\n" \
	"\t\tip saddr 10.200.0.7 oifname != \"nsn-7\" masquerade\n"       \
	"\t\tip6 saddr 2001:db8::7 oifname != \"nsn-7\" masquerade\n"     \
	"\t}\n"

static struct nft_tables tables_of(bool owner, bool egress)
{
	return (struct nft_tables){ .name = "nsn-7",
				    .interface = "nsn-7",
				    .index = HOST_INDEX,
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
	      "table netdev nsn-7 { # progname test_live_netli\n"
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
	for (int lacks = 1; lacks <= 3; lacks++) {
		struct nft_tables tables = tables_of(true, true);
		struct nft *nft;

		kernel.lacks_owner = lacks & 1;
		kernel.lacks_egress = lacks & 2;
		assert_int_equal(nft_open(&nft), 0);
		assert_int_equal(nft_tables_add(nft, &tables), 0);
		kernel.lacks_owner = kernel.lacks_egress = false;

		assert_int_equal(tables.owner, !(lacks & 1));
		assert_int_equal(tables.egress, !(lacks & 2));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(veth_pair),
		TEST(addresses_are_ours_only),
		TEST(no_packet_is_lost),
		TEST(the_name_is_the_lock),
		TEST(the_first_failure_is_told),
		TEST(what_is_gone_is_told),
		TEST(links_by_name),
		TEST(a_callback_ends_the_dump),
		TEST(routes_in_every_table),
		TEST(every_next_hop),
		TEST(lookup_tells_the_entry),
		TEST(routes_of_both_families),
		TEST(rules_come_and_go),
		TEST(a_large_batch),
		TEST(news_of_links_and_routes),
		TEST(lost_news_is_told),
		TEST(owned_tables),
		TEST(silence_by_output),
		TEST(tables_without_owner),
		TEST(only_silence),
		TEST(falls_back),
	};

	if (geteuid() != 0) {
		fputs("1..0 # SKIP needs root\n", stderr);
		return 77;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
