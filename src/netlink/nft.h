/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_NFT_H
#define NSNTRACE_NETLINK_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

/* An nftables netlink socket. Tables made with it die with it. */
struct nft;

struct nft_tables {
	const char *name;      /* of both tables */
	const char *interface; /* host end of the veth pair */
	struct ip ip4;	       /* the program's addresses; AF_UNSPEC: none */
	struct ip ip6;
	bool owner;  /* in: may be tried; out: what was got */
	bool egress; /* likewise, the netdev egress hook */
};

int nft_open(struct nft **nft);
void nft_close(struct nft *nft);
int nft_fd(const struct nft *nft);
void nft_tables_build(struct nft *nft, const struct nft_tables *tables);
const void *nft_batch(struct nft *nft, size_t *size);
int nft_tables_add(struct nft *nft, struct nft_tables *tables);
int nft_tables_delete(struct nft *nft, const struct nft_tables *tables);
const char *nft_failed(const struct nft *nft);

#endif
