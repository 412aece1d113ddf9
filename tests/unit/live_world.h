/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_TESTS_LIVE_WORLD_H
#define NSNTRACE_TESTS_LIVE_WORLD_H

/*
 * Two network namespaces that exist for one test, a host's and a program's, and
 * between them what a run sets up. Included by the live tests after cmocka.h.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
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

static inline struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));

	return ip;
}

static inline int open_netns(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);

	return fd;
}

static inline int make_world(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	world->inside_netns = open_netns();
	assert_int_equal(rtnl_open(&world->inside), 0);
	world->host_netns = open_netns();
	assert_int_equal(rtnl_open(&world->host), 0);
	*state = world;

	return 0;
}

static inline int end_world(void **state)
{
	struct world *world = *state;

	rtnl_close(world->host);
	rtnl_close(world->inside);
	close(world->host_netns);
	close(world->inside_netns);
	free(world);

	return 0;
}

static inline void add_veth(struct world *world)
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

static inline void add_address(struct rtnl *rtnl, uint32_t index,
			       const char *text, uint8_t prefix)
{
	rtnl_address_add(rtnl, &(struct address){ .index = index,
						  .ip = ip_of(text),
						  .prefix = prefix });
}

static inline void add_route(struct rtnl *rtnl, const char *destination,
			     uint8_t prefix, const char *gateway,
			     uint32_t index, uint32_t table)
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
static inline void add_local(struct rtnl *rtnl, uint32_t index,
			     const char *text)
{
	rtnl_route_add(rtnl, &(struct route){ .type = RTN_LOCAL,
					      .table = RT_TABLE_LOCAL,
					      .destination = ip_of(text),
					      .prefix = 128,
					      .index = index });
}

/* Both ends as a run sets them up, one batch for each side. */
static inline void set_up(struct world *world)
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

/* The output of a command, to be freed. */
static inline char *output_of(const char *command)
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

static inline void shows(const char *command, const char *text, bool expected)
{
	autofree char *output = output_of(command);

	if (!!strstr(output, text) != expected)
		fail_msg("%s in the output of %s:\n%s\nwanted:\n%s",
			 expected ? "not" : "still", command, output, text);
}

#define LIVE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_world, end_world)

#endif
