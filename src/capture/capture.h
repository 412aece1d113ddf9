/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_CAPTURE_H
#define NSNTRACE_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/freezer.h"
#include "capture/rotate.h"
#include "capture/source.h"
#include "capture/writer.h"

/*
 * A capture from its source to its file: a reader thread that empties the
 * rings, a bounded queue, stages, a writer thread.
 */
struct capture;

struct capture_settings {
	const struct source_ops *source;
	struct source_settings from;
	const struct writer_ops *format;
	struct writer_about about;
	size_t queue_bytes;
	struct rotate_limits rotate;   /* where a file ends, but for @files */
	struct rotate_limits autostop; /* where the capture ends */
	/* Open the next file: a descriptor, the capture's then, or -errno. */
	int (*next_file)(void *context);
	void *next_context;
	/*
	 * Tells what an interface itself has counted, once the capture counts
	 * no more; NULL if nobody knows.
	 */
	void (*count)(void *context, unsigned interface,
		      struct interface_counts *counts);
	void *count_context;
	/* With a kind: slows the program down rather than lose a packet. */
	struct freezer freezer;
};

/* What came of it. */
struct capture_result {
	uint64_t written;      /* packets whole in the file */
	uint64_t truncated;    /* of those, cut by the snaplen */
	uint64_t dropped_ring; /* by the kernel, for want of room in the ring */
	uint64_t dropped_queue; /* likewise, because the queue was full too */
	uint64_t lost;		/* kept out by a write error */
	uint64_t left_out;	/* came after autostop */
	uint64_t bytes;		/* size of the file, or of all */
	size_t queue_peak;	/* the most memory that the queue took */
	uint64_t paused;	/* how often the program was */
	uint64_t paused_ns;	/* for how long in all */
	int error;		/* -errno of the write that failed */
	int read_error;		/* -errno of an interface that went away */
	unsigned interface_count;
	struct capture_statistics interfaces[INTERFACES_MAX];
};

/* How far a capture is. */
struct capture_progress {
	uint64_t packets; /* given to the writer */
	uint64_t bytes;	  /* they take in the file */
	uint64_t dropped;
};

int capture_open(const struct capture_settings *settings,
		 struct capture **capture);
int capture_start(struct capture *capture, int fd);
int capture_error_fd(const struct capture *capture);
int capture_enough_fd(const struct capture *capture);
void capture_progress(struct capture *capture,
		      struct capture_progress *progress);
void capture_go_on(struct capture *capture);
int capture_stop(struct capture *capture, struct capture_result *result);
void capture_free(struct capture *capture);

#endif
