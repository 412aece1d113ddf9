/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names with patterns.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before cmocka, whose fail() is another. */
#include "base/log.h"
#include "pattern.h"

#include <cmocka.h>

static void test_expand(void **state)
{
	static const struct {
		const char *pattern;
		const char *expected;
	} cases[] = {
		{ "", "" },
		{ "trace.pcap", "trace.pcap" },
		{ "%p", "4711" },
		{ "%e", "wget" },
		{ "%E", "!usr!bin!wget" },
		{ "%h", "box" },
		{ "%t", "4294967296" },
		{ "%u", "4294967294" },
		{ "%%", "%" },
		{ "%%p", "%p" },
		{ "%%%p%%", "%4711%" },
		{ "/tmp/%e-%p.pcapng", "/tmp/wget-4711.pcapng" },
		{ "%p%p", "47114711" },
	};
	const struct pattern_values values = {
		.pid = 4711,
		.path = "/usr/bin/wget",
		.host = "box",
		.started = 4294967296,
		.uid = 4294967294,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *name = pattern_expand(cases[i].pattern, &values);

		assert_string_equal(name, cases[i].expected);
		free(name);
	}
}

/* No name that others chose leads out of the user's directory, or into one. */
static void test_foreign(void **state)
{
	static const struct {
		const char *path;
		const char *host;
		const char *expected; /* of %e/%E/%h */
	} cases[] = {
		{ "wget", "a/b", "wget/wget/a!b" },
		{ "./wget", "/", "wget/.!wget/!" },
		{ "..", "..", "!./!./!." },
		{ ".", ".", "!/!/!" },
		{ "", "", "!/!/!" },
		{ "/", "../..", "!/!/..!.." },
		{ "a/", "h", "!/a!/h" },
		{ "a/..", "h", "!./a!../h" },
		{ "/opt/../..", "h", "!./!opt!..!../h" },
		{ "...", "h", ".../.../h" },
		{ ".x", "h", ".x/.x/h" },
		{ "a%pb", "%u", "a%pb/a%pb/%u" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct pattern_values values = {
			.path = cases[i].path,
			.host = cases[i].host,
		};
		char *name = pattern_expand("%e/%E/%h", &values);

		assert_string_equal(name, cases[i].expected);
		free(name);
	}
}

struct said {
	unsigned lines;
	char last[1024];
};

static void listen(enum log_level level, const char *line, void *context)
{
	struct said *said = context;

	assert_int_equal(level, LOG_LEVEL_ERROR);
	said->lines++;
	snprintf(said->last, sizeof(said->last), "%s", line);
}

static void test_check(void **state)
{
	static const struct {
		const char *pattern;
		const char *named; /* NULL: nothing is wrong with it */
	} cases[] = {
		{ "", NULL },
		{ "trace.pcap", NULL },
		{ "%p%e%E%h%t%u%%", NULL },
		{ "%%x", NULL },
		{ "a%xb", "'%x' in file name 'a%xb'" },
		{ "%p%P", "'%P' in file name '%p%P'" },
		{ "%", "'%' in file name '%'" },
		{ "100%", "'%' in file name '100%'" },
		{ "%%%", "'%' in file name '%%%'" },
		{ "% p", "'% ' in file name '% p'" },
		{ "%5p", "'%5' in file name '%5p'" },
		{ "%\u00e9.pcap", "'%\u00e9' in file name '%\u00e9.pcap'" },
		{ "%n%s", "'%n' in file name '%n%s'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct said said = { 0 };
		int ret;

		log_set_sink(listen, &said);
		ret = pattern_check(cases[i].pattern);
		log_set_sink(NULL, NULL);

		assert_int_equal(ret, cases[i].named ? -EINVAL : 0);
		assert_int_equal(said.lines, cases[i].named ? 1 : 0);
		if (cases[i].named)
			assert_non_null(strstr(said.last, cases[i].named));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
