/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From rtnetlink's messages to the structures of rtnl.h. Nothing is believed:
 * what is too short, or of the wrong size for its family, is passed over.
 */
#include "netlink/rtnl_internal.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

static uint32_t attribute_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= sizeof(uint32_t)
		       ? mnl_attr_get_u32(attr)
		       : 0;
}

/* Read an address of @family, or leave @ip as it is. */
static void copy_ip(const void *bytes, size_t size, sa_family_t family,
		    struct ip *ip)
{
	struct ip read = { .family = family };

	if (size == 0 || size != ip_size(&read))
		return;
	memcpy(read.bytes, bytes, size);
	*ip = read;
}

static void attribute_ip(const struct nlattr *attr, sa_family_t family,
			 struct ip *ip)
{
	copy_ip(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr),
		family, ip);
}

/* A gateway of the other family: IPv4 by an IPv6 neighbour (RFC 5549). */
static void attribute_via(const struct nlattr *attr, struct ip *ip)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	size_t size = mnl_attr_get_payload_len(attr);

	if (size >= sizeof(*via))
		copy_ip(via->rtvia_addr, size - sizeof(*via), via->rtvia_family,
			ip);
}

static void attribute_statistics(const struct nlattr *attr, struct link *link)
{
	struct rtnl_link_stats64 statistics = { 0 };
	size_t size = mnl_attr_get_payload_len(attr);

	/* The structure grows at its end from one kernel to the next. */
	if (size > sizeof(statistics))
		size = sizeof(statistics);
	memcpy(&statistics, mnl_attr_get_payload(attr), size);
	link->rx_packets = statistics.rx_packets;
	link->tx_packets = statistics.tx_packets;
	link->rx_dropped = statistics.rx_dropped;
	link->tx_dropped = statistics.tx_dropped;
}

/*
 * Read RTM_NEWLINK or RTM_DELLINK. Returns false if it is not about a link as
 * such: a bridge tells in the same messages that a port has left it.
 */
bool rtnl_parse_link(const struct nlmsghdr *message, struct link *link)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
	    header->ifi_family != AF_UNSPEC)
		return false;

	*link = (struct link){
		.index = (uint32_t)header->ifi_index,
		.flags = header->ifi_flags,
		.type = header->ifi_type,
	};
	mnl_attr_for_each (attr, message, sizeof(*header)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
				strncpy(link->name, mnl_attr_get_str(attr),
					sizeof(link->name) - 1);
			break;
		case IFLA_MTU:
			link->mtu = attribute_u32(attr);
			break;
		case IFLA_OPERSTATE:
			if (mnl_attr_get_payload_len(attr) >= 1)
				link->state = mnl_attr_get_u8(attr);
			break;
		case IFLA_STATS64:
			attribute_statistics(attr, link);
			break;
		}
	}

	return true;
}

/* Read RTM_NEWADDR or RTM_DELADDR. Returns false if there is no address. */
bool rtnl_parse_address(const struct nlmsghdr *message, struct address *address)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct ip local = { 0 }, ip = { 0 };
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return false;

	mnl_attr_for_each (attr, message, sizeof(*header)) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL)
			attribute_ip(attr, header->ifa_family, &local);
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			attribute_ip(attr, header->ifa_family, &ip);
	}
	*address = (struct address){
		.index = header->ifa_index,
		/* On a point-to-point link IFA_ADDRESS is the other end's. */
		.ip = local.family ? local : ip,
		.prefix = header->ifa_prefixlen,
		.scope = header->ifa_scope,
	};

	return address->ip.family != AF_UNSPEC;
}

/* What an attribute of a route, or of one of its next hops, says of it. */
static void read_hop(const struct nlattr *attr, struct route *route)
{
	switch (mnl_attr_get_type(attr)) {
	case RTA_GATEWAY:
		attribute_ip(attr, route->destination.family, &route->gateway);
		break;
	case RTA_VIA:
		attribute_via(attr, &route->gateway);
		break;
	case RTA_OIF:
		route->index = attribute_u32(attr);
		break;
	case RTA_PRIORITY:
		route->metric = attribute_u32(attr);
		break;
	case RTA_TABLE:
		route->table = attribute_u32(attr);
		break;
	case RTA_DST:
		attribute_ip(attr, route->destination.family,
			     &route->destination);
		break;
	case RTA_PREFSRC:
		attribute_ip(attr, route->destination.family, &route->source);
		break;
	}
}

/* Hand over one route for each next hop in @multipath. */
static int each_hop(const struct nlattr *multipath, const struct route *route,
		    int (*each)(const struct route *route, void *context),
		    void *context)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);
	int ret = 0;

	while (!ret && left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) &&
	       hop->rtnh_len <= left) {
		struct route one = *route;
		size_t step = RTNH_ALIGN(hop->rtnh_len);
		const struct nlattr *attr;

		one.multipath = true;
		one.index = (uint32_t)hop->rtnh_ifindex;
		one.onlink = hop->rtnh_flags & RTNH_F_ONLINK;
		mnl_attr_for_each_payload ((void *)(hop + 1),
					   hop->rtnh_len - sizeof(*hop))
			read_hop(attr, &one);
		ret = each(&one, context);

		left -= step < left ? step : left;
		hop = (const struct rtnexthop *)((const char *)hop + step);
	}

	return ret;
}

/*
 * Read RTM_NEWROUTE or RTM_DELROUTE, and hand the route to @each: once, or once
 * for each of its next hops. Routes that only some packets may use (of certain
 * sources, or of a type of service) would read as if they were for all, and are
 * passed over. Returns 0, or what @each returned other than 0.
 */
int rtnl_parse_route(const struct nlmsghdr *message,
		     int (*each)(const struct route *route, void *context),
		     void *context)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *multipath = NULL;
	struct ip from = { 0 };
	struct route route;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
	    (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) ||
	    header->rtm_tos)
		return 0;

	route = (struct route){
		.type = header->rtm_type,
		.scope = header->rtm_scope,
		.protocol = header->rtm_protocol,
		.table = header->rtm_table,
		.destination.family = header->rtm_family,
		.prefix = header->rtm_dst_len,
		.onlink = header->rtm_flags & RTNH_F_ONLINK,
	};
	mnl_attr_for_each (attr, message, sizeof(*header)) {
		if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
			multipath = attr;
		else if (mnl_attr_get_type(attr) == RTA_SRC)
			attribute_ip(attr, header->rtm_family, &from);
		else
			read_hop(attr, &route);
	}
	/* To a question without a source IPv6 answers "from ::/128". */
	if (header->rtm_src_len &&
	    (header->rtm_src_len != 128 || !IN6_IS_ADDR_UNSPECIFIED(&from.v6)))
		return 0;
	if (multipath)
		return each_hop(multipath, &route, each, context);

	return each(&route, context);
}
