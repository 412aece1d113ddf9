/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_MERGE_H
#define NSNTRACE_CAPTURE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/queue.h"
#include "capture/stage.h"

/* No frame is held longer than this, whatever the stamps say: nanoseconds. */
#define MERGE_HOLD 100000000

struct merge;

struct merge *merge_new(unsigned lanes, bool in_order, struct stage *next);
void merge_push(struct merge *merge, struct batch *batch);
int merge_tick(struct merge *merge, uint64_t now);
void merge_flush(struct merge *merge);
size_t merge_passed(const struct merge *merge);
void merge_recycle(struct merge *merge);
void merge_free(struct merge *merge);

#endif
