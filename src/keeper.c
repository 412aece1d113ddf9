/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The privileged, idle side of a run. keeper starts tracer, relay and program,
 * knows every change of the host before it is made, and puts it back when the
 * program has ended or when anybody else has died: both are the same path, so
 * the one that saves a host after kill -9 is walked by every run. One thread,
 * one poll loop; it reads messages of ours, wait statuses and netlink, never a
 * byte from the network.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "channel.h"
#include "keeper_children.h"
#include "keeper_loop.h"
#include "keeper_tree.h"
#include "mounts.h"
#include "netlink/sockdiag.h"
#include "series.h"
#include "undo.h"
#include "uplink/uplink.h"

/* How often a FIFO that nobody reads yet is tried again. */
#define FIFO_LOOK_MS 20

/* How long what was captured may take to be saved when the run breaks off. */
#define SAVE_MS 500

/* How long somebody's end may take to show: some looks, each of some time. */
#define LAST_WORDS_MS	 10
#define LAST_WORDS_TURNS 100

/* Everything that changes the host or needs to know what was changed. */
static int prepare(struct keeper *keeper)
{
	int ret = rtnl_open(&keeper->host);

	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket");
	ret = keeper_take_ports(keeper);
	if (ret < 0)
		return ret;
	ret = undo_open(&keeper->undo, keeper->host);
	if (!ret)
		ret = keeper_make_cgroup(keeper);
	if (!ret)
		ret = keeper_start_relay(keeper);
	if (!ret)
		ret = keeper_start_tracer(keeper);

	return ret;
}

/* The host's half, while tracer opens the capture. */
static int build_uplink(struct keeper *keeper)
{
	struct uplink *uplink = &keeper->uplink;
	int ret;

	if (keeper_await(keeper, &keeper->built) < 0)
		return -1;
	uplink->host = keeper->host;
	uplink->undo = keeper->undo;
	keeper->uplink_up = true;
	ret = uplink->ops->host(uplink);
	if (ret < 0)
		return ret;
	debug("built the host's half of the uplink");

	return 0;
}

static int hold_program(struct keeper *keeper)
{
	const struct plan *plan = keeper->plan;
	int ret;

	/* Before the program looks, so that no change falls in between. */
	if (mounts_needed(&plan->mounts)) {
		keeper->watch = mounts_watch(&plan->mounts);
		if (keeper->watch < 0)
			return keeper->watch;
	}
	ret = program_hold(plan, keeper->heritage, &keeper->cgroup,
			   keeper->netns, &keeper->program);
	if (ret < 0)
		return ret;
	ret = keeper_await(keeper, &keeper->prepared);

	return ret < 0 ? ret : keeper_hold_tree(keeper);
}

/* Open the trace's file; a FIFO may have to wait for its reader. */
static int open_file(struct keeper *keeper)
{
	const struct plan *plan = keeper->plan;
	int fd;

	if (plan->to_stdout) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? fail(errno, "cannot use standard output") : fd;
	}
	fd = series_begin(&keeper->series, plan, keeper->program.pid);
	if (fd < 0)
		return fd;
	fd = series_open(&keeper->series);
	if (fd == -ENXIO)
		note("Waiting for somebody to read '%s'.", keeper->series.name);
	while (fd == -ENXIO && !keeper->broken && !keeper->ended) {
		keeper_turn(keeper, FIFO_LOOK_MS);
		fd = series_open(&keeper->series);
	}

	return fd;
}

static int send_file(struct keeper *keeper)
{
	autoclose int file = open_file(keeper);
	int pair[2] = { -1, -1 };
	int fds[3] = { file };
	size_t count = 1;
	int ret;

	if (file < 0)
		return file;
	if (keeper->plan->rotate) {
		ret = channel_pair(pair);
		if (ret < 0)
			return ret;
		keeper->series_channel = pair[0];
		fds[count++] = pair[1];
	}
	if (keeper->cgroup.kill >= 0)
		fds[count++] = keeper->cgroup.kill;
	ret = channel_send(keeper->tracer.channel, MESSAGE_FILE, NULL, 0, fds,
			   count);
	fd_close(&pair[1]);

	return ret;
}

/* Nothing of ours may keep the user's terminal, pipes or directory busy. */
static void leave_session_behind(void)
{
	fd_leave_standard_streams();
	fd_close_inherited();
	if (chdir("/") < 0)
		debug("cannot leave the directory");
	/*
	 * Only now: the program was born into front's group, where it stays,
	 * so that the terminal reaches it.
	 */
	setpgid(0, 0);
}

/* Up to the moment at which the program runs. */
static int set_up(struct keeper *keeper)
{
	const int *kill_fd = &keeper->cgroup.kill;
	int ret = prepare(keeper);

	if (!ret)
		ret = build_uplink(keeper);
	if (!ret)
		ret = keeper_start_publisher(keeper);
	if (!ret)
		ret = hold_program(keeper);
	/* Opening the capture takes longest: the rest was done meanwhile. */
	if (!ret)
		ret = keeper_await(keeper, &keeper->tracer.ready);
	if (!ret && keeper->plan->service_count)
		ret = keeper_await(keeper, &keeper->relay.ready);
	if (!ret && keeper->plan->published_count)
		ret = keeper_await(keeper, &keeper->publisher.ready);
	if (!ret)
		ret = send_file(keeper);
	if (ret < 0)
		return ret;
	leave_session_behind();
	if (keeper_await(keeper, &keeper->writing) < 0)
		return -1;

	if (keeper->freezer.fd >= 0)
		channel_send(keeper->front.channel, MESSAGE_FREEZER,
			     &keeper->freezer, sizeof(keeper->freezer),
			     &keeper->freezer.fd, 1);
	channel_send(keeper->front.channel, MESSAGE_STARTING,
		     &keeper->uplink.run, sizeof(keeper->uplink.run), kill_fd,
		     *kill_fd < 0 ? 0 : 1);
	if (keeper_await(keeper, &keeper->released) < 0)
		return -1;
	debug("releasing the program");
	program_release(&keeper->program);

	return 0;
}

/*
 * Who could not be reached in set-up has ended, and may have said why. What
 * else has failed has been told by now, or the run is broken off already.
 */
static void hear_last_words(struct keeper *keeper)
{
	for (int i = 0; i < LAST_WORDS_TURNS; i++) {
		if (keeper->broken || log_told_error())
			break;
		keeper_turn(keeper, LAST_WORDS_MS);
	}
	keeper_break_off(keeper);
}

/* The program's life, and with --wait that of all its descendants. */
static void watch_over(struct keeper *keeper)
{
	while (!keeper->ended && !keeper->broken)
		keeper_turn(keeper, -1);
	/* The last one of them is our child in the end: it wakes us. */
	while (keeper->plan->options->wait && !keeper->cut && !keeper->broken &&
	       !keeper->exec_error && keeper_has_left(keeper))
		keeper_turn(keeper, -1);
	if (keeper->plan->options->wait && keeper->cut)
		keeper_end_left(keeper);
}

/*
 * The run is broken off, or the user does not want to wait: whoever reads the
 * trace may have stopped reading, and the host cannot wait for that.
 */
static void save_in_time(struct keeper *keeper)
{
	const int64_t end = clock_monotonic_ms() + SAVE_MS;
	int64_t left = SAVE_MS;

	while (!keeper->done && !keeper->tracer.gone) {
		if (left <= 0 && keeper->tracer.pid > 0) {
			if (!keeper->broken)
				refuse("the end of the trace is lost: it could "
				       "not be written in time");
			keeper_break_off(keeper);
			kill(keeper->tracer.pid, SIGKILL);
		}
		keeper_turn(keeper, left > 0 ? (int)left : -1);
		left = end - clock_monotonic_ms();
	}
}

/* Have the capture drained and its file closed. */
static void drain(struct keeper *keeper)
{
	struct message_stop stop = {
		.linger_ms = keeper->plan->options->linger_ms,
	};

	if (!keeper->tracer.ready)
		return;
	if (keeper->cut || keeper->broken || keeper->exec_error)
		stop.linger_ms = 0;
	keeper->draining = true;
	keeper_stop_relays(keeper);
	channel_send(keeper->tracer.channel, MESSAGE_STOP, &stop, sizeof(stop),
		     NULL, 0);
	while (!keeper->done && !keeper->tracer.gone && !keeper->broken &&
	       !keeper->cut)
		keeper_turn(keeper, -1);
	save_in_time(keeper);
}

static void tell_front(struct keeper *keeper, const struct left *left)
{
	struct message_finished finished = {
		.failed = keeper->broken ||
			  (keeper->tracer.ready && !keeper->done),
		.executed = keeper->executed && keeper->ended,
		.exec_error = keeper->exec_error,
		.wstatus = keeper->wstatus,
		.left = *left,
		.counted = keeper->done,
		.tally = keeper->tally,
	};

	if (keeper->series.name)
		snprintf(finished.outfile, sizeof(finished.outfile), "%s",
			 keeper->series.name);
	channel_send(keeper->front.channel, MESSAGE_FINISHED, &finished,
		     sizeof(finished), NULL, 0);
}

/*
 * Who lives on and waits for an answer would wait for ever: have its sockets
 * tell it that there will be none. Our own sockets stay where they are.
 */
static void abort_connections(const struct keeper *keeper)
{
	const struct run *run = &keeper->uplink.run;
	struct sockdiag *sockdiag = NULL;
	int ret;

	if (setns(keeper->netns, CLONE_NEWNET) < 0 ||
	    sockdiag_open(&sockdiag) < 0) {
		debug("cannot list the connections of those left");
		return;
	}
	ret = sockdiag_abort(sockdiag, &run->ip4);
	if (ret >= 0)
		ret = sockdiag_abort(sockdiag, &run->ip6);
	if (ret < 0)
		debug("cannot end connections: %s", strerror(-ret));
	sockdiag_close(sockdiag);
}

/*
 * Behind the prompt: what the kernel takes its time for. With --sync front
 * waits for the end of it, which it sees by our own end.
 */
static void clear_away(struct keeper *keeper, bool left)
{
	bool sync = keeper->plan->options->sync;

	/*
	 * Somebody who lives on must get errors, not a link to nowhere; and a
	 * connection that cannot end would keep the link for minutes.
	 */
	if (keeper->uplink_up &&
	    (left || sync || !keeper->done || keeper->tally.unfinished))
		keeper->uplink.ops->cut(&keeper->uplink);
	if (left && keeper->uplink_up)
		abort_connections(keeper);
	program_close(&keeper->program);
	fd_close(&keeper->tracer.channel);
	fd_close(&keeper->netns);
	fd_close(&keeper->mount_ns);
	/* It has nothing more to do; who is left may have stopped it. */
	if (keeper->tracer.pid > 0) {
		kill(keeper->tracer.pid, SIGKILL);
		waitpid(keeper->tracer.pid, NULL, 0);
	}
	keeper_end_relays(keeper, keeper->draining && !left && !keeper->cut &&
					  !keeper->broken);
	if (keeper->uplink_up)
		keeper->uplink.ops->down(&keeper->uplink);
	rtnl_close(keeper->host);
}

static void end(struct keeper *keeper)
{
	struct left left;

	if (keeper->broken)
		keeper_kill_all(keeper);
	drain(keeper);
	/* tracer may have come to its end before it could. */
	freezer_set(&keeper->freezer, false);
	keeper_find_left(keeper, &left);
	if (keeper->uplink_up)
		keeper->uplink.ops->ended(&keeper->uplink);
	undo_all(keeper->undo);
	cgroup_close(&keeper->cgroup);
	freezer_close(&keeper->freezer);
	debug("put the host back");
	tell_front(keeper, &left);
	clear_away(keeper, left.count > 0);
}

/* For the program's wait status, and to stop and continue front by that. */
static int open_signals(struct keeper *keeper)
{
	keeper->front_pidfd =
		(int)syscall(SYS_pidfd_open, keeper->front.pid, 0);
	if (keeper->front_pidfd < 0)
		return fail(errno, "cannot watch the front process");
	keeper->signals = signals_open(NULL);
	if (keeper->signals < 0)
		return fail(-keeper->signals, "cannot read signals");

	return 0;
}

/*
 * Without memory nothing can be put back from here: end the program, and become
 * the process that does so by the records. exec(2) gives all memory back, and
 * closes what tells the others that keeper is gone.
 */
static void clean_up_anew(void *context)
{
	struct keeper *keeper = context;
	const struct peer *const peers[3] = {
		&keeper->tracer,
		&keeper->relay,
		&keeper->publisher,
	};

	keeper_break_off(keeper);
	keeper_kill_all(keeper);
	/* Who has not become what it is to be holds our locks. */
	if (keeper->program.pid)
		waitpid(keeper->program.pid, NULL, 0);
	for (size_t i = 0; i < 3; i++) {
		if (peers[i]->pid <= 0 || peers[i]->ready)
			continue;
		kill(peers[i]->pid, SIGKILL);
		waitpid(peers[i]->pid, NULL, 0);
	}
	execl("/proc/self/exe", "nsntrace", "--cleanup", "--quiet", NULL);
}

/*
 * Be the keeper: never returns. @front is the channel to the process that the
 * user started; the signal dispositions are as it had them, the mask is full.
 */
void keeper_main(const struct plan *plan, const struct heritage *heritage,
		 int front)
{
	struct keeper keeper = {
		.plan = plan,
		.heritage = heritage,
		.front = { .name = "front", getppid(), front },
		.tracer = { .name = "tracer", .channel = -1, .gone = true },
		.relay = { .name = "relay", .channel = -1, .gone = true },
		.publisher = { .name = "relay", .channel = -1, .gone = true },
		.uplink = {
			.ops = plan->engine == ENGINE_NAT ? &uplink_nat
							  : &uplink_none,
			.plan = plan,
		},
		.cgroup = CGROUP_NONE,
		.freezer = FREEZER_OFF,
		.netns = -1,
		.watch = -1,
		.mount_ns = -1,
		.series_channel = -1,
		.program = { .pidfd = -1, .door = -1 },
	};

	prctl(PR_SET_NAME, "nsntrace-keeper");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	channel_log_to(&keeper.front.channel);
	before_dying(clean_up_anew, &keeper);
	if (open_signals(&keeper) < 0)
		_exit(1);
	if (set_up(&keeper) < 0 && !keeper.exec_error && !keeper.ended)
		hear_last_words(&keeper);
	else
		watch_over(&keeper);
	end(&keeper);
	_exit(0);
}
