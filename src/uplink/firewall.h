/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_FIREWALL_H
#define NSNTRACE_UPLINK_FIREWALL_H

#include "netlink/nft.h"
#include "uplink/uplink.h"

int firewall_open(struct uplink *uplink, struct nft *owner,
		  const struct nft_tables *tables);
int firewall_fd(void);
int firewall_timer_fd(void);
int firewall_events(struct uplink *uplink);
void firewall_judge(const struct uplink *uplink);
void firewall_close(void);

#endif
