/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of options that are more than a word: numbers, seconds, limits.
 * What is none is told with the name of its option.
 */
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define DURATION_MAX 1e9   /* seconds; 31 years */
#define FILES_MAX    99999 /* as in dumpcap */

/*
 * A whole number from @min to @max. strtoul() alone would take "-1", " 1", ""
 * and what follows a number. Returns 0, or -EINVAL, reported.
 */
int value_number(const char *option, const char *value, uint32_t min,
		 uint32_t max, uint32_t *number)
{
	unsigned long parsed;

	errno = 0;
	parsed = strtoul(value, NULL, 10);
	if (!*value || value[strspn(value, "0123456789")] || errno ||
	    parsed < min || parsed > max)
		return refuse("%s takes a whole number from %u to %u, not '%s'",
			      option, min, max, value);
	*number = (uint32_t)parsed;

	return 0;
}

/*
 * Seconds from 0 to @max. strtod() alone would take "inf", "0x1" and "1e3".
 * Returns 0, or -EINVAL, reported.
 */
int value_seconds(const char *option, const char *value, double max,
		  double *seconds)
{
	char *end;

	*seconds = strtod(value, &end);
	if (end == value || value[strspn(value, "0123456789.")] || *end ||
	    *seconds > max)
		return refuse("%s takes seconds from 0 to %.0f, such as 0.5, "
			      "not '%s'",
			      option, max, value);

	return 0;
}

static int parse_duration(const char *option, const char *value,
			  struct rotate_limits *limits)
{
	double seconds = 0;
	int ret = value_seconds(option, value, DURATION_MAX, &seconds);

	if (ret < 0)
		return ret;
	limits->duration = (uint64_t)(seconds * 1e9);
	if (!limits->duration)
		return refuse("%s takes more than 0 seconds", option);

	return 0;
}

/* kB are of 1000 bytes, as dumpcap has them. */
static int parse_filesize(const char *option, const char *value,
			  struct rotate_limits *limits)
{
	uint32_t kilobytes = 0;
	int ret = value_number(option, value, 1, UINT32_MAX, &kilobytes);

	if (!ret)
		limits->bytes = kilobytes * UINT64_C(1000);

	return ret;
}

static int parse_packets(const char *option, const char *value,
			 struct rotate_limits *limits)
{
	uint32_t packets = 0;
	int ret = value_number(option, value, 1, UINT32_MAX, &packets);

	if (!ret)
		limits->packets = packets;

	return ret;
}

static int parse_files(const char *option, const char *value,
		       struct rotate_limits *limits)
{
	uint32_t files = 0;
	int ret = value_number(option, value, 1, FILES_MAX, &files);

	if (!ret)
		limits->files = files;

	return ret;
}

/*
 * One KEY:N, as dumpcap(1) has them, into @limits, where what other options
 * have set stays. Returns 0, or -EINVAL, reported.
 */
int value_limit(const char *option, const char *value,
		struct rotate_limits *limits)
{
	static const struct {
		const char *name;
		int (*parse)(const char *option, const char *value,
			     struct rotate_limits *limits);
	} keys[] = {
		{ "duration", parse_duration },
		{ "filesize", parse_filesize },
		{ "packets", parse_packets },
		{ "files", parse_files },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t length = strlen(keys[i].name);
		autofree char *whole = NULL;

		if (strncmp(value, keys[i].name, length) != 0 ||
		    value[length] != ':')
			continue;
		whole = xasprintf("%s %s", option, keys[i].name);

		return keys[i].parse(whole, value + length + 1, limits);
	}

	return refuse("%s takes duration:S, filesize:KB, packets:N or files:N, "
		      "not '%s'",
		      option, value);
}
