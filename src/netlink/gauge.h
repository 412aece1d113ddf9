/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_GAUGE_H
#define NSNTRACE_NETLINK_GAUGE_H

#include <stdint.h>

#include "netlink/nft.h"

/* Packets of IPv4, and of IPv6. */
struct gauge {
	uint64_t asked[2]; /* that the host was to forward for the program */
	uint64_t left[2];  /* of those, the first of each connection that got
			    * past everything that could have dropped it */
};

int gauge_add(struct nft *nft, const struct nft_tables *tables);
int gauge_read(struct nft *nft, const struct nft_tables *tables,
	       struct gauge *gauge);
int gauge_delete(struct nft *nft, const struct nft_tables *tables);

#endif
