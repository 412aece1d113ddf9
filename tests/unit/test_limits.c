/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -b, -a and -c: what each key stores, what several make, what is refused. */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND		  1000000000ULL
#define ARGS_MAX	  8

static char said[4096];

static void remember(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

static int parse(const char *const *args, struct options *options)
{
	static char *argv[ARGS_MAX + 3];
	int argc = 0;

	said[0] = '\0';
	log_set_sink(remember, NULL);
	argv[argc++] = (char *)"nsntrace";
	for (; *args; args++)
		argv[argc++] = (char *)*args;
	argv[argc++] = (char *)"true";
	argv[argc] = NULL;

	return options_parse(argc, argv, options);
}

/* clang-format off */

static const struct {
	const char *args[ARGS_MAX + 1];
	struct rotate_limits rotate;
	struct rotate_limits autostop;
} accepted[] = {
	{ { NULL }, { 0 }, { 0 } },
	/* Of 1000 bytes, as dumpcap's are. */
	{ { "-b", "filesize:1" }, { .bytes = 1000 }, { 0 } },
	{ { "--ring-buffer=filesize:4294967295" },
	  { .bytes = 4294967295000 }, { 0 } },
	{ { "-bpackets:1" }, { .packets = 1 }, { 0 } },
	{ { "-b", "duration:60" }, { .duration = 60 * SECOND }, { 0 } },
	{ { "-b", "duration:0.25" }, { .duration = SECOND / 4 }, { 0 } },
	{ { "-a", "packets:7" }, { 0 }, { .packets = 7 } },
	{ { "-c", "7" }, { 0 }, { .packets = 7 } },
	{ { "--packets", "4294967295" }, { 0 }, { .packets = 4294967295 } },
	{ { "--autostop", "duration:1.5" }, { 0 }, { .duration = 3 * SECOND / 2 } },
	{ { "-a", "filesize:2" }, { 0 }, { .bytes = 2000 } },
	/* Each key by itself, the last of the same. */
	{ { "-b", "filesize:1", "-b", "packets:5", "-b", "files:99999" },
	  { .bytes = 1000, .packets = 5, .files = 99999 }, { 0 } },
	{ { "-b", "packets:1", "-b", "packets:2" }, { .packets = 2 }, { 0 } },
	{ { "-c", "1", "-a", "packets:2", "-a", "duration:1" }, { 0 },
	  { .packets = 2, .duration = SECOND } },
	/* With several files -a filesize is where one ends. */
	{ { "-b", "packets:5", "-a", "filesize:3" },
	  { .bytes = 3000, .packets = 5 }, { 0 } },
	{ { "-b", "files:5", "-a", "filesize:3" },
	  { .bytes = 3000, .files = 5 }, { 0 } },
	{ { "-b", "filesize:2", "-a", "filesize:3" }, { .bytes = 2000 }, { 0 } },
	{ { "-a", "filesize:2", "-b", "filesize:3" }, { .bytes = 2000 }, { 0 } },
	{ { "-a", "files:2", "-a", "filesize:3" }, { .bytes = 3000 },
	  { .files = 2 } },
};

#define KEYS " takes duration:S, filesize:KB, packets:N or files:N, not "
#define NEEDS "nsntrace: a number of files needs a limit of each: " \
	      "--ring-buffer duration, filesize or packets\n"

static const struct {
	const char *args[ARGS_MAX + 1];
	const char *line;
} refused[] = {
	{ { "-b", "" }, "nsntrace: --ring-buffer" KEYS "''\n" },
	{ { "-b", "10" }, "nsntrace: --ring-buffer" KEYS "'10'\n" },
	{ { "-b", "packets" }, "nsntrace: --ring-buffer" KEYS "'packets'\n" },
	{ { "-b", "packetss:1" },
	  "nsntrace: --ring-buffer" KEYS "'packetss:1'\n" },
	{ { "-a", "interval:1" }, "nsntrace: --autostop" KEYS "'interval:1'\n" },
	{ { "-a", ":1" }, "nsntrace: --autostop" KEYS "':1'\n" },
	{ { "-a", "packets:0" }, "nsntrace: --autostop packets takes a whole "
	  "number from 1 to 4294967295, not '0'\n" },
	{ { "-a", "packets:" }, "nsntrace: --autostop packets takes a whole "
	  "number from 1 to 4294967295, not ''\n" },
	{ { "-b", "filesize:1k" }, "nsntrace: --ring-buffer filesize takes a "
	  "whole number from 1 to 4294967295, not '1k'\n" },
	{ { "-b", "files:0" }, "nsntrace: --ring-buffer files takes a whole "
	  "number from 1 to 99999, not '0'\n" },
	{ { "-b", "files:100000" }, "nsntrace: --ring-buffer files takes a "
	  "whole number from 1 to 99999, not '100000'\n" },
	{ { "-b", "duration:x" }, "nsntrace: --ring-buffer duration takes "
	  "seconds from 0 to 1000000000, such as 0.5, not 'x'\n" },
	{ { "-b", "duration:0" },
	  "nsntrace: --ring-buffer duration takes more than 0 seconds\n" },
	{ { "-c", "0" }, "nsntrace: --packets takes a whole number from 1 to "
	  "4294967295, not '0'\n" },
	{ { "-b", "files:2" }, NEEDS },
	{ { "-a", "files:2" }, NEEDS },
	{ { "-a", "packets:2", "-b", "files:2" }, NEEDS },
	{ { "-o", "-", "-b", "packets:2" }, "nsntrace: --ring-buffer makes "
	  "several files, and standard output is one\n" },
};

/* clang-format on */

static void test_accepted(void **state)
{
	struct options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		assert_int_equal(parse(accepted[i].args, &options), 0);
		assert_memory_equal(&options.rotate, &accepted[i].rotate,
				    sizeof(options.rotate));
		assert_memory_equal(&options.autostop, &accepted[i].autostop,
				    sizeof(options.autostop));
		assert_string_equal(said, "");
	}
}

static void test_refused(void **state)
{
	struct options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(parse(refused[i].args, &options), -EINVAL);
		assert_string_equal(said, refused[i].line);
	}
}

/* One file has no use for numbers; two have, whatever makes them two. */
static void test_rotate(void **state)
{
	static const char *const one[] = { "-a", "filesize:1", NULL };
	static const char *const two[] = { "-b", "filesize:1", NULL };
	struct options options;

	(void)state;
	assert_int_equal(parse(one, &options), 0);
	assert_false(options_rotate(&options));
	assert_int_equal(parse(two, &options), 0);
	assert_true(options_rotate(&options));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rotate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
