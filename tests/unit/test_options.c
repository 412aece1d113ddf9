/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: what each option stores, what is refused and in which
 * words, and what --help shows.
 */
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "option_table.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define TRY		  "nsntrace: hint: Try 'nsntrace --help'\n"

/* Words of a command line after its first. */
#define ARGS_MAX 8

static char said[4096];

static void remember(enum log_level level, const char *line, void *context)
{
	size_t used = strlen(said);

	(void)context;
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_true(used + strlen(line) < sizeof(said));
	snprintf(said + used, sizeof(said) - used, "%s", line);
}

static int start(void **state)
{
	(void)state;
	said[0] = '\0';
	log_set_sink(remember, NULL);

	return 0;
}

/* Parse the words of @args, which end with NULL. */
static int parse(const char *const args[], struct options *options)
{
	static char *argv[ARGS_MAX + 2];
	int argc = 0;

	said[0] = '\0';
	argv[argc++] = (char *)"nsntrace";
	for (; *args; args++)
		argv[argc++] = (char *)*args;
	argv[argc] = NULL;

	return options_parse(argc, argv, options);
}

#define ARGS(...) ((const char *[]){ __VA_ARGS__, NULL })

static void test_defaults(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(ARGS("true", "-o", "x"), &options), 0);
	assert_int_equal(options.action, ACTION_RUN);
	assert_string_equal(options.outfile, "nsntrace.pcap");
	assert_null(options.device);
	assert_null(options.filter);
	assert_null(options.user);
	assert_int_equal(options.dns_count, 0);
	assert_false(options.public_dns);
	assert_int_equal(options.format, FORMAT_AUTO);
	assert_int_equal(options.source, CAPTURE_LIBPCAP);
	assert_int_equal(options.snaplen, 262144);
	assert_int_equal(options.buffer_size, 16);
	assert_int_equal(options.queue_size, 256);
	assert_false(options.lossless);
	assert_false(options.nanoseconds);
	assert_true(options.loopback);
	assert_false(options.wait);
	assert_int_equal(options.linger_ms, 1000);
	assert_false(options.sync);
	assert_int_equal(options.engine, ENGINE_AUTO);
	assert_int_equal(options.log_level, LOG_LEVEL_NOTE);
	assert_string_equal(options.argv[0], "true");
	assert_string_equal(options.argv[1], "-o");
	assert_string_equal(options.argv[2], "x");
	assert_null(options.argv[3]);
	assert_string_equal(said, "");
}

/* A command line, and the one field that is to differ from its default. */
#define STRING(field, expected, ...)                       \
	{                                                  \
		.args = { __VA_ARGS__, "true" },           \
		.offset = offsetof(struct options, field), \
		.string = (expected)                       \
	}
#define NUMBER(field, expected, ...)                             \
	{                                                        \
		.args = { __VA_ARGS__, "true" },                 \
		.offset = offsetof(struct options, field),       \
		.size = sizeof(((struct options *)NULL)->field), \
		.number = (expected)                             \
	}

static const struct accepted {
	const char *args[ARGS_MAX];
	size_t offset;
	size_t size; /* of a number; 0: a string */
	const char *string;
	uint32_t number;
} accepted[] = {
	STRING(outfile, "a", "-o", "a"),
	STRING(outfile, "a", "-w", "a"),
	STRING(outfile, "a", "-wa"),
	STRING(outfile, "a", "--outfile", "a"),
	STRING(outfile, "a", "--outfile=a"),
	STRING(outfile, "-", "-o", "-"),
	STRING(outfile, "b", "-o", "a", "-o", "b"),
	STRING(outfile, "%e.%p%%", "-o", "%e.%p%%"),
	STRING(device, "eth1", "-d", "eth1"),
	STRING(device, "eth1", "-i", "eth1"),
	STRING(device, "eth1.100", "--dev", "eth1.100"),
	STRING(device, "fifteen-letters", "-d", "fifteen-letters"),
	STRING(device, "...", "-d", "..."),
	STRING(filter, "tcp port 80", "-f", "tcp port 80"),
	STRING(filter, NULL, "--filter", ""),
	STRING(user, "nobody", "-u", "nobody"),
	STRING(user, "65534", "--user=65534"),
	NUMBER(format, FORMAT_PCAP, "-F", "pcap"),
	NUMBER(format, FORMAT_PCAPNG, "--format=pcapng"),
	NUMBER(source, CAPTURE_LIBPCAP, "--source=libpcap"),
	NUMBER(source, CAPTURE_PACKET, "--source", "packet"),
	NUMBER(snaplen, 1, "-s", "1"),
	NUMBER(snaplen, 262144, "-s", "0"),
	NUMBER(snaplen, 262144, "--snaplen", "262144"),
	NUMBER(snaplen, 10, "-s", "010"),
	NUMBER(buffer_size, 1, "-B", "1"),
	NUMBER(buffer_size, 1024, "--buffer-size", "1024"),
	NUMBER(queue_size, 1, "--queue-size", "1"),
	NUMBER(queue_size, 65536, "--queue-size", "65536"),
	NUMBER(lossless, true, "--lossless"),
	NUMBER(nanoseconds, true, "--nano"),
	NUMBER(nanoseconds, true, "--nano", "-F", "pcapng"),
	NUMBER(loopback, false, "--no-loopback"),
	NUMBER(wait, true, "--wait"),
	NUMBER(linger_ms, 0, "--linger", "0"),
	NUMBER(linger_ms, 500, "--linger", "0.5"),
	NUMBER(linger_ms, 500, "--linger", ".5"),
	NUMBER(linger_ms, 1235, "--linger=1.2346"),
	NUMBER(linger_ms, 3600000, "--linger", "3600"),
	NUMBER(sync, true, "--sync"),
	NUMBER(engine, ENGINE_NAT, "-e", "nat"),
	NUMBER(engine, ENGINE_NAT, "-e", "nat", "-d", "eth1"),
	NUMBER(engine, ENGINE_NONE, "--engine", "none"),
	NUMBER(engine, ENGINE_NONE, "-d", "lo"),
	NUMBER(engine, ENGINE_NONE, "-e", "none", "-d", "lo"),
	NUMBER(log_level, LOG_LEVEL_WARNING, "-q"),
	NUMBER(log_level, LOG_LEVEL_WARNING, "-v", "--quiet"),
	NUMBER(log_level, LOG_LEVEL_DEBUG, "--verbose"),
	NUMBER(log_level, LOG_LEVEL_DEBUG, "-qv"),
	NUMBER(action, ACTION_DRY_RUN, "--dry-run"),
	NUMBER(action, ACTION_DRY_RUN, "--cleanup", "--dry-run"),
	NUMBER(dns_count, 1, "--dns", "::1"),
	NUMBER(dns_count, 1, "--dns", "192.0.2.1,192.0.2.2", "--dns", "::1"),
	NUMBER(dns_count, 8, "--dns", "::1,::2,::3,::4,::5,::6,::7,::8"),
	NUMBER(dns_count, 4, "--use-public-dns"),
	NUMBER(public_dns, true, "--use-public-dns"),
};

/* Fields are bools, enums, uint32_t or size_t, all native. */
static uint64_t number_at(const void *field, size_t size)
{
	uint32_t u32;
	size_t wide;

	switch (size) {
	case sizeof(bool):
		return *(const bool *)field;
	case sizeof(u32):
		memcpy(&u32, field, sizeof(u32));
		return u32;
	default:
		assert_int_equal(size, sizeof(wide));
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
}

static void check_accepted(const struct accepted *row)
{
	struct options options;
	const char *field = (const char *)&options + row->offset;
	const char *string;

	if (parse(row->args, &options) != 0)
		fail_msg("%s %s: %s", row->args[0], row->args[1], said);
	assert_string_equal(said, "");
	assert_string_equal(options.argv[0], "true");
	assert_null(options.argv[1]);
	if (row->size) {
		if (number_at(field, row->size) != row->number)
			fail_msg("%s %s: not %u", row->args[0], row->args[1],
				 row->number);
		return;
	}
	memcpy(&string, field, sizeof(string));
	if (row->string)
		assert_string_equal(string, row->string);
	else
		assert_null(string);
}

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
		check_accepted(&accepted[i]);
}

#define DNS_NINE "::1,::2,::3,::4,::5,::6,::7,::8,::9"
#define SNAPLEN_LINE \
	"nsntrace: --snaplen takes a whole number from 0 to 262144, not "
#define BUFFER_LINE \
	"nsntrace: --buffer-size takes a whole number from 1 to 1024, not "
#define QUEUE_LINE \
	"nsntrace: --queue-size takes a whole number from 1 to 65536, not "
#define LINGER_LINE \
	"nsntrace: --linger takes seconds from 0 to 3600, such as 0.5, not "
#define DEVICE_LINE	"nsntrace: --device takes the name of an interface, not "
#define DNS_LINE	"nsntrace: --dns takes IP addresses, not "
#define LOCAL_LINE	"nsntrace: --localhost takes PORT[/udp], not "
#define PUBLISH_LINE	"nsntrace: --publish takes [ADDR:]PORT[:PORT][/udp], not "
#define NOT_YET(option) "nsntrace: option '" option "' is not yet supported\n"

/* clang-format scatters tables whose rows take two lines. */
/* clang-format off */

static const struct {
	const char *args[ARGS_MAX];
	const char *said;
} refused[] = {
	{ { "-q" }, "nsntrace: no program given\n" TRY },
	{ { "--dry-run" }, "nsntrace: no program given\n" TRY },
	{ { "--" }, "nsntrace: no program given\n" TRY },
	{ { "--cleanup", "-q", "true" },
	  "nsntrace: --cleanup runs no program, such as 'true'\n" },
	{ { "-x", "true" }, "nsntrace: unknown option '-x'\n" TRY },
	{ { "-qx", "true" }, "nsntrace: unknown option '-x'\n" TRY },
	{ { "-:", "true" }, "nsntrace: unknown option '-:'\n" TRY },
	{ { "--what", "true" }, "nsntrace: unknown option '--what'\n" TRY },
	{ { "--what=5", "true" }, "nsntrace: unknown option '--what'\n" TRY },
	{ { "--d", "true" },
	  "nsntrace: option '--d' is ambiguous: "
	  "--device --dns --dry-run --doctor\n" TRY },
	{ { "--doctor", "json" },
	  "nsntrace: --doctor runs no program, such as 'json'\n" },
	{ { "--doctor=xml" },
	  "nsntrace: --doctor takes json or nothing, not 'xml'\n" },
	{ { "--s=9", "true" },
	  "nsntrace: option '--s' is ambiguous: "
	  "--snaplen --source --sync --show\n" TRY },
	{ { "-o" }, "nsntrace: option '-o' needs an argument: FILE\n" TRY },
	{ { "-qw" }, "nsntrace: option '-w' needs an argument: FILE\n" TRY },
	{ { "--form" },
	  "nsntrace: option '--format' needs an argument: pcap|pcapng\n" TRY },
	{ { "--wait=5", "true" },
	  "nsntrace: option '--wait' takes no argument\n" TRY },

	{ { "-o", "", "true" },
	  "nsntrace: --outfile takes the name of a file, not ''\n" },
	{ { "-d", "", "true" }, DEVICE_LINE "''\n" },
	{ { "-d", "sixteen-letters-", "true" },
	  DEVICE_LINE "'sixteen-letters-'\n" },
	{ { "-i", "a/b", "true" }, DEVICE_LINE "'a/b'\n" },
	{ { "-d", "..", "true" }, DEVICE_LINE "'..'\n" },
	{ { "-d", ".", "true" }, DEVICE_LINE "'.'\n" },
	{ { "-d", "eth0:1", "true" }, DEVICE_LINE "'eth0:1'\n" },
	{ { "-d", "eth 0", "true" }, DEVICE_LINE "'eth 0'\n" },
	{ { "-u", "", "true" },
	  "nsntrace: --user takes a name or a uid, not ''\n" },
	{ { "-F", "snoop", "true" },
	  "nsntrace: --format takes pcap|pcapng, not 'snoop'\n" },
	{ { "-F", "", "true" },
	  "nsntrace: --format takes pcap|pcapng, not ''\n" },
	{ { "--source", "any", "true" },
	  "nsntrace: --source takes libpcap|packet, not 'any'\n" },
	{ { "-s", "262145", "true" }, SNAPLEN_LINE "'262145'\n" },
	{ { "-s", "4294967297", "true" }, SNAPLEN_LINE "'4294967297'\n" },
	{ { "-s", "99999999999999999999", "true" },
	  SNAPLEN_LINE "'99999999999999999999'\n" },
	{ { "-s", "-1", "true" }, SNAPLEN_LINE "'-1'\n" },
	{ { "-s", "+1", "true" }, SNAPLEN_LINE "'+1'\n" },
	{ { "-s", " 1", "true" }, SNAPLEN_LINE "' 1'\n" },
	{ { "-s", "1k", "true" }, SNAPLEN_LINE "'1k'\n" },
	{ { "-s", "0x10", "true" }, SNAPLEN_LINE "'0x10'\n" },
	{ { "-s", "", "true" }, SNAPLEN_LINE "''\n" },
	{ { "--queue-size", "0", "true" }, QUEUE_LINE "'0'\n" },
	{ { "--queue-size", "65537", "true" }, QUEUE_LINE "'65537'\n" },
	{ { "-B", "0", "true" }, BUFFER_LINE "'0'\n" },
	{ { "-B", "1025", "true" }, BUFFER_LINE "'1025'\n" },
	{ { "--linger", "-1", "true" }, LINGER_LINE "'-1'\n" },
	{ { "--linger", "3600.1", "true" }, LINGER_LINE "'3600.1'\n" },
	{ { "--linger", "", "true" }, LINGER_LINE "''\n" },
	{ { "--linger", ".", "true" }, LINGER_LINE "'.'\n" },
	{ { "--linger", "1.2.3", "true" }, LINGER_LINE "'1.2.3'\n" },
	{ { "--linger", "1s", "true" }, LINGER_LINE "'1s'\n" },
	{ { "--linger", "inf", "true" }, LINGER_LINE "'inf'\n" },
	{ { "--linger", "nan", "true" }, LINGER_LINE "'nan'\n" },
	{ { "--linger", "1e3", "true" }, LINGER_LINE "'1e3'\n" },
	{ { "--linger", "0x1", "true" }, LINGER_LINE "'0x1'\n" },
	{ { "--dns", "", "true" }, DNS_LINE "''\n" },
	{ { "--dns", "::1,", "true" }, DNS_LINE "''\n" },
	{ { "--dns", ",::1", "true" }, DNS_LINE "''\n" },
	{ { "--dns", "::1,,::2", "true" }, DNS_LINE "''\n" },
	{ { "--dns", "::1, ::2", "true" }, DNS_LINE "' ::2'\n" },
	{ { "--dns", "dns.example", "true" }, DNS_LINE "'dns.example'\n" },
	{ { "--dns", "192.0.2.256", "true" }, DNS_LINE "'192.0.2.256'\n" },
	{ { "--dns", "::1,192.0.2.1,0::1", "true" },
	  "nsntrace: --dns names 0::1 twice\n" },
	{ { "--dns", DNS_NINE, "true" },
	  "nsntrace: --dns takes at most 8 addresses\n" },
	{ { "--dns", "::1", "--use-public-dns", "true" },
	  "nsntrace: --dns and --use-public-dns exclude each other\n" },
	{ { "--use-public-dns", "--dns", "::1", "true" },
	  "nsntrace: --dns and --use-public-dns exclude each other\n" },
	{ { "-e", "x", "true" },
	  "nsntrace: --engine takes nat|none, not 'x'\n" },
	{ { "-d", "lo", "-e", "nat", "true" },
	  "nsntrace: --engine nat needs a way out, and --device lo is none\n" },
	{ { "-e", "none", "-d", "eth1", "true" },
	  "nsntrace: --engine none has no way out, "
	  "also not by --device eth1\n" },
	{ { "-d", "lo", "--no-loopback", "true" },
	  "nsntrace: without a way out, --no-loopback leaves nothing to "
	  "capture\n" },

	{ { "-L", "", "true" }, LOCAL_LINE "''\n" },
	{ { "-L", "0", "true" }, LOCAL_LINE "'0'\n" },
	{ { "-L", "65536", "true" }, LOCAL_LINE "'65536'\n" },
	{ { "-L", "4294967376", "true" }, LOCAL_LINE "'4294967376'\n" },
	{ { "-L", "-80", "true" }, LOCAL_LINE "'-80'\n" },
	{ { "-L", " 80", "true" }, LOCAL_LINE "' 80'\n" },
	{ { "-L", "80/", "true" }, LOCAL_LINE "'80/'\n" },
	{ { "-L", "80/tcp", "true" }, LOCAL_LINE "'80/tcp'\n" },
	{ { "-L", "80/udp/udp", "true" }, LOCAL_LINE "'80/udp/udp'\n" },
	{ { "-L", "/udp", "true" }, LOCAL_LINE "'/udp'\n" },
	{ { "-L", "80:81", "true" }, LOCAL_LINE "'80:81'\n" },
	{ { "-L", "http", "true" }, LOCAL_LINE "'http'\n" },
	{ { "--localhost" },
	  "nsntrace: option '--localhost' needs an argument: PORT[/udp]\n"
	  TRY },
	{ { "-P", "", "true" }, PUBLISH_LINE "''\n" },
	{ { "-P", ":", "true" }, PUBLISH_LINE "':'\n" },
	{ { "-P", "80:", "true" }, PUBLISH_LINE "'80:'\n" },
	{ { "-P", ":80", "true" }, PUBLISH_LINE "':80'\n" },
	{ { "-P", "0:80", "true" }, PUBLISH_LINE "'0:80'\n" },
	{ { "-P", "80:81:82", "true" }, PUBLISH_LINE "'80:81:82'\n" },
	{ { "-P", "127.0.0.1", "true" }, PUBLISH_LINE "'127.0.0.1'\n" },
	{ { "-P", "127.0.0.1:", "true" }, PUBLISH_LINE "'127.0.0.1:'\n" },
	{ { "-P", "127.0.0.256:80", "true" },
	  PUBLISH_LINE "'127.0.0.256:80'\n" },
	{ { "-P", "::1:80", "true" }, PUBLISH_LINE "'::1:80'\n" },
	{ { "-P", "[::1]", "true" }, PUBLISH_LINE "'[::1]'\n" },
	{ { "-P", "[::1]80", "true" }, PUBLISH_LINE "'[::1]80'\n" },
	{ { "-P", "[::1:80", "true" }, PUBLISH_LINE "'[::1:80'\n" },
	{ { "-P", "[127.0.0.1]:80", "true" },
	  PUBLISH_LINE "'[127.0.0.1]:80'\n" },
	{ { "-P", "[]:80", "true" }, PUBLISH_LINE "'[]:80'\n" },
	{ { "-P", "[", "true" }, PUBLISH_LINE "'['\n" },
	{ { "-P", "localhost:80", "true" }, PUBLISH_LINE "'localhost:80'\n" },
	{ { "-P", "80/sctp", "true" }, PUBLISH_LINE "'80/sctp'\n" },

	{ { "-e", "gateway", "true" },
	  "nsntrace: --engine gateway is not yet supported\n" },
	{ { "-e", "preload", "true" },
	  "nsntrace: --engine preload is not yet supported\n" },
	{ { "-k", "true" }, NOT_YET("-k") },
	{ { "-p", "1" }, NOT_YET("-p") },
	{ { "-Y", "true" }, NOT_YET("-Y") },
	{ { "--json", "x", "true" }, NOT_YET("--json") },
	{ { "--keylog", "x", "true" }, NOT_YET("--keylog") },
	{ { "--pid", "1" }, NOT_YET("--pid") },
	{ { "--show", "true" }, NOT_YET("--show") },
	{ { "--tls-keys", "true" }, NOT_YET("--tls-keys") },
};

/* clang-format on */

static void test_refused(void **state)
{
	struct options options;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (parse(refused[i].args, &options) >= 0)
			fail_msg("%s %s was accepted", refused[i].args[0],
				 refused[i].args[1]);
		assert_string_equal(said, refused[i].said);
	}
}

/* The words of a bad pattern are pattern.c's; here, that it is asked. */
static void test_bad_pattern(void **state)
{
	struct options options;

	(void)state;
	assert_true(parse(ARGS("-o", "%q", "true"), &options) < 0);
	assert_non_null(strstr(said, "%q"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void test_dns_addresses(void **state)
{
	static const char *const expected[] = { "192.0.2.1", "2001:db8::1" };
	struct options options;
	char text[IP_TEXT_SIZE];

	(void)state;
	assert_int_equal(
		parse(ARGS("--dns", "192.0.2.1,2001:DB8::1", "true"), &options),
		0);
	assert_int_equal(options.dns_count, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(ip_format(&options.dns[i], text),
				    expected[i]);
}

static void test_ports(void **state)
{
	static const struct {
		const char *value;
		const char *address;
		uint16_t host;
		uint16_t inside;
		bool tcp;
	} cases[] = {
		{ "80", "none", 80, 80, true },
		{ "65535/udp", "none", 65535, 65535, false },
		{ "80:8080", "none", 80, 8080, true },
		{ "53:5353/udp", "none", 53, 5353, false },
		{ "127.0.0.1:80", "127.0.0.1", 80, 80, true },
		{ "192.0.2.1:80:8080/udp", "192.0.2.1", 80, 8080, false },
		{ "[::1]:80", "::1", 80, 80, true },
		{ "[2001:db8::1]:80:81", "2001:db8::1", 80, 81, true },
		{ "[::]:1:2/udp", "::", 1, 2, false },
	};
	struct options options;
	char text[IP_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct port *port = &options.published.port[0];

		if (parse(ARGS("-P", cases[i].value, "true"), &options) != 0)
			fail_msg("%s: %s", cases[i].value, said);
		assert_int_equal(options.published.count, 1);
		assert_string_equal(ip_format(&port->address, text),
				    cases[i].address);
		assert_int_equal(port->host, cases[i].host);
		assert_int_equal(port->inside, cases[i].inside);
		assert_int_equal(port->tcp, cases[i].tcp);
	}

	assert_int_equal(parse(ARGS("-L", "80", "-L80/udp", "-P", "80", "true"),
			       &options),
			 0);
	assert_int_equal(options.local.count, 2);
	assert_int_equal(options.published.count, 1);
	assert_true(options.local.port[0].tcp);
	assert_false(options.local.port[1].tcp);
	assert_int_equal(options.local.port[1].host, 80);
	assert_int_equal(options.local.port[1].inside, 80);
}

/* As many as there is room for, and no more. */
static void test_many_ports(void **state)
{
	struct ports ports = { 0 };

	(void)state;
	for (int i = 0; i < PORTS_MAX; i++)
		assert_int_equal(ports_add_local("80", &ports), 0);
	said[0] = '\0';
	assert_true(ports_add_local("80", &ports) < 0);
	assert_string_equal(said, "nsntrace: --localhost can be given 16 times"
				  "\n");
	assert_int_equal(ports.count, PORTS_MAX);
}

static void test_public_dns(void **state)
{
	static const char *const expected[] = { "9.9.9.9", "1.1.1.1", "8.8.8.8",
						"208.67.222.222" };
	struct options options;
	char text[IP_TEXT_SIZE];

	(void)state;
	assert_int_equal(parse(ARGS("--use-public-dns", "true"), &options), 0);
	assert_int_equal(options.dns_count, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(ip_format(&options.dns[i], text),
				    expected[i]);
}

/* Options end at the first word that is none, or at "--". */
static void test_program(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(ARGS("-q", "--", "-v", "--help"), &options), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_WARNING);
	assert_int_equal(options.action, ACTION_RUN);
	assert_string_equal(options.argv[0], "-v");
	assert_string_equal(options.argv[1], "--help");

	assert_int_equal(parse(ARGS("wget", "-q", "--help"), &options), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_NOTE);
	assert_int_equal(options.action, ACTION_RUN);
	assert_string_equal(options.argv[0], "wget");
}

static void test_actions(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(ARGS("-h"), &options), 0);
	assert_int_equal(options.action, ACTION_HELP);
	assert_int_equal(parse(ARGS("--help", "--no-such-option"), &options),
			 0);
	assert_int_equal(options.action, ACTION_HELP);
	assert_int_equal(parse(ARGS("-qV"), &options), 0);
	assert_int_equal(options.action, ACTION_VERSION);
	assert_int_equal(parse(ARGS("--version"), &options), 0);
	assert_int_equal(options.action, ACTION_VERSION);
	assert_int_equal(parse(ARGS("--completion", "zsh"), &options), 0);
	assert_int_equal(options.action, ACTION_COMPLETION);
	assert_string_equal(options.completion, "zsh");
	assert_string_equal(said, "");
}

/* What @print writes to a stream; the caller frees it. */
static char *printed(void (*print)(FILE *stream))
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	print(stream);
	fclose(stream);

	return text;
}

/* Bare "nsntrace": the help, on standard error. */
static void test_bare(void **state)
{
	struct options options;
	char *help = printed(options_help);
	char shown[8192] = "";
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	int ret;

	(void)state;
	assert_non_null(file);
	assert_true(saved >= 0);
	fflush(stderr);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	ret = parse((const char *[]){ NULL }, &options);
	fflush(stderr);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);

	rewind(file);
	assert_true(fread(shown, 1, sizeof(shown) - 1, file) > 0);
	fclose(file);
	assert_true(ret < 0);
	assert_string_equal(shown, help);
	assert_string_equal(said, "");
	free(help);
}

/* Where the help of an option begins, from the start of its line. */
static size_t help_column(const char *help, const struct option_entry *entry)
{
	const char *text = strstr(help, entry->help);
	const char *line = text;

	assert_non_null(text);
	while (line > help && line[-1] != '\n')
		line--;
	assert_true(text - line >= 2 && text[-1] == ' ' && text[-2] == ' ');

	return (size_t)(text - line);
}

static void test_help_is_aligned(void **state)
{
	char *help = printed(options_help);
	size_t column = help_column(help, &option_table[0]);

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		if (!option_table[i].group)
			continue;
		assert_int_equal(help_column(help, &option_table[i]), column);
	}
	for (char *line = help; *line; line += strcspn(line, "\n") + 1)
		if (strcspn(line, "\n") >= 80)
			fail_msg("too wide: %s", line);
	free(help);
}

static void test_help_hides_what_is_not_built(void **state)
{
	char *help = printed(options_help);

	(void)state;
	assert_non_null(strstr(help, "--outfile"));
	assert_non_null(strstr(help, "--cleanup"));
	assert_null(strstr(help, "--keylog"));
	assert_null(strstr(help, "--tls-keys"));
	assert_null(strstr(help, "--completion"));
	assert_non_null(strstr(help, "nsntrace(1)"));
	free(help);
}

/* No letter or name twice; no help that some shell would take for syntax. */
static void test_table(void **state)
{
	char letters[256] = "";

	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];

		assert_true(strlen(entry->letters) <= 2);
		for (const char *c = entry->letters; *c; c++) {
			assert_null(strchr(letters, *c));
			strncat(letters, c, 1);
		}
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(entry->name,
						option_table[j].name);
		if (entry->group)
			assert_null(strpbrk(entry->help, "'\"`$\\[]:"));
	}
}

static void test_unknown_shell(void **state)
{
	(void)state;
	assert_true(options_completion("tcsh", stdout) < 0);
	assert_string_equal(said, "nsntrace: --completion takes bash|zsh|fish, "
				  "not 'tcsh'\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, start),
		cmocka_unit_test_setup(test_accepted, start),
		cmocka_unit_test_setup(test_refused, start),
		cmocka_unit_test_setup(test_bad_pattern, start),
		cmocka_unit_test_setup(test_dns_addresses, start),
		cmocka_unit_test_setup(test_ports, start),
		cmocka_unit_test_setup(test_many_ports, start),
		cmocka_unit_test_setup(test_public_dns, start),
		cmocka_unit_test_setup(test_program, start),
		cmocka_unit_test_setup(test_actions, start),
		cmocka_unit_test_setup(test_bare, start),
		cmocka_unit_test_setup(test_help_is_aligned, start),
		cmocka_unit_test_setup(test_help_hides_what_is_not_built,
				       start),
		cmocka_unit_test_setup(test_table, start),
		cmocka_unit_test_setup(test_unknown_shell, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
