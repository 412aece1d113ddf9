/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The namespace side of a run: has all built that needs rights
 * (tracer_build.c), gives up every right, and then only moves frames from the
 * ring to a file that it was handed. When the program has ended it drains: what
 * the kernel counted is what is read, no matter how long that takes.
 */
#include "tracer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "base/sandbox.h"
#include "capture/capture.h"
#include "channel.h"
#include "counters.h"
#include "netlink/sockdiag.h"
#include "tracer_internal.h"

#define MIB (1024UL * 1024)

/* How often unfinished TCP connections are looked at again. */
#define LINGER_LOOK_MS 2

/* How long what was captured may take to be saved after keeper's death. */
#define SAVE_MS 500

/* Whether somebody does not want to wait; keeper's end of file counts too. */
static bool is_cut_short(struct tracer *tracer, int timeout_ms)
{
	struct pollfd channel = { .fd = tracer->channel, .events = POLLIN };

	/* After STOP nothing but CUT comes, so there is no need to read it. */
	return poll(&channel, 1, timeout_ms) != 0;
}

static bool keeper_has_died(const struct tracer *tracer)
{
	struct pollfd channel = { .fd = tracer->channel };

	return poll(&channel, 1, 0) > 0 && (channel.revents & POLLHUP);
}

/*
 * Let the program's connections say their last words. Returns whether some
 * could not.
 */
static bool linger(struct tracer *tracer, uint32_t linger_ms)
{
	const int64_t end = clock_monotonic_ms() + linger_ms;

	while (sockdiag_tcp_unfinished(tracer->sockdiag) > 0) {
		if (clock_monotonic_ms() >= end ||
		    is_cut_short(tracer, LINGER_LOOK_MS))
			return true;
	}

	return false;
}

/* Have what was captured written and counted, if that was not done before. */
static void drain(struct tracer *tracer)
{
	struct tally *tally = &tracer->tally;
	struct capture_result result = { 0 };
	struct interface_counts before = counters_sum(&tracer->counters);
	struct interface_counts after;

	if (!tracer->writing || tracer->drained)
		return;
	tracer->drained = true;
	capture_stop(tracer->capture, &result);
	after = counters_sum(&tracer->counters);
	tally->comparable =
		before.known && after.known && !tracer->plan->options->filter;
	tally->interface_before = before.received;
	tally->interface = after.received;
	tally->interface_dropped = after.dropped;

	for (unsigned i = 0; i < result.interface_count; i++)
		tally->ring += result.interfaces[i].received;
	tally->written = result.written;
	tally->truncated = result.truncated;
	tally->dropped_ring = result.dropped_ring;
	tally->dropped_queue = result.dropped_queue;
	tally->lost = result.lost;
	tally->left_out = result.left_out;
	tally->bytes = result.bytes;
	tally->paused = result.paused;
	tally->paused_ns = result.paused_ns;
	tally->error = result.error;
	tally->read_error = result.read_error;
	debug("the queue took %zu MiB at most", result.queue_peak / MIB);
}

static int take_file(struct tracer *tracer, const struct message *message)
{
	size_t needed = tracer->plan->rotate ? 2 : 1;
	int ret;

	if (message->fd_count < needed)
		return fail(EPROTO, "cannot take the trace's file");
	if (tracer->plan->rotate)
		tracer->series = message->fds[1];
	if (message->fd_count > needed)
		tracer->cgroup_kill = message->fds[needed];
	tracer->writing = true;
	ret = capture_start(tracer->capture, message->fds[0]);
	if (ret < 0)
		return fail(-ret, "cannot write to '%s'",
			    tracer->plan->options->outfile);
	ret = tracer->uplink.ops->ready(&tracer->uplink, tracer->inner);
	if (ret < 0)
		return ret;
	ret = channel_tell(tracer->channel, MESSAGE_WRITING);

	/* Keeper's death is seen where its messages are read. */
	return ret == -EPIPE || ret == -ECONNRESET ? 0 : ret;
}

/*
 * Whoever reads the trace may have stopped reading, and the host cannot wait
 * for that. A timer's SIGKILL is neither blocked nor ignored.
 */
static void end_in_time(void)
{
	struct sigevent end = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGKILL,
	};
	const struct itimerspec soon = {
		.it_value.tv_nsec = SAVE_MS * 1000000L,
	};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &end, &timer) < 0 ||
	    timer_settime(timer, 0, &soon, NULL) < 0)
		_exit(1);
}

/*
 * Everything ended with keeper: end what it would have ended, save what is
 * there. Nobody is left to be told.
 */
static void bury_keeper(struct tracer *tracer)
{
	if (tracer->cgroup_kill >= 0)
		cgroup_kill(tracer->cgroup_kill);
	/* Only then, as it need not do anything more. */
	capture_go_on(tracer->capture);
	end_in_time();
	drain(tracer);
	_exit(1);
}

static void finish(struct tracer *tracer, uint32_t linger_ms)
{
	tracer->tally.unfinished = linger(tracer, linger_ms);
	debug("the program's connections have ended");
	if (keeper_has_died(tracer))
		bury_keeper(tracer);
	/* Who is left must not stay frozen if we end before all is written. */
	capture_go_on(tracer->capture);
	/* From here on nobody reads the channel that tells of its death. */
	proc_die_with_parent(tracer->keeper);
	drain(tracer);
	debug("drained the capture");
	channel_send(tracer->channel, MESSAGE_DONE, &tracer->tally,
		     sizeof(tracer->tally), NULL, 0);
}

static void tell_progress(struct tracer *tracer)
{
	struct capture_progress now;
	struct message_progress progress;

	capture_progress(tracer->capture, &now);
	progress = (struct message_progress){
		.packets = now.packets,
		.bytes = now.bytes,
		.dropped = now.dropped,
	};
	channel_send(tracer->channel, MESSAGE_PROGRESS, &progress,
		     sizeof(progress), NULL, 0);
}

/* One message of keeper's. Returns false when there is nothing more to do. */
static bool serve(struct tracer *tracer)
{
	struct message message;
	int ret = channel_receive(tracer->channel, &message);

	if (ret < 0)
		fail(-ret, "cannot hear the keeper process");
	if (ret <= 0)
		bury_keeper(tracer);

	switch (message.type) {
	case MESSAGE_FILE:
		if (take_file(tracer, &message) < 0)
			_exit(1);
		return true;
	case MESSAGE_PROGRESS:
		tell_progress(tracer);
		return true;
	case MESSAGE_STOP:
		finish(tracer, message.body.stop.linger_ms);
		return false;
	default:
		return true;
	}
}

/* Autostop: the trace is complete long before the program is. */
static void stop_early(struct tracer *tracer)
{
	/* Meanwhile nobody reads the channel that tells of its death. */
	proc_die_with_parent(tracer->keeper);
	drain(tracer);
	prctl(PR_SET_PDEATHSIG, 0);
	if (!tracer->tally.error)
		note("Capture stopped after %" PRIu64 " packets; the program "
		     "runs on.",
		     tracer->tally.written);
}

/*
 * Without rights: frames flow in the capture's own threads, while this one
 * waits for keeper. An early write error is told at once.
 */
static void loop(struct tracer *tracer)
{
	struct pollfd polls[3] = {
		{ .fd = tracer->channel, .events = POLLIN },
		{ .fd = capture_error_fd(tracer->capture), .events = POLLIN },
		{ .fd = capture_enough_fd(tracer->capture), .events = POLLIN },
	};

	for (;;) {
		if (poll(polls, 3, -1) < 0)
			continue;
		if (polls[2].revents) {
			stop_early(tracer);
			polls[2].fd = -1;
		}
		if (polls[1].revents) {
			channel_tell(tracer->channel, MESSAGE_TROUBLE);
			polls[1].fd = -1;
		}
		if (polls[0].revents && !serve(tracer))
			return;
	}
}

/*
 * Be the tracer: never returns. @host is a route netlink socket on the host,
 * opened before the namespace was made; @relay leads to the relay, or is -1;
 * @freezer is what --lossless freezes the program with.
 */
void tracer_main(const struct plan *plan, int channel, struct rtnl *host,
		 int relay, const struct freezer *freezer)
{
	struct tracer tracer = {
		.plan = plan,
		.keeper = getppid(),
		.channel = channel,
		.relay = relay,
		.uplink = {
			.ops = plan->engine == ENGINE_NAT ? &uplink_nat
							  : &uplink_none,
			.plan = plan,
			.host = host,
		},
		.series = -1,
		.cgroup_kill = -1,
		.freezer = *freezer,
	};

	prctl(PR_SET_NAME, "nsntrace-tracer");
	channel_log_to(&tracer.channel);
	if (tracer_build(&tracer) < 0)
		_exit(1);
	fd_close(&tracer.relay);
	rtnl_close(host);
	if (rights_drop_all(&plan->observer) < 0)
		_exit(1);
	debug("capturing, all rights dropped");
	channel_tell(tracer.channel, MESSAGE_READY);
	/* While keeper opens the file, before any packet can come. */
	if (sandbox_enter(SANDBOX_TRACER) < 0)
		_exit(1);
	loop(&tracer);
	/* Closing the ring takes the kernel 24 ms: nobody waits for it. */
	_exit(0);
}
