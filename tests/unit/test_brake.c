/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The brake: its marks, its order whoever steps on it, and that it lets go.
 * Instead of a cgroup's switch it works a pipe, which shows what was written
 * and in which order.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "capture/brake.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/queue.h"

#define KIB   1024
#define LIMIT (1024 * KIB)

struct world {
	struct brake brake;
	struct queue *queue;
	struct lane lane;
	int pipe[2];
};

static int set_up(void **state)
{
	static struct world world;
	struct freezer freezer = { .kind = FREEZER_CGROUP2 };

	assert_int_equal(pipe2(world.pipe, O_CLOEXEC | O_NONBLOCK), 0);
	freezer.fd = world.pipe[1];
	brake_init(&world.brake, &freezer, LIMIT);
	world.queue = queue_new(LIMIT);
	world.lane = (struct lane){ 0 };
	queue_set_brake(world.queue, &world.brake);
	*state = &world;

	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	queue_free(world->queue);
	close(world->pipe[0]);
	close(world->pipe[1]);

	return 0;
}

/* What was written to the switch since the last call. */
static const char *told(struct world *world)
{
	static char text[64 * KIB + 1];
	ssize_t size = read(world->pipe[0], text, sizeof(text) - 1);

	text[size > 0 ? size : 0] = '\0';

	return text;
}

/* Push one frame. */
static void push(struct world *world, uint32_t size)
{
	lane_frame(&world->lane, world->queue, size);
	lane_push(&world->lane, world->queue, 0);
}

/* A batch of about @size bytes, which takes room in the queue until freed. */
static struct batch *fill(struct world *world, uint32_t size)
{
	bool ended;

	push(world, size);

	return queue_pop(world->queue, 0, &ended);
}

static void test_marks(void **state)
{
	struct world *world = *state;
	struct batch *batches[3];

	for (unsigned i = 0; i < 3; i++)
		batches[i] = fill(world, 240 * KIB);
	assert_string_equal(told(world), "1");

	/* Between the marks nothing changes, in either direction. */
	batch_free(batches[2]);
	batches[2] = fill(world, 240 * KIB);
	batch_free(batches[2]);
	assert_string_equal(told(world), "");

	batch_free(batches[1]);
	assert_string_equal(told(world), "0");
	batches[1] = fill(world, 160 * KIB);
	assert_string_equal(told(world), "");
	batches[2] = fill(world, 160 * KIB);
	assert_string_equal(told(world), "1");
	for (unsigned i = 0; i < 3; i++)
		batch_free(batches[i]);
	assert_string_equal(told(world), "0");

	assert_int_equal(world->brake.times, 2);
	assert_true(world->brake.total > 0);
}

/* A ring that is late is as bad as a queue that is half full. */
static void test_late(void **state)
{
	struct world *world = *state;
	struct batch *batch;

	world->lane.late = true;
	batch_free(fill(world, KIB));
	assert_string_equal(told(world), "1");
	batch = fill(world, 240 * KIB);
	world->lane.late = false;
	batch_free(fill(world, 160 * KIB));
	assert_string_equal(told(world), "0");
	batch_free(batch);

	/* At the end nobody is late. */
	world->lane.late = true;
	batch_free(fill(world, KIB));
	assert_string_equal(told(world), "1");
	lane_push(&world->lane, world->queue, UINT64_MAX);
	assert_string_equal(told(world), "0");
}

/* Who gives up lets go at once, and never steps on it again. */
static void test_give_up(void **state)
{
	struct world *world = *state;
	struct batch *batch = fill(world, 640 * KIB);

	assert_string_equal(told(world), "1");
	brake_give_up(&world->brake);
	assert_string_equal(told(world), "0");
	batch_free(batch);
	batch_free(fill(world, 640 * KIB));
	brake_give_up(&world->brake);
	assert_string_equal(told(world), "");
	assert_int_equal(world->brake.times, 1);
}

static void keep_line(enum log_level level, const char *line, void *context)
{
	assert_int_equal(level, LOG_LEVEL_WARNING);
	strncat(context, line, 200);
}

/* A cgroup that is gone is told once, and the capture goes on. */
static void test_failure(void **state)
{
	struct world *world = *state;
	char lines[600] = "";

	log_set_sink(keep_line, lines);
	world->brake.freezer.fd = world->pipe[0];
	for (unsigned i = 0; i < 3; i++)
		batch_free(fill(world, 640 * KIB));
	brake_give_up(&world->brake);
	log_set_sink(NULL, NULL);

	assert_string_equal(lines, "nsntrace: warning: cannot pause the "
				   "program: Bad file descriptor\n");
	assert_int_equal(world->brake.times, 0);
}

static void test_no_freezer(void **state)
{
	struct world *world = *state;
	struct freezer off = FREEZER_OFF;

	brake_init(&world->brake, &off, LIMIT);
	assert_int_equal(freezer_set(&off, true), 0);
	assert_false(freezer_is_set(&off));
	brake_give_up(&world->brake);
	assert_string_equal(told(world), "");
}

#define ROUNDS 20000

static void *write_out(void *argument)
{
	struct world *world = argument;
	bool ended = false;

	while (!ended) {
		struct batch *batch = queue_pop(world->queue, -1, &ended);

		if (batch)
			batch_free(batch);
	}

	return NULL;
}

/*
 * Two threads cross the marks as fast as they can: freeze and thaw come in
 * turns, and the last word, when nothing is in the queue any more, is thaw.
 */
static void test_race(void **state)
{
	struct world *world = *state;
	pthread_t writer;
	uint64_t times = 0;
	char last = '0';

	pthread_create(&writer, NULL, write_out, world);
	for (unsigned i = 0; i < ROUNDS; i++) {
		queue_wait_for_room(world->queue);
		push(world, 144 * KIB);
		if (i % 1000)
			continue;
		for (const char *at = told(world); *at; at++) {
			assert_int_not_equal(*at, last);
			last = *at;
			times += last == '1';
		}
	}
	queue_end(world->queue);
	pthread_join(writer, NULL);
	for (const char *at = told(world); *at; at++) {
		assert_int_not_equal(*at, last);
		last = *at;
		times += last == '1';
	}

	assert_int_equal(last, '0');
	assert_int_equal(world->brake.times, times);
	assert_true(times > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_marks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_give_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_failure, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_freezer, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_race, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("brake", tests, NULL, NULL);
}
