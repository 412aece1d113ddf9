/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_RING_H
#define NSNTRACE_CAPTURE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block of the ring is ours this long (ms) after its first packet. */
#define RING_BLOCK_TIMEOUT_MS 10

/*
 * A packet may be stamped before it is counted, as it passes a backlog: this
 * long (ns) before the count was read nothing new appears. What came later is
 * settled by another look after as long.
 */
#define RING_SLACK     2000000
#define RING_SETTLE_MS 3

/* No count is waited for longer than this (ms) if no frame comes. */
#define RING_STALL_MS 1000

/* One ring that the kernel fills and counts, and a source empties. */
struct ring {
	size_t size;		/* bytes */
	uint64_t received;	/* packets by the kernel's count, with drops */
	uint64_t dropped;	/* for want of room */
	uint64_t dropped_queue; /* of those, while the queue was full */
	uint64_t seen;		/* packets taken out of it */
	uint64_t newest;	/* stamp of the last one */
	int32_t typical;	/* bytes of a packet, of late */
	bool held_up;		/* by a full queue, not caught up since */
	bool late;		/* it fills faster than it is emptied */
};

void ring_see(struct ring *ring, uint64_t time, uint32_t caplen);
void ring_count(struct ring *ring, uint32_t received, uint32_t dropped);
bool ring_is_drained(const struct ring *ring);
uint64_t ring_settled(struct ring *ring, uint64_t now, uint64_t before,
		      bool seen);

#endif
