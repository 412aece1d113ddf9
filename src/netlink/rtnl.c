/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links, addresses, routes, neighbours and rules, as requests that gather in a
 * batch; questions are in rtnl_query.c, news in rtnl_monitor.c. Silent:
 * rtnl_failed() says what could not be done, the callers know why that matters.
 */
#include "netlink/rtnl.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "netlink/rtnl_internal.h"

#define MAC_SIZE 6

/*
 * Open a route socket that is told what @groups are. Returns 0, or -errno and
 * *@rtnl is NULL.
 */
int rtnl_open_groups(struct rtnl **rtnl, int flags, unsigned int groups)
{
	int ret;

	*rtnl = xcalloc(1, sizeof(**rtnl));
	ret = netlink_open(&(*rtnl)->nl, NETLINK_ROUTE, flags, groups);
	if (ret < 0) {
		free(*rtnl);
		*rtnl = NULL;
	}

	return ret;
}

/*
 * Open a route socket in the current network namespace, in which it stays even
 * if the process leaves. Returns 0, or -errno and *@rtnl is NULL.
 */
int rtnl_open(struct rtnl **rtnl)
{
	return rtnl_open_groups(rtnl, 0, 0);
}

/* Close a socket of either kind; NULL is none. */
void rtnl_close(struct rtnl *rtnl)
{
	if (rtnl)
		netlink_close(&rtnl->nl);
	free(rtnl);
}

/* The descriptor, for poll(2). */
int rtnl_fd(const struct rtnl *rtnl)
{
	return mnl_socket_get_fd(rtnl->nl.socket);
}

/* What could not be done when last something failed, as in "cannot ...". */
const char *rtnl_failed(const struct rtnl *rtnl)
{
	return rtnl->nl.failed;
}

/* The messages that rtnl_commit() would send, good until the next call. */
const void *rtnl_batch(struct rtnl *rtnl, size_t *size)
{
	return netlink_batch(&rtnl->nl, size);
}

/*
 * Send the batch and read every acknowledgement. Returns 0, or -errno of the
 * first request that failed. The kernel goes on past a failure, up to 64
 * requests far: what must not happen after one (configuring an interface whose
 * name or index turned out to be another's) belongs into a later batch.
 */
int rtnl_commit(struct rtnl *rtnl)
{
	return netlink_commit(&rtnl->nl);
}

#define CREATE (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

/* Begin a message about the interface @index; 0: none in particular. */
struct ifinfomsg *rtnl_put_link(struct nlmsghdr *message, uint32_t index)
{
	struct ifinfomsg *link;

	link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	link->ifi_index = (int)index;

	return link;
}

/* What both ends of a pair have. */
static void put_end(struct nlmsghdr *message, uint32_t index, const char *name,
		    const uint8_t *mac, uint32_t mtu)
{
	rtnl_put_link(message, index);
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put(message, IFLA_ADDRESS, MAC_SIZE, mac);
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
}

/*
 * Create both ends of a veth pair, the far one directly in its namespace: there
 * is no moment at which a network manager of the host could configure it, and
 * moving it later costs 15 ms. Fails with -EEXIST or -EBUSY if the name or an
 * index is taken: that is how a run claims both.
 */
void rtnl_veth_add(struct rtnl *rtnl, const struct veth *veth)
{
	struct nlattr *info, *details, *peer;
	struct nlmsghdr *message;

	message = netlink_request(&rtnl->nl, RTM_NEWLINK, CREATE,
				  "create veth pair %s/%s", veth->name,
				  veth->peer_name);
	put_end(message, veth->index, veth->name, veth->mac, veth->mtu);

	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	details = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
	put_end(message, veth->peer_index, veth->peer_name, veth->peer_mac,
		veth->mtu);
	mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)veth->peer_netns);
	mnl_attr_nest_end(message, peer);
	mnl_attr_nest_end(message, details);
	mnl_attr_nest_end(message, info);
}

/*
 * Keep the kernel from giving the interface a link-local address, which it does
 * when the interface goes up. The message that creates a veth pair may not say
 * this yet (-EAFNOSUPPORT); without IPv6 on the host no message may.
 */
void rtnl_link_no_addrgen(struct rtnl *rtnl, uint32_t index)
{
	struct nlattr *families, *inet6;
	struct nlmsghdr *message;

	message = netlink_request(&rtnl->nl, RTM_SETLINK, NLM_F_ACK,
				  "turn off IPv6 address generation of "
				  "interface %u",
				  index);
	rtnl_put_link(message, index);
	families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(message, AF_INET6);
	mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE,
			IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(message, inet6);
	mnl_attr_nest_end(message, families);
}

/* Give those flags (IFF_*) of the interface that are in @mask from @flags. */
void rtnl_link_flags(struct rtnl *rtnl, uint32_t index, uint32_t flags,
		     uint32_t mask)
{
	struct nlmsghdr *message;
	struct ifinfomsg *link;

	message = netlink_request(&rtnl->nl, RTM_SETLINK, NLM_F_ACK,
				  flags & mask & IFF_UP
					  ? "bring up interface %u"
					  : "change flags of interface %u",
				  index);
	link = rtnl_put_link(message, index);
	link->ifi_flags = flags;
	link->ifi_change = mask;
}

/* Delete the interface, and with one end of a veth pair the other. */
void rtnl_link_delete(struct rtnl *rtnl, uint32_t index)
{
	rtnl_put_link(netlink_request(&rtnl->nl, RTM_DELLINK, NLM_F_ACK,
				      "delete interface %u", index),
		      index);
}

/* Append @ip, unless it is none. */
void rtnl_put_ip(struct nlmsghdr *message, uint16_t type, const struct ip *ip)
{
	if (ip->family)
		mnl_attr_put(message, type, ip_size(ip), ip->bytes);
}

/*
 * Give an address to an interface. An IPv6 one is not first asked for on the
 * link, and brings no prefix route.
 *
 * The kernel makes the route by which an IPv6 address receives in a worker,
 * after the acknowledgement, and what arrives before is lost. Whoever cannot
 * have that adds a route of type RTN_LOCAL, once the interface is up.
 */
void rtnl_address_add(struct rtnl *rtnl, const struct address *address)
{
	struct nlmsghdr *message;
	struct ifaddrmsg *header;
	char text[IP_TEXT_SIZE];

	message = netlink_request(&rtnl->nl, RTM_NEWADDR, CREATE,
				  "add address %s/%u to interface %u",
				  ip_format(&address->ip, text),
				  address->prefix, address->index);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifa_family = (uint8_t)address->ip.family;
	header->ifa_prefixlen = address->prefix;
	header->ifa_scope = address->scope;
	header->ifa_index = address->index;
	rtnl_put_ip(message, IFA_LOCAL, &address->ip);
	rtnl_put_ip(message, IFA_ADDRESS, &address->ip);
	if (address->ip.family == AF_INET6)
		mnl_attr_put_u32(message, IFA_FLAGS,
				 IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
}

static uint32_t table_of(uint32_t table)
{
	return table ? table : RT_TABLE_MAIN;
}

static void put_gateway(struct nlmsghdr *message, const struct route *route)
{
	const struct ip *gateway = &route->gateway;
	uint8_t bytes[sizeof(struct rtvia) + sizeof(gateway->bytes)];
	struct rtvia *via = (struct rtvia *)bytes;

	if (gateway->family == route->destination.family) {
		rtnl_put_ip(message, RTA_GATEWAY, gateway);
	} else if (gateway->family) {
		via->rtvia_family = gateway->family;
		memcpy(via->rtvia_addr, gateway->bytes, ip_size(gateway));
		mnl_attr_put(message, RTA_VIA, sizeof(*via) + ip_size(gateway),
			     via);
	}
}

static void put_route(struct rtnl *rtnl, uint16_t type, uint16_t flags,
		      const char *verb, const struct route *route)
{
	struct nlmsghdr *message;
	char text[IP_TEXT_SIZE];
	struct rtmsg *header;

	message = netlink_request(
		&rtnl->nl, type, flags, "%s %sroute to %s/%u %s %u", verb,
		route->type == RTN_UNREACHABLE ? "unreachable " : "",
		ip_format(&route->destination, text), route->prefix,
		route->index ? "by interface" : "in table",
		route->index ? route->index : table_of(route->table));
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = (uint8_t)route->destination.family;
	header->rtm_dst_len = route->prefix;
	header->rtm_type = route->type ? route->type : RTN_UNICAST;
	header->rtm_protocol =
		route->protocol ? route->protocol : RTPROT_STATIC;
	header->rtm_scope = route->scope;
	header->rtm_flags = route->onlink ? RTNH_F_ONLINK : 0;

	mnl_attr_put_u32(message, RTA_TABLE, table_of(route->table));
	if (route->prefix)
		rtnl_put_ip(message, RTA_DST, &route->destination);
	put_gateway(message, route);
	rtnl_put_ip(message, RTA_PREFSRC, &route->source);
	if (route->index)
		mnl_attr_put_u32(message, RTA_OIF, route->index);
	if (route->metric)
		mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
}

/* Add a route; -EEXIST if there is one to the same place, as near. */
void rtnl_route_add(struct rtnl *rtnl, const struct route *route)
{
	put_route(rtnl, RTM_NEWROUTE, CREATE, "add", route);
}

/* Put a route in the place of the one to the same place, as near. */
void rtnl_route_replace(struct rtnl *rtnl, const struct route *route)
{
	put_route(rtnl, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
		  "replace", route);
}

/* Delete the route that was added with the same words; -ESRCH if it is gone. */
void rtnl_route_delete(struct rtnl *rtnl, const struct route *route)
{
	put_route(rtnl, RTM_DELROUTE, NLM_F_ACK, "delete", route);
}

/* Tell the interface for good which @mac the neighbour @ip has. */
void rtnl_neighbour_add(struct rtnl *rtnl, uint32_t index, const struct ip *ip,
			const uint8_t mac[6])
{
	struct nlmsghdr *message;
	char text[IP_TEXT_SIZE];
	struct ndmsg *header;

	message = netlink_request(&rtnl->nl, RTM_NEWNEIGH, CREATE,
				  "add neighbour %s to interface %u",
				  ip_format(ip, text), index);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = (uint8_t)ip->family;
	header->ndm_ifindex = (int)index;
	header->ndm_state = NUD_PERMANENT;
	rtnl_put_ip(message, NDA_DST, ip);
	mnl_attr_put(message, NDA_LLADDR, MAC_SIZE, mac);
}

static void put_rule(struct rtnl *rtnl, uint16_t type, uint16_t flags,
		     const char *verb, const struct rule *rule)
{
	struct fib_rule_hdr *header;
	struct nlmsghdr *message;
	char text[IP_TEXT_SIZE];

	ip_format(&rule->destination, text);
	message = netlink_request(&rtnl->nl, type, flags,
				  "%s rule %s %s to table %u", verb,
				  rule->iif ? "from interface" : "for",
				  rule->iif ? rule->iif : text, rule->table);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->family = (uint8_t)rule->family;
	header->dst_len = rule->prefix;
	header->action = FR_ACT_TO_TBL;
	if (rule->iif)
		mnl_attr_put_strz(message, FRA_IIFNAME, rule->iif);
	rtnl_put_ip(message, FRA_DST, &rule->destination);
	mnl_attr_put_u32(message, FRA_TABLE, rule->table);
	mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
}

/* What the rule is about is routed by its table. */
void rtnl_rule_add(struct rtnl *rtnl, const struct rule *rule)
{
	put_rule(rtnl, RTM_NEWRULE, CREATE, "add", rule);
}

/* Delete the rule that was added with the same words; -ENOENT if it is gone. */
void rtnl_rule_delete(struct rtnl *rtnl, const struct rule *rule)
{
	put_rule(rtnl, RTM_DELRULE, NLM_F_ACK, "delete", rule);
}
