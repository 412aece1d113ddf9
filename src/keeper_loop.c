/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeper hears: one poll loop over the channels to front, tracer and
 * relays, the program's door, wait statuses and changes of the host. Everything
 * that happens is noted in struct keeper, where keeper.c looks for it.
 */
#include "keeper_loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "live.h"
#include "mounts.h"

/* The run cannot go on. */
void keeper_break_off(struct keeper *keeper)
{
	keeper->broken = true;
}

static void hear_line(struct keeper *keeper, struct message *message)
{
	struct message_line line = message->body.line;

	line.text[sizeof(line.text) - 1] = '\0';
	channel_send(keeper->front.channel, MESSAGE_LINE, &line, sizeof(line),
		     NULL, 0);
}

static void cut(struct keeper *keeper)
{
	keeper->cut = true;
	channel_tell(keeper->tracer.channel, MESSAGE_CUT);
}

/*
 * For the program, which may have ended without front's knowing: then it cuts
 * the waiting short, as it does when front knows. But not the one that ended
 * the program: that was sent to both.
 */
static void hear_signal(struct keeper *keeper,
			const struct message_signal *sent)
{
	int wstatus;

	keeper_reap(keeper);
	wstatus = keeper->wstatus;
	if (keeper->ended) {
		if (WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == sent->signo)
			return;
		if (sent->cuts)
			cut(keeper);
	} else if (keeper->program.pidfd >= 0) {
		proc_signal(keeper->program.pidfd, sent->signo);
	}
}

/* The live line of a front that can do nothing more, or not for a while. */
static void reset_terminal(struct keeper *keeper)
{
	if (keeper->live_rows)
		live_reset(keeper->live_rows);
	keeper->live_rows = 0;
}

static void hear_front(struct keeper *keeper, struct message *message)
{
	switch (message->type) {
	case MESSAGE_GO:
		keeper->released = true;
		break;
	case MESSAGE_SIGNAL:
		hear_signal(keeper, &message->body.signal);
		break;
	case MESSAGE_LIVE:
		/* Whoever has the terminal now drew without the bottom row. */
		if (!message->body.live.rows && !keeper->ended)
			live_repaint();
		keeper->live_rows = message->body.live.rows;
		if (keeper->stopped)
			reset_terminal(keeper);
		break;
	case MESSAGE_PROGRESS:
		/* In a drain it would be taken for one to cut it short. */
		if (!keeper->draining)
			channel_tell(keeper->tracer.channel, MESSAGE_PROGRESS);
		break;
	case MESSAGE_CUT:
		cut(keeper);
		break;
	default:
		break;
	}
}

static void hear_tracer(struct keeper *keeper, struct message *message)
{
	switch (message->type) {
	case MESSAGE_LINE:
		hear_line(keeper, message);
		break;
	case MESSAGE_BUILT:
		/* Once, while it is as trusted as we are. */
		if (keeper->built || message->fd_count != 1)
			break;
		keeper->uplink.run = message->body.run;
		keeper->netns = message->fds[0];
		message->fd_count = 0;
		keeper->built = true;
		break;
	case MESSAGE_WRITING:
		keeper->writing = true;
		break;
	case MESSAGE_PROGRESS:
		channel_send(keeper->front.channel, MESSAGE_PROGRESS,
			     &message->body.progress,
			     sizeof(message->body.progress), NULL, 0);
		break;
	case MESSAGE_TROUBLE:
		warn("the trace cannot be written any further; the program "
		     "runs on");
		break;
	case MESSAGE_DONE:
		keeper->tally = message->body.tally;
		keeper->done = true;
		break;
	default:
		break;
	}
}

static bool is_relay(const struct keeper *keeper, const struct peer *peer)
{
	return peer == &keeper->relay || peer == &keeper->publisher;
}

/* One of ours has ended before its time: say so, if it could not itself. */
static void bury(struct keeper *keeper, struct peer *peer, int wstatus)
{
	peer->pid = 0;
	/* It ends when it has passed on what the program said last. */
	if (keeper->draining && is_relay(keeper, peer))
		return;
	/* What breaks a run has been said. */
	if (keeper->broken)
		return;
	if (WIFEXITED(wstatus) && (WEXITSTATUS(wstatus) == 1 || keeper->done))
		return;
	if (keeper->ended && keeper->done)
		return;
	if (WIFSIGNALED(wstatus))
		refuse("the %s process was killed by signal %d", peer->name,
		       WTERMSIG(wstatus));
	else if (peer == &keeper->tracer)
		refuse("the %s process has ended early", peer->name);
	keeper_break_off(keeper);
}

/* Take one message of @peer's, or notice that it is gone. */
static void hear(struct keeper *keeper, struct peer *peer,
		 void (*act)(struct keeper *, struct message *))
{
	struct message message;
	int wstatus;
	int ret = channel_receive(peer->channel, &message);

	if (ret > 0) {
		if (message.type == MESSAGE_READY)
			peer->ready = true;
		else
			act(keeper, &message);
		/* Who sends what nobody wants shall not fill our table. */
		while (message.fd_count)
			close(message.fds[--message.fd_count]);
		return;
	}
	peer->gone = true;
	/* tracer ends by itself when the file is closed. */
	if (peer == &keeper->tracer && keeper->done)
		return;
	if (keeper->draining && is_relay(keeper, peer))
		return;
	if (peer != &keeper->front && peer->pid > 0) {
		/* It is dying, or was taken over and is to be feared. */
		kill(peer->pid, SIGKILL);
		if (waitpid(peer->pid, &wstatus, 0) == peer->pid)
			bury(keeper, peer, wstatus);
	}
	/* Nobody is left to wait for the last words of connections. */
	if (peer == &keeper->front) {
		reset_terminal(keeper);
		channel_tell(keeper->tracer.channel, MESSAGE_CUT);
	}
	keeper_break_off(keeper);
}

/* A file is full. What keeps the next one from being opened has been said. */
static void hear_writer(struct keeper *keeper)
{
	autoclose int fd = -1;
	struct message message;
	int error;

	if (channel_receive(keeper->series_channel, &message) <= 0) {
		fd_close(&keeper->series_channel);
		return;
	}
	fd = series_next(&keeper->series);
	error = fd < 0 ? fd : 0;
	channel_send(keeper->series_channel, MESSAGE_FILE, &error,
		     sizeof(error), &fd, fd < 0 ? 0 : 1);
}

static void hear_program(struct keeper *keeper)
{
	const char *name = keeper->plan->options->argv[0];
	const struct message_report *report;
	struct message message;

	/* It has become the program, or died, which its wait status tells. */
	if (channel_receive(keeper->program.door, &message) <= 0) {
		keeper->executed = keeper->released && !keeper->exec_error;
		fd_close(&keeper->program.door);
		return;
	}
	report = &message.body.report;
	switch (report->step) {
	case PROGRAM_PREPARED:
		if (message.fd_count == 1)
			keeper->mount_ns = message.fds[0];
		keeper->prepared = true;
		return;
	case PROGRAM_SETUP:
		keeper_break_off(keeper);
		return;
	case PROGRAM_RIGHTS:
		fail(report->err, "cannot run '%s' as user %u", name,
		     keeper->plan->facts->user.uid);
		keeper_break_off(keeper);
		return;
	case PROGRAM_EXEC:
		fail(report->err, "cannot execute '%s'", name);
		keeper->exec_error = report->err;
		return;
	}
}

static void watch_program(struct keeper *keeper, int wstatus)
{
	/*
	 * front does the same, for the shell's job control. Both come from
	 * here, as signals, so that they cannot overtake one another.
	 */
	keeper->stopped = WIFSTOPPED(wstatus);
	if (keeper->stopped) {
		proc_signal(keeper->front_pidfd, SIGSTOP);
		reset_terminal(keeper);
		return;
	}
	if (WIFCONTINUED(wstatus)) {
		proc_signal(keeper->front_pidfd, SIGCONT);
		return;
	}
	/* Its last report comes first, whichever poll(2) has noticed first. */
	while (keeper->program.door >= 0)
		hear_program(keeper);
	keeper->ended = true;
	keeper->wstatus = wstatus;
	channel_tell(keeper->front.channel, MESSAGE_ENDED);
	debug("the program has ended");
}

/* Collect every child that has something to tell; orphans are ours too. */
void keeper_reap(struct keeper *keeper)
{
	int wstatus;
	pid_t pid;

	while ((pid = waitpid(-1, &wstatus, WNOHANG | WUNTRACED | WCONTINUED)) >
	       0) {
		if (pid == keeper->program.pid)
			watch_program(keeper, wstatus);
		else if (WIFSTOPPED(wstatus) || WIFCONTINUED(wstatus))
			continue;
		else if (pid == keeper->tracer.pid)
			bury(keeper, &keeper->tracer, wstatus);
		else if (pid == keeper->relay.pid)
			bury(keeper, &keeper->relay, wstatus);
		else if (pid == keeper->publisher.pid)
			bury(keeper, &keeper->publisher, wstatus);
	}
}

static void hear_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	/* All are blocked, only SIGCHLD means something. */
	while (read(keeper->signals, &info, sizeof(info)) > 0)
		continue;
	keeper_reap(keeper);
}

/* Wait for whatever happens next, at most @timeout_ms, and note it. */
void keeper_turn(struct keeper *keeper, int timeout_ms)
{
	struct peer *tracer = &keeper->tracer;
	struct peer *relay = &keeper->relay;
	struct peer *publisher = &keeper->publisher;
	struct peer *front = &keeper->front;
	const struct uplink_ops *ops = keeper->uplink.ops;
	struct pollfd polls[] = {
		{ front->gone ? -1 : front->channel, POLLIN, 0 },
		{ tracer->gone ? -1 : tracer->channel, POLLIN, 0 },
		{ relay->gone ? -1 : relay->channel, POLLIN, 0 },
		{ keeper->program.door, POLLIN, 0 },
		{ keeper->signals, POLLIN, 0 },
		{ keeper->uplink_up ? ops->fd(&keeper->uplink) : -1, POLLIN,
		  0 },
		{ keeper->watch, POLLIN, 0 },
		{ keeper->series_channel, POLLIN, 0 },
		{ publisher->gone ? -1 : publisher->channel, POLLIN, 0 },
	};

	if (poll(polls, sizeof(polls) / sizeof(*polls), timeout_ms) < 0)
		return;
	if (polls[1].revents)
		hear(keeper, tracer, hear_tracer);
	if (polls[2].revents)
		hear(keeper, relay, hear_line);
	if (polls[8].revents)
		hear(keeper, publisher, hear_line);
	if (polls[3].revents)
		hear_program(keeper);
	if (polls[4].revents)
		hear_signals(keeper);
	if (polls[5].revents)
		ops->events(&keeper->uplink);
	if (polls[6].revents)
		mounts_changed(&keeper->plan->mounts, keeper->watch,
			       keeper->mount_ns);
	if (polls[7].revents)
		hear_writer(keeper);
	if (polls[0].revents)
		hear(keeper, front, hear_front);
}

/* Go round until @what has happened. Returns 0, or -1 if it never will. */
int keeper_await(struct keeper *keeper, const bool *what)
{
	while (!*what && !keeper->broken && !keeper->ended)
		keeper_turn(keeper, -1);

	return *what && !keeper->broken ? 0 : -1;
}
