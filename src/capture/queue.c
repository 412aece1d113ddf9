/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded queue between the thread that empties the rings and the one that
 * writes. It moves batches, not frames, and its bound is on memory: what was
 * popped but not yet freed counts too. What to do when there is no room is left
 * to the source, time order to merge.c.
 */
#include "capture/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"

/*
 * A batch grows from the first size, which costs an idle capture next to
 * nothing, to the last, which is about one block of a ring.
 */
#define BATCH_SMALL (16UL * 1024)
#define BATCH_LARGE (256UL * 1024)

/*
 * Large batches kept for use again, beyond the limit of the queue: fresh memory
 * is faulted in page by page, which costs as much as the copy itself.
 */
#define SPARES_MAX 8

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled; /* there is a batch, or the end */
	pthread_cond_t freed;  /* there is room */
	struct batch *first;
	struct batch **last;
	size_t limit;
	size_t taken; /* by batches that are not freed yet */
	bool ended;
	struct batch *spare;
	unsigned spares;
};

/* A queue for batches of @limit bytes in all. */
struct queue *queue_new(size_t limit)
{
	struct queue *queue = xcalloc(1, sizeof(*queue));
	pthread_condattr_t attributes;

	queue->limit = limit;
	queue->last = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->freed, NULL);

	/* The wall clock may step, and a time-out must not step with it. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->filled, &attributes);
	pthread_condattr_destroy(&attributes);

	return queue;
}

static void free_list(struct batch *batch)
{
	while (batch) {
		struct batch *next = batch->next;

		free(batch);
		batch = next;
	}
}

/* Free the queue with what is in it. All popped batches must be free. */
void queue_free(struct queue *queue)
{
	if (!queue)
		return;

	free_list(queue->first);
	free_list(queue->spare);
	pthread_cond_destroy(&queue->filled);
	pthread_cond_destroy(&queue->freed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

/* One batch always has room, or a frame larger than the limit would stick. */
static bool is_full(const struct queue *queue, size_t size)
{
	return queue->taken && queue->taken + size > queue->limit;
}

static struct batch *take_spare(struct queue *queue)
{
	struct batch *batch = queue->spare;

	if (batch) {
		queue->spare = batch->next;
		queue->spares--;
	}

	return batch;
}

/*
 * An empty batch of @lane with room for @size bytes of frames. Without room in
 * the queue: waits for it if @wait, else returns NULL. The caller owns the
 * batch.
 */
struct batch *queue_batch(struct queue *queue, unsigned lane, size_t size,
			  bool wait)
{
	struct batch *batch = NULL;
	size_t total = sizeof(*batch) + size;

	pthread_mutex_lock(&queue->lock);
	while (wait && is_full(queue, total))
		pthread_cond_wait(&queue->freed, &queue->lock);
	if (is_full(queue, total)) {
		pthread_mutex_unlock(&queue->lock);
		return NULL;
	}
	queue->taken += total;
	if (size == BATCH_LARGE)
		batch = take_spare(queue);
	pthread_mutex_unlock(&queue->lock);

	/* Not xcalloc(): what is about to be overwritten needs no zeros. */
	if (!batch)
		batch = xrealloc(NULL, total);
	*batch = (struct batch){ .queue = queue, .lane = lane, .size = size };

	return batch;
}

/* Append @batch, which is the queue's from now on. */
void queue_push(struct queue *queue, struct batch *batch)
{
	batch->arrived = clock_monotonic_ns();

	pthread_mutex_lock(&queue->lock);
	batch->next = NULL;
	*queue->last = batch;
	queue->last = &batch->next;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}

static bool has_news(const struct queue *queue)
{
	return queue->first || queue->ended;
}

static void wait_until_filled(struct queue *queue, int timeout_ms)
{
	struct timespec end;
	int ret = 0;

	if (timeout_ms < 0) {
		while (!has_news(queue))
			pthread_cond_wait(&queue->filled, &queue->lock);
		return;
	}

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	while (!has_news(queue) && ret == 0)
		ret = pthread_cond_timedwait(&queue->filled, &queue->lock,
					     &end);
}

/*
 * The first batch, which the caller owns, or NULL after @timeout_ms (0: at
 * once, -1: never) or at the end; *@ended tells which.
 */
struct batch *queue_pop(struct queue *queue, int timeout_ms, bool *ended)
{
	struct batch *batch;

	pthread_mutex_lock(&queue->lock);
	if (timeout_ms)
		wait_until_filled(queue, timeout_ms);
	batch = queue->first;
	if (batch) {
		queue->first = batch->next;
		if (!queue->first)
			queue->last = &queue->first;
		batch->next = NULL;
	}
	*ended = !batch && queue->ended;
	pthread_mutex_unlock(&queue->lock);

	return batch;
}

/* Nothing will be pushed any more: who pops gets what is left, then the end. */
void queue_end(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->ended = true;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
}

/* Room for one frame in @batch, or NULL. Its caplen is set, the rest zero. */
struct frame *batch_append(struct batch *batch, uint32_t caplen)
{
	struct frame head = { .caplen = caplen };
	struct frame *frame = (struct frame *)(batch->bytes + batch->used);

	if (frame_size(&head) > batch->size - batch->used)
		return NULL;

	*frame = head;
	batch->used += frame_size(frame);
	batch->frames++;

	return frame;
}

/* Free a batch, or keep it for later, and give its room back to its queue. */
void batch_free(struct batch *batch)
{
	struct queue *queue = batch->queue;

	pthread_mutex_lock(&queue->lock);
	queue->taken -= sizeof(*batch) + batch->size;
	pthread_cond_signal(&queue->freed);
	if (batch->size == BATCH_LARGE && queue->spares < SPARES_MAX) {
		batch->next = queue->spare;
		queue->spare = batch;
		queue->spares++;
		batch = NULL;
	}
	pthread_mutex_unlock(&queue->lock);

	free(batch);
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void hand_over(struct lane *lane, struct queue *queue)
{
	lane->batch->settled = lane->settled;
	queue_push(queue, lane->batch);
	lane->batch = NULL;
}

/*
 * Room for the next frame of a lane, with its caplen set, valid until the next
 * call. NULL if the queue is full; the frame is then counted as dropped.
 */
struct frame *lane_frame(struct lane *lane, struct queue *queue,
			 uint32_t caplen)
{
	struct frame head = { .caplen = caplen };

	if (lane->batch) {
		struct frame *frame = batch_append(lane->batch, caplen);

		if (frame)
			return frame;
		hand_over(lane, queue);
		if (lane->want < BATCH_LARGE)
			lane->want *= 2;
	}

	lane->want = max_size(lane->want, BATCH_SMALL);
	lane->batch = queue_batch(queue, lane->number,
				  max_size(lane->want, frame_size(&head)),
				  lane->patient);
	if (!lane->batch) {
		lane->dropped++;
		return NULL;
	}

	return batch_append(lane->batch, caplen);
}

/*
 * Hand over what the lane has, and that no frame earlier than @settled follows
 * (ns since the epoch); without frames, in a batch that says only that. In a
 * full queue that one is left out: the next tells more.
 */
void lane_push(struct lane *lane, struct queue *queue, uint64_t settled)
{
	lane->settled = settled;
	if (!lane->batch)
		lane->batch = queue_batch(queue, lane->number, 0, false);
	else if (lane->batch->used < lane->want / 4 && lane->want > BATCH_SMALL)
		lane->want /= 2;

	if (lane->batch)
		hand_over(lane, queue);
}
