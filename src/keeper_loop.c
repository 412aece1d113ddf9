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
#include <sys/ioctl.h>
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

static void hear_line(struct peer *peer, const struct message *message)
{
	const struct message_line *line = &message->body.line;

	peer->told |= line->level == LOG_LEVEL_ERROR;
	log_line(line->level, line->text);
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

static void obey(struct keeper *keeper, const struct message *message)
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

/* Whether it is time for it to end, the file closed or the program gone. */
static bool may_end(const struct keeper *keeper, const struct peer *peer)
{
	return peer == &keeper->tracer ? keeper->done : keeper->draining;
}

/* One of ours has ended before its time: say so, if nobody has said why. */
static void bury(struct keeper *keeper, const struct peer *peer, int wstatus)
{
	/* Before the program runs nothing has failed but the run. */
	if (keeper->broken || peer->told ||
	    (!keeper->released && log_told_error()))
		debug("the %s process has ended", peer->name);
	else if (WIFSIGNALED(wstatus))
		refuse("the %s process was killed by signal %d", peer->name,
		       WTERMSIG(wstatus));
	else
		refuse("the %s process has ended early", peer->name);
	keeper_break_off(keeper);
}

/* Nothing more comes from a child of ours: it is dying, or to be feared. */
static void part_with(struct keeper *keeper, struct peer *peer)
{
	int wstatus;

	peer->gone = true;
	if (peer->pid <= 0 || may_end(keeper, peer))
		return;
	kill(peer->pid, SIGKILL);
	if (waitpid(peer->pid, &wstatus, 0) == peer->pid)
		bury(keeper, peer, wstatus);
	peer->pid = 0;
}

static int receive(struct peer *peer, struct message *message)
{
	int ret = channel_receive(peer->channel, message);

	if (ret < 0 && !peer->told) {
		fail(-ret, "cannot hear the %s process", peer->name);
		peer->told = true;
	}

	return ret;
}

/* Take one message of tracer's or a relay's, or notice that it is gone. */
static void hear(struct keeper *keeper, struct peer *peer)
{
	struct message message;

	if (receive(peer, &message) <= 0) {
		part_with(keeper, peer);
		return;
	}
	if (message.type == MESSAGE_READY)
		peer->ready = true;
	else if (message.type == MESSAGE_LINE)
		hear_line(peer, &message);
	else if (peer == &keeper->tracer)
		hear_tracer(keeper, &message);
	/* Who sends what nobody wants shall not fill our table. */
	while (message.fd_count)
		close(message.fds[--message.fd_count]);
}

/* It has ended, with last words that poll(2) may not have noticed. */
static void reap_peer(struct keeper *keeper, struct peer *peer, int wstatus)
{
	peer->pid = 0;
	while (!peer->gone)
		hear(keeper, peer);
	if (!may_end(keeper, peer))
		bury(keeper, peer, wstatus);
}

/* Take one message of front's, or put everything back if there is no front. */
static void hear_front(struct keeper *keeper)
{
	struct message message;

	if (receive(&keeper->front, &message) > 0) {
		obey(keeper, &message);
		while (message.fd_count)
			close(message.fds[--message.fd_count]);
		return;
	}
	keeper->front.gone = true;
	reset_terminal(keeper);
	/* Nobody is left to wait for the last words of connections. */
	channel_tell(keeper->tracer.channel, MESSAGE_CUT);
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
	int ret = channel_receive(keeper->program.door, &message);

	if (ret < 0) {
		fail(-ret, "cannot hear the process for '%s'", name);
		keeper_break_off(keeper);
	}
	/* It has become the program, or died, which its wait status tells. */
	if (ret <= 0) {
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
	/* It tells itself what it cannot do. */
	if (WIFSIGNALED(wstatus) && !keeper->executed && !keeper->broken)
		refuse("the process that was to be '%s' was killed by signal "
		       "%d",
		       keeper->plan->options->argv[0], WTERMSIG(wstatus));
	channel_tell(keeper->front.channel, MESSAGE_ENDED);
	debug("the program has ended");
}

/*
 * Whoever stops one of ours, as the program can where it is the same user, must
 * not make the run wait for ever: nobody else would continue it.
 */
static void go_on(const struct keeper *keeper, pid_t pid)
{
	if (pid == keeper->tracer.pid || pid == keeper->relay.pid ||
	    pid == keeper->publisher.pid)
		kill(pid, SIGCONT);
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
		else if (WIFSTOPPED(wstatus))
			go_on(keeper, pid);
		else if (WIFCONTINUED(wstatus))
			continue;
		else if (pid == keeper->tracer.pid)
			reap_peer(keeper, &keeper->tracer, wstatus);
		else if (pid == keeper->relay.pid)
			reap_peer(keeper, &keeper->relay, wstatus);
		else if (pid == keeper->publisher.pid)
			reap_peer(keeper, &keeper->publisher, wstatus);
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

/*
 * Take a message of each child of ours that has sent one. Whoever still says
 * something may say why another has ended: ends are for later. Only for as long
 * as nobody can have been taken over, who would never let us come to the rest.
 * Returns whether there was any.
 */
static bool hear_words(struct keeper *keeper)
{
	struct peer *const peers[3] = { &keeper->tracer, &keeper->relay,
					&keeper->publisher };
	bool any = false;

	for (size_t i = 0; i < 3; i++) {
		int size = 0;

		if (peers[i]->gone ||
		    ioctl(peers[i]->channel, FIONREAD, &size) < 0 || !size)
			continue;
		hear(keeper, peers[i]);
		any = true;
	}

	return any;
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
	if (!keeper->released && hear_words(keeper))
		return;
	if (polls[1].revents)
		hear(keeper, tracer);
	if (polls[2].revents)
		hear(keeper, relay);
	if (polls[8].revents)
		hear(keeper, publisher);
	if (polls[3].revents)
		hear_program(keeper);
	if (polls[4].revents)
		hear_signals(keeper);
	/* Once the program runs it may go on, for what that is worth. */
	if (polls[5].revents && ops->events(&keeper->uplink) < 0 &&
	    !keeper->released)
		keeper_break_off(keeper);
	if (polls[6].revents)
		mounts_changed(&keeper->plan->mounts, keeper->watch,
			       keeper->mount_ns);
	if (polls[7].revents)
		hear_writer(keeper);
	if (polls[0].revents)
		hear_front(keeper);
}

/* Go round until @what has happened. Returns 0, or -1 if it never will. */
int keeper_await(struct keeper *keeper, const bool *what)
{
	while (!*what && !keeper->broken && !keeper->ended)
		keeper_turn(keeper, -1);

	return *what && !keeper->broken ? 0 : -1;
}
