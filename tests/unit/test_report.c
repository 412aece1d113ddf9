/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said at the end of a run for given counts: which losses and which
 * differences are told, and how loud.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char said[4096];

static void remember(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

/* What is said of @tally up to @level. */
static const char *report(const struct tally *tally, enum log_level level)
{
	static const struct options options = { .snaplen = 100 };
	static const struct plan plan = { .options = &options };
	const struct message_finished finished = {
		.executed = true,
		.counted = true,
		.tally = *tally,
	};

	*said = '\0';
	log_set_sink(remember, NULL);
	log_set_level(level);
	report_end(&plan, &finished);
	log_set_sink(NULL, NULL);
	log_set_level(LOG_LEVEL_NOTE);

	return said;
}

static struct tally quiet_run(uint64_t packets)
{
	return (struct tally){
		.interface = packets,
		.interface_before = packets,
		.comparable = true,
		.ring = packets,
		.written = packets,
	};
}

static void test_all_is_well(void **state)
{
	struct tally tally = quiet_run(5);

	(void)state;
	assert_string_equal(report(&tally, LOG_LEVEL_NOTE),
			    "Finished capturing 5 packets.\n");
	assert_string_equal(report(&tally, LOG_LEVEL_WARNING), "");
}

/* Equal where nothing crosses at the end; else within what did. */
static void test_comparison(void **state)
{
	static const struct {
		uint64_t before, after, dropped, ring;
		bool incomparable, told;
	} cases[] = {
		{ 100, 100, 0, 100, false, false },
		{ 100, 100, 0, 99, false, true },
		{ 100, 100, 0, 101, false, true },
		{ 100, 100, 0, 99, true, false },
		/* Five crossed meanwhile. */
		{ 100, 105, 0, 95, false, false },
		{ 100, 105, 0, 94, false, true },
		{ 100, 105, 0, 105, false, false },
		{ 100, 105, 0, 106, false, true },
		/* Two were seen, and then dropped by the interface. */
		{ 100, 100, 2, 102, false, false },
		{ 100, 100, 2, 103, false, true },
		{ 100, 100, 2, 99, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tally tally = quiet_run(cases[i].ring);

		tally.interface_before = cases[i].before;
		tally.interface = cases[i].after;
		tally.interface_dropped = cases[i].dropped;
		tally.comparable = !cases[i].incomparable;
		report(&tally, LOG_LEVEL_WARNING);
		assert_int_equal(!!strstr(said, "the interfaces counted"),
				 cases[i].told);
	}
}

/* A loss is told with -q too, with its cause and what can be done. */
static void test_losses(void **state)
{
	struct tally ring = quiet_run(10), queue = quiet_run(10);

	(void)state;
	ring.written = 7;
	ring.dropped_ring = 3;
	report(&ring, LOG_LEVEL_WARNING);
	assert_non_null(strstr(said, "warning: 3 packets dropped by the "
				     "kernel ring\n"));
	assert_non_null(strstr(said, "hint: -B "));
	assert_null(strstr(said, "queue"));

	queue.written = 6;
	queue.dropped_queue = 4;
	report(&queue, LOG_LEVEL_WARNING);
	assert_non_null(strstr(said, "warning: 4 packets dropped: the queue "));
	assert_null(strstr(said, "ring"));
	assert_null(strstr(said, "accounted"));
}

static void test_unaccounted(void **state)
{
	struct tally tally = quiet_run(10);

	(void)state;
	tally.written = 8;
	tally.lost = 1;
	assert_non_null(strstr(report(&tally, LOG_LEVEL_WARNING),
			       "10 packets, 9 of them are accounted for\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_well),
		cmocka_unit_test(test_comparison),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_unaccounted),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
