/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TCP sockets of a network namespace, as the kernel lists them to anybody
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

#include "base/fd.h"
#include "netlink/socket.h"

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
		struct inet_diag_req_v2 *request;
		int ret;

		request = mnl_nlmsg_put_extra_header(
			netlink_request(&sockdiag->nl, SOCK_DIAG_BY_FAMILY,
					NLM_F_DUMP, "list TCP sockets"),
			sizeof(*request));
		request->sdiag_family = families[i];
		request->sdiag_protocol = IPPROTO_TCP;
		request->idiag_states = AWAITING | SENDING;
		ret = netlink_query(&sockdiag->nl, count_unfinished, &count);
		if (ret < 0)
			return ret;
	}

	return count;
}
