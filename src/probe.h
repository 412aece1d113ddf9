/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_PROBE_H
#define NSNTRACE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/utsname.h>

#include "base/rights.h"
#include "base/sysctl.h"
#include "netlink/foreign.h"
#include "netlink/rtnl.h"
#include "options.h"
#include "resolv.h"
#include "routes.h"

#define COPIED_SYSCTLS_MAX 8

/* A per-namespace value that the program would find on the host. */
struct copied_sysctl {
	const char *name;
	char value[SYSCTL_VALUE_SIZE];
};

/* What this host is like. Read only, nothing is changed to find out. */
struct facts {
	struct utsname uts;
	struct identity invoker; /* behind sudo, doas, pkexec */
	struct identity user;	 /* whom the program runs as */
	char *program;		 /* its path, as exec will find it */

	struct link device; /* the uplink; index 0: there is none */
	bool ip4_way;	    /* the uplink leads somewhere, by IPv4 */
	bool ip4_gateway;   /* and beyond its subnet */
	bool ip6_way;
	bool ip6_gateway;
	struct egress *egress; /* the device of the default route first */
	size_t egress_count;

	bool ip6_kernel;       /* the kernel has IPv6 */
	bool ip6;	       /* the kernel has it, and it is not off */
	bool ip6_forwards;     /* the host is an IPv6 router already */
	bool ip6_force;	       /* force_forwarding exists (6.17) */
	bool strict_rp_filter; /* on the device, by itself or by "all" */

	/* Only for --dry-run: a run looks at the moment itself. */
	struct foreign_chains firewalls; /* where accepts are needed */
	const char *legacy[2];		 /* and by which commands, or NULL */

	struct resolv resolv;
	bool resolved;	       /* systemd-resolved is at work here */
	const char *hidden[4]; /* sockets of name services, perhaps to come */
	size_t hidden_count;

	char *cgroup;	/* directory of our own cgroup (v2), or NULL */
	char *freezer;	/* the same in the hierarchy of v1's freezer */
	bool freezes;	/* a child of @cgroup can be made */
	bool freezable; /* or one of @freezer */
	struct copied_sysctl copied[COPIED_SYSCTLS_MAX];
	size_t copied_count;

	void *filter; /* instructions, as the kernel takes them */
	unsigned filter_count;
};

int probe(const struct options *options, struct facts *facts);
void facts_free(struct facts *facts);

#endif
