/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RESTORE_H
#define NSNTRACE_RESTORE_H

#include <stdbool.h>

#include "netlink/nft.h"
#include "netlink/rtnl.h"

/* In a record beside each value: it overrules the forwarding of interfaces. */
#define IP_FORWARD "net/ipv4/ip_forward"

/* For whom it is put back, and how that went. */
struct restore {
	struct rtnl *rtnl; /* on the host; borrowed */
	struct nft *nft;   /* likewise; or NULL for one of its own */
	bool stale;	   /* the run is dead, and others put it back */
	bool aloud;	   /* the user asked for it: tell each thing */
	bool gone;	   /* with its network namespace, and all in that */
	const char *lives; /* the records of all that live, if stale */
	unsigned found;
	unsigned failed; /* and what is to be done was told */
};

void restore_sysctl(struct restore *restore, int fd);
void restore_run(struct restore *restore, int fd);

#endif
