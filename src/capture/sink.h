/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_SINK_H
#define NSNTRACE_CAPTURE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/rotate.h"
#include "capture/stage.h"
#include "capture/writer.h"

struct sink_settings {
	const struct writer_ops *format;
	const struct writer_about *about;
	struct rotate_limits rotate;   /* of one file; none: one for all */
	struct rotate_limits autostop; /* of all files together */
	/* Open the next file: a descriptor, which is ours then, or -errno. */
	int (*next_file)(void *context);
	void *next_context;
};

/* What came of all files together. */
struct sink_result {
	uint64_t written;   /* packets that are whole in them */
	uint64_t truncated; /* of those, cut by the snaplen */
	uint64_t lost;	    /* packets that an error kept out */
	uint64_t left_out;  /* packets that came after autostop */
	uint64_t bytes;
	unsigned files;
	int error; /* -errno of the first failure, or 0 */
};

/* The last stage: what reaches it is written. */
struct sink {
	struct stage stage;
	struct sink_settings settings;
	const struct capture_interface *interfaces;
	unsigned interface_count;

	struct writer writer; /* of the present file */
	bool open;	      /* there is one */
	bool full;	      /* the next packet goes into the next one */
	uint64_t began;	      /* when it did: ns since the epoch */
	uint64_t file_start;  /* of its first packet */
	uint64_t file_packets;

	uint64_t start; /* of all of it: ns of CLOCK_MONOTONIC, all three */
	uint64_t now;	/* as of the last tick */
	uint64_t packets;
	bool stopped; /* nothing more is written */
	struct sink_result result;
};

int sink_open(struct sink *sink, const struct sink_settings *settings, int fd,
	      const struct capture_interface *interfaces, unsigned count);
int sink_flush(struct sink *sink);
uint64_t sink_size(const struct sink *sink);
int sink_tick(struct sink *sink, uint64_t now);
void sink_close(struct sink *sink, const struct writer_statistics *statistics);

#endif
