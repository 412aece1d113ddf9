/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_SOCKDIAG_H
#define NSNTRACE_NETLINK_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

/* The sockets of the namespace in which it was opened. */
struct sockdiag;

int sockdiag_open(struct sockdiag **sockdiag);
void sockdiag_close(struct sockdiag *sockdiag);
int sockdiag_abort(struct sockdiag *sockdiag, const struct ip *ip);
int sockdiag_tcp_unfinished(struct sockdiag *sockdiag);
bool sockdiag_knows(struct sockdiag *sockdiag, uint8_t protocol);
int sockdiag_finds(struct sockdiag *sockdiag, uint8_t protocol,
		   const struct ip *ip, uint16_t port);

#endif
