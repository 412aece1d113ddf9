/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal side of a run: what the user started, speaks to, signals and
 * waits for. It starts keeper, gives up its rights, says what the others want
 * said, passes signals on, and ends as the program ended. Not one byte of the
 * program's goes through it.
 */
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/descent.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/rights.h"
#include "base/sandbox.h"
#include "channel.h"
#include "keeper.h"
#include "live.h"
#include "report.h"

struct front {
	const struct plan *plan;
	struct heritage heritage;
	pid_t keeper;
	int channel;
	int signals;
	int cgroup_kill; /* to end the program if keeper dies; or -1 */
	struct freezer freezer;
	sigset_t ignored; /* as the user's shell has it */
	pid_t foreground; /* our group, if it had the terminal; else 0 */
	bool running;	  /* the program was released */
	bool ended;	  /* and has ended */
	bool finished;	  /* the host is as it was */
	int aborted;	  /* by this signal, before the program ran */
	struct live live;
	bool asked; /* how far the capture is */
	struct message_progress progress;
	bool lost; /* keeper is gone without a word */
	struct message_finished result;
};

/* Whether somebody sent it with kill(2), and not the terminal. */
static bool was_sent(const struct signalfd_siginfo *info)
{
	return info->ssi_code <= 0;
}

static bool ends_a_program(int signo)
{
	return signo == SIGINT || signo == SIGTERM || signo == SIGQUIT ||
	       signo == SIGHUP;
}

static bool is_passed_on(int signo)
{
	return ends_a_program(signo) || signo == SIGUSR1 || signo == SIGUSR2 ||
	       signo == SIGWINCH || signo == SIGCONT;
}

/*
 * Whether the program need not be told: keeper continued us with it, or it
 * signalled its own group, where we are, too.
 */
static bool is_from_inside(const struct front *front,
			   const struct signalfd_siginfo *info)
{
	return descent_from((pid_t)info->ssi_pid, front->keeper);
}

/* For keeper this is as if we had died. */
static void abort_run(struct front *front, int signo)
{
	front->aborted = signo;
	shutdown(front->channel, SHUT_WR);
}

/* keeper takes the live line away if we cannot. */
static void tell_live(const struct front *front, unsigned rows)
{
	const struct message_live live = { rows };

	channel_send(front->channel, MESSAGE_LIVE, &live, sizeof(live), NULL,
		     0);
}

static void hide_live(struct front *front)
{
	if (!front->live.rows)
		return;
	live_hide(&front->live);
	if (!front->live.rows)
		tell_live(front, 0);
}

/*
 * Ctrl-Z stops a frozen program only when it is thawed, which a reader of the
 * trace that is stopped by the same key puts off for ever. To be frozen is as
 * good as to be stopped, and the shell waits for nobody but us.
 */
static bool stops_in_its_place(const struct front *front,
			       const struct signalfd_siginfo *info)
{
	return info->ssi_signo == SIGTSTP && !was_sent(info) &&
	       freezer_is_set(&front->freezer);
}

/* At the program's end: what is in that row now is no longer ours. */
static void close_live(struct front *front)
{
	bool shown = front->live.rows;

	live_close(&front->live);
	if (shown)
		tell_live(front, 0);
}

/*
 * Stop as the terminal's key does. Unlike SIGSTOP the kernel discards it where
 * the program would not stop either: if we are to ignore it, and if nobody is
 * there to continue us (an orphaned process group).
 */
static void stop(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Here we stop, and go on. */
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/*
 * What the terminal sends reaches the program by itself, as it is in the same
 * process group. Before the program runs a signal ends the run, and after it
 * the waiting, unless the user's shell has us ignore it (nohup).
 */
static void hear_signal(struct front *front,
			const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;
	const struct message_signal sent = {
		.signo = signo,
		.cuts = ends_a_program(signo) &&
			!sigismember(&front->ignored, signo),
	};

	if (front->ended) {
		if (sent.cuts)
			channel_tell(front->channel, MESSAGE_CUT);
	} else if (!front->running) {
		if (sent.cuts && !front->aborted)
			abort_run(front, signo);
	} else if (was_sent(info) && is_passed_on(signo) &&
		   !is_from_inside(front, info)) {
		channel_send(front->channel, MESSAGE_SIGNAL, &sent,
			     sizeof(sent), NULL, 0);
	} else if (stops_in_its_place(front, info)) {
		hide_live(front);
		stop();
	}
}

static void draw_live(struct front *front)
{
	unsigned rows = live_room(&front->live);

	if (rows && rows != front->live.rows)
		tell_live(front, rows);
	live_draw(&front->live, &front->progress);
}

/* Once a second: ask for new numbers, which are drawn when they come. */
static void look_at_terminal(struct front *front)
{
	if (!live_is_due(&front->live))
		return;
	if (!live_room(&front->live)) {
		hide_live(front);
	} else if (!front->asked) {
		front->asked = true;
		channel_tell(front->channel, MESSAGE_PROGRESS);
	}
}

/* The terminal has another size, or was somebody else's meanwhile. */
static void hear_of_terminal(struct front *front, int signo)
{
	if (signo == SIGWINCH && front->live.rows)
		draw_live(front);
	/* keeper took it away when it stopped us. */
	if (signo == SIGCONT)
		front->live.rows = 0;
}

static void hear_signals(struct front *front)
{
	struct signalfd_siginfo info;

	while (read(front->signals, &info, sizeof(info)) == sizeof(info)) {
		hear_of_terminal(front, (int)info.ssi_signo);
		hear_signal(front, &info);
	}
}

static void start(struct front *front, const struct message *message)
{
	if (message->fd_count)
		front->cgroup_kill = message->fds[0];
	report_start(front->plan, &message->body.run);
	front->running = true;
	live_start(&front->live);
	channel_tell(front->channel, MESSAGE_GO);
}

static void hear_keeper(struct front *front)
{
	struct message message;
	int ret = channel_receive(front->channel, &message);

	if (ret < 0)
		fail(-ret, "cannot hear the keeper process");
	if (ret <= 0) {
		front->lost = !front->finished;
		front->finished = true;
		return;
	}
	switch (message.type) {
	case MESSAGE_LINE:
		log_line(message.body.line.level, message.body.line.text);
		break;
	case MESSAGE_FREEZER:
		front->freezer = message.body.freezer;
		front->freezer.fd = message.fds[0];
		break;
	case MESSAGE_STARTING:
		if (!front->aborted)
			start(front, &message);
		break;
	case MESSAGE_ENDED:
		/* What came before we knew was for the program. */
		hear_signals(front);
		front->ended = true;
		if (!front->plan->options->wait)
			close_live(front);
		break;
	case MESSAGE_PROGRESS:
		front->asked = false;
		front->progress = message.body.progress;
		draw_live(front);
		break;
	case MESSAGE_FINISHED:
		front->result = message.body.finished;
		front->finished = true;
		break;
	default:
		break;
	}
}

static void loop(struct front *front)
{
	struct pollfd polls[2] = {
		{ .fd = front->channel, .events = POLLIN },
		{ .fd = front->signals, .events = POLLIN },
	};

	while (!front->finished) {
		if (poll(polls, 2, live_timeout(&front->live)) < 0)
			continue;
		if (polls[0].revents)
			hear_keeper(front);
		if (polls[1].revents)
			hear_signals(front);
		look_at_terminal(front);
	}
	live_close(&front->live);
}

/* --sync: keeper ends when even the kernel has finished. */
static void wait_for_keeper(struct front *front)
{
	struct message message;

	while (channel_receive(front->channel, &message) > 0) {
		if (message.type == MESSAGE_LINE)
			log_line(message.body.line.level,
				 message.body.line.text);
	}
}

/* Whether our job has the terminal now; the shell's control is through it. */
static pid_t foreground_group(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	if (group < 0)
		group = tcgetpgrp(STDIN_FILENO);

	return group == getpgrp() ? group : 0;
}

/*
 * A program that moved the terminal to a group of its own (a shell) and was
 * killed leaves it there, where nobody lives any more. A group with somebody
 * in it is another job's, as the user moved us into the background.
 */
static void take_terminal_back(const struct front *front)
{
	int fd = isatty(STDIN_FILENO) ? STDIN_FILENO : STDERR_FILENO;
	pid_t now = tcgetpgrp(fd);

	if (!front->foreground || now < 0 || now == front->foreground)
		return;
	if (kill(-now, 0) < 0 && errno == ESRCH)
		tcsetpgrp(fd, front->foreground);
}

/* End as the program did, by the same signal: a shell's loop ends on it. */
static int die_of(int signo)
{
	sigset_t set;

	/* Without a core: rights_drop_all() took that too. */
	signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	kill(getpid(), signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);

	/* Still here: the kernel spares the first process of a container. */
	return 128 + signo;
}

/* keeper is gone without a word: end what it would have ended. */
static int conclude_alone(struct front *front)
{
	if (front->cgroup_kill >= 0)
		cgroup_kill(front->cgroup_kill);
	freezer_set(&front->freezer, false);
	take_terminal_back(front);
	if (front->aborted)
		return die_of(front->aborted);
	/* Unless it was us who lost it. */
	if (!log_told_error()) {
		refuse("the keeper process has died");
		hint("the next run puts back what it could not");
	}

	return STATUS_FAILED;
}

static int conclude(struct front *front)
{
	const struct message_finished *result = &front->result;

	take_terminal_back(front);
	report_end(front->plan, result);
	if (front->plan->options->sync)
		wait_for_keeper(front);

	if (front->aborted)
		return die_of(front->aborted);
	if (result->exec_error)
		return result->exec_error == ENOENT ? STATUS_NOT_FOUND
						    : STATUS_NOT_EXECUTABLE;
	if (result->failed || !result->executed || result->tally.error) {
		/* Lines are dropped where a run would have to wait for them. */
		if (!log_told_error())
			refuse("the run has failed, and the line that told why "
			       "was lost");
		return STATUS_FAILED;
	}
	if (WIFSIGNALED(result->wstatus))
		return die_of(WTERMSIG(result->wstatus));

	return exit_status(result->wstatus);
}

/* What the shell gave us and the program is to have. */
static int take_heritage(struct front *front)
{
	struct sigaction action;

	sigprocmask(SIG_SETMASK, NULL, &front->heritage.mask);
	sigemptyset(&front->ignored);
	for (int signo = 1; signo < SIGRTMIN; signo++) {
		if (sigaction(signo, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			sigaddset(&front->ignored, signo);
	}
	front->heritage.ignores_child = sigismember(&front->ignored, SIGCHLD);
	/* Ignored, no child of ours could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	front->foreground = foreground_group();
	front->signals = signals_open(NULL);
	if (front->signals < 0)
		return fail(-front->signals, "cannot read signals");

	return 0;
}

static int start_keeper(struct front *front)
{
	int pair[2];
	int ret = channel_pair(pair);

	if (ret < 0)
		return ret;
	front->keeper = fork();
	if (front->keeper < 0)
		ret = fail(errno, "cannot fork");
	if (!front->keeper) {
		close(pair[0]);
		close(front->signals);
		keeper_main(front->plan, &front->heritage, pair[1]);
	}
	close(pair[1]);
	front->channel = pair[0];

	return ret;
}

/* A pipe's reader waits for the end of file: only tracer may hold it. */
static void leave_standard_output(void)
{
	dup2(STDERR_FILENO, STDOUT_FILENO);
}

/*
 * Run the program as planned. Returns the exit status, or does not return but
 * dies of the signal that ended the program.
 */
int front_run(const struct plan *plan)
{
	struct front front = {
		.plan = plan,
		.channel = -1,
		.signals = -1,
		.cgroup_kill = -1,
		.live = LIVE_NONE,
		.freezer = FREEZER_OFF,
	};

	if (take_heritage(&front) < 0 || start_keeper(&front) < 0)
		return STATUS_FAILED;
	if (plan->to_stdout)
		leave_standard_output();
	if (rights_drop_all(&plan->facts->invoker) < 0)
		return STATUS_FAILED;
	if (log_enabled(LOG_LEVEL_NOTE))
		live_open(&front.live);
	/* Here is time for it: the others take milliseconds to set up. */
	if (sandbox_enter(SANDBOX_FRONT) < 0)
		return STATUS_FAILED;
	debug("started the keeper, dropped all rights of one's own");
	loop(&front);

	return front.lost ? conclude_alone(&front) : conclude(&front);
}
