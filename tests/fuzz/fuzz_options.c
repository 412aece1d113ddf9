/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any command line: words end with a zero byte. It is understood, and then
 * every value is within its bounds; or refused, in one line that a terminal can
 * show.
 */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define WORDS_MAX 64
#define HINT	  "nsntrace: hint: "

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void look_at_line(enum log_level level, const char *line, void *context)
{
	unsigned *errors = context;
	size_t length = strlen(line);

	check(length > 1 && line[length - 1] == '\n');
	for (size_t i = 0; i < length - 1; i++)
		check(!iscntrl((unsigned char)line[i]));
	*errors += level == LOG_LEVEL_ERROR &&
		   strncmp(line, HINT, sizeof(HINT) - 1) != 0;
}

static void look_at_options(const struct options *options, char **argv,
			    unsigned argc)
{
	bool inside = false;

	if (options->action != ACTION_RUN && options->action != ACTION_DRY_RUN)
		return;

	for (unsigned i = 0; i < argc; i++)
		inside |= options->argv == argv + i;
	check(inside && options->argv[0]);
	check(options->outfile);
	check(options->snaplen > 0 && options->snaplen <= OPTIONS_SNAPLEN_MAX);
	check(options->buffer_size > 0 && options->queue_size > 0);
	check(options->dns_count <= OPTIONS_DNS_MAX);
	for (size_t i = 0; i < options->dns_count; i++)
		check(ip_size(&options->dns[i]) > 0);
	check(options->format <= FORMAT_PCAPNG);
	check(options->engine <= ENGINE_NONE);
	check(options->source <= CAPTURE_PACKET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char self[] = "nsntrace";
	char *copy = malloc(size + 1);
	char *argv[WORDS_MAX + 2] = { self };
	struct options options;
	unsigned argc = 1;
	unsigned errors = 0;

	memcpy(copy, data, size);
	copy[size] = '\0';
	for (size_t at = 0; at < size && argc <= WORDS_MAX;
	     at += strlen(copy + at) + 1)
		argv[argc++] = copy + at;

	/* A bare command is answered by the help, which is no single line. */
	if (argc > 1) {
		log_set_sink(look_at_line, &errors);
		if (options_parse((int)argc, argv, &options) == 0) {
			check(errors == 0);
			look_at_options(&options, argv, argc);
		} else {
			check(errors == 1);
		}
		log_set_sink(NULL, NULL);
	}
	free(copy);

	return 0;
}
