/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Route netlink messages, both ways: those we build are read back by libmnl and
 * by our own readers, and the readers get what no kernel should send. Needs no
 * rights: nothing is sent.
 */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "netlink/rtnl_internal.h"

#define ATTRIBUTES 64

static const uint8_t mac[] = { 0x02, 0, 0, 0, 0, 1 };
static const uint8_t peer_mac[] = { 0x02, 0, 0, 0, 0, 2 };

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));

	return ip;
}

static int set_up(void **state)
{
	return rtnl_open((struct rtnl **)state);
}

static int tear_down(void **state)
{
	rtnl_close(*state);

	return 0;
}

/* The request numbered @i of the batch. */
static const struct nlmsghdr *request(struct rtnl *rtnl, size_t i)
{
	const struct nlmsghdr *message;
	size_t size;
	int left;

	message = rtnl_batch(rtnl, &size);
	left = (int)size;
	for (; i; i--)
		message = mnl_nlmsg_next(message, &left);
	assert_true(mnl_nlmsg_ok(message, left));

	return message;
}

static const struct nlmsghdr *only_request(struct rtnl *rtnl, uint16_t type,
					   uint16_t flags)
{
	const struct nlmsghdr *message = request(rtnl, 0);
	size_t size;

	rtnl_batch(rtnl, &size);
	assert_int_equal(message->nlmsg_len, size);
	assert_int_equal(message->nlmsg_type, type);
	assert_int_equal(message->nlmsg_flags, NLM_F_REQUEST | flags);

	return message;
}

#define CREATE (NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)

static int keep_attribute(const struct nlattr *attr, void *context)
{
	const struct nlattr **attributes = context;

	assert_true(mnl_attr_get_type(attr) < ATTRIBUTES);
	assert_null(attributes[mnl_attr_get_type(attr)]);
	attributes[mnl_attr_get_type(attr)] = attr;

	return MNL_CB_OK;
}

static void is_string(const struct nlattr *attr, const char *expected)
{
	assert_non_null(attr);
	assert_int_equal(mnl_attr_validate(attr, MNL_TYPE_NUL_STRING), 0);
	assert_string_equal(mnl_attr_get_str(attr), expected);
}

static void is_bytes(const struct nlattr *attr, const void *bytes, size_t size)
{
	assert_non_null(attr);
	assert_int_equal(mnl_attr_get_payload_len(attr), size);
	assert_memory_equal(mnl_attr_get_payload(attr), bytes, size);
}

static void is_u32(const struct nlattr *attr, uint32_t expected)
{
	is_bytes(attr, &expected, sizeof(expected));
}

static void veth_pair(void **state)
{
	const struct veth veth = { "nsn-7", 1048583,  mac, "eth0",
				   2,	    peer_mac, 42,  1400 };
	const struct nlattr *link[ATTRIBUTES] = { 0 };
	const struct nlattr *info[ATTRIBUTES] = { 0 };
	const struct nlattr *details[ATTRIBUTES] = { 0 };
	const struct nlattr *peer[ATTRIBUTES] = { 0 };
	const struct nlmsghdr *message;
	const struct ifinfomsg *header;

	rtnl_veth_add(*state, &veth);
	message = only_request(*state, RTM_NEWLINK, CREATE);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->ifi_index, 1048583);
	mnl_attr_parse(message, sizeof(*header), keep_attribute, link);
	is_string(link[IFLA_IFNAME], "nsn-7");
	is_bytes(link[IFLA_ADDRESS], mac, sizeof(mac));
	is_u32(link[IFLA_MTU], 1400);

	mnl_attr_parse_nested(link[IFLA_LINKINFO], keep_attribute, info);
	is_string(info[IFLA_INFO_KIND], "veth");
	mnl_attr_parse_nested(info[IFLA_INFO_DATA], keep_attribute, details);
	header = mnl_attr_get_payload(details[VETH_INFO_PEER]);
	assert_int_equal(header->ifi_index, 2);
	mnl_attr_parse_payload(
		header + 1,
		mnl_attr_get_payload_len(details[VETH_INFO_PEER]) -
			sizeof(*header),
		keep_attribute, peer);
	is_string(peer[IFLA_IFNAME], "eth0");
	is_bytes(peer[IFLA_ADDRESS], peer_mac, sizeof(peer_mac));
	is_u32(peer[IFLA_MTU], 1400);
	is_u32(peer[IFLA_NET_NS_FD], 42);
}

static void link_changes(void **state)
{
	const struct nlattr *families[ATTRIBUTES] = { 0 };
	const struct nlattr *inet6[ATTRIBUTES] = { 0 };
	const struct nlattr *link[ATTRIBUTES] = { 0 };
	const struct nlmsghdr *message;
	const struct ifinfomsg *header;

	rtnl_link_flags(*state, 7, IFF_UP | IFF_NOARP, IFF_NOARP);
	rtnl_link_no_addrgen(*state, 8);
	rtnl_link_delete(*state, 9);

	message = request(*state, 0);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->ifi_index, 7);
	assert_int_equal(header->ifi_flags, IFF_UP | IFF_NOARP);
	assert_int_equal(header->ifi_change, IFF_NOARP);

	message = request(*state, 1);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->ifi_index, 8);
	assert_int_equal(header->ifi_change, 0);
	mnl_attr_parse(message, sizeof(*header), keep_attribute, link);
	mnl_attr_parse_nested(link[IFLA_AF_SPEC], keep_attribute, families);
	mnl_attr_parse_nested(families[AF_INET6], keep_attribute, inet6);
	is_bytes(inet6[IFLA_INET6_ADDR_GEN_MODE],
		 &(uint8_t){ IN6_ADDR_GEN_MODE_NONE }, 1);

	message = request(*state, 2);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(message->nlmsg_type, RTM_DELLINK);
	assert_int_equal(header->ifi_index, 9);
	assert_int_equal(message->nlmsg_seq, request(*state, 0)->nlmsg_seq + 2);
}

static void addresses(void **state)
{
	static const struct {
		const char *text;
		uint8_t prefix;
		uint32_t flags; /* 0: none are said */
	} cases[] = {
		{ "10.200.0.7", 32, 0 },
		{ "fe80::1", 64, IFA_F_NODAD | IFA_F_NOPREFIXROUTE },
	};

	for (size_t i = 0; i < 2; i++) {
		const struct nlattr *said[ATTRIBUTES] = { 0 };
		const struct address address = { .index = 7,
						 .ip = ip_of(cases[i].text),
						 .prefix = cases[i].prefix,
						 .scope = RT_SCOPE_LINK };
		const struct nlmsghdr *message;
		struct address read;

		rtnl_address_add(*state, &address);
		message = request(*state, i);
		assert_int_equal(message->nlmsg_type, RTM_NEWADDR);
		assert_true(rtnl_parse_address(message, &read));
		assert_true(ip_equal(&read.ip, &address.ip));
		assert_int_equal(read.index, 7);
		assert_int_equal(read.prefix, cases[i].prefix);
		assert_int_equal(read.scope, RT_SCOPE_LINK);
		mnl_attr_parse(message, sizeof(struct ifaddrmsg),
			       keep_attribute, said);
		is_bytes(said[IFA_LOCAL], address.ip.bytes,
			 ip_size(&address.ip));
		is_bytes(said[IFA_ADDRESS], address.ip.bytes,
			 ip_size(&address.ip));
		if (cases[i].flags)
			is_u32(said[IFA_FLAGS], cases[i].flags);
		else
			assert_null(said[IFA_FLAGS]);
	}
}

struct routes {
	size_t count;
	struct route read[4];
};

static int keep_route(const struct route *route, void *context)
{
	struct routes *routes = context;

	assert_true(routes->count < 4);
	routes->read[routes->count++] = *route;

	return 0;
}

static void same_route(const struct route *a, const struct route *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->scope, b->scope);
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->table, b->table);
	assert_true(ip_equal(&a->destination, &b->destination));
	assert_int_equal(a->prefix, b->prefix);
	assert_true(ip_equal(&a->gateway, &b->gateway));
	assert_int_equal(a->index, b->index);
	assert_int_equal(a->metric, b->metric);
	assert_int_equal(a->onlink, b->onlink);
	assert_true(ip_equal(&a->source, &b->source));
	assert_int_equal(a->multipath, b->multipath);
}

static void routes_read_as_written(void **state)
{
	const struct ip none = { 0 };
	const struct route cases[] = {
		{ RTN_UNICAST, RT_SCOPE_LINK, RTPROT_STATIC, RT_TABLE_MAIN,
		  ip_of("10.200.0.7"), 32, none, 7, 0, false, none, false },
		{ RTN_UNICAST, RT_SCOPE_UNIVERSE, RTPROT_DHCP, 4711,
		  ip_of("0.0.0.0"), 0, ip_of("169.254.1.1"), 7, 77, true,
		  ip_of("10.200.0.7"), false },
		{ RTN_UNREACHABLE, RT_SCOPE_UNIVERSE, RTPROT_STATIC, 4711,
		  ip_of("::"), 0, none, 0, 4294967294, false, none, false },
		{ RTN_UNICAST, RT_SCOPE_UNIVERSE, RTPROT_STATIC, RT_TABLE_MAIN,
		  ip_of("10.9.0.0"), 16, ip_of("fe80::1"), 7, 0, false, none,
		  false },
	};
	const size_t count = sizeof(cases) / sizeof(*cases);

	for (size_t i = 0; i < count; i++) {
		struct routes routes = { 0 };

		rtnl_route_add(*state, &cases[i]);
		assert_int_equal(rtnl_parse_route(request(*state, i),
						  keep_route, &routes),
				 0);
		assert_int_equal(routes.count, 1);
		same_route(&routes.read[0], &cases[i]);
	}
	rtnl_route_delete(*state, &cases[1]);
	assert_int_equal(request(*state, count)->nlmsg_type, RTM_DELROUTE);
	assert_int_equal(request(*state, count)->nlmsg_len,
			 request(*state, 1)->nlmsg_len);
}

static void routes_have_defaults(void **state)
{
	struct routes routes = { 0 };

	rtnl_route_add(*state, &(struct route){ .destination = ip_of("::") });
	only_request(*state, RTM_NEWROUTE, CREATE);
	rtnl_parse_route(request(*state, 0), keep_route, &routes);
	assert_int_equal(routes.read[0].type, RTN_UNICAST);
	assert_int_equal(routes.read[0].protocol, RTPROT_STATIC);
	assert_int_equal(routes.read[0].table, RT_TABLE_MAIN);
}

static void neighbour(void **state)
{
	const struct ip ip = ip_of("fe80::1");
	const struct nlattr *said[ATTRIBUTES] = { 0 };
	const struct nlmsghdr *message;
	const struct ndmsg *header;

	rtnl_neighbour_add(*state, 7, &ip, mac);
	message = only_request(*state, RTM_NEWNEIGH, CREATE);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->ndm_family, AF_INET6);
	assert_int_equal(header->ndm_ifindex, 7);
	assert_int_equal(header->ndm_state, NUD_PERMANENT);
	mnl_attr_parse(message, sizeof(*header), keep_attribute, said);
	is_bytes(said[NDA_DST], ip.bytes, 16);
	is_bytes(said[NDA_LLADDR], mac, sizeof(mac));
}

static void rule(void **state)
{
	const struct rule wanted = {
		.family = AF_INET, .iif = "nsn-7", .table = 4711, .priority = 1
	};
	const struct nlattr *said[ATTRIBUTES] = { 0 };
	const struct nlmsghdr *message;
	const struct fib_rule_hdr *header;

	rtnl_rule_add(*state, &wanted);
	message = only_request(*state, RTM_NEWRULE, CREATE);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->family, AF_INET);
	assert_int_equal(header->action, FR_ACT_TO_TBL);
	mnl_attr_parse(message, sizeof(*header), keep_attribute, said);
	is_string(said[FRA_IIFNAME], "nsn-7");
	is_u32(said[FRA_TABLE], 4711);
	is_u32(said[FRA_PRIORITY], 1);
	assert_int_equal(header->dst_len, 0);
	assert_null(said[FRA_DST]);
}

static void rule_for_a_destination(void **state)
{
	const struct rule wanted = { .family = AF_INET6,
				     .table = RT_TABLE_MAIN,
				     .priority = 2,
				     .destination = ip_of("2001:db8::7"),
				     .prefix = 128 };
	const struct nlattr *said[ATTRIBUTES] = { 0 };
	const struct nlmsghdr *message;
	const struct fib_rule_hdr *header;

	rtnl_rule_add(*state, &wanted);
	message = only_request(*state, RTM_NEWRULE, CREATE);
	header = mnl_nlmsg_get_payload(message);
	assert_int_equal(header->family, AF_INET6);
	assert_int_equal(header->dst_len, 128);
	mnl_attr_parse(message, sizeof(*header), keep_attribute, said);
	assert_null(said[FRA_IIFNAME]);
	is_bytes(said[FRA_DST], wanted.destination.bytes, 16);
	is_u32(said[FRA_TABLE], RT_TABLE_MAIN);
}

/* A message of the kernel's, made by hand. */
union message {
	struct nlmsghdr header;
	uint8_t bytes[1024];
};

static void *begin(union message *message, uint16_t type, size_t size)
{
	memset(message, 0, sizeof(*message));
	mnl_nlmsg_put_header(message)->nlmsg_type = type;

	return mnl_nlmsg_put_extra_header(&message->header, size);
}

static void links_are_read(void **state)
{
	struct rtnl_link_stats64 statistics = { .rx_packets = 3,
						.tx_packets = 1ULL << 40,
						.rx_dropped = 5,
						.tx_dropped = 6 };
	uint8_t longer[sizeof(statistics) + 64] = { 0 };
	union message message;
	struct ifinfomsg *header;
	struct link link;

	(void)state;
	memcpy(longer, &statistics, sizeof(statistics));
	header = begin(&message, RTM_NEWLINK, sizeof(*header));
	header->ifi_index = 7;
	header->ifi_flags = IFF_UP;
	header->ifi_type = 772;
	mnl_attr_put_strz(&message.header, IFLA_IFNAME, "fifteen-letters");
	mnl_attr_put_u32(&message.header, IFLA_MTU, 65536);
	mnl_attr_put_u8(&message.header, IFLA_OPERSTATE, 6);
	mnl_attr_put(&message.header, IFLA_STATS64, sizeof(longer), longer);
	assert_true(rtnl_parse_link(&message.header, &link));
	assert_int_equal(link.index, 7);
	assert_int_equal(link.flags, IFF_UP);
	assert_int_equal(link.type, 772);
	assert_int_equal(link.state, 6);
	assert_int_equal(link.mtu, 65536);
	assert_int_equal(link.rx_packets, 3);
	assert_int_equal(link.tx_packets, 1ULL << 40);
	assert_int_equal(link.rx_dropped, 5);
	assert_int_equal(link.tx_dropped, 6);
	assert_string_equal(link.name, "fifteen-letters");
}

/* A port that leaves its bridge is not a link that is gone. */
static void bridge_news_is_not_ours(void **state)
{
	union message message;
	struct ifinfomsg *header;
	struct link link;

	(void)state;
	header = begin(&message, RTM_DELLINK, sizeof(*header));
	assert_true(rtnl_parse_link(&message.header, &link));
	header->ifi_family = AF_BRIDGE;
	assert_false(rtnl_parse_link(&message.header, &link));
}

static void the_own_end_of_a_tunnel(void **state)
{
	const struct ip own = ip_of("10.0.0.1"), other = ip_of("10.0.0.2");
	union message message;
	struct ifaddrmsg *header;
	struct address address;

	(void)state;
	header = begin(&message, RTM_NEWADDR, sizeof(*header));
	header->ifa_family = AF_INET;
	assert_false(rtnl_parse_address(&message.header, &address));
	mnl_attr_put(&message.header, IFA_ADDRESS, 4, other.bytes);
	assert_true(rtnl_parse_address(&message.header, &address));
	assert_true(ip_equal(&address.ip, &other));
	mnl_attr_put(&message.header, IFA_LOCAL, 4, own.bytes);
	assert_true(rtnl_parse_address(&message.header, &address));
	assert_true(ip_equal(&address.ip, &own));
}

/* What is only for some packets must not pass for a route for all. */
static void special_routes_are_passed_over(void **state)
{
	static const struct rtmsg cases[] = {
		{ .rtm_family = AF_INET6, .rtm_src_len = 64 },
		{ .rtm_family = AF_INET, .rtm_tos = 8 },
		{ .rtm_family = 128 }, /* multicast routing */
	};
	struct routes routes = { 0 };
	union message message;
	struct rtmsg *header;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		header = begin(&message, RTM_NEWROUTE, sizeof(*header));
		*header = cases[i];
		rtnl_parse_route(&message.header, keep_route, &routes);
	}
	assert_int_equal(routes.count, 0);
	header->rtm_family = AF_INET;
	rtnl_parse_route(&message.header, keep_route, &routes);
	assert_int_equal(routes.count, 1);
}

/* Append a next hop that says it is @size long; 0: as long as it is. */
static void put_hop(union message *message, int index, uint16_t size)
{
	const struct ip gateway = ip_of("10.0.0.1");
	struct rtnexthop *hop;
	uint32_t start = message->header.nlmsg_len;

	hop = mnl_nlmsg_put_extra_header(&message->header, sizeof(*hop));
	hop->rtnh_ifindex = index;
	hop->rtnh_flags = RTNH_F_ONLINK;
	mnl_attr_put(&message->header, RTA_GATEWAY, 4, gateway.bytes);
	hop->rtnh_len =
		size ? size : (uint16_t)(message->header.nlmsg_len - start);
}

static void next_hops(void **state)
{
	/* Wrong ones, and the right one last. */
	static const uint16_t sizes[] = { 1, sizeof(struct rtnexthop) - 1, 17,
					  65535, 0 };
	const struct ip gateway = ip_of("10.0.0.1");
	union message message;
	struct routes routes;
	struct rtmsg *header;
	struct nlattr *nest;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		header = begin(&message, RTM_NEWROUTE, sizeof(*header));
		header->rtm_family = AF_INET;
		nest = mnl_attr_nest_start(&message.header, RTA_MULTIPATH);
		put_hop(&message, 7, 0);
		put_hop(&message, 8, sizes[i]);
		mnl_attr_nest_end(&message.header, nest);
		mnl_attr_put_u32(&message.header, RTA_PRIORITY, 77);
		routes = (struct routes){ 0 };
		rtnl_parse_route(&message.header, keep_route, &routes);
		assert_int_equal(routes.count, sizes[i] ? 1 : 2);
	}
	for (size_t i = 0; i < routes.count; i++) {
		assert_true(routes.read[i].multipath);
		assert_true(routes.read[i].onlink);
		assert_int_equal(routes.read[i].index, 7 + i);
		assert_true(ip_equal(&routes.read[i].gateway, &gateway));
	}
}

/* Nothing of the wrong size may be taken for what it is not. */
static void wrong_sizes(void **state)
{
	static const uint16_t types[] = { RTA_DST,     RTA_GATEWAY, RTA_VIA,
					  RTA_PREFSRC, RTA_OIF,	    RTA_TABLE,
					  RTA_PRIORITY };
	static const uint8_t bytes[3] = { 1, 2, 3 };
	struct routes routes = { 0 };
	union message message;
	struct rtmsg *header;
	struct link link;
	struct address address;

	(void)state;
	header = begin(&message, RTM_NEWROUTE, sizeof(*header));
	header->rtm_family = AF_INET;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		mnl_attr_put(&message.header, types[i], sizeof(bytes), bytes);
	rtnl_parse_route(&message.header, keep_route, &routes);
	assert_int_equal(routes.count, 1);
	same_route(&routes.read[0],
		   &(struct route){ .destination.family = AF_INET });

	begin(&message, RTM_NEWROUTE, 4);
	assert_int_equal(rtnl_parse_route(&message.header, keep_route, &routes),
			 0);
	assert_int_equal(routes.count, 1);
	assert_false(rtnl_parse_link(&message.header, &link));
	assert_false(rtnl_parse_address(&message.header, &address));
}

static void the_kernels_words(void **state)
{
	union message message;
	struct nlmsgerr *error;
	const char *text;

	(void)state;
	error = begin(&message, NLMSG_ERROR, sizeof(*error));
	error->error = -17;
	mnl_attr_put_strz(&message.header, NLMSGERR_ATTR_MSG, "is taken");
	assert_int_equal(netlink_error(&message.header, &text), -17);
	assert_null(text);
	message.header.nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
	assert_int_equal(netlink_error(&message.header, &text), -17);
	assert_string_equal(text, "is taken");

	begin(&message, NLMSG_ERROR, 4);
	assert_true(netlink_error(&message.header, &text) < 0);
}

#define BUILDS(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BUILDS(veth_pair),
		BUILDS(link_changes),
		BUILDS(addresses),
		BUILDS(routes_read_as_written),
		BUILDS(routes_have_defaults),
		BUILDS(neighbour),
		BUILDS(rule),
		BUILDS(rule_for_a_destination),
		cmocka_unit_test(links_are_read),
		cmocka_unit_test(bridge_news_is_not_ours),
		cmocka_unit_test(the_own_end_of_a_tunnel),
		cmocka_unit_test(special_routes_are_passed_over),
		cmocka_unit_test(next_hops),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(the_kernels_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
