/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a ring's counts tell: when all has been seen, up to when, whose a loss
 * is and when one is near.
 */
#include "capture/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000000000

static void see(struct ring *ring, unsigned packets, uint32_t caplen)
{
	while (packets--)
		ring_see(ring, NOW - 100, caplen);
}

static void test_drained(void **state)
{
	struct ring ring = { .size = 1 << 20 };

	(void)state;
	assert_true(ring_is_drained(&ring));
	ring_count(&ring, 10, 3);
	see(&ring, 6, 100);
	assert_false(ring_is_drained(&ring));
	see(&ring, 1, 100);
	assert_true(ring_is_drained(&ring));
	/* What came after the count is seen before it is counted. */
	see(&ring, 1, 100);
	assert_true(ring_is_drained(&ring));
	ring_count(&ring, 2, 0);
	assert_false(ring_is_drained(&ring));
}

static void test_settled(void **state)
{
	struct ring ring = { .size = 1 << 20 };

	(void)state;
	assert_int_equal(ring_settled(&ring, NOW, 7, false), NOW - RING_SLACK);
	ring_count(&ring, 2, 0);
	assert_int_equal(ring_settled(&ring, NOW, 7, false), 7);
	see(&ring, 1, 100);
	assert_int_equal(ring_settled(&ring, NOW, 7, true),
			 NOW - 100 - RING_SLACK);
	see(&ring, 1, 100);
	assert_int_equal(ring_settled(&ring, NOW, 7, true), NOW - RING_SLACK);
}

/* From when the queue is full until the ring is empty again. */
static void test_whose_loss(void **state)
{
	struct ring ring = { .size = 1 << 20 };

	(void)state;
	ring_count(&ring, 5, 1);
	see(&ring, 2, 100);
	ring.held_up = true;
	ring_count(&ring, 20, 15);
	ring_settled(&ring, NOW, 0, true);
	ring_count(&ring, 4, 4);
	see(&ring, 7, 100);
	ring_settled(&ring, NOW, 0, true);
	ring_count(&ring, 2, 2);

	assert_int_equal(ring.dropped, 22);
	assert_int_equal(ring.dropped_queue, 19);
	assert_true(ring_is_drained(&ring));
}

/* A quarter full is late, an eighth no more: of what packets are of late. */
static void test_late(void **state)
{
	struct ring ring = { .size = 16 << 20 };

	(void)state;
	ring_count(&ring, 1000, 0);
	see(&ring, 1000, 66);
	ring_count(&ring, 200, 0);
	assert_false(ring.late);
	see(&ring, 200, 64000);
	assert_in_range(ring.typical, 60000, 64000);

	ring_count(&ring, 60, 0);
	assert_false(ring.late);
	ring_count(&ring, 15, 0);
	assert_true(ring.late);
	see(&ring, 35, 64000);
	ring_count(&ring, 0, 0);
	assert_true(ring.late);
	see(&ring, 9, 64000);
	ring_count(&ring, 0, 0);
	assert_false(ring.late);

	/* What was dropped does not wait. */
	ring_count(&ring, 1000, 1000);
	assert_false(ring.late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_whose_loss),
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
