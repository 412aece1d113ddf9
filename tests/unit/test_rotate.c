/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where files end, and what they are called. */
#include "capture/rotate.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND		  1000000000ULL

static void test_reached(void **state)
{
	static const struct {
		struct rotate_limits limits;
		struct rotate_limits so_far;
		bool reached;
	} cases[] = {
		/* No limit is never reached. */
		{ { 0 }, { 0 }, false },
		{ { 0 }, { ~0ULL, ~0ULL, ~0ULL, ~0ULL }, false },
		/* Each is reached exactly there. */
		{ { .bytes = 1000 }, { .bytes = 999 }, false },
		{ { .bytes = 1000 }, { .bytes = 1000 }, true },
		{ { .bytes = 1000 }, { .bytes = 1001 }, true },
		{ { .packets = 2 }, { .packets = 1 }, false },
		{ { .packets = 2 }, { .packets = 2 }, true },
		{ { .duration = 2 }, { .duration = 1 }, false },
		{ { .duration = 2 }, { .duration = 2 }, true },
		{ { .files = 3 }, { .files = 2 }, false },
		{ { .files = 3 }, { .files = 3 }, true },
		/* The first one counts, and none stands for another. */
		{ { 5, 5, 5, 5 }, { 4, 4, 4, 4 }, false },
		{ { 5, 5, 5, 5 }, { 4, 4, 5, 4 }, true },
		{ { .bytes = 5 }, { .packets = 9, .duration = 9 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			rotate_reached(&cases[i].limits, &cases[i].so_far),
			cases[i].reached);
}

static void test_wait(void **state)
{
	const struct rotate_limits none = { .packets = 1 };
	const struct rotate_limits second = { .duration = SECOND };
	const struct rotate_limits years = { .duration = ~0ULL };

	(void)state;
	assert_int_equal(rotate_wait(&none, 0), -1);
	/* Never too early: that would be one turn more. */
	assert_int_equal(rotate_wait(&second, 0), 1001);
	assert_int_equal(rotate_wait(&second, SECOND / 2), 501);
	assert_int_equal(rotate_wait(&second, SECOND - 1), 1);
	assert_int_equal(rotate_wait(&second, SECOND), -1);
	assert_int_equal(rotate_wait(&second, SECOND + 1), -1);
	assert_int_equal(rotate_wait(&years, 0), INT_MAX);
}

static void test_name(void **state)
{
	static const struct {
		const char *name;
		unsigned number;
		const char *expected;
	} cases[] = {
		{ "trace.pcap", 1, "trace_00001_20261120193000.pcap" },
		{ "trace.pcapng", 99999, "trace_99999_20261120193000.pcapng" },
		{ "trace.pcap", 100000, "trace_100000_20261120193000.pcap" },
		{ "trace", 7, "trace_00007_20261120193000" },
		{ "trace.", 7, "trace_00007_20261120193000." },
		/* dumpcap's way, too. */
		{ "a.b.pcap", 2, "a.b_00002_20261120193000.pcap" },
		{ "t.pcap.gz", 2, "t.pcap_00002_20261120193000.gz" },
		/* A dot of a directory is none of the file's. */
		{ "/a.d/trace", 3, "/a.d/trace_00003_20261120193000" },
		{ "a.d/t.pcap", 3, "a.d/t_00003_20261120193000.pcap" },
		{ "../trace", 3, "../trace_00003_20261120193000" },
		/* What is hidden stays so. */
		{ ".trace", 4, ".trace_00004_20261120193000" },
		{ "d/.trace", 4, "d/.trace_00004_20261120193000" },
		{ ".t.pcap", 4, ".t_00004_20261120193000.pcap" },
	};
	/* 19:30 in a zone an hour east of Greenwich. */
	const time_t when = 1795199400;

	(void)state;
	setenv("TZ", "XXX-1", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *name = rotate_name(cases[i].name, cases[i].number, when);

		assert_string_equal(name, cases[i].expected);
		free(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reached),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
