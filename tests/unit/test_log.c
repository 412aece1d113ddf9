/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said is one line, whatever is in it.
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char said[2048];

static void keep(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	assert_true(strlen(line) < 1024);
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

static int set_up(void **state)
{
	(void)state;
	*said = '\0';
	log_set_sink(keep, NULL);

	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);

	return 0;
}

static void test_control_characters(void **state)
{
	(void)state;
	refuse("a\033[2Jb\nc\td\177e");
	assert_string_equal(said, "nsntrace: a?[2Jb?c?d?e\n");
}

/* Letters of all languages stay; what UTF-8 calls controls does not. */
static void test_utf8(void **state)
{
	(void)state;
	refuse("\302\2332J \303\251 \302\240 \346\227\245");
	assert_string_equal(said,
			    "nsntrace: ??2J \303\251 \302\240 \346\227\245\n");
}

static void test_long_line(void **state)
{
	char text[4000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	refuse("%s", text);
	assert_int_equal(strlen(said), 1023);
	assert_int_equal(said[1022], '\n');
}

/* From another process a line may come without its end. */
static void test_finished_line(void **state)
{
	(void)state;
	log_line(LOG_LEVEL_NOTE, "one\n");
	log_line(LOG_LEVEL_DEBUG, "not to be said\n");
	assert_string_equal(said, "one\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_control_characters, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_utf8, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_line, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_finished_line, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
