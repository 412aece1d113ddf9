/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_UPLINK_H
#define NSNTRACE_UPLINK_UPLINK_H

#include "netlink/rtnl.h"
#include "plan.h"
#include "undo.h"

/* How the program's namespace reaches the world. */
struct uplink {
	const struct uplink_ops *ops;
	const struct plan *plan;
	struct run run;
	struct rtnl *host; /* a socket on the host's side; borrowed */
	struct undo *undo; /* borrowed; keeper only */
};

/*
 * One engine. `create`, `inside` and `ready` run in tracer, in the new
 * namespace of which @inner is a socket; all others run in keeper, on the host.
 * Each returns 0, or a negative errno already reported.
 */
struct uplink_ops {
	const char *name;
	/*
	 * Make both ends and set the inner one up, with which it can be
	 * captured; fill in uplink->run.
	 */
	int (*create)(struct uplink *uplink, struct rtnl *inner);
	/* Configure the inner end. */
	int (*inside)(struct uplink *uplink, struct rtnl *inner);
	/* Make the host's half. */
	int (*host)(struct uplink *uplink);
	/* Without rights: wait until the first packet counts. */
	int (*ready)(struct uplink *uplink, struct rtnl *inner);
	/* What to poll for changes of the host, or -1. */
	int (*fd)(const struct uplink *uplink);
	/* The host has changed: follow. */
	int (*events)(struct uplink *uplink);
	/*
	 * The program has ended, the trace is complete: tell what is still to
	 * be told of its way, and take away what does not go by itself.
	 */
	void (*ended)(struct uplink *uplink);
	/*
	 * Take the host's end away although the namespace lives on, and what
	 * the host knows of its connections.
	 */
	void (*cut)(struct uplink *uplink);
	/* Let go of what dies with a descriptor. */
	void (*down)(struct uplink *uplink);
};

extern const struct uplink_ops uplink_nat;
extern const struct uplink_ops uplink_none;

#endif
