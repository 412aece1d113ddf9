/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CHANNEL_H
#define NSNTRACE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/freezer.h"
#include "base/log.h"
#include "base/proc.h"
#include "plan.h"

/* What front, keeper and tracer tell each other. */
enum message_type {
	MESSAGE_LINE,	   /* anybody to front: something to say */
	MESSAGE_BUILT,	   /* tracer to keeper: the uplink's inner half */
	MESSAGE_LISTENERS, /* tracer, keeper to relay: made on the other side */
	MESSAGE_READY,	  /* tracer, relay to keeper: at work, without rights */
	MESSAGE_FREEZER,  /* keeper to front: with --lossless */
	MESSAGE_STARTING, /* keeper to front: the program waits */
	MESSAGE_GO,	  /* front to keeper: release it */
	MESSAGE_FILE,	  /* keeper to tracer: where the trace goes */
	MESSAGE_NEXT,	  /* tracer to keeper: that file is full */
	MESSAGE_WRITING,  /* tracer to keeper: so it is, and packets flow */
	MESSAGE_REPORT,	  /* the held program to keeper */
	MESSAGE_SIGNAL,	  /* front to keeper: for the program */
	MESSAGE_ENDED,	  /* keeper to front: the program has ended */
	MESSAGE_LIVE,	  /* front to keeper: the live line comes or goes */
	MESSAGE_PROGRESS, /* front to keeper to tracer, and the answer back */
	MESSAGE_CUT,	  /* front to keeper to tracer: wait no longer */
	MESSAGE_STOP,	  /* keeper to tracer, relay: the program has ended */
	MESSAGE_TROUBLE,  /* tracer to keeper: the trace is cut short */
	MESSAGE_DONE,	  /* tracer to keeper: the file is closed */
	MESSAGE_FINISHED, /* keeper to front: the host is as it was */
};

#define LINE_TEXT_SIZE	  1024
#define OUTFILE_TEXT_SIZE 512

struct message_line {
	enum log_level level;
	char text[LINE_TEXT_SIZE];
};

/* Which step of becoming the program failed. */
enum program_step {
	PROGRAM_PREPARED, /* none: it waits to be released */
	PROGRAM_SETUP,	  /* and has been reported */
	PROGRAM_RIGHTS,
	PROGRAM_EXEC,
};

/* One that somebody sent to front while it took the program to run. */
struct message_signal {
	int signo;
	bool cuts; /* the waiting short, if the program has ended */
};

struct message_report {
	enum program_step step;
	int err;
};

struct message_stop {
	uint32_t linger_ms;
};

struct message_live {
	unsigned rows; /* of the terminal in which the line is; 0: it is gone */
};

/* How far the capture is. */
struct message_progress {
	uint64_t packets; /* on their way to the file, or in it */
	uint64_t bytes;	  /* of the file */
	uint64_t dropped; /* packets, wherever */
};

/* Packets of the namespace's interfaces, counted three times over. */
struct tally {
	uint64_t interface;	   /* by the interfaces */
	uint64_t interface_before; /* the same, before the end of capturing */
	uint64_t interface_dropped;
	bool comparable; /* no filter stands between the counters */
	bool unfinished; /* connections that keep the namespace alive */
	uint64_t ring;
	uint64_t written;
	uint64_t truncated;
	uint64_t dropped_ring;
	uint64_t dropped_queue;
	uint64_t lost;
	uint64_t left_out; /* came after autostop */
	uint64_t bytes;
	uint64_t paused; /* how often the program was */
	uint64_t paused_ns;
	int error;	/* -errno of the write that failed, or 0 */
	int read_error; /* -errno of an interface that went away, or 0 */
};

/* More names than these say no more. */
#define LEFT_NAMED_MAX 5

/* Processes still running in the namespace, some of them by name. */
struct left {
	uint32_t count;
	uint32_t named;
	struct {
		pid_t pid;
		char name[PROC_NAME_SIZE];
	} process[LEFT_NAMED_MAX];
};

struct message_finished {
	bool failed;	/* nsntrace itself did, and has said why */
	bool executed;	/* the program ran; @wstatus is its own */
	int exec_error; /* else the errno of exec, if it came to that */
	int wstatus;
	char outfile[OUTFILE_TEXT_SIZE]; /* patterns replaced */
	struct left left;
	bool counted; /* tracer has lived to tell @tally */
	struct tally tally;
};

#define MESSAGE_FDS_MAX RELAY_SERVICES_MAX

struct message {
	enum message_type type;
	union {
		struct message_line line;
		struct run run;
		struct message_signal signal;
		struct freezer freezer; /* its descriptor goes beside it */
		struct message_report report;
		struct message_stop stop;
		struct message_progress progress;
		struct message_live live;
		int error; /* why there is no next file: -errno */
		struct tally tally;
		struct message_finished finished;
	} body;
	int fds[MESSAGE_FDS_MAX]; /* the receiver owns them */
	size_t fd_count;
};

int channel_pair(int pair[2]);
int channel_send(int fd, enum message_type type, const void *body, size_t size,
		 const int *fds, size_t fd_count);
int channel_tell(int fd, enum message_type type);
int channel_receive(int fd, struct message *message);
void channel_log_to(int *fd);

#endif
