/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a file is full, and what the files of a rotation are called: both as
 * dumpcap(1) has it. Pure; changing the files is sink.c's business, opening and
 * removing them that of whoever has the rights.
 */
#include "capture/rotate.h"

#include <limits.h>
#include <string.h>

#include "base/fd.h"

#define NANOSECONDS_PER_MS 1000000

static bool is_at(uint64_t limit, uint64_t so_far)
{
	return limit && so_far >= limit;
}

/* Whether one of @limits is reached by what came @so_far. */
bool rotate_reached(const struct rotate_limits *limits,
		    const struct rotate_limits *so_far)
{
	return is_at(limits->bytes, so_far->bytes) ||
	       is_at(limits->packets, so_far->packets) ||
	       is_at(limits->duration, so_far->duration) ||
	       is_at(limits->files, so_far->files);
}

/*
 * Milliseconds until @limits are reached by time alone, @elapsed nanoseconds
 * after the start; -1 if that is past, or never.
 */
int rotate_wait(const struct rotate_limits *limits, uint64_t elapsed)
{
	uint64_t left;

	if (!limits->duration || elapsed >= limits->duration)
		return -1;

	/* One more, as the rest of a millisecond is waited for too. */
	left = (limits->duration - elapsed) / NANOSECONDS_PER_MS + 1;

	return left < INT_MAX ? (int)left : INT_MAX;
}

/*
 * Where the suffix of @name begins, from its last dot on; at its end if there
 * is none. A dot that the name begins with hides the file, and is no suffix.
 */
static const char *suffix_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	const char *dot = strrchr(base, '.');

	return dot && dot != base ? dot : base + strlen(base);
}

/*
 * The name of file @number of a rotation, from 1 on, that is begun at @when:
 * trace.pcap becomes trace_00001_20261120193000.pcap, in local time. Unlike
 * dumpcap's, which begin again after 99999, numbers grow on. The caller frees
 * what is returned.
 */
char *rotate_name(const char *name, unsigned number, time_t when)
{
	const char *suffix = suffix_of(name);
	char stamp[32];
	struct tm local;

	localtime_r(&when, &local);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &local);

	return xasprintf("%.*s_%05u_%s%s", (int)(suffix - name), name, number,
			 stamp, suffix);
}
