/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_SOCKET_H
#define NSNTRACE_NETLINK_SOCKET_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct sock_filter;

/* Room for what a request does, and for the kernel's own words on it. */
#define NETLINK_LABEL_SIZE  128
#define NETLINK_FAILED_SIZE (2 * NETLINK_LABEL_SIZE)

/* A request that waits to be sent. */
struct netlink_request {
	size_t offset; /* in the batch */
	char label[NETLINK_LABEL_SIZE];
};

/* What rtnl, nft and sockdiag have in common. */
struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence; /* of the next request */
	struct buf batch;
	struct netlink_request *requests; /* those in the batch */
	size_t count;
	char failed[NETLINK_FAILED_SIZE]; /* what failed last */
	uint16_t failed_type;
	uint8_t failed_family;
};

/* Takes one message; other than 0 ends the reading with that. */
typedef int netlink_each(const struct nlmsghdr *message, void *context);

int netlink_open(struct netlink *nl, int bus, int flags, unsigned int groups);
void netlink_filter(struct netlink *nl, struct sock_filter *filter,
		    size_t count);
void netlink_close(struct netlink *nl);
struct nlmsghdr *netlink_request(struct netlink *nl, uint16_t type,
				 uint16_t flags, const char *label, ...)
	__attribute__((format(printf, 4, 5)));
const void *netlink_batch(struct netlink *nl, size_t *size);
int netlink_commit(struct netlink *nl);
int netlink_query(struct netlink *nl, netlink_each *each, void *context);
int netlink_events(struct netlink *nl, netlink_each *each, void *context);
bool netlink_ok(const struct nlmsghdr *message, int left);
int netlink_error(const struct nlmsghdr *reply, const char **text);

#endif
