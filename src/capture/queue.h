/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_QUEUE_H
#define NSNTRACE_CAPTURE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/frame.h"

/* Sources whose frames come in an order of their own: one lane each. */
#define LANES_MAX 4

/*
 * A piece of memory with frames of one lane, in the order in which they came.
 * Its room is the queue's until batch_free(), also after it was popped.
 */
struct batch {
	struct batch *next;
	struct queue *queue;
	unsigned lane;
	unsigned frames;
	/*
	 * No frame of this lane that is earlier than this (ns since the epoch)
	 * follows in a later batch.
	 */
	uint64_t settled;
	uint64_t arrived; /* in the queue: ns of CLOCK_MONOTONIC */
	size_t used;
	size_t size;
	uint8_t bytes[] __attribute__((aligned(8)));
};

struct queue;

struct queue *queue_new(size_t limit);
void queue_free(struct queue *queue);
struct batch *queue_batch(struct queue *queue, unsigned lane, size_t size,
			  bool wait);
void queue_push(struct queue *queue, struct batch *batch);
struct batch *queue_pop(struct queue *queue, int timeout_ms, bool *ended);
void queue_end(struct queue *queue);

struct frame *batch_append(struct batch *batch, uint32_t caplen);
void batch_free(struct batch *batch);

/* The reader's end of one lane: frames become batches. All zero but @number. */
struct lane {
	unsigned number;
	bool patient;	  /* wait for room rather than drop */
	size_t want;	  /* size of the next batch */
	uint64_t settled; /* as last told */
	uint64_t dropped; /* frames the queue had no room for */
	struct batch *batch;
};

struct frame *lane_frame(struct lane *lane, struct queue *queue,
			 uint32_t caplen);
void lane_push(struct lane *lane, struct queue *queue, uint64_t settled);

#endif
