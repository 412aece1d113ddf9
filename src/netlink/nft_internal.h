/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_NFT_INTERNAL_H
#define NSNTRACE_NETLINK_NFT_INTERNAL_H

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdint.h>

#include "netlink/nft.h"
#include "netlink/socket.h"

/* The type of a message, from NFT_MSG_*. */
#define NFT_TYPE(message) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (message)))

struct nft {
	struct netlink nl;
};

void nft_header(struct nlmsghdr *message, uint8_t family);
void nft_begin(struct nft *nft, uint32_t generation);
void nft_end(struct nft *nft);

#endif
