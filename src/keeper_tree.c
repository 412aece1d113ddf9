/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeper can do with the program and all that comes of it, setuid programs
 * and daemons included: find, freeze and end them. They are found below keeper,
 * which is their subreaper. They are ended by the cgroup in which the program
 * was born, and where there is none, or who has left it, one by one.
 */
#include "keeper_tree.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/descent.h"
#include "base/fd.h"
#include "base/freezer.h"
#include "base/log.h"
#include "base/proc.h"

/* How long killed processes may take to be gone. */
#define KILL_WAIT_MS 2000

/* How often is looked for those who were born meanwhile. */
#define KILL_TURN_MS 10

/* How long those who are asked to end have for it. */
#define END_MS 500

/* Of those who only seem to live, and cannot be reaped, there are few. */
#define LOOKS_MAX 100

/* Without a cgroup the run goes on: see the top of this file. */
static int make_cgroup2(struct keeper *keeper, const char *name)
{
	const char *parent = keeper->plan->facts->cgroup;
	autofree char *path = NULL;
	int ret;

	if (!parent)
		return 0;
	path = xasprintf("%s/%s", parent, name);
	ret = undo_cgroup(keeper->undo, path);
	if (ret < 0)
		return ret;
	ret = cgroup_create(&keeper->cgroup, path);
	if (ret < 0)
		debug("cannot make cgroup %s: %s", path, strerror(-ret));

	return 0;
}

/* Nobody can be born in a cgroup of v1: the program is moved there, later. */
static int make_cgroup1(struct keeper *keeper, const char *name)
{
	const char *parent = keeper->plan->facts->freezer;
	autofree char *path = NULL;
	int ret;

	if (!parent)
		return -ENOENT;
	path = xasprintf("%s/%s", parent, name);
	ret = undo_cgroup(keeper->undo, path);
	if (!ret && mkdir(path, 0755) < 0)
		ret = -errno;
	if (!ret)
		ret = freezer_open(&keeper->freezer, FREEZER_CGROUP1, path);
	if (ret < 0)
		return ret;
	keeper->freezer_cgroup = path;
	path = NULL;

	return 0;
}

/* --lossless: before tracer is forked, which inherits it. */
static int make_freezer(struct keeper *keeper, const char *name)
{
	int ret = -ENOENT;

	if (keeper->cgroup.dir >= 0)
		ret = freezer_open(&keeper->freezer, FREEZER_CGROUP2,
				   keeper->cgroup.path);
	if (ret < 0)
		ret = make_cgroup1(keeper, name);
	if (ret < 0) {
		fail(-ret, "cannot make a cgroup for --lossless");
		hint("it takes cgroup v2 of Linux 5.14, or the freezer of v1, "
		     "and the right to write there");
	}

	return ret;
}

/*
 * Make what will hold the program and all its descendants. Returns 0, or a
 * negative errno already reported.
 */
int keeper_make_cgroup(struct keeper *keeper)
{
	autofree char *name = NULL;
	unsigned unique;
	int ret;

	/* A number of ours may be another's too, in another container. */
	if (getrandom(&unique, sizeof(unique), 0) < 0)
		return fail(errno, "cannot get a random number");
	name = xasprintf("nsntrace-%d-%08x", (int)getpid(), unique);
	ret = make_cgroup2(keeper, name);
	if (!ret && keeper->plan->options->lossless)
		ret = make_freezer(keeper, name);

	return ret;
}

/*
 * See that what --lossless freezes has the program in it, which is not released
 * yet. Returns 0, or a negative errno already reported.
 */
int keeper_hold_tree(struct keeper *keeper)
{
	int ret = 0;

	if (keeper->freezer_cgroup)
		ret = cgroup_move(keeper->freezer_cgroup, keeper->program.pid);
	else if (keeper->freezer.fd >= 0 && keeper->cgroup.dir < 0)
		ret = -EOPNOTSUPP;

	return ret < 0 ? fail(-ret, "cannot use a cgroup for --lossless") : 0;
}

/* Call @each, if not NULL, for all that still run; returns how many. */
static unsigned each_left(const struct keeper *keeper, proc_each *each,
			  void *context)
{
	const pid_t ours[] = { keeper->tracer.pid, keeper->relay.pid,
			       keeper->publisher.pid };
	int left;

	if (keeper->netns < 0 || !keeper->program.pid)
		return 0;
	left = descent_each(ours, 3, each, context);
	if (left >= 0)
		return (unsigned)left;

	return proc_each_in_netns(proc_netns_inode(keeper->netns), ours, 3,
				  each, context);
}

/*
 * Whether some process of the program's still runs. One that has ended counts
 * until it is reaped: whoever has to wait will be woken by that.
 */
bool keeper_has_left(const struct keeper *keeper)
{
	unsigned ours = (keeper->tracer.pid > 0 ? 1 : 0) +
			(keeper->relay.pid > 0 ? 1 : 0) +
			(keeper->publisher.pid > 0 ? 1 : 0);
	unsigned children = descent_children();

	if (!keeper->program.pid || children <= ours)
		return false;

	/* All others are our child in the end, or a child's. */
	return children != UINT_MAX || each_left(keeper, NULL, NULL) > 0;
}

static void take_down(pid_t pid, void *context)
{
	struct left *left = context;

	if (left->named < LEFT_NAMED_MAX &&
	    proc_name(pid, left->process[left->named].name) == 0)
		left->process[left->named++].pid = pid;
}

/*
 * Which processes of the program's still run: how many, and some by name. Where
 * parents end while they are looked for, they are looked for again.
 */
void keeper_find_left(struct keeper *keeper, struct left *left)
{
	*left = (struct left){ 0 };
	for (int i = 0;
	     i < LOOKS_MAX && !left->count && keeper_has_left(keeper); i++) {
		keeper_reap(keeper);
		left->count = each_left(keeper, take_down, left);
	}
}

static void terminate(pid_t pid, void *context)
{
	(void)context;
	kill(pid, SIGTERM);
}

/*
 * End all whom --wait has waited for, as the user has had enough: first asked,
 * so that they can put their own things in order, then killed.
 */
void keeper_end_left(struct keeper *keeper)
{
	const int64_t end = clock_monotonic_ms() + END_MS;
	int64_t rest = END_MS;

	each_left(keeper, terminate, NULL);
	while (rest > 0 && !keeper->broken && keeper_has_left(keeper)) {
		keeper_turn(keeper, (int)rest);
		rest = end - clock_monotonic_ms();
	}
	keeper_kill_all(keeper);
}

static void kill_one(pid_t pid, void *context)
{
	(void)context;
	kill(pid, SIGKILL);
}

/* End the program and everything that came of it, setuid or daemon. */
void keeper_kill_all(struct keeper *keeper)
{
	const pid_t except[] = { keeper->tracer.pid, keeper->publisher.pid };
	const int64_t end = clock_monotonic_ms() + KILL_WAIT_MS;

	if (!keeper->program.pid)
		return;
	if (keeper->cgroup.kill >= 0)
		cgroup_kill(keeper->cgroup.kill);
	proc_signal(keeper->program.pidfd, SIGKILL);
	/* Only then, as it has nothing more to do; v1 holds even the dead. */
	freezer_set(&keeper->freezer, false);
	/*
	 * One by one too: where there is no cgroup, who has left it, and whose
	 * first thread has ended, whom the kernel's own way misses.
	 */
	while (keeper_has_left(keeper) && clock_monotonic_ms() < end) {
		each_left(keeper, kill_one, NULL);
		keeper_turn(keeper, KILL_TURN_MS);
	}
	/* Who came in from outside. */
	proc_kill_netns(proc_netns_inode(keeper->netns), except, 2);
	keeper_reap(keeper);
}
