/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PLAN_H
#define NSNTRACE_PLAN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ip.h"
#include "mounts.h"
#include "options.h"
#include "probe.h"
#include "relay/relay.h"

/* Inside, the interfaces have the same names and numbers in every run. */
#define PLAN_INSIDE_NAME  "eth0"
#define PLAN_INSIDE_INDEX 1000 /* a namespace may be born with tunl0, sit0 */
#define PLAN_LO_INDEX	  1

#define PLAN_POOLS  5
#define PLAN_POOLS6 2

extern const uint8_t plan_inside_mac[6];
extern const uint8_t plan_outside_mac[6];

/* What a run really got, where the kernel decides. Fits a message. */
struct run {
	uint32_t number;     /* unique on this host while the run lasts */
	char name[IFNAMSIZ]; /* of the host end, and of the nft tables */
	uint32_t index;	     /* of the host end */
	uint32_t table;	     /* for its private routes */
	struct ip ip4;	     /* the program's; AF_UNSPEC: none */
	struct ip ip6;
};

/* Every choice of this run. Pointers lead into options and facts. */
struct plan {
	const struct options *options;
	const struct facts *facts;

	enum engine engine;
	bool ip4;
	bool ip6;
	bool ip6_links;	      /* a link of ours has IPv6, wanted or not */
	char ip6_reason[128]; /* why there is none, or "" */
	uint32_t mtu;
	uint32_t first;	    /* number that is tried first */
	struct ip gateway4; /* what the host end is called inside */
	struct ip gateway6;

	bool capture_device; /* eth0 */
	bool capture_lo;
	bool to_stdout;
	bool rotate; /* the trace goes to several files */
	enum format format;
	size_t ring_bytes;
	size_t queue_bytes;

	/* Whom tracer and relay become, never root; pointers borrowed. */
	struct identity observer;
	struct identity nobody;

	struct relay_service services[RELAY_SERVICES_MAX];
	size_t service_count;
	struct relay_service published[RELAY_SERVICES_MAX];
	size_t published_count;
	struct mounts mounts;
	char *resolv_conf; /* generated text behind mounts */
};

int plan_make(const struct options *options, const struct facts *facts,
	      struct plan *plan);
void plan_free(struct plan *plan);
void plan_candidate(const struct plan *plan, unsigned attempt, unsigned pool,
		    unsigned pool6, struct run *run);
void plan_print(const struct plan *plan, FILE *stream);
char *plan_outfile(const struct plan *plan, pid_t pid, time_t started);

#endif
