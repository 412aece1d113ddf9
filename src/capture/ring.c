/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be told of a ring of the kernel's from its counts and from what was
 * taken out of it: whether all has been seen, up to when, whose fault a loss
 * is, and whether one is near. How counts and packets are had is the sources'
 * to know.
 */
#include "capture/ring.h"

/* One more packet, stamped @time (ns since the epoch), has been taken out. */
void ring_see(struct ring *ring, uint64_t time, uint32_t caplen)
{
	ring->newest = time;
	ring->seen++;
	ring->typical += ((int32_t)caplen - ring->typical) / 16;
}

/*
 * The kernel has counted so many more packets, @dropped among @received. What
 * is dropped from when the queue is full until the ring is empty again is the
 * queue's. A ring that is a quarter full is late, as it never is while packets
 * are taken as fast as they come, until half of that is gone.
 */
void ring_count(struct ring *ring, uint32_t received, uint32_t dropped)
{
	uint64_t waiting = 0;

	ring->received += received;
	ring->dropped += dropped;
	if (ring->held_up)
		ring->dropped_queue += dropped;

	if (!ring_is_drained(ring))
		waiting = (ring->received - ring->dropped - ring->seen) *
			  (uint64_t)ring->typical;
	if (waiting > ring->size / 4)
		ring->late = true;
	else if (waiting <= ring->size / 8)
		ring->late = false;
}

/* Everything that the kernel has counted so far has been seen. */
bool ring_is_drained(const struct ring *ring)
{
	return ring->seen + ring->dropped >= ring->received;
}

/*
 * Up to where (ns since the epoch) nothing more can come, after a count that
 * was begun @now: up to then, if the count has been reached; else what is in
 * the ring was stamped after the newest frame @seen in this round, or nothing
 * is known but what was told @before.
 */
uint64_t ring_settled(struct ring *ring, uint64_t now, uint64_t before,
		      bool seen)
{
	if (!ring_is_drained(ring))
		return seen ? ring->newest - RING_SLACK : before;

	ring->held_up = false;

	return now - RING_SLACK;
}
