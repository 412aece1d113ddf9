/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue: order, bound, end, waiting on either side; and lanes, which make
 * batches of frames.
 */
#include "capture/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024

static struct batch *push(struct queue *queue, unsigned lane, size_t size)
{
	struct batch *batch = queue_batch(queue, lane, size, false);

	assert_non_null(batch);
	queue_push(queue, batch);

	return batch;
}

static void test_first_in_first_out(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct batch *pushed[3];
	bool ended = true;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		pushed[i] = push(queue, i, 100);
	for (unsigned i = 0; i < 3; i++) {
		struct batch *batch = queue_pop(queue, 0, &ended);

		assert_ptr_equal(batch, pushed[i]);
		assert_int_equal(batch->lane, i);
		assert_int_not_equal(batch->arrived, 0);
		assert_false(ended);
		batch_free(batch);
	}
	assert_null(queue_pop(queue, 0, &ended));
	assert_false(ended);

	/* And once more from empty: the end of the list was found again. */
	pushed[0] = push(queue, 0, 100);
	assert_ptr_equal(queue_pop(queue, 0, &ended), pushed[0]);
	batch_free(pushed[0]);
	queue_free(queue);
}

static void test_bound_is_on_memory_until_freed(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct batch *popped;
	bool ended;

	(void)state;
	push(queue, 0, 30 * KIB);
	push(queue, 0, 30 * KIB);
	assert_null(queue_batch(queue, 0, 30 * KIB, false));

	popped = queue_pop(queue, 0, &ended);
	assert_null(queue_batch(queue, 0, 30 * KIB, false));
	batch_free(popped);
	push(queue, 0, 30 * KIB);
	assert_null(queue_batch(queue, 0, 30 * KIB, false));

	/* What is still in it goes with it. */
	queue_free(queue);
}

static void test_one_batch_always_has_room(void **state)
{
	struct queue *queue = queue_new(KIB);
	struct batch *batch = queue_batch(queue, 0, 300 * KIB, false);

	(void)state;
	assert_non_null(batch);
	assert_null(queue_batch(queue, 0, 1, false));
	batch_free(batch);
	batch = queue_batch(queue, 0, 1, false);
	assert_non_null(batch);
	batch_free(batch);
	queue_free(queue);
}

static void test_end_comes_after_what_is_left(void **state)
{
	struct queue *queue = queue_new(64 * KIB);
	struct batch *batch;
	bool ended = true;

	(void)state;
	push(queue, 0, 100);
	queue_end(queue);
	batch = queue_pop(queue, -1, &ended);
	assert_non_null(batch);
	assert_false(ended);
	batch_free(batch);
	assert_null(queue_pop(queue, -1, &ended));
	assert_true(ended);
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
	struct lane lane = { .patient = true };

	for (unsigned i = 0; i < MANY; i++) {
		struct frame *frame = lane_frame(&lane, queue, 1 + i % 1500);

		frame->time = i;
		memset(frame->bytes, (int)i, frame->caplen);
		if (i % 777 == 0)
			lane_push(&lane, queue, i);
	}
	lane_push(&lane, queue, MANY);
	queue_end(queue);

	return NULL;
}

/* A patient lane loses nothing, however small the queue and slow the reader. */
static void test_patient_lane(void **state)
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

static void test_lane_counts_what_it_drops(void **state)
{
	struct queue *queue = queue_new(40 * KIB);
	struct lane lane = { .number = 2 };
	unsigned stored = 0, in_queue = 0;
	struct batch *batch;
	bool ended;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		stored += lane_frame(&lane, queue, KIB) != NULL;
	lane_push(&lane, queue, 5);
	assert_in_range(stored, 1, 99);
	assert_int_equal(stored + lane.dropped, 100);

	while ((batch = queue_pop(queue, 0, &ended))) {
		assert_int_equal(batch->lane, 2);
		in_queue += batch->frames;
		batch_free(batch);
	}
	assert_int_equal(in_queue, stored);

	/* There is room again. */
	assert_non_null(lane_frame(&lane, queue, KIB));
	lane_push(&lane, queue, 6);
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
		assert_non_null(lane_frame(&lane, queue, KIB));
	lane_push(&lane, queue, 20);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->settled, 10);
	batch_free(batch);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->settled, 20);
	batch_free(batch);
	assert_null(queue_pop(queue, 0, &ended));
	queue_free(queue);
}

/* A frame larger than any batch gets one of its own. */
static void test_lane_takes_large_frames(void **state)
{
	struct queue *queue = queue_new(1024 * KIB);
	struct lane lane = { 0 };
	struct frame *frame = lane_frame(&lane, queue, 300 * KIB);
	struct batch *batch;
	bool ended;

	(void)state;
	memset(frame->bytes, 1, frame->caplen);
	lane_push(&lane, queue, 1);
	batch = queue_pop(queue, 0, &ended);
	assert_int_equal(batch->frames, 1);
	assert_int_equal(((struct frame *)batch->bytes)->caplen, 300 * KIB);
	batch_free(batch);
	queue_free(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_first_out),
		cmocka_unit_test(test_bound_is_on_memory_until_freed),
		cmocka_unit_test(test_one_batch_always_has_room),
		cmocka_unit_test(test_end_comes_after_what_is_left),
		cmocka_unit_test(test_pop_times_out),
		cmocka_unit_test(test_patient_lane),
		cmocka_unit_test(test_lane_counts_what_it_drops),
		cmocka_unit_test(test_lane_tells_what_is_settled),
		cmocka_unit_test(test_lane_takes_large_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
