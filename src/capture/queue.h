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
 * Whoever pops it owns it, until batch_free().
 */
struct batch {
	struct batch *next;
	unsigned lane;
	unsigned frames;
	/*
	 * No frame of this lane that is earlier than this (ns since the epoch)
	 * follows in a later batch.
	 */
	uint64_t settled;
	size_t used;
	size_t size;
	uint8_t bytes[] __attribute__((aligned(8)));
};

struct batch *batch_new(unsigned lane, size_t size);
void batch_free(struct batch *batch);
struct frame *batch_append(struct batch *batch, uint32_t caplen);

struct queue;

struct queue *queue_new(size_t limit);
void queue_free(struct queue *queue);
bool queue_push(struct queue *queue, struct batch *batch);
struct batch *queue_pop(struct queue *queue, int timeout_ms, bool *ended);
void queue_end(struct queue *queue);

#endif
