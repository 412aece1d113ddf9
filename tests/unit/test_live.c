/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the live line says for given numbers.
 */
#include "live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_format(void **state)
{
	static const struct {
		struct message_progress progress;
		uint64_t seconds;
		const char *expected;
	} cases[] = {
		{ { 1234, 5600000, 0 },
		  12,
		  "1,234 packets, 5.6 MB, 0 dropped, 0:12" },
		{ { 0, 0, 0 }, 2, "0 packets, 0 bytes, 0 dropped, 0:02" },
		{ { 999, 999, 1 },
		  60,
		  "999 packets, 999 bytes, 1 dropped, 1:00" },
		{ { 1000, 1000, 999999 },
		  3599,
		  "1,000 packets, 1.0 kB, 999,999 dropped, 59:59" },
		{ { 1000000, 999999, 1000000 },
		  3600,
		  "1,000,000 packets, 999.9 kB, 1,000,000 dropped, 1:00:00" },
		{ { 12345678, 1000000, 0 },
		  360000,
		  "12,345,678 packets, 1.0 MB, 0 dropped, 100:00:00" },
		{ { 1, 999999999, 0 },
		  0,
		  "1 packets, 999.9 MB, 0 dropped, 0:00" },
		{ { 1, 1000000000000, 0 },
		  0,
		  "1 packets, 1.0 TB, 0 dropped, 0:00" },
		{ { UINT64_MAX, UINT64_MAX, UINT64_MAX },
		  UINT64_MAX,
		  "18,446,744,073,709,551,615 packets, 18.4 EB, "
		  "18,446,744,073,709,551,615 dropped, "
		  "5124095576030431:00:15" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128];

		live_format(text, sizeof(text), &cases[i].progress,
			    cases[i].seconds);
		assert_string_equal(text, cases[i].expected);
	}
}

static void test_no_line(void **state)
{
	struct live live = LIVE_NONE;

	(void)state;
	assert_int_equal(live_timeout(&live), -1);
	assert_false(live_is_due(&live));
	assert_int_equal(live_room(&live), 0);
	live_hide(&live);
	live_close(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_no_line),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
