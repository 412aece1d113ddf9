/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RELAY_RELAY_H
#define NSNTRACE_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define RELAY_SERVICES_MAX 32

/*
 * One relayed address: what arrives on @listen:@port inside the namespace is
 * answered by @upstream:@upstream_port outside.
 */
struct relay_service {
	bool tcp; /* else UDP */
	uint16_t port;
	uint16_t upstream_port;
	struct ip listen;
	struct ip upstream;
	char device[16]; /* upstream sockets leave by it; "": by any */
};

struct identity;

void relay_main(const struct relay_service *services, size_t count,
		const struct identity *as, int channel)
	__attribute__((noreturn));
int relay_listen(const struct relay_service *service);
int relay_serve(const struct relay_service *services, const int *listeners,
		size_t count, int end_fd);

#endif
