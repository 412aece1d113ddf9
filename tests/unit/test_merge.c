/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The merge: which frames come out, when, and in which order, for lanes that
 * are late, equal, silent, disordered, or whose clock was set back.
 */
#include "capture/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define END	UINT64_MAX
#define SECOND	UINT64_C(1000000000)
#define OUT_MAX 20000

/* What test_random_lanes() does. */
#define LANES	  3
#define ROUNDS	  500
#define PER_BATCH 10
#define DISORDER  20

/* What came out: times, and the lane of each. */
static uint64_t out[OUT_MAX];
static unsigned out_lane[OUT_MAX];
static unsigned out_count;

static void collect(struct stage *stage, struct frame *frame)
{
	(void)stage;
	assert_true(out_count < OUT_MAX);
	out_lane[out_count] = frame->interface;
	out[out_count++] = frame->time;
}

static const struct stage_ops collect_ops = { .frame = collect };
static struct stage collector = { .ops = &collect_ops };
static struct queue *queue;

static int set_up(void **state)
{
	(void)state;
	out_count = 0;
	queue = queue_new(1024 * 1024);

	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	queue_free(queue);

	return 0;
}

/* A batch of @lane with frames of these times, which end with END. */
static struct batch *batch_of(unsigned lane, uint64_t settled,
			      const uint64_t *times)
{
	struct lane source = { .number = lane };
	struct batch *batch;
	bool ended;

	for (; *times != END; times++) {
		struct frame *frame = lane_frame(&source, queue, 8);

		frame->time = *times;
		frame->interface = (uint16_t)lane;
	}
	lane_push(&source, queue, UINT64_MAX);
	batch = queue_pop(queue, 0, &ended);
	batch->settled = settled;

	return batch;
}

static void push_at(struct merge *merge, uint64_t arrived, unsigned lane,
		    uint64_t settled, const uint64_t *times)
{
	struct batch *batch = batch_of(lane, settled, times);

	batch->arrived = arrived;
	merge_push(merge, batch);
}

static void push(struct merge *merge, unsigned lane, uint64_t settled,
		 const uint64_t *times)
{
	push_at(merge, 0, lane, settled, times);
}

#define TIMES(...) ((const uint64_t[]){ __VA_ARGS__ })
#define NONE	   TIMES(END)

static void assert_out(const uint64_t *times)
{
	unsigned count = 0;

	for (; times[count] != END; count++) {
		assert_true(count < out_count);
		assert_int_equal(out[count], times[count]);
	}
	assert_int_equal(out_count, count);
}

static void test_two_lanes(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 0, 50, TIMES(10, 30, 50, END));
	assert_out(NONE);
	push(merge, 1, 40, TIMES(20, 40, END));
	assert_out(TIMES(10, 20, 30, 40, END));
	push(merge, 1, 60, NONE);
	assert_out(TIMES(10, 20, 30, 40, 50, END));
	merge_free(merge);
}

static void test_idle_lane_is_told_settled(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 0, 10, TIMES(10, END));
	push(merge, 1, 9, NONE);
	assert_out(NONE);
	push(merge, 1, 10, NONE);
	assert_out(TIMES(10, END));
	merge_free(merge);
}

static void test_late_block(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 1, 5, NONE);
	push(merge, 0, 100, TIMES(10, 100, END));
	push(merge, 0, 200, TIMES(110, 200, END));
	assert_out(NONE);
	/* It held frames for as long as its block was open. */
	push(merge, 1, 150, TIMES(6, 90, 120, END));
	assert_out(TIMES(6, 10, 90, 100, 110, 120, END));
	merge_flush(merge);
	assert_out(TIMES(6, 10, 90, 100, 110, 120, 200, END));
	merge_free(merge);
}

static void test_equal_stamps_keep_the_order_of_lanes(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 1, 7, TIMES(7, 7, END));
	push(merge, 0, 7, TIMES(7, END));
	assert_out(TIMES(7, 7, 7, END));
	assert_int_equal(out_lane[0], 0);
	assert_int_equal(out_lane[1], 1);
	assert_int_equal(out_lane[2], 1);
	merge_free(merge);
}

/* Two processors: the ring's order is not quite that of the stamps. */
static void test_disorder_in_one_lane(void **state)
{
	struct merge *merge = merge_new(1, false, &collector);

	(void)state;
	push(merge, 0, 20, TIMES(10, 30, 20, END));
	assert_out(TIMES(10, 20, END));
	push(merge, 0, 40, TIMES(25, 40, 35, END));
	assert_out(TIMES(10, 20, 25, 30, 35, 40, END));
	merge_free(merge);
}

static void test_in_order_source_passes(void **state)
{
	struct merge *merge = merge_new(1, true, &collector);

	(void)state;
	push(merge, 0, 0, TIMES(10, 30, 20, END));
	assert_out(TIMES(10, 30, 20, END));
	assert_int_equal(merge_tick(merge, SECOND), -1);
	merge_free(merge);
}

static void test_held_no_longer_than_the_bound(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	assert_int_equal(merge_tick(merge, SECOND), -1);
	push_at(merge, SECOND, 0, 10, TIMES(10, END));
	push_at(merge, SECOND + MERGE_HOLD / 2, 0, 20, TIMES(20, END));

	assert_int_equal(merge_tick(merge, SECOND), MERGE_HOLD / 1000000 + 1);
	assert_int_equal(merge_tick(merge, SECOND + MERGE_HOLD - 1), 1);
	assert_out(NONE);
	assert_int_equal(merge_tick(merge, SECOND + MERGE_HOLD), -1);
	assert_out(TIMES(10, 20, END));
	merge_free(merge);
}

/* Also while batches come without a pause. */
static void test_bound_by_arrival(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push_at(merge, SECOND, 0, 10, TIMES(10, END));
	push_at(merge, SECOND + MERGE_HOLD, 0, 20, TIMES(20, END));
	assert_out(TIMES(10, 20, END));
	merge_free(merge);
}

static void test_clock_set_back(void **state)
{
	const uint64_t hour = 3600 * SECOND;
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 0, hour, TIMES(hour, hour + 2, END));
	push(merge, 1, hour, TIMES(hour + 1, END));
	assert_out(TIMES(hour, END));

	/* What is held comes first, and nothing waits for the hour to pass. */
	push(merge, 0, 30, TIMES(20, 30, END));
	assert_out(TIMES(hour, hour + 1, hour + 2, END));
	push(merge, 1, 40, TIMES(25, END));
	assert_out(TIMES(hour, hour + 1, hour + 2, 20, 25, 30, END));
	merge_free(merge);
}

static void test_clock_set_forward(void **state)
{
	const uint64_t hour = 3600 * SECOND;
	struct merge *merge = merge_new(2, false, &collector);

	(void)state;
	push(merge, 0, 20, TIMES(10, 20, END));
	push(merge, 1, hour, TIMES(hour, END));
	assert_out(TIMES(10, 20, END));
	push(merge, 0, hour, NONE);
	assert_out(TIMES(10, 20, hour, END));
	merge_free(merge);
}

/*
 * The memory of a batch can be used again when its last frame was handed on and
 * the writer has had its time, and not before.
 */
static void test_batches_are_recycled(void **state)
{
	struct merge *merge = merge_new(2, false, &collector);
	struct queue *small = queue_new(1);
	struct queue *large = queue;

	(void)state;
	queue = small;
	push(merge, 0, 20, TIMES(10, 20, 30, END));
	assert_int_equal(merge_passed(merge), 0);
	queue = large;
	push(merge, 1, 20, NONE);
	assert_out(TIMES(10, 20, END));
	merge_recycle(merge);
	assert_int_equal(merge_passed(merge), 0);
	assert_false(queue_shrink(small));
	merge_flush(merge);
	assert_out(TIMES(10, 20, 30, END));
	assert_int_not_equal(merge_passed(merge), 0);
	assert_false(queue_shrink(small));
	merge_recycle(merge);
	assert_int_equal(merge_passed(merge), 0);
	assert_true(queue_shrink(small));
	merge_free(merge);
	queue_free(small);
}

/*
 * Three lanes with random gaps and stamps that are up to DISORDER too early,
 * which their sources know and tell: everything comes out once, in order.
 */
static void test_random_lanes(void **state)
{
	struct merge *merge = merge_new(LANES, false, &collector);
	uint64_t now[LANES] = { SECOND, SECOND, SECOND };

	(void)state;
	srand(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned lane = (unsigned)rand() % LANES;
		uint64_t times[PER_BATCH + 1];

		for (unsigned j = 0; j < PER_BATCH; j++) {
			now[lane] += (unsigned)rand() % 50;
			times[j] = now[lane] - (unsigned)rand() % DISORDER;
		}
		times[PER_BATCH] = END;
		push(merge, lane, now[lane] - DISORDER, times);
	}
	assert_true(out_count > 0 && out_count < ROUNDS * PER_BATCH);
	merge_flush(merge);
	assert_int_equal(out_count, ROUNDS * PER_BATCH);
	for (unsigned i = 1; i < out_count; i++)
		assert_true(out[i - 1] <= out[i]);
	merge_free(merge);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_two_lanes),
		TEST(test_idle_lane_is_told_settled),
		TEST(test_late_block),
		TEST(test_equal_stamps_keep_the_order_of_lanes),
		TEST(test_disorder_in_one_lane),
		TEST(test_in_order_source_passes),
		TEST(test_held_no_longer_than_the_bound),
		TEST(test_bound_by_arrival),
		TEST(test_clock_set_back),
		TEST(test_clock_set_forward),
		TEST(test_batches_are_recycled),
		TEST(test_random_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
