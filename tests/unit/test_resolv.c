/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.conf read as glibc does, and written with other servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Before cmocka, whose fail() is another. */
#include "base/fd.h"
#include "base/log.h"
#include "resolv.h"

#include <cmocka.h>

/* The servers as one string, so that a failing comparison tells everything. */
static char *servers_text(const struct resolv *resolv)
{
	char *all = xstrdup("");

	for (size_t i = 0; i < resolv->count; i++) {
		char text[IP_TEXT_SIZE];
		char *longer = xasprintf("%s%s%s", all, i ? " " : "",
					 ip_format(&resolv->servers[i], text));

		free(all);
		all = longer;
	}

	return all;
}

static void assert_servers(const struct resolv *resolv, const char *expected)
{
	char *text = servers_text(resolv);

	assert_string_equal(text, expected);
	free(text);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		const char *servers;
	} cases[] = {
		{ "", "" },
		{ "\n\n", "" },
		{ "nameserver 192.0.2.1\n", "192.0.2.1" },
		{ "nameserver 192.0.2.1", "192.0.2.1" },
		{ "nameserver\t \t192.0.2.1 \n", "192.0.2.1" },
		{ "nameserver 192.0.2.1 junk\n", "192.0.2.1" },
		{ "nameserver 192.0.2.1 # comment\n", "192.0.2.1" },
		{ "nameserver 192.0.2.1#comment\n", "" },
		{ "#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", "" },
		{ " nameserver 192.0.2.1\n", "" },
		{ "nameserver\n192.0.2.1\n", "" },
		{ "nameserver \nnameserver 192.0.2.2\n", "192.0.2.2" },
		{ "nameservers 192.0.2.1\nNAMESERVER 192.0.2.1\n", "" },
		{ "nameserver 192.0.2.1\r\n", "" },
		{ "nameserver 192.0.2.256\nnameserver x\n", "" },
		{ "nameserver 127.1\nnameserver 0x7f000035\n",
		  "127.0.0.1 127.0.0.53" },
		{ "nameserver 2001:db8::1\nnameserver ::1\n",
		  "2001:db8::1 ::1" },
		{ "nameserver 2001:db8::1%none\n", "2001:db8::1" },
		{ "nameserver 127.0.0.1%lo\n", "" },
		{ "nameserver 0.0.0.0\nnameserver ::\n", "127.0.0.1 ::1" },
		{ "nameserver 192.0.2.2\nsearch a\nnameserver 192.0.2.1\n"
		  "options edns0\nnameserver 192.0.2.2\n",
		  "192.0.2.2 192.0.2.1" },
		{ "search nameserver 192.0.2.1\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolv resolv = { .count = 5 };

		resolv_parse(cases[i].text, &resolv);
		assert_servers(&resolv, cases[i].servers);
	}
}

static void test_scope(void **state)
{
	struct resolv resolv;
	char *text;

	(void)state;
	resolv_parse("nameserver fe80::1%lo\nnameserver fe80::1%7\n", &resolv);
	assert_int_equal(resolv.count, 2);
	assert_int_equal(resolv.servers[0].scope, 1);
	assert_int_equal(resolv.servers[1].scope, 7);

	text = resolv_with_servers(NULL, resolv.servers, resolv.count);
	assert_string_equal(text, "nameserver fe80::1%1\n"
				  "nameserver fe80::1%7\n");
	free(text);
}

static void test_no_scope(void **state)
{
	static const char *const words[] = {
		"7x", "-7", "+7", "0", "", "4294967303",
	};
	struct resolv resolv;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		char *text = xasprintf("nameserver fe80::1%%%s\n", words[i]);

		resolv_parse(text, &resolv);
		assert_int_equal(resolv.count, 1);
		assert_int_equal(resolv.servers[0].scope, 0);
		free(text);
	}
}

static void test_too_many(void **state)
{
	char *text = xstrdup("");
	struct resolv resolv;

	(void)state;
	for (int i = 1; i <= RESOLV_SERVERS_MAX + 3; i++) {
		char *longer = xasprintf("%snameserver 192.0.2.%d\n", text, i);

		free(text);
		text = longer;
	}
	resolv_parse(text, &resolv);
	assert_servers(&resolv, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 "
				"192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8");
	free(text);
}

static void test_with_servers(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{ NULL, "" },
		{ "", "" },
		{ "nameserver 192.0.2.1", "" },
		{ "nameserver\nnameserver", "" },
		{ " \tnameserver 192.0.2.1\r\nnameserver\t::1\n", "" },
		{ "search a.example b.example",
		  "search a.example b.example\n" },
		{ "# by NetworkManager\nsearch a\n\nnameserver 192.0.2.1\n"
		  "options edns0 trust-ad\n",
		  "# by NetworkManager\nsearch a\n\noptions edns0 trust-ad\n" },
		{ "nameservers x\n#nameserver 192.0.2.1\n",
		  "nameservers x\n#nameserver 192.0.2.1\n" },
	};
	struct ip servers[2];

	(void)state;
	assert_true(ip_parse("198.51.100.1", &servers[0]));
	assert_true(ip_parse("2001:db8::53", &servers[1]));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = resolv_with_servers(cases[i].text, servers, 2);
		char *expected = xasprintf("%snameserver 198.51.100.1\n"
					   "nameserver 2001:db8::53\n",
					   cases[i].expected);

		assert_string_equal(text, expected);
		free(text);
		free(expected);

		text = resolv_with_servers(cases[i].text, NULL, 0);
		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

/* A directory of its own for the tests that need files; they run in it. */
static int enter_directory(void **state)
{
	char *path = xstrdup("/tmp/test_resolv.XXXXXX");

	*state = path;
	if (!mkdtemp(path))
		return -1;

	return chdir(path);
}

static int remove_directory(void **state)
{
	static const char *const names[] = { "file", "link", "loop" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	if (chdir("/") < 0 || rmdir(*state) < 0)
		return -1;
	free(*state);

	return 0;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, bytes, size), 0);
}

static void test_read(void **state)
{
	static const char bytes[] = "nameserver 192.0.2.1\0 junk\n"
				    "\0nameserver 192.0.2.2\n"
				    "nameserver 192.0.2.3\n\0";
	char *target = xasprintf("%s/file", (const char *)*state);
	struct resolv resolv;

	write_file("file", bytes, sizeof(bytes) - 1);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(resolv_read("link", &resolv), 0);
	assert_true(resolv.present);
	assert_string_equal(resolv.target, target);
	assert_int_equal(strlen(resolv.text), sizeof(bytes) - 1);
	assert_servers(&resolv, "192.0.2.1 192.0.2.3");
	resolv_free(&resolv);
	assert_null(resolv.text);
	free(target);
}

static void test_absent(void **state)
{
	static const char *const paths[] = { "none", "link", "loop", "file/x" };

	(void)state;
	assert_int_equal(symlink("none/file", "link"), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	write_file("file", "", 0);

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct resolv resolv = { .present = true, .count = 1 };

		assert_int_equal(resolv_read(paths[i], &resolv), 0);
		assert_false(resolv.present);
		assert_null(resolv.target);
		assert_null(resolv.text);
		assert_int_equal(resolv.count, 0);
	}
}

static void test_empty(void **state)
{
	struct resolv resolv;

	(void)state;
	write_file("file", "", 0);
	assert_int_equal(resolv_read("file", &resolv), 0);
	assert_true(resolv.present);
	assert_string_equal(resolv.text, "");
	assert_int_equal(resolv.count, 0);
	resolv_free(&resolv);
}

static void test_large(void **state)
{
	const size_t size = 1 << 20;
	const char tail[] = "\nnameserver 192.0.2.9";
	char *bytes = xcalloc(1, size);
	struct resolv resolv;

	(void)state;
	memset(bytes, 'x', size);
	memcpy(bytes + size - strlen(tail), tail, strlen(tail));
	write_file("file", bytes, size);
	free(bytes);

	assert_int_equal(resolv_read("file", &resolv), 0);
	assert_int_equal(strlen(resolv.text), size);
	assert_servers(&resolv, "192.0.2.9");
	resolv_free(&resolv);
}

static void keep_line(enum log_level level, const char *line, void *context)
{
	(void)level;
	snprintf(context, 256, "%s", line);
}

static void test_unreadable(void **state)
{
	struct resolv resolv;
	char said[256] = "";

	(void)state;
	log_set_sink(keep_line, said);
	assert_int_equal(resolv_read(".", &resolv), -EISDIR);
	log_set_sink(NULL, NULL);
	assert_string_equal(said, "nsntrace: cannot read .: Is a directory\n");
	assert_false(resolv.present);
	resolv_free(&resolv);
}

#define with_directory(test) \
	cmocka_unit_test_setup_teardown(test, enter_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_no_scope),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_with_servers),
		with_directory(test_read),
		with_directory(test_absent),
		with_directory(test_empty),
		with_directory(test_large),
		with_directory(test_unreadable),
	};

	return cmocka_run_group_tests_name("resolv", tests, NULL, NULL);
}
