/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_NFT_EXPR_H
#define NSNTRACE_NETLINK_NFT_EXPR_H

#include <stdint.h>

#include "base/ip.h"

struct nftnl_rule;

void nft_meta_nfproto(struct nftnl_rule *rule, uint8_t protocol);
void nft_meta_protocol(struct nftnl_rule *rule, uint16_t ethertype);
void nft_iifname(struct nftnl_rule *rule, uint32_t op, const char *name);
void nft_oifname(struct nftnl_rule *rule, uint32_t op, const char *name);
void nft_ether_daddr_group(struct nftnl_rule *rule);
void nft_ip_saddr(struct nftnl_rule *rule, const struct ip *ip);
void nft_ip_daddr_group(struct nftnl_rule *rule);
void nft_ip6_daddr_group(struct nftnl_rule *rule);
void nft_icmpv6_type(struct nftnl_rule *rule, uint8_t first, uint8_t last);
void nft_masquerade(struct nftnl_rule *rule);
void nft_counter(struct nftnl_rule *rule);
void nft_quota(struct nftnl_rule *rule, const char *name);
void nft_accept(struct nftnl_rule *rule);
void nft_drop(struct nftnl_rule *rule);

#endif
