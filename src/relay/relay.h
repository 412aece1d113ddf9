/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RELAY_RELAY_H
#define NSNTRACE_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

/* Two families each for what -L, or -P, names, and all resolvers. */
#define RELAY_SERVICES_MAX 64

#define RELAY_FALLBACKS_MAX 3

/*
 * One relayed address: what arrives on @listen:@port on one side of the wall
 * is answered by @upstream:@upstream_port on the other.
 */
struct relay_service {
	bool tcp;    /* else UDP */
	bool inward; /* clients are on the host, the upstream inside */
	bool follow; /* refuse clients while nobody listens upstream */
	uint16_t port;
	uint16_t upstream_port;
	struct ip listen;
	struct ip upstream;
	/* Of those that follow: where else to look, family 0 being none. */
	struct ip fallbacks[RELAY_FALLBACKS_MAX];
	char device[16]; /* upstream sockets leave by it; "": by any */
};

struct identity;

void relay_main(const struct relay_service *services, size_t count,
		const struct identity *as, int channel, int netns)
	__attribute__((noreturn));
int relay_listen(const struct relay_service *service);
int relay_serve(const struct relay_service *services, const int *listeners,
		size_t count, int end_fd, void (*ready)(int end_fd));

#endif
