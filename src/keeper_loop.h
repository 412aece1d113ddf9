/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_KEEPER_LOOP_H
#define NSNTRACE_KEEPER_LOOP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/cgroup.h"
#include "base/freezer.h"
#include "channel.h"
#include "plan.h"
#include "program.h"
#include "series.h"
#include "undo.h"
#include "uplink/uplink.h"

/* One of our own processes, and the channel to it. */
struct peer {
	const char *name;
	pid_t pid;
	int channel;
	bool ready; /* tracer captures, a relay serves */
	bool told;  /* what it could not do */
	bool gone;
};

struct keeper {
	const struct plan *plan;
	const struct heritage *heritage;

	struct peer front;
	struct peer tracer;
	struct peer relay;     /* on the host, for the program */
	struct peer publisher; /* inside, for the host: the other relay */
	int ports[RELAY_SERVICES_MAX]; /* of the host, for the latter */
	size_t port_count;
	int signals;
	int front_pidfd;

	struct rtnl *host;
	struct undo *undo;
	struct uplink uplink;
	bool uplink_up;
	struct cgroup cgroup;
	struct freezer freezer; /* of the program, with --lossless */
	char *freezer_cgroup; /* of v1, which it has to be moved to; or NULL */
	int netns;
	int watch; /* on what the program's mounts cover; or -1 */
	int mount_ns;
	struct program program;

	/* What has happened so far. */
	bool built;
	bool prepared;
	bool writing;
	bool released; /* by front */
	bool executed;
	bool stopped;
	bool ended;
	bool cut; /* the user does not want to wait */
	bool draining;
	bool done;
	bool broken; /* the run cannot go on; why has been said */
	int exec_error;
	struct series series; /* of the trace's files */
	int series_channel;   /* on which tracer asks for the next; or -1 */
	int wstatus;
	unsigned live_rows; /* of the terminal, while front's line is there */
	struct tally tally;
};

void keeper_turn(struct keeper *keeper, int timeout_ms);
int keeper_await(struct keeper *keeper, const bool *what);
void keeper_reap(struct keeper *keeper);
void keeper_break_off(struct keeper *keeper);

#endif
