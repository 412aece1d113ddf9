/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time order over all captured interfaces: batches of several lanes go in,
 * single frames come out, held back until no earlier one can follow. When that
 * is so is told by the source, in each batch. Knows no clock but the one that
 * it is handed, so that tests can turn it.
 */
#include "capture/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/*
 * A frame this much (ns) earlier than the one before it in its lane was not
 * overtaken on another processor: somebody set the clock back.
 */
#define CLOCK_STEP MERGE_HOLD

/* A frame that is held, and the batch it lives in. */
struct held {
	uint64_t time;
	struct frame *frame;
	struct batch *batch;
};

/* What is held of one lane, sorted by time: held[first] to held[end - 1]. */
struct run {
	struct held *held;
	size_t first;
	size_t end;
	size_t size;
	uint64_t settled;
};

struct merge {
	struct stage *next;
	bool in_order;
	unsigned lanes;
	struct run runs[LANES_MAX];
	struct batch *passed; /* all their frames have been handed on... */
	size_t passed_bytes;  /* ...and are perhaps not yet written */
};

/*
 * Sort the frames of @lanes lanes by time and hand them to @next, which stays
 * the caller's. If the source's frames are @in_order they just pass. A frame
 * lives on after it was handed on, until merge_recycle().
 */
struct merge *merge_new(unsigned lanes, bool in_order, struct stage *next)
{
	struct merge *merge = xcalloc(1, sizeof(*merge));

	merge->lanes = lanes;
	merge->in_order = in_order;
	merge->next = next;

	return merge;
}

static void keep_passed(struct merge *merge, struct batch *batch)
{
	batch->next = merge->passed;
	merge->passed = batch;
	merge->passed_bytes += batch->used;
}

static void emit_first(struct merge *merge, struct run *run)
{
	struct held held = run->held[run->first++];

	stage_frame(merge->next, held.frame);
	if (--held.batch->frames == 0)
		keep_passed(merge, held.batch);
}

/* The run with the earliest frame, or NULL; the first of equals. */
static struct run *earliest_run(struct merge *merge)
{
	struct run *earliest = NULL;

	for (unsigned i = 0; i < merge->lanes; i++) {
		struct run *run = &merge->runs[i];

		if (run->first == run->end)
			continue;
		if (!earliest || run->held[run->first].time <
					 earliest->held[earliest->first].time)
			earliest = run;
	}

	return earliest;
}

/* Let go of every frame up to and including the time @limit. */
static void release(struct merge *merge, uint64_t limit)
{
	struct run *run;

	while ((run = earliest_run(merge)) &&
	       run->held[run->first].time <= limit)
		emit_first(merge, run);
}

/*
 * Up to where all lanes are settled, a frame's own one too: two processors can
 * fill a ring in another order than they read the clock.
 */
static uint64_t settled_limit(const struct merge *merge)
{
	uint64_t limit = UINT64_MAX;

	for (unsigned i = 0; i < merge->lanes; i++)
		if (merge->runs[i].settled < limit)
			limit = merge->runs[i].settled;

	return limit;
}

static void make_room(struct run *run, size_t count)
{
	size_t kept = run->end - run->first;

	if (run->size - run->end >= count)
		return;

	if (kept)
		memmove(run->held, run->held + run->first,
			kept * sizeof(*run->held));
	run->first = 0;
	run->end = kept;
	if (run->size - kept >= count)
		return;

	run->size = 2 * (kept + count);
	run->held = xrealloc(run->held, run->size * sizeof(*run->held));
}

/* Frames come nearly sorted: the place is at the end, or close to it. */
static void insert(struct run *run, struct held held)
{
	size_t i = run->end++;

	for (; i > run->first && run->held[i - 1].time > held.time; i--)
		run->held[i] = run->held[i - 1];
	run->held[i] = held;
}

/*
 * The clock was set back: what is held cannot be compared with what comes now,
 * nor can what was told of lanes that have not spoken since.
 */
static void start_over(struct merge *merge)
{
	release(merge, UINT64_MAX);
	for (unsigned i = 0; i < merge->lanes; i++)
		merge->runs[i].settled = 0;
}

static void hold(struct merge *merge, struct batch *batch)
{
	struct run *run = &merge->runs[batch->lane];
	uint8_t *next = batch->bytes;
	unsigned count = batch->frames;

	make_room(run, count);
	while (count--) {
		struct frame *frame = (struct frame *)next;

		if (run->first < run->end &&
		    frame->time + CLOCK_STEP < run->held[run->end - 1].time)
			start_over(merge);

		insert(run, (struct held){ .time = frame->time,
					   .frame = frame,
					   .batch = batch });
		next += frame_size(frame);
	}
}

static void pass(struct merge *merge, struct batch *batch)
{
	uint8_t *next = batch->bytes;

	for (unsigned i = 0; i < batch->frames; i++) {
		struct frame *frame = (struct frame *)next;

		/* A stage may change the frame, but not its caplen. */
		stage_frame(merge->next, frame);
		next += frame_size(frame);
	}
	keep_passed(merge, batch);
}

/* When the first frame that is held arrived, or UINT64_MAX. */
static uint64_t held_since(const struct merge *merge)
{
	uint64_t since = UINT64_MAX;

	for (unsigned i = 0; i < merge->lanes; i++) {
		const struct run *run = &merge->runs[i];

		if (run->first < run->end &&
		    run->held[run->first].batch->arrived < since)
			since = run->held[run->first].batch->arrived;
	}

	return since;
}

/*
 * Take ownership of a batch and hand on the frames that nothing earlier can
 * follow any more. The time is that of the batch's arrival: a writer that was
 * stuck finds batches waiting which tell what is settled.
 */
void merge_push(struct merge *merge, struct batch *batch)
{
	struct run *run = &merge->runs[batch->lane];
	uint64_t now = batch->arrived;

	if (merge->in_order) {
		pass(merge, batch);
		return;
	}

	hold(merge, batch);
	run->settled = batch->settled;
	if (!batch->frames)
		batch_free(batch);

	release(merge, settled_limit(merge));
	merge_tick(merge, now);
}

/*
 * Let everything go if a frame has been held for too long at @now (ns of
 * CLOCK_MONOTONIC): the clock that stamps frames may have been set back. Only
 * if no batch waits to be pushed. Returns the milliseconds until it wants to be
 * asked again, or -1 if nothing is held.
 */
int merge_tick(struct merge *merge, uint64_t now)
{
	uint64_t since = held_since(merge);

	if (since == UINT64_MAX)
		return -1;

	if (now < since + MERGE_HOLD)
		return (int)((since + MERGE_HOLD - now) / 1000000) + 1;

	release(merge, UINT64_MAX);

	return -1;
}

/* No more will come: let go of all that is held. */
void merge_flush(struct merge *merge)
{
	release(merge, UINT64_MAX);
}

/* Bytes of batches whose frames have all been handed on and that still live. */
size_t merge_passed(const struct merge *merge)
{
	return merge->passed_bytes;
}

/* Free them: nobody looks at their frames any more. */
void merge_recycle(struct merge *merge)
{
	while (merge->passed) {
		struct batch *batch = merge->passed;

		merge->passed = batch->next;
		batch_free(batch);
	}
	merge->passed_bytes = 0;
}

/* Everything must have been flushed before. */
void merge_free(struct merge *merge)
{
	if (!merge)
		return;

	merge_recycle(merge);
	for (unsigned i = 0; i < merge->lanes; i++)
		free(merge->runs[i].held);
	free(merge);
}
