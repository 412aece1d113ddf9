/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PORTS_H
#define NSNTRACE_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define PORTS_MAX 16

/* A port of the host, and the one inside that goes with it. */
struct port {
	bool tcp;	   /* else UDP */
	struct ip address; /* of the host; family 0: any */
	uint16_t host;
	uint16_t inside;
};

struct ports {
	struct port port[PORTS_MAX];
	size_t count;
};

int ports_add_local(const char *value, struct ports *ports);
int ports_add_published(const char *value, struct ports *ports);

#endif
