/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as netlink messages into every reader of them. What is read must be
 * what the structures promise: names with an end, addresses of a known family.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/rtnl_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_ip(const struct ip *ip)
{
	check(ip->family == AF_UNSPEC || ip_size(ip) > 0);
}

static int check_route(const struct route *route, void *context)
{
	size_t *count = context;

	check(ip_size(&route->destination) > 0);
	check_ip(&route->gateway);
	check_ip(&route->source);
	++*count;

	return 0;
}

static void read_all(const struct nlmsghdr *message)
{
	struct address address;
	const char *text;
	struct link link;
	size_t routes = 0;

	if (rtnl_parse_link(message, &link))
		check(memchr(link.name, '\0', sizeof(link.name)));
	if (rtnl_parse_address(message, &address))
		check(ip_size(&address.ip) > 0);
	check(rtnl_parse_route(message, check_route, &routes) == 0);
	check(routes <= message->nlmsg_len);
	netlink_error(message, &text);
	check(!text || strlen(text) < message->nlmsg_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its very size, so that a sanitizer sees a step too far. */
	struct nlmsghdr *copy = malloc(size ? size : 1);
	const struct nlmsghdr *message = copy;
	int left = (int)size;

	memcpy(copy, data, size);
	for (; netlink_ok(message, left);
	     message = mnl_nlmsg_next(message, &left))
		read_all(message);
	free(copy);

	return 0;
}
