/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_TRACER_INTERNAL_H
#define NSNTRACE_TRACER_INTERNAL_H

#include "base/freezer.h"
#include "capture/capture.h"
#include "channel.h"
#include "counters.h"
#include "uplink/uplink.h"

/* What tracer knows while it builds and while it captures. */
struct tracer {
	const struct plan *plan;
	pid_t keeper;
	int channel;
	int relay; /* takes its listeners from here; or -1 */
	struct uplink uplink;
	int built; /* how making the uplink went */
	struct capture *capture;
	char os[160]; /* for the file's header */
	struct sockdiag *sockdiag;
	struct rtnl *inner;
	struct counters counters; /* of the interfaces */
	bool writing;		  /* the capture has its file */
	bool drained; /* and has closed it: @tally says how it went */
	struct tally tally;
	int series;	 /* on which keeper is asked for the next file; or -1 */
	int cgroup_kill; /* to end the program if keeper dies; or -1 */
	struct freezer freezer;
};

int tracer_build(struct tracer *tracer);

#endif
