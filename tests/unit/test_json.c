/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes become a string of JSON.
 */
#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
	const char *text;
	const char *json;
} strings[] = {
	{ "", "\"\"" },
	{ "plain text", "\"plain text\"" },
	{ "a \"b\" \\ c/d", "\"a \\\"b\\\" \\\\ c/d\"" },
	{ "\t\n\001\037\177", "\"\\u0009\\u000a\\u0001\\u001f\\u007f\"" },
	/* Letters of two, three and four bytes. */
	{ "\303\251\346\227\245\360\237\230\200",
	  "\"\303\251\346\227\245\360\237\230\200\"" },
	/* A second byte alone, a first one alone, the text ends too early. */
	{ "\251x", "\"\\ufffdx\"" },
	{ "\303x", "\"\\ufffdx\"" },
	{ "\346\227", "\"\\ufffd\\ufffd\"" },
	/* Longer than need be, half of a pair, beyond the last character. */
	{ "\300\257", "\"\\ufffd\\ufffd\"" },
	{ "\340\200\257", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\355\240\200", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "\364\220\200\200", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
};

static void test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
		char *text = NULL;
		size_t size = 0;
		FILE *stream = open_memstream(&text, &size);

		assert_non_null(stream);
		json_string(stream, strings[i].text);
		fclose(stream);
		assert_string_equal(text, strings[i].json);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
