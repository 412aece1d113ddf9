/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_QUEUE_H
#define NSNTRACE_CAPTURE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/frame.h"

/* Sources whose frames come in an order of their own: one lane each. */
#define LANES_MAX 4

struct brake;
struct chunk;
struct queue;

/*
 * Frames of one lane, in the order in which they came. Their memory is the
 * queue's, and theirs until batch_free(), also after the batch was popped.
 */
struct batch {
	struct batch *next;
	struct chunk *chunk;
	unsigned lane;
	unsigned frames;
	/*
	 * No frame of this lane that is earlier than this (ns since the epoch)
	 * follows in a later batch.
	 */
	uint64_t settled;
	uint64_t arrived; /* in the queue: ns of CLOCK_MONOTONIC */
	size_t used;
	uint8_t bytes[] __attribute__((aligned(8)));
};

struct queue *queue_new(size_t limit);
void queue_set_brake(struct queue *queue, struct brake *brake);
void queue_free(struct queue *queue);
bool queue_wait_for_room(struct queue *queue);
bool queue_is_full(struct queue *queue);
size_t queue_round(const struct queue *queue);
struct batch *queue_pop(struct queue *queue, int timeout_ms, bool *ended);
void queue_end(struct queue *queue);
bool queue_shrink(struct queue *queue);
size_t queue_peak(struct queue *queue);

void batch_free(struct batch *batch);

/* The reader's end of one lane: frames become batches. All zero but @number. */
struct lane {
	unsigned number;
	uint64_t settled;    /* as last told */
	bool late;	     /* more comes in than is taken; told with a push */
	struct chunk *chunk; /* what it fills */
	struct batch *batch; /* in @chunk, not yet pushed */
};

struct frame *lane_frame(struct lane *lane, struct queue *queue,
			 uint32_t caplen);
void lane_push(struct lane *lane, struct queue *queue, uint64_t settled);

#endif
