/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets of a network namespace, as the kernel tells of them to anybody
 * inside. Silent: its callers know what an error means to them.
 */
#include "netlink/sockdiag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "netlink/socket.h"

/* Of the loopback interface, in every network namespace. */
#define LO_INDEX 1

struct sockdiag {
	struct netlink nl;
};

/*
 * Open a socket for questions about the current network namespace. Needs no
 * rights. Returns 0, or -errno and *@sockdiag is NULL.
 */
int sockdiag_open(struct sockdiag **sockdiag)
{
	int ret;

	*sockdiag = xcalloc(1, sizeof(**sockdiag));
	ret = netlink_open(&(*sockdiag)->nl, NETLINK_SOCK_DIAG, 0, 0);
	if (ret < 0) {
		free(*sockdiag);
		*sockdiag = NULL;
	}

	return ret;
}

/* Close the socket; NULL is none. */
void sockdiag_close(struct sockdiag *sockdiag)
{
	if (sockdiag)
		netlink_close(&sockdiag->nl);
	free(sockdiag);
}

/* States in which the other side still owes an answer. */
#define AWAITING                                                        \
	(1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 | 1U << TCP_CLOSING | \
	 1U << TCP_LAST_ACK)

/* States in which there may be bytes that it has not acknowledged. */
#define SENDING                                                             \
	(1U << TCP_ESTABLISHED | 1U << TCP_SYN_RECV | 1U << TCP_FIN_WAIT2 | \
	 1U << TCP_CLOSE_WAIT)

/* A request about sockets of @protocol, in the batch. */
static struct inet_diag_req_v2 *begin(struct sockdiag *sockdiag, uint16_t flags,
				      sa_family_t family, uint8_t protocol,
				      const char *label)
{
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(
		netlink_request(&sockdiag->nl, SOCK_DIAG_BY_FAMILY, flags, "%s",
				label),
		sizeof(*request));

	request->sdiag_family = (uint8_t)family;
	request->sdiag_protocol = protocol;

	return request;
}

static int count_unfinished(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	int *count = context;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*socket))
		return -EBADMSG;
	if (1U << (socket->idiag_state & 31) & AWAITING ||
	    socket->idiag_wqueue > 0)
		++*count;

	return 0;
}

/*
 * How many TCP sockets of the namespace have something under way: a connection
 * or an end that the other side has not answered, or bytes, sent or not, that
 * it has not acknowledged. Returns that number, or -errno.
 */
int sockdiag_tcp_unfinished(struct sockdiag *sockdiag)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int count = 0;

	for (size_t i = 0; i < sizeof(families); i++) {
		int ret;

		begin(sockdiag, NLM_F_DUMP, families[i], IPPROTO_TCP,
		      "list TCP sockets")
			->idiag_states = AWAITING | SENDING;
		ret = netlink_query(&sockdiag->nl, count_unfinished, &count);
		if (ret < 0)
			return ret;
	}

	return count;
}

static int skip(const struct nlmsghdr *message, void *context)
{
	(void)message;
	(void)context;

	return 0;
}

/*
 * Whether the kernel can tell of sockets of @protocol, IPPROTO_TCP or
 * IPPROTO_UDP: each is a module of its own, which may be missing.
 */
bool sockdiag_knows(struct sockdiag *sockdiag, uint8_t protocol)
{
	/* Of no state at all, so that the list is empty. */
	begin(sockdiag, NLM_F_DUMP, AF_INET, protocol, "list no sockets");

	return netlink_query(&sockdiag->nl, skip, NULL) == 0;
}

/*
 * Whether somebody would get what a process of this namespace sends to @ip and
 * @port first: a TCP socket that listens there, or a UDP socket, bound to any
 * address or to this one. The kernel looks as it does for a packet (Linux:
 * inet_diag_find_one_icsk(), udp_dump_one()).
 *
 * Returns 1, 0, or -errno.
 */
int sockdiag_finds(struct sockdiag *sockdiag, uint8_t protocol,
		   const struct ip *ip, uint16_t port)
{
	struct inet_diag_req_v2 *request =
		begin(sockdiag, 0, ip->family, protocol, "find a socket");
	struct inet_diag_sockid *id = &request->id;
	int ret;

	/* From the same address, and a port that no connection has. */
	memcpy(id->idiag_src, ip->bytes, ip_size(ip));
	memcpy(id->idiag_dst, ip->bytes, ip_size(ip));
	/* Which is which differs, "for historical reasons" (udp_diag.c). */
	if (protocol == IPPROTO_TCP)
		id->idiag_sport = htons(port);
	else
		id->idiag_dport = htons(port);
	id->idiag_if = LO_INDEX;
	id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;

	ret = netlink_query(&sockdiag->nl, skip, NULL);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;

	return 1;
}

/* Sockets that are to be ended. */
struct doomed {
	struct netlink *nl;
	const struct ip *ip;
	uint8_t protocol;
	int count;
};

/* IPv4 in a socket of IPv6: ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2). */
static bool is_bound_to(const struct inet_diag_msg *socket, const struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *source = (const uint8_t *)socket->id.idiag_src;

	if (socket->idiag_family == ip->family)
		return !memcmp(source, ip->bytes, ip_size(ip));

	return socket->idiag_family == AF_INET6 && ip->family == AF_INET &&
	       !memcmp(source, mapped, sizeof(mapped)) &&
	       !memcmp(source + sizeof(mapped), ip->bytes, ip_size(ip));
}

static int abort_one(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	struct doomed *doomed = context;
	struct inet_diag_req_v2 *request;
	int ret;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*socket))
		return -EBADMSG;
	if (!is_bound_to(socket, doomed->ip))
		return 0;
	request = mnl_nlmsg_put_extra_header(
		netlink_request(doomed->nl, SOCK_DESTROY, NLM_F_ACK,
				"end a connection"),
		sizeof(*request));
	request->sdiag_family = socket->idiag_family;
	request->sdiag_protocol = doomed->protocol;
	request->id = socket->id;
	ret = netlink_commit(doomed->nl);
	doomed->count += ret == 0;

	/* One that has ended meanwhile is no loss. */
	return ret == -EOPNOTSUPP || ret == -EPERM ? ret : 0;
}

/*
 * End every TCP and UDP socket that is bound to @ip, if that is one: whoever
 * uses it gets ECONNABORTED. Needs CAP_NET_ADMIN there, and a kernel with
 * CONFIG_INET_DIAG_DESTROY. Returns how many, or -errno.
 */
int sockdiag_abort(struct sockdiag *sockdiag, const struct ip *ip)
{
	static const struct {
		uint8_t family;
		uint8_t protocol;
	} kinds[] = {
		{ AF_INET, IPPROTO_TCP },
		{ AF_INET6, IPPROTO_TCP },
		{ AF_INET, IPPROTO_UDP },
		{ AF_INET6, IPPROTO_UDP },
	};
	struct doomed doomed = { .nl = &sockdiag->nl, .ip = ip };

	if (!ip->family)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct inet_diag_req_v2 *request =
			begin(sockdiag, NLM_F_DUMP, kinds[i].family,
			      kinds[i].protocol, "list sockets");
		int ret;

		doomed.protocol = kinds[i].protocol;
		request->idiag_states = UINT32_MAX;
		ret = netlink_query(&sockdiag->nl, abort_one, &doomed);
		/* Without IPv6 in the kernel there are none of its sockets. */
		if (ret < 0 && ret != -ENOENT)
			return ret;
	}

	return doomed.count;
}
