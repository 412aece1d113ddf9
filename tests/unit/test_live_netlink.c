/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Route netlink against the kernel, in network namespaces that exist for one
 * test: a veth pair with all that belongs to it, routes and rules, and news.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

#include "live_world.h"

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
	} ways[] = { { "10.200.0.7", "169.254.1.1" },
		     { "2001:db8::7", "2001:db8::1" } };

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
	const struct rule rule = { .family = AF_INET,
				   .iif = "nsn-7",
				   .table = TABLE,
				   .priority = 100 };
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

static void rules_come_and_go(void **state)
{
	struct world *world = *state;
	static const struct {
		sa_family_t family;
		const char *iif;
		const char *destination;
		uint8_t prefix;
		const char *list;
		const char *line;
	} cases[] = {
		{ AF_INET, "nsn-7", NULL, 0, "ip rule",
		  "1:	from all iif nsn-7 [detached] lookup 4711" },
		{ AF_INET6, "nsn-7", NULL, 0, "ip -6 rule",
		  "1:	from all iif nsn-7 [detached] lookup 4711" },
		{ AF_INET, NULL, "10.200.0.7", 32, "ip rule",
		  "1:	from all to 10.200.0.7 lookup 4711" },
		{ AF_INET6, NULL, "2001:db8::7", 128, "ip -6 rule",
		  "1:	from all to 2001:db8::7 lookup 4711" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rule rule = { .family = cases[i].family,
				     .iif = cases[i].iif,
				     .table = TABLE,
				     .priority = 1,
				     .prefix = cases[i].prefix };
		const char *line = cases[i].line;

		if (cases[i].destination)
			rule.destination = ip_of(cases[i].destination);
		rtnl_rule_add(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), 0);
		shows(cases[i].list, line, true);
		rtnl_rule_add(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), -EEXIST);

		rtnl_rule_delete(world->host, &rule);
		assert_int_equal(rtnl_commit(world->host), 0);
		shows(cases[i].list, line, false);
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

static void keep_news(enum rtnl_event event, const struct route *route,
		      void *context)
{
	struct news *news = context;

	if (route && route->destination.family == AF_INET &&
	    route->prefix == 16)
		assert_int_equal(route->index, HOST_INDEX);
	news->seen[event]++;
}

/* What news is hidden of; nothing else here is so numbered. */
#define HIDDEN 0x7f

static void some_news_is_hidden(void **state)
{
	struct world *world = *state;
	struct news news = { 0 };
	struct rtnl *monitor;
	struct route route = {
		.destination = ip_of("10.9.0.0"),
		.prefix = 16,
		.index = HOST_INDEX,
	};

	set_up(world);
	assert_int_equal(rtnl_monitor_open(&monitor, HOST_INDEX >> 16), 0);

	/* Its own address, one behind the link, and a table. */
	add_address(world->host, HOST_INDEX, "192.0.2.77", 32);
	add_route(world->host, "10.9.0.7", 32, NULL, HOST_INDEX, 0);
	add_route(world->host, "2001:db8:9::7", 128, NULL, HOST_INDEX, 0);
	route.table = (HOST_INDEX & 0xffff0000U) + 9;
	rtnl_route_add(world->host, &route);
	assert_int_equal(rtnl_commit(world->host), 0);
	assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news), 0);
	assert_int_equal(news.seen[RTNL_EVENT_ROUTE_NEW], 0);

	/* More than one address; and one by another link. */
	route.table = 0;
	rtnl_route_add(world->host, &route);
	assert_int_equal(rtnl_commit(world->host), 0);
	assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news), 0);
	assert_int_equal(news.seen[RTNL_EVENT_ROUTE_NEW], 1);
	rtnl_close(monitor);
}

static void news_of_routes_and_rules(void **state)
{
	struct world *world = *state;
	struct rule rule = {
		.family = AF_INET, .iif = "nsn-7", .table = TABLE, .priority = 1
	};
	struct news news = { 0 };
	struct rtnl *monitor;

	assert_int_equal(rtnl_monitor_open(&monitor, HIDDEN), 0);
	assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news), 0);
	assert_int_equal(news.seen[RTNL_EVENT_ROUTE_NEW], 0);

	set_up(world);
	add_route(world->host, "10.9.0.0", 16, NULL, HOST_INDEX, 0);
	rtnl_rule_add(world->host, &rule);
	rtnl_rule_delete(world->host, &rule);
	rule.family = AF_INET6;
	rtnl_rule_add(world->host, &rule);
	assert_int_equal(rtnl_commit(world->host), 0);
	rtnl_link_delete(world->host, HOST_INDEX);
	assert_int_equal(rtnl_commit(world->host), 0);

	while (!news.seen[RTNL_EVENT_ROUTE_DEL]) {
		struct pollfd readable = { .fd = rtnl_fd(monitor),
					   .events = POLLIN };

		assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
		assert_int_equal(rtnl_monitor_read(monitor, keep_news, &news),
				 0);
	}
	assert_true(news.seen[RTNL_EVENT_ROUTE_NEW] >= 1);
	assert_int_equal(news.seen[RTNL_EVENT_RULE], 3);
	assert_int_equal(news.seen[RTNL_EVENT_OVERRUN], 0);
	rtnl_close(monitor);
}

static void lost_news_is_told(void **state)
{
	struct world *world = *state;
	struct news news = { 0 };
	struct rtnl *monitor;

	assert_int_equal(rtnl_monitor_open(&monitor, HIDDEN), 0);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LIVE_TEST(veth_pair),
		LIVE_TEST(addresses_are_ours_only),
		LIVE_TEST(no_packet_is_lost),
		LIVE_TEST(the_name_is_the_lock),
		LIVE_TEST(the_first_failure_is_told),
		LIVE_TEST(what_is_gone_is_told),
		LIVE_TEST(links_by_name),
		LIVE_TEST(a_callback_ends_the_dump),
		LIVE_TEST(routes_in_every_table),
		LIVE_TEST(every_next_hop),
		LIVE_TEST(lookup_tells_the_entry),
		LIVE_TEST(routes_of_both_families),
		LIVE_TEST(rules_come_and_go),
		LIVE_TEST(a_large_batch),
		LIVE_TEST(some_news_is_hidden),
		LIVE_TEST(news_of_routes_and_rules),
		LIVE_TEST(lost_news_is_told),
	};

	if (geteuid() != 0) {
		fputs("1..0 # SKIP needs root\n", stderr);
		return 77;
	}

	return cmocka_run_group_tests(tests, NULL, NULL);
}
