/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue: order, bound, memory, end, waiting on either side; and lanes,
 * which make batches of frames.
 */
#include "capture/queue.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define KIB 1024

/* Push one frame of @size bytes, which is worth @size and some. */
static void push(struct queue *queue, struct lane *lane, uint32_t size)
{
	lane_frame(lane, queue, size);
	lane_push(lane, queue, 1);
}

static void finish(struct queue *queue, struct lane *lane)
{
	struct batch *batch;
	bool ended;

	lane_push(lane, queue, UINT64_MAX);
	while ((batch = queue_pop(queue, 0, &ended)))
		batch_free(batch);
	queue_free(queue);
}

static void test_first_in_first_out(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct lane lanes[3] = { { 0 }, { .number = 1 }, { .number = 2 } };
	bool ended = true;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 3; i++)
			push(queue, &lanes[i], 100 + i);
		for (unsigned i = 0; i < 3; i++) {
			struct batch *batch = queue_pop(queue, 0, &ended);
			struct frame *frame = (struct frame *)batch->bytes;

			assert_int_equal(batch->lane, i);
			assert_int_equal(batch->frames, 1);
			assert_int_equal(frame->caplen, 100 + i);
			assert_int_not_equal(batch->arrived, 0);
			assert_false(ended);
			batch_free(batch);
		}
		assert_null(queue_pop(queue, 0, &ended));
		assert_false(ended);
	}
	for (unsigned i = 1; i < 3; i++)
		lane_push(&lanes[i], queue, UINT64_MAX);
	finish(queue, &lanes[0]);
}

static void *wait_for_room(void *argument)
{
	queue_wait_for_room(argument);

	return NULL;
}

static void test_bound_is_on_memory_until_freed(void **state)
{
	struct queue *queue = queue_new(KIB * KIB);
	struct batch *popped[4];
	struct lane lane = { 0 };
	struct timespec soon;
	pthread_t waiter;
	bool ended;

	(void)state;
	assert_int_equal(queue_round(queue), 256 * KIB);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(queue_wait_for_room(queue));
		push(queue, &lane, 200 * KIB);
	}
	/* Popped is not yet freed. */
	for (unsigned i = 0; i < 4; i++)
		popped[i] = queue_pop(queue, 0, &ended);

	pthread_create(&waiter, NULL, wait_for_room, queue);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec++;
	assert_int_equal(pthread_timedjoin_np(waiter, NULL, &soon), ETIMEDOUT);
	batch_free(popped[0]);
	assert_int_equal(pthread_join(waiter, NULL), 0);
	for (unsigned i = 1; i < 4; i++)
		batch_free(popped[i]);
	finish(queue, &lane);
}

/* However small its bound is, an empty queue takes a round. */
static void test_empty_queue_has_room(void **state)
{
	struct queue *queue = queue_new(1);
	struct lane lane = { 0 };
	bool ended;

	(void)state;
	assert_false(queue_wait_for_room(queue));
	push(queue, &lane, 200 * KIB);
	batch_free(queue_pop(queue, 0, &ended));
	assert_false(queue_wait_for_room(queue));
	finish(queue, &lane);
}

/* Memory grows with what is in it, is used again, and is given back. */
static void test_memory_comes_and_goes(void **state)
{
	struct queue *queue = queue_new(256 * KIB * KIB);
	struct lane lane = { 0 };
	struct batch *batch;
	bool ended;
	size_t peak;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		push(queue, &lane, 64 * KIB);
		batch_free(queue_pop(queue, 0, &ended));
	}
	assert_int_equal(queue_peak(queue), 2 * KIB * KIB);

	for (unsigned i = 0; i < 400; i++)
		push(queue, &lane, 64 * KIB);
	peak = queue_peak(queue);
	assert_in_range(peak, 25 * KIB * KIB, 31 * KIB * KIB);
	while ((batch = queue_pop(queue, 0, &ended)))
		batch_free(batch);

	/* Spare until it was not needed from one call to the next. */
	assert_true(queue_shrink(queue));
	for (unsigned i = 0; i < 400; i++)
		push(queue, &lane, 64 * KIB);
	while ((batch = queue_pop(queue, 0, &ended)))
		batch_free(batch);
	assert_int_equal(queue_peak(queue), peak);
	assert_true(queue_shrink(queue));
	assert_false(queue_shrink(queue));

	/* All but the lane's own is gone: as much again is as much again. */
	for (unsigned i = 0; i < 400; i++)
		push(queue, &lane, 64 * KIB);
	assert_int_equal(queue_peak(queue), peak);
	finish(queue, &lane);
}

static void test_end_comes_after_what_is_left(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct lane lane = { 0 };
	struct batch *batch;
	bool ended = true;

	(void)state;
	lane_frame(&lane, queue, 100);
	lane_push(&lane, queue, UINT64_MAX);
	queue_end(queue);
	batch = queue_pop(queue, -1, &ended);
	assert_non_null(batch);
	assert_false(ended);
	batch_free(batch);
	assert_null(queue_pop(queue, -1, &ended));
	assert_true(ended);
	queue_free(queue);
}

/* What nobody popped goes with the queue. */
static void test_free_with_frames(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct lane lane = { 0 };

	(void)state;
	push(queue, &lane, 100);
	push(queue, &lane, 300 * KIB);
	lane_push(&lane, queue, UINT64_MAX);
	queue_free(queue);
}

static void test_pop_times_out(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	bool ended = true;

	(void)state;
	assert_null(queue_pop(queue, 1, &ended));
	assert_false(ended);
	assert_null(queue_pop(queue, 1001, &ended));
	assert_false(ended);
	queue_free(queue);
}

#define MANY 20000

static void *push_many(void *argument)
{
	struct queue *queue = argument;
	struct lane lane = { 0 };

	for (unsigned i = 0; i < MANY; i++) {
		struct frame *frame = lane_frame(&lane, queue, 1 + i % 1500);

		frame->time = i;
		memset(frame->bytes, (int)i, frame->caplen);
		if (i % 777 == 0) {
			lane_push(&lane, queue, i);
			queue_wait_for_room(queue);
		}
	}
	lane_push(&lane, queue, UINT64_MAX);
	queue_end(queue);

	return NULL;
}

/* Nothing is lost, however small the queue and slow its other end. */
static void test_two_threads(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	bool ended = false;
	unsigned count = 0;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, push_many, queue);
	while (!ended) {
		struct batch *batch = queue_pop(queue, -1, &ended);
		uint8_t *next = batch ? batch->bytes : NULL;

		for (unsigned i = 0; batch && i < batch->frames; i++) {
			struct frame *frame = (struct frame *)next;

			assert_int_equal(frame->time, count);
			assert_int_equal(frame->caplen, 1 + count % 1500);
			assert_int_equal(frame->bytes[frame->caplen - 1],
					 (uint8_t)count);
			count++;
			next += frame_size(frame);
		}
		if (batch)
			batch_free(batch);
	}
	pthread_join(thread, NULL);
	assert_int_equal(count, MANY);
	queue_free(queue);
}

static void test_lane_tells_what_is_settled(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct lane lane = { .number = 1 };
	struct batch *batch;
	bool ended;

	(void)state;
	/* Without a frame too. */
	lane_push(&lane, queue, 10);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->frames, 0);
	assert_int_equal(batch->settled, 10);
	batch_free(batch);

	/* A batch that is full in between knows only what was told before. */
	for (unsigned i = 0; i < 20; i++)
		lane_frame(&lane, queue, 200 * KIB);
	lane_push(&lane, queue, 20);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->settled, 10);
	batch_free(batch);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->settled, 20);
	batch_free(batch);
	assert_null(queue_pop(queue, 0, &ended));
	finish(queue, &lane);
}

/* A frame larger than any chunk gets one of its own. */
static void test_lane_takes_large_frames(void **state)
{
	struct queue *queue = queue_new(1024 * KIB);
	struct lane lane = { 0 };
	struct frame *frame = lane_frame(&lane, queue, 3000 * KIB);
	struct batch *batch;
	bool ended;

	(void)state;
	memset(frame->bytes, 1, frame->caplen);
	lane_push(&lane, queue, 1);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->frames, 1);
	assert_int_equal(((struct frame *)batch->bytes)->caplen, 3000 * KIB);
	batch_free(batch);
	finish(queue, &lane);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_first_out),
		cmocka_unit_test(test_bound_is_on_memory_until_freed),
		cmocka_unit_test(test_empty_queue_has_room),
		cmocka_unit_test(test_memory_comes_and_goes),
		cmocka_unit_test(test_end_comes_after_what_is_left),
		cmocka_unit_test(test_free_with_frames),
		cmocka_unit_test(test_pop_times_out),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_lane_tells_what_is_settled),
		cmocka_unit_test(test_lane_takes_large_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
