/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded queue between the thread that empties the rings and the one that
 * writes. It moves batches, not frames, and its bound is on bytes: what was
 * popped but not yet freed counts too. Memory is had in chunks, taken when they
 * are needed and given back when they have not been for a while. Time order is
 * left to merge.c.
 */
#include "capture/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "capture/brake.h"

/* What is asked of the kernel at a time: one huge page on most machines. */
#define CHUNK_BYTES (2UL * 1024 * 1024)

/*
 * Beyond this the queue grows in huge pages: faulting small ones in costs as
 * much as copying into them. Below it, a quiet capture stays small.
 */
#define SMALL_BYTES (8UL * 1024 * 1024)

/* What may come in between two looks at the bound, from each lane. */
#define ROUND_BYTES_MAX (4UL * 1024 * 1024)
#define ROUND_BYTES_MIN (256UL * 1024)

struct chunk {
	struct chunk *next;
	struct queue *queue;
	unsigned users; /* batches in it, and the lane that fills it */
	size_t size;
	size_t used;
	uint8_t bytes[] __attribute__((aligned(8)));
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled; /* there is a batch, or the end */
	pthread_cond_t freed;  /* there is room */
	struct batch *first;
	struct batch **last;
	size_t limit;
	size_t taken;  /* by batches that are not freed yet */
	size_t memory; /* in chunks, spare ones too */
	size_t peak;   /* the most that this was */
	bool ended;
	bool late[LANES_MAX];
	struct brake *brake; /* borrowed; or NULL */
	struct chunk *spare; /* the last one used comes first: it is in cache */
	unsigned spares;
	unsigned spares_least; /* since the last queue_shrink() */
};

/* A queue for @limit bytes in all. */
struct queue *queue_new(size_t limit)
{
	struct queue *queue = xcalloc(1, sizeof(*queue));
	pthread_mutexattr_t inherit;
	pthread_condattr_t attributes;

	queue->limit = limit;
	queue->last = &queue->first;
	/* The reader runs before others, and so must who keeps it waiting. */
	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&queue->lock, &inherit);
	pthread_mutexattr_destroy(&inherit);
	pthread_cond_init(&queue->freed, NULL);

	/* The wall clock may step, and a time-out must not step with it. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->filled, &attributes);
	pthread_condattr_destroy(&attributes);

	return queue;
}

/*
 * Have @brake, which must live as long as the queue, told how full it is.
 * Before anybody else uses it.
 */
void queue_set_brake(struct queue *queue, struct brake *brake)
{
	queue->brake = brake;
}

/* Under the lock. Returns whether the brake has to act, without the lock. */
static bool weigh(const struct queue *queue)
{
	bool late = false;

	for (unsigned i = 0; i < LANES_MAX; i++)
		late |= queue->late[i];

	return queue->brake && brake_weigh(queue->brake, queue->taken, late);
}

/*
 * Memory at an address where a huge page can begin. Not malloc(): once such a
 * size was freed it keeps the like for itself.
 */
static struct chunk *map_chunk(size_t size, bool huge)
{
	size_t room = size + CHUNK_BYTES;
	uint8_t *start = mmap(NULL, room, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct chunk *chunk;
	size_t before;

	if (start == MAP_FAILED)
		die_no_memory();
	before = -(uintptr_t)start % CHUNK_BYTES;
	chunk = (struct chunk *)(start + before);
	if (before)
		munmap(start, before);
	munmap((uint8_t *)chunk + size, room - before - size);
	if (huge)
		madvise(chunk, size, MADV_HUGEPAGE);
	chunk->size = size;

	return chunk;
}

static void free_chunks(struct chunk *chunk)
{
	while (chunk) {
		struct chunk *next = chunk->next;

		munmap(chunk, chunk->size);
		chunk = next;
	}
}

/* Whoever was the last to use a chunk leaves it for the next. */
static void leave_chunk(struct chunk *chunk)
{
	struct queue *queue = chunk->queue;

	if (--chunk->users)
		return;
	if (chunk->size > CHUNK_BYTES) {
		queue->memory -= chunk->size;
		chunk->next = NULL;
		free_chunks(chunk);
		return;
	}
	chunk->next = queue->spare;
	queue->spare = chunk;
	queue->spares++;
}

/* Take @count spare chunks out of the queue. Returns a list of them. */
static struct chunk *take_spares(struct queue *queue, unsigned count)
{
	struct chunk *taken = NULL;

	while (count--) {
		struct chunk *chunk = queue->spare;

		queue->spare = chunk->next;
		queue->spares--;
		queue->memory -= chunk->size;
		chunk->next = taken;
		taken = chunk;
	}

	return taken;
}

/* Free the queue with what is in it. All popped batches must be free. */
void queue_free(struct queue *queue)
{
	if (!queue)
		return;

	while (queue->first) {
		struct batch *batch = queue->first;

		queue->first = batch->next;
		leave_chunk(batch->chunk);
	}
	free_chunks(take_spares(queue, queue->spares));
	pthread_cond_destroy(&queue->filled);
	pthread_cond_destroy(&queue->freed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

/*
 * How many bytes of each lane may come in after one queue_wait_for_room(): a
 * reader in the midst of a ring cannot wait without holding up the others.
 */
size_t queue_round(const struct queue *queue)
{
	size_t round = queue->limit / 16;

	if (round < ROUND_BYTES_MIN)
		return ROUND_BYTES_MIN;

	return round < ROUND_BYTES_MAX ? round : ROUND_BYTES_MAX;
}

/* An empty queue always has room, or a small limit would stop everything. */
static bool is_full(const struct queue *queue)
{
	return queue->taken && queue->taken + queue_round(queue) > queue->limit;
}

/* Whether queue_wait_for_room() would wait. */
bool queue_is_full(struct queue *queue)
{
	bool full;

	pthread_mutex_lock(&queue->lock);
	full = is_full(queue);
	pthread_mutex_unlock(&queue->lock);

	return full;
}

/* Wait until a round has room. Returns whether it was not there at once. */
bool queue_wait_for_room(struct queue *queue)
{
	bool waited;

	pthread_mutex_lock(&queue->lock);
	waited = is_full(queue);
	while (is_full(queue))
		pthread_cond_wait(&queue->freed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);

	return waited;
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

/*
 * Give back the memory that has not been needed since the last call. Returns
 * whether there may be more of it by the next one.
 */
bool queue_shrink(struct queue *queue)
{
	struct chunk *unused;
	bool more;

	pthread_mutex_lock(&queue->lock);
	unused = take_spares(queue, queue->spares_least);
	queue->spares_least = queue->spares;
	more = queue->spares;
	pthread_mutex_unlock(&queue->lock);
	free_chunks(unused);

	return more;
}

/* The most memory (bytes) that the queue ever took. */
size_t queue_peak(struct queue *queue)
{
	size_t peak;

	pthread_mutex_lock(&queue->lock);
	peak = queue->peak;
	pthread_mutex_unlock(&queue->lock);

	return peak;
}

/* Give a batch back to its queue; its frames are gone. */
void batch_free(struct batch *batch)
{
	struct queue *queue = batch->chunk->queue;
	bool crossed;

	pthread_mutex_lock(&queue->lock);
	queue->taken -= sizeof(*batch) + batch->used;
	crossed = weigh(queue);
	leave_chunk(batch->chunk);
	pthread_cond_signal(&queue->freed);
	pthread_mutex_unlock(&queue->lock);
	if (crossed)
		brake_tell(queue->brake);
}

/* A chunk for a lane to fill, with room for a batch of @size bytes. */
static struct chunk *new_chunk(struct queue *queue, size_t size)
{
	size_t needed = sizeof(struct chunk) + size;
	struct chunk *chunk = queue->spare;

	if (needed <= CHUNK_BYTES && chunk) {
		queue->spare = chunk->next;
		queue->spares--;
		if (queue->spares < queue->spares_least)
			queue->spares_least = queue->spares;
	} else {
		needed = (needed + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1);
		chunk = map_chunk(needed, queue->memory >= SMALL_BYTES);
		chunk->queue = queue;
		queue->memory += needed;
		if (queue->memory > queue->peak)
			queue->peak = queue->memory;
	}
	chunk->users = 1;
	chunk->used = 0;

	return chunk;
}

static bool has_room(const struct chunk *chunk, size_t size)
{
	return sizeof(*chunk) + chunk->used + size <= chunk->size;
}

/*
 * Begin a batch with room for @size bytes of frames. A lane whose batches are
 * all written begins its chunk anew: as long as the writer keeps up, the same
 * memory stays in the processor's cache.
 */
static void begin_batch(struct lane *lane, struct queue *queue, size_t size)
{
	size_t needed = sizeof(struct batch) + size;

	pthread_mutex_lock(&queue->lock);
	if (lane->chunk && lane->chunk->users == 1)
		lane->chunk->used = 0;
	if (lane->chunk && !has_room(lane->chunk, needed)) {
		leave_chunk(lane->chunk);
		lane->chunk = NULL;
	}
	if (!lane->chunk)
		lane->chunk = new_chunk(queue, needed);
	lane->chunk->users++;
	pthread_mutex_unlock(&queue->lock);

	lane->batch = (struct batch *)(lane->chunk->bytes + lane->chunk->used);
	*lane->batch = (struct batch){
		.chunk = lane->chunk,
		.lane = lane->number,
	};
	lane->chunk->used += sizeof(*lane->batch);
}

/* Hand over what the lane has, which is the queue's from now on. */
static void push_batch(struct lane *lane, struct queue *queue)
{
	struct batch *batch = lane->batch;
	bool crossed;

	lane->batch = NULL;
	batch->settled = lane->settled;
	batch->arrived = clock_monotonic_ns();

	pthread_mutex_lock(&queue->lock);
	queue->taken += sizeof(*batch) + batch->used;
	queue->late[lane->number] = lane->late;
	crossed = weigh(queue);
	*queue->last = batch;
	queue->last = &batch->next;
	pthread_cond_signal(&queue->filled);
	pthread_mutex_unlock(&queue->lock);
	if (crossed)
		brake_tell(queue->brake);
}

/*
 * Room for the next frame of a lane, with its caplen set and all else zero,
 * valid until the next call for the lane.
 */
struct frame *lane_frame(struct lane *lane, struct queue *queue,
			 uint32_t caplen)
{
	const struct frame head = { .caplen = caplen };
	size_t size = frame_size(&head);
	struct frame *frame;

	if (lane->batch && !has_room(lane->chunk, size))
		push_batch(lane, queue);
	if (!lane->batch)
		begin_batch(lane, queue, size);

	frame = (struct frame *)(lane->batch->bytes + lane->batch->used);
	*frame = head;
	lane->batch->used += size;
	lane->batch->frames++;
	lane->chunk->used += size;

	return frame;
}

/*
 * Hand over what the lane has, and that no frame earlier than @settled follows
 * (ns since the epoch; UINT64_MAX: none at all for now); without frames, in a
 * batch that says only that.
 */
void lane_push(struct lane *lane, struct queue *queue, uint64_t settled)
{
	lane->settled = settled;
	if (settled == UINT64_MAX)
		lane->late = false;
	if (!lane->batch)
		begin_batch(lane, queue, 0);
	push_batch(lane, queue);

	if (settled == UINT64_MAX) {
		pthread_mutex_lock(&queue->lock);
		leave_chunk(lane->chunk);
		pthread_mutex_unlock(&queue->lock);
		lane->chunk = NULL;
	}
}
