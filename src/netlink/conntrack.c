/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host remembers of a run's connections, to translate their addresses.
 * It would for up to five days, as nobody sees the last packet of a connection
 * whose end has gone with its namespace. Silent.
 */
#include "netlink/conntrack.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>

#include "netlink/nft_internal.h"
#include "netlink/socket.h"

/*
 * For CTA_FILTER_ORIG_FLAGS, which address of CTA_TUPLE_ORIG counts (Linux:
 * net/netfilter/nf_internals.h). Kernels before 5.8 do not know it and list
 * all, so that each has to be looked at here in any case.
 */
#define FILTER_SOURCE	   (1U << 0)
#define FILTER_DESTINATION (1U << 1)

/* Connections that are to be forgotten. */
struct doomed {
	struct netlink *nl;
	const struct ip *ip;
	int count;
};

static struct nlmsghdr *request(struct netlink *nl, uint8_t type,
				uint16_t flags, sa_family_t family,
				const char *label)
{
	struct nlmsghdr *message = netlink_request(
		nl, NFNL_SUBSYS_CTNETLINK << 8 | type, flags, "%s", label);
	struct nfgenmsg *header =
		mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->nfgen_family = (uint8_t)family;
	header->version = NFNETLINK_V0;

	return message;
}

/* The attribute @type in @attr, NULL if there is none. */
static const struct nlattr *within(const struct nlattr *attr, uint16_t type)
{
	const struct nlattr *inner;

	if (!attr || mnl_attr_validate(attr, MNL_TYPE_NESTED) < 0)
		return NULL;
	mnl_attr_for_each_nested (inner, attr) {
		if (mnl_attr_get_type(inner) == type)
			return inner;
	}

	return NULL;
}

static const struct nlattr *of(const struct nlmsghdr *message, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}

	return NULL;
}

/* Where the source of a tuple is; the destination is the next one. */
static uint16_t source_of(const struct ip *ip)
{
	return ip->family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
}

/* Whether @ip is one end, as whoever sent the first packet has put it. */
static bool is_between(const struct nlattr *tuple, const struct ip *ip)
{
	const struct nlattr *ends = within(tuple, CTA_TUPLE_IP);

	for (uint16_t i = 0; i < 2; i++) {
		const struct nlattr *end =
			within(ends, (uint16_t)(source_of(ip) + i));

		if (end && mnl_attr_get_payload_len(end) == ip_size(ip) &&
		    !memcmp(mnl_attr_get_payload(end), ip->bytes, ip_size(ip)))
			return true;
	}

	return false;
}

static void copy(struct nlmsghdr *message, const struct nlattr *attr)
{
	if (attr)
		mnl_attr_put(message, attr->nla_type,
			     mnl_attr_get_payload_len(attr),
			     mnl_attr_get_payload(attr));
}

/* The number keeps another one with the same ends from being taken for it. */
static int forget(const struct nlmsghdr *message, void *context)
{
	struct doomed *doomed = context;
	const struct nlattr *tuple;
	struct nlmsghdr *deletion;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return -EBADMSG;
	/* Without one, the kernel would forget all connections there are. */
	tuple = of(message, CTA_TUPLE_ORIG);
	if (!tuple || !is_between(tuple, doomed->ip))
		return 0;
	deletion = request(doomed->nl, IPCTNL_MSG_CT_DELETE, NLM_F_ACK,
			   doomed->ip->family, "forget a connection");
	copy(deletion, tuple);
	copy(deletion, of(message, CTA_ZONE));
	copy(deletion, of(message, CTA_ID));
	/* One that has ended meanwhile is no loss. */
	doomed->count += netlink_commit(doomed->nl) == 0;

	return 0;
}

/* Go through those that have @ip where @filter says. */
static int forget_by(struct doomed *doomed, uint32_t filter)
{
	const struct ip *ip = doomed->ip;
	struct nlmsghdr *list =
		request(doomed->nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, ip->family,
			"list connections");
	uint16_t source = source_of(ip);
	struct nlattr *nest;
	struct nlattr *ends;

	nest = mnl_attr_nest_start(list, CTA_FILTER);
	mnl_attr_put_u32(list, CTA_FILTER_ORIG_FLAGS, filter);
	mnl_attr_nest_end(list, nest);
	nest = mnl_attr_nest_start(list, CTA_TUPLE_ORIG);
	ends = mnl_attr_nest_start(list, CTA_TUPLE_IP);
	mnl_attr_put(list, source, ip_size(ip), ip->bytes);
	mnl_attr_put(list, (uint16_t)(source + 1), ip_size(ip), ip->bytes);
	mnl_attr_nest_end(list, ends);
	mnl_attr_nest_end(list, nest);

	return netlink_query(doomed->nl, forget, doomed);
}

/*
 * Have the host forget every connection that somebody at @ip, if that is an
 * address, has begun, or that was begun to @ip. @nft is a socket there:
 * connections are asked for on the same bus as rules. The kernel goes through
 * all that it knows of, and through as much empty room: 10-50 ms. Returns how
 * many, or -errno.
 */
int conntrack_forget(struct nft *nft, const struct ip *ip)
{
	struct doomed doomed = { .nl = &nft->nl, .ip = ip };
	int ret = ip->family ? forget_by(&doomed, FILTER_SOURCE) : 0;

	if (!ret && ip->family)
		ret = forget_by(&doomed, FILTER_DESTINATION);

	return ret < 0 ? ret : doomed.count;
}
