/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every option there is: its letters and name, what it takes, what it says of
 * itself and what it does to struct options. Each is judged by itself, as far
 * as that is possible without looking at the host; how the command line is read
 * and what follows from several options is left to options.c.
 */
#include "option_table.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "pattern.h"
#include "value.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define BUFFER_SIZE_MAX 1024
#define LINGER_MAX	3600

/* 64 GiB, or what is half of a small address space. */
#define QUEUE_SIZE_MAX (SIZE_MAX >> 20 < 65536 ? 2048 : 65536)

static const struct option_value file_value = {
	.name = "FILE",
	.bash = "-f",
	.zsh = "_files",
	.fish = "-r -F",
};

static const struct option_value device_value = {
	.name = "DEV",
	.bash = "-W \"$(ls /sys/class/net)\"",
	.zsh = "_net_interfaces",
	.fish = "-x -a '(__fish_print_interfaces)'",
};

static const struct option_value user_value = {
	.name = "USER",
	.bash = "-u",
	.zsh = "_users",
	.fish = "-x -a '(__fish_complete_users)'",
};

static const struct option_value format_value = {
	.name = "pcap|pcapng",
	.bash = "-W 'pcap pcapng'",
	.zsh = "(pcap pcapng)",
	.fish = "-x -a 'pcap pcapng'",
};

static const struct option_value engine_value = {
	.name = "nat|none",
	.bash = "-W 'nat none'",
	.zsh = "(nat none)",
	.fish = "-x -a 'nat none'",
};

static const struct option_value source_value = {
	.name = "libpcap|packet",
	.bash = "-W 'libpcap packet'",
	.zsh = "(libpcap packet)",
	.fish = "-x -a 'libpcap packet'",
};

static const struct option_value limit_value = {
	.name = "KEY:N",
	.bash = "-W 'duration: filesize: packets: files:'",
	.zsh = "(duration\\: filesize\\: packets\\: files\\:)",
	.fish = "-x -a 'duration: filesize: packets: files:'",
};

static const struct option_value doctor_value = {
	.name = "json",
	.bash = "-W json",
	.zsh = "(json)",
	.fish = "-f -a json",
	.optional = true,
};

/* A value that no shell can guess. */
#define VALUE(text)                    \
	(&(const struct option_value){ \
		.name = (text), .zsh = " ", .fish = "-x" })

/* The index of @value in @names, where what has no name is NULL. */
static int choose(const char *option, const char *const names[], size_t count,
		  const struct option_value *takes, const char *value)
{
	for (size_t i = 0; i < count; i++)
		if (names[i] && strcmp(names[i], value) == 0)
			return (int)i;

	return refuse("%s takes %s, not '%s'", option, takes->name, value);
}

static int set_outfile(struct options *options, const char *value)
{
	if (!*value)
		return refuse("--outfile takes the name of a file, not ''");
	options->outfile = value;

	return pattern_check(value);
}

/* The kernel's own rule: a name becomes a directory of /proc/sys and /sys. */
static bool is_device_name(const char *name)
{
	if (!*name || strlen(name) >= IFNAMSIZ)
		return false;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' ||
		    isspace((unsigned char)*name))
			return false;

	return true;
}

static int set_device(struct options *options, const char *value)
{
	if (!is_device_name(value))
		return refuse("--device takes the name of an interface, "
			      "not '%s'",
			      value);
	options->device = value;

	return 0;
}

static int set_filter(struct options *options, const char *value)
{
	options->filter = *value ? value : NULL;

	return 0;
}

static int set_user(struct options *options, const char *value)
{
	if (!*value)
		return refuse("--user takes a name or a uid, not ''");
	options->user = value;

	return 0;
}

static int add_dns(struct options *options, const char *text)
{
	struct ip ip;

	if (!ip_parse(text, &ip))
		return refuse("--dns takes IP addresses, not '%s'", text);
	if (options->dns_count == OPTIONS_DNS_MAX)
		return refuse("--dns takes at most %d addresses",
			      OPTIONS_DNS_MAX);
	for (size_t i = 0; i < options->dns_count; i++)
		if (ip_equal(&options->dns[i], &ip))
			return refuse("--dns names %s twice", text);
	options->dns[options->dns_count++] = ip;

	return 0;
}

static int set_dns(struct options *options, const char *value)
{
	options->dns_count = 0;
	do {
		size_t length = strcspn(value, ",");
		autofree char *text = xasprintf("%.*s", (int)length, value);
		int ret = add_dns(options, text);

		if (ret < 0)
			return ret;
		value += length;
	} while (*value++);

	return 0;
}

static int add_local(struct options *options, const char *value)
{
	return ports_add_local(value, &options->local);
}

static int add_published(struct options *options, const char *value)
{
	return ports_add_published(value, &options->published);
}

static int set_format(struct options *options, const char *value)
{
	static const char *const names[] = {
		[FORMAT_PCAP] = "pcap",
		[FORMAT_PCAPNG] = "pcapng",
	};
	int format = choose("--format", names, ARRAY_SIZE(names), &format_value,
			    value);

	if (format < 0)
		return format;
	options->format = (enum format)format;

	return 0;
}

static int set_source(struct options *options, const char *value)
{
	static const char *const names[] = {
		[CAPTURE_LIBPCAP] = "libpcap",
		[CAPTURE_PACKET] = "packet",
	};
	int source = choose("--source", names, ARRAY_SIZE(names), &source_value,
			    value);

	if (source < 0)
		return source;
	options->source = (enum capture_source)source;

	return 0;
}

static int set_engine(struct options *options, const char *value)
{
	static const char *const names[] = {
		[ENGINE_NAT] = "nat",
		[ENGINE_NONE] = "none",
	};
	int engine;

	if (strcmp(value, "gateway") == 0 || strcmp(value, "preload") == 0)
		return refuse("--engine %s is not yet supported", value);
	engine = choose("--engine", names, ARRAY_SIZE(names), &engine_value,
			value);
	if (engine < 0)
		return engine;
	options->engine = (enum engine)engine;

	return 0;
}

/* 0 is the most that a packet can have, as in tcpdump. */
static int set_snaplen(struct options *options, const char *value)
{
	int ret = value_number("--snaplen", value, 0, OPTIONS_SNAPLEN_MAX,
			       &options->snaplen);

	if (ret == 0 && !options->snaplen)
		options->snaplen = OPTIONS_SNAPLEN_MAX;

	return ret;
}

static int set_buffer_size(struct options *options, const char *value)
{
	return value_number("--buffer-size", value, 1, BUFFER_SIZE_MAX,
			    &options->buffer_size);
}

static int set_queue_size(struct options *options, const char *value)
{
	return value_number("--queue-size", value, 1, QUEUE_SIZE_MAX,
			    &options->queue_size);
}

static int set_linger(struct options *options, const char *value)
{
	double seconds;
	int ret = value_seconds("--linger", value, LINGER_MAX, &seconds);

	if (!ret)
		options->linger_ms = (uint32_t)(seconds * 1000 + 0.5);

	return ret;
}

static int set_ring_buffer(struct options *options, const char *value)
{
	return value_limit("--ring-buffer", value, &options->rotate);
}

static int set_autostop(struct options *options, const char *value)
{
	return value_limit("--autostop", value, &options->autostop);
}

static int set_packets(struct options *options, const char *value)
{
	uint32_t packets;
	int ret = value_number("--packets", value, 1, UINT32_MAX, &packets);

	if (!ret)
		options->autostop.packets = packets;

	return ret;
}

/* The words for what is to be done by whom: see doctor_trial.c for the last. */
static int set_doctor(struct options *options, const char *value)
{
	if (value && strcmp(value, "json") == 0)
		options->action = ACTION_DOCTOR_JSON;
	else if (value && strcmp(value, "knock") == 0)
		options->action = ACTION_KNOCK;
	else if (value)
		return refuse("--doctor takes json or nothing, not '%s'",
			      value);
	else
		options->action = ACTION_DOCTOR;

	return 0;
}

static int set_completion(struct options *options, const char *value)
{
	options->action = ACTION_COMPLETION;
	options->completion = value;

	return 0;
}

/* The setter of an option that stores one fixed thing. */
#define FLAG(name, field, constant)                                       \
	static int set_##name(struct options *options, const char *value) \
	{                                                                 \
		(void)value;                                              \
		options->field = (constant);                              \
                                                                          \
		return 0;                                                 \
	}

FLAG(cleanup, action, ACTION_CLEANUP)
FLAG(dry_run, action, ACTION_DRY_RUN)
FLAG(help, action, ACTION_HELP)
FLAG(lossless, lossless, true)
FLAG(nano, nanoseconds, true)
FLAG(no_loopback, loopback, false)
FLAG(public_dns, public_dns, true)
FLAG(quiet, log_level, LOG_LEVEL_WARNING)
FLAG(sync, sync, true)
FLAG(verbose, log_level, LOG_LEVEL_DEBUG)
FLAG(version, action, ACTION_VERSION)
FLAG(wait, wait, true)

static const char capture[] = "Capture";
static const char network[] = "Network";
static const char program[] = "Program";
static const char messages[] = "Messages";

/* clang-format scatters tables whose rows take two lines. */
/* clang-format off */

/*
 * In the order of --help. The words stay clear of quotes, brackets and colons,
 * which would each mean something in some shell's completion script.
 */
const struct option_entry option_table[] = {
	{ "ow", "outfile", &file_value, capture,
	  "trace file, - is stdout (default nsntrace.pcap)", set_outfile },
	{ "f", "filter", VALUE("EXPR"), capture,
	  "keep only what this pcap-filter(7) matches", set_filter },
	{ "F", "format", &format_value, capture,
	  "file format (default by the name of FILE)", set_format },
	{ "", "nano", NULL, capture,
	  "nanoseconds in classic pcap too", set_nano },
	{ "s", "snaplen", VALUE("BYTES"), capture,
	  "keep at most BYTES of a packet (default 262144)", set_snaplen },
	{ "B", "buffer-size", VALUE("MIB"), capture,
	  "buffer in the kernel (default 16)", set_buffer_size },
	{ "", "queue-size", VALUE("MIB"), capture,
	  "memory for packets yet unwritten (default 256)", set_queue_size },
	{ "", "lossless", NULL, capture,
	  "rather slow the program down than lose a packet", set_lossless },
	{ "", "source", &source_value, capture,
	  "what captures (default libpcap)", set_source },
	{ "b", "ring-buffer", &limit_value, capture,
	  "begin a new file at a limit, keep so many files", set_ring_buffer },
	{ "a", "autostop", &limit_value, capture,
	  "stop capturing at a limit, the program runs on", set_autostop },
	{ "c", "packets", VALUE("N"), capture,
	  "stop capturing after N packets", set_packets },
	{ "", "no-loopback", NULL, capture,
	  "leave out what stays on the loopback device", set_no_loopback },
	{ "di", "device", &device_value, network,
	  "leave by DEV and by no other; lo is no way out", set_device },
	{ "e", "engine", &engine_value, network,
	  "how the program reaches the world", set_engine },
	{ "", "dns", VALUE("ADDR[,ADDR]..."), network,
	  "resolve names through these servers", set_dns },
	{ "", "use-public-dns", NULL, network,
	  "resolve names through well-known public servers", set_public_dns },
	{ "L", "localhost", VALUE("PORT[/udp]"), network,
	  "have this port of the host on 127.0.0.1 inside", add_local },
	{ "P", "publish", VALUE("PORT[:PORT]"), network,
	  "lead a port of the host to one inside", add_published },
	{ "u", "user", &user_value, program,
	  "run the program as USER, a name or a uid", set_user },
	{ "", "wait", NULL, program,
	  "go on until its last descendant has ended too", set_wait },
	{ "", "linger", VALUE("SECONDS"), program,
	  "for TCP to finish after its end (default 1)", set_linger },
	{ "", "sync", NULL, program,
	  "return only when the namespace is gone too", set_sync },
	{ "q", "quiet", NULL, messages,
	  "say nothing but errors and warnings", set_quiet },
	{ "v", "verbose", NULL, messages,
	  "tell every step with its time", set_verbose },
	{ "", "dry-run", NULL, messages,
	  "print what would be done, and stop", set_dry_run },
	{ "", "cleanup", NULL, messages,
	  "put back what killed runs left, and stop", set_cleanup },
	{ "", "doctor", &doctor_value, messages,
	  "check what a run needs, and stop", set_doctor },
	{ "h", "help", NULL, messages, "print this help", set_help },
	{ "V", "version", NULL, messages, "print the version", set_version },
	{ .letters = "", .name = "completion", .value = VALUE("SHELL"),
	  .set = set_completion },

	/* Letters and names that are taken, for what is not yet built. */
	{ .letters = "", .name = "json" },
	{ .letters = "", .name = "keylog" },
	{ .letters = "p", .name = "pid" },
	{ .letters = "Y", .name = "show" },
	{ .letters = "k", .name = "tls-keys" },
};

/* clang-format on */

const size_t option_count = ARRAY_SIZE(option_table);
