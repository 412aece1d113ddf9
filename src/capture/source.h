/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_SOURCE_H
#define NSNTRACE_CAPTURE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/queue.h"

#define INTERFACES_MAX 4

/* What is known of one captured interface. */
struct capture_interface {
	const char *name;
	uint8_t mac[6]; /* ours: frames from it are outbound; zero: unknown */
	uint16_t link_type; /* set by the source */
};

/* Counts of one interface. */
struct capture_statistics {
	uint64_t received; /* packets the filter let through, drops included */
	uint64_t dropped;  /* by the kernel, for want of room in the ring */
	uint64_t dropped_queue; /* of those, while the queue was full */
};

/* Instructions of a compiled filter; the same memory layout as sock_filter. */
struct capture_filter {
	unsigned count; /* 0: everything */
	const void *instructions;
};

/* What a source is asked for. Pointers stay the caller's. */
struct source_settings {
	/* The first one is where most packets are expected. */
	const struct capture_interface *interfaces;
	unsigned interface_count;
	size_t ring_bytes; /* of all interfaces together */
	uint32_t snaplen;
	struct capture_filter filter;
	const char *path; /* of a savefile */
};

struct source {
	const struct source_ops *ops;
	struct capture_interface interfaces[INTERFACES_MAX];
	unsigned interface_count;
	unsigned lanes;
	bool in_order; /* frames come in the order in which they belong */
};

/* All but open and close are called by the reader thread only. */
struct source_ops {
	const char *name;
	/*
	 * Open it; with root's rights, where it needs them. Says itself what
	 * went wrong.
	 */
	int (*open)(const struct source_settings *settings,
		    struct source **source);
	/*
	 * Wait until there are frames, then push what there is to @queue.
	 * Returns 1, 0 if @wake_fd is readable or the source is at its end, or
	 * -errno.
	 */
	int (*batch)(struct source *source, struct queue *queue, int wake_fd);
	/*
	 * Let nothing more in, then push to @queue all that had come in: by
	 * the kernel's count, not by the clock. Returns 0, or -errno of
	 * anything that went wrong since the start.
	 */
	int (*stop)(struct source *source, struct queue *queue);
	/* Counts of one interface so far; final once it is stopped. */
	void (*statistics)(const struct source *source, unsigned interface,
			   struct capture_statistics *statistics);
	void (*close)(struct source *source);
};

extern const struct source_ops source_libpcap;
extern const struct source_ops source_packet;
extern const struct source_ops source_savefile;

#endif
