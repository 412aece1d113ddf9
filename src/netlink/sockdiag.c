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
