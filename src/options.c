/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line, read by getopt_long() from the one table of all options,
 * and the help, printed from the same. What can be judged without looking at
 * the host is judged here; whether a device or a user exists is probed later.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/fd.h"
#include "option_table.h"

/* Quad9, Cloudflare, Google, OpenDNS. glibc asks the first three. */
static const char *const public_dns[] = {
	"9.9.9.9",
	"1.1.1.1",
	"8.8.8.8",
	"208.67.222.222",
};

/* Whether the trace goes to several files. */
bool options_rotate(const struct options *options)
{
	const struct rotate_limits *rotate = &options->rotate;

	return rotate->bytes || rotate->packets || rotate->duration ||
	       rotate->files || options->autostop.files;
}

/* What getopt_long() returns for a long option: this and its index. */
#define LONG_OPTION 0x100

/* Two letters with two colons each, and room for what begins and ends all. */
#define SHORT_SIZE 8

/* How getopt_long() is told of an option's value. */
static int value_kind(const struct option_entry *entry)
{
	/* "not yet" is a better answer than "needs an argument". */
	if (!entry->set || (entry->value && entry->value->optional))
		return optional_argument;

	return entry->value ? required_argument : no_argument;
}

static void build_getopt(struct option *long_options, char *short_options)
{
	static const char *const marks[] = {
		[no_argument] = "",
		[required_argument] = ":",
		[optional_argument] = "::",
	};

	/* Stop at PROGRAM; tell a missing value from an unknown option. */
	short_options = stpcpy(short_options, "+:");
	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];
		int kind = value_kind(entry);

		for (const char *c = entry->letters; *c; c++) {
			*short_options++ = *c;
			short_options = stpcpy(short_options, marks[kind]);
		}
		long_options[i] = (struct option){
			.name = entry->name,
			.has_arg = kind,
			.val = LONG_OPTION + (int)i,
		};
	}
}

/* The entry of what getopt_long() returned or left in optopt, or NULL. */
static const struct option_entry *find(int code)
{
	if (code >= LONG_OPTION)
		return &option_table[code - LONG_OPTION];

	for (size_t i = 0; i < option_count; i++)
		if (code > 0 && strchr(option_table[i].letters, code))
			return &option_table[i];

	return NULL;
}

/* What the user typed, with abbreviations made whole; the caller frees it. */
static char *spell(int code)
{
	if (code >= LONG_OPTION)
		return xasprintf("--%s", find(code)->name);

	return xasprintf("-%c", code);
}

/* getopt_long() does not tell an abbreviation of many from one of none. */
static int refuse_long(const char *word)
{
	int length = (int)strcspn(word, "=");
	autofree char *matches = xstrdup("");

	for (size_t i = 0; i < option_count; i++) {
		const char *name = option_table[i].name;
		autofree char *before = NULL;

		if (strncmp(name, word + 2, (size_t)length - 2) != 0)
			continue;
		before = matches;
		matches = xasprintf("%s --%s", before, name);
	}
	if (*matches)
		return refuse("option '%.*s' is ambiguous:%s", length, word,
			      matches);

	return refuse("unknown option '%.*s'", length, word);
}

static int refuse_option(int code, const char *word)
{
	const struct option_entry *entry = find(optopt);
	autofree char *option = spell(optopt);
	int ret;

	if (code == ':')
		ret = refuse("option '%s' needs an argument: %s", option,
			     entry->value->name);
	else if (entry)
		ret = refuse("option '%s' takes no argument", option);
	else if (optopt)
		ret = refuse("unknown option '%s'", option);
	else
		ret = refuse_long(word);
	hint("Try 'nsntrace --help'");

	return ret;
}

static int take_option(int code, struct options *options)
{
	const struct option_entry *entry = find(code);

	if (!entry->set) {
		autofree char *option = spell(code);

		return refuse("option '%s' is not yet supported", option);
	}

	return entry->set(options, optarg);
}

/* Whether it is to be checked what a run with the other options needs. */
bool options_doctor(const struct options *options)
{
	return options->action == ACTION_DOCTOR ||
	       options->action == ACTION_DOCTOR_JSON;
}

/* Whether nothing but this option counts: something is printed at once. */
static bool is_answered(const struct options *options)
{
	return options->action == ACTION_HELP ||
	       options->action == ACTION_VERSION ||
	       options->action == ACTION_KNOCK ||
	       options->action == ACTION_COMPLETION;
}

/* What follows the options: a program, or nothing if none is to run. */
static int take_program(char **words, struct options *options)
{
	bool cleanup = options->action == ACTION_CLEANUP;
	bool alone = cleanup || options_doctor(options);

	if (alone && *words)
		return refuse("--%s runs no program, such as '%s'",
			      cleanup ? "cleanup" : "doctor", *words);
	if (!alone && !*words) {
		refuse("no program given");
		hint("Try 'nsntrace --help'");
		return -EINVAL;
	}
	options->argv = words;

	return 0;
}

/*
 * -a filesize ends one file: where several are wanted, the next begins there,
 * as with dumpcap.
 */
static int settle_files(struct options *options)
{
	struct rotate_limits *rotate = &options->rotate;
	struct rotate_limits *autostop = &options->autostop;

	if (!options_rotate(options))
		return 0;
	if (!rotate->bytes ||
	    (autostop->bytes && autostop->bytes < rotate->bytes))
		rotate->bytes = autostop->bytes;
	autostop->bytes = 0;
	if (!rotate->bytes && !rotate->packets && !rotate->duration)
		return refuse("a number of files needs a limit of each: "
			      "--ring-buffer duration, filesize or packets");
	if (strcmp(options->outfile, "-") == 0)
		return refuse("--ring-buffer makes several files, and standard "
			      "output is one");

	return 0;
}

/* What no option can judge alone, as they come in any order. */
static int settle(struct options *options)
{
	bool lo = options->device && strcmp(options->device, "lo") == 0;

	if (lo && options->engine == ENGINE_NAT)
		return refuse("--engine nat needs a way out, "
			      "and --device lo is none");
	if (options->device && !lo && options->engine == ENGINE_NONE)
		return refuse("--engine none has no way out, "
			      "also not by --device %s",
			      options->device);
	if (lo)
		options->engine = ENGINE_NONE;
	if (options->engine == ENGINE_NONE && !options->loopback)
		return refuse("without a way out, --no-loopback leaves "
			      "nothing to capture");

	if (settle_files(options) < 0)
		return -EINVAL;

	if (!options->public_dns)
		return 0;
	if (options->dns_count)
		return refuse("--dns and --use-public-dns exclude each other");
	for (size_t i = 0; i < sizeof(public_dns) / sizeof(*public_dns); i++)
		ip_parse(public_dns[i], &options->dns[options->dns_count++]);

	return 0;
}

/*
 * Read the command line into @options, whose strings stay those of @argv. The
 * first option that prints something, such as --help, ends the reading. Nothing
 * of the host is changed. Returns 0, or a negative errno that was reported; for
 * a bare command the report is the help, on standard error.
 */
int options_parse(int argc, char **argv, struct options *options)
{
	autofree struct option *long_options =
		xcalloc(option_count + 1, sizeof(*long_options));
	autofree char *short_options = xcalloc(option_count, SHORT_SIZE);
	int ret;

	*options = (struct options){
		.outfile = "nsntrace.pcap",
		.snaplen = OPTIONS_SNAPLEN_MAX,
		.buffer_size = 16,
		.queue_size = 256,
		.loopback = true,
		.linger_ms = 1000,
		.log_level = LOG_LEVEL_NOTE,
	};
	if (argc < 2) {
		options_help(stderr);
		return -EINVAL;
	}

	build_getopt(long_options, short_options);
	optind = 0; /* begin anew, however often this is called */
	opterr = 0;
	while (!is_answered(options)) {
		int code = getopt_long(argc, argv, short_options, long_options,
				       NULL);

		if (code < 0)
			break;
		if (code == '?' || code == ':')
			return refuse_option(code, argv[optind - 1]);
		ret = take_option(code, options);
		if (ret < 0)
			return ret;
	}
	if (is_answered(options))
		return 0;
	ret = take_program(argv + optind, options);

	return ret < 0 ? ret : settle(options);
}

/* Wider than the longest term, so that the texts form a column. */
#define TERM_WIDTH 31

static void help_entry(FILE *stream, const struct option_entry *entry)
{
	int used = fprintf(stream, "  ");

	for (const char *c = entry->letters; *c; c++)
		used += fprintf(stream, "-%c, ", *c);
	if (!*entry->letters)
		used += fprintf(stream, "    ");
	used += fprintf(stream, "--%s", entry->name);
	if (entry->value)
		used += fprintf(stream,
				entry->value->optional ? "[=%s]" : " %s",
				entry->value->name);

	fprintf(stream, "%*s%s\n", TERM_WIDTH - used, "", entry->help);
}

/* Print the help, one line for each option, to @stream. */
void options_help(FILE *stream)
{
	const char *group = NULL;

	fputs("Usage: nsntrace [OPTION]... PROGRAM [ARGUMENT]...\n"
	      "Run PROGRAM in a network namespace of its own and capture every "
	      "packet\nthat it sends and receives.\n",
	      stream);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];

		if (!entry->group)
			continue;
		if (entry->group != group)
			fprintf(stream, "\n%s:\n", entry->group);
		group = entry->group;
		help_entry(stream, entry);
	}
	fputs("\nThe manual, nsntrace(1), tells more.\n", stream);
}
