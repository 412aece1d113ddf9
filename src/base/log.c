/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nsntrace says, one line at a time. A line goes to standard error in one
 * write, or, in the processes that must not hold the user's terminal, to a sink
 * that carries it to the process that does.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static enum log_level log_level = LOG_LEVEL_NOTE;
static log_sink *log_sink_function;
static void *log_sink_context;
static atomic_bool log_told;

/* Choose what is said; everything above @level is dropped. */
void log_set_level(enum log_level level)
{
	log_level = level;
}

/* Whether a line of @level would be said at all. */
bool log_enabled(enum log_level level)
{
	return level <= log_level;
}

/*
 * Whether an error was told by this process or through it: what comes of it
 * need not be told as well.
 */
bool log_told_error(void)
{
	return log_told;
}

/* Send every line to @sink from now on; NULL means standard error. */
void log_set_sink(log_sink *sink, void *context)
{
	log_sink_function = sink;
	log_sink_context = context;
}

/*
 * When this run began, in nanoseconds of CLOCK_MONOTONIC: the time of the first
 * call. Children inherit it, so that all processes of a run tell the same time.
 */
uint64_t log_started(void)
{
	static uint64_t started;

	if (!started)
		started = clock_monotonic_ns();

	return started;
}

/* Lines longer than this are cut: they must fit one message of a channel. */
#define LINE_MAX_BYTES 1024

/*
 * Names of files, users and processes may hold what moves a terminal's cursor,
 * or a line's end: control characters, and those of ISO 6429 that UTF-8 has as
 * C2 80 to C2 9F.
 */
static void disarm(char *line)
{
	for (char *c = line; *c; c++) {
		bool last = c[0] == '\n' && !c[1];
		uint8_t byte = (uint8_t)c[0];
		uint8_t next = (uint8_t)c[1];

		if (byte == 0xc2 && next >= 0x80 && next <= 0x9f)
			c[0] = c[1] = '?';
		else if ((byte < ' ' || byte == 0x7f) && !last)
			c[0] = '?';
	}
}

#define HINT "nsntrace: hint: "

static atomic_bool hinted;

/* Whether the user was given a hint by any line that went through here. */
bool log_hinted(void)
{
	return hinted;
}

/*
 * Nobody can be told that standard error does not work. A program that is done
 * may have left it non-blocking and full, which is not the same.
 */
static void put(const char *text, size_t size)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (size) {
		ssize_t written = write(STDERR_FILENO, text, size);

		if (written < 0 && errno != EAGAIN && errno != EINTR)
			return;
		if (written < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
		if (written < 0)
			continue;
		text += written;
		size -= (size_t)written;
	}
}

/*
 * Say a finished @line (with its newline), if @level is to be said; control
 * characters in it become question marks.
 */
void log_line(enum log_level level, const char *line)
{
	char text[LINE_MAX_BYTES];

	if (!log_enabled(level))
		return;
	if (level == LOG_LEVEL_ERROR)
		log_told = true;

	snprintf(text, sizeof(text), "%s", line);
	disarm(text);
	if (!strncmp(line, HINT, strlen(HINT)))
		hinted = true;
	if (log_sink_function) {
		log_sink_function(level, text, log_sink_context);
		return;
	}

	put(text, strlen(text));
}

static void say(enum log_level level, const char *prefix, const char *fmt,
		va_list args, const char *reason)
	__attribute__((format(printf, 3, 0)));

static void say(enum log_level level, const char *prefix, const char *fmt,
		va_list args, const char *reason)
{
	char line[LINE_MAX_BYTES];
	int used;

	if (!log_enabled(level))
		return;

	used = snprintf(line, sizeof(line), "%s", prefix);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, args);
	if (reason && used < (int)sizeof(line))
		used += snprintf(line + used, sizeof(line) - (size_t)used,
				 ": %s", reason);
	if (used > (int)sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used] = '\n';
	line[used + 1] = '\0';

	log_line(level, line);
}

/*
 * Report once that something failed with @err, a positive errno, and hand the
 * error back as -@err, so that callers can return it untouched.
 */
int fail(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(LOG_LEVEL_ERROR, "nsntrace: ", fmt, args, strerror(err));
	va_end(args);

	return -err;
}

/* Report that what the user asked for cannot be; there is no errno to it. */
int refuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(LOG_LEVEL_ERROR, "nsntrace: ", fmt, args, NULL);
	va_end(args);

	return -EINVAL;
}

/* The second line of an error: what the user can do about it. */
void hint(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(LOG_LEVEL_ERROR, HINT, fmt, args, NULL);
	va_end(args);
}

/* The run goes on, but not quite as the user may think. */
void warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(LOG_LEVEL_WARNING, "nsntrace: warning: ", fmt, args, NULL);
	va_end(args);
}

/* A line of the run's normal report. */
void note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(LOG_LEVEL_NOTE, "", fmt, args, NULL);
	va_end(args);
}

/* A step of the run, with the milliseconds since the run began. */
void debug(const char *fmt, ...)
{
	char prefix[48];
	uint64_t micros = (clock_monotonic_ns() - log_started()) / 1000;
	va_list args;

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;

	snprintf(prefix, sizeof(prefix), "nsntrace: %4llu.%03llu ms: ",
		 (unsigned long long)micros / 1000,
		 (unsigned long long)micros % 1000);
	va_start(args, fmt);
	say(LOG_LEVEL_DEBUG, prefix, fmt, args, NULL);
	va_end(args);
}

/* What is still to be done by a process that ends for lack of memory. */
static void (*last_act)(void *context);
static void *last_act_context;

/* Have die_no_memory() call @act with @context once; NULL: no more. */
void before_dying(void (*act)(void *context), void *context)
{
	last_act = act;
	last_act_context = context;
}

/* Out of memory: nobody handles it better than by ending here. */
void die_no_memory(void)
{
	void (*act)(void *context) = last_act;

	/* It may well be short of memory too. */
	last_act = NULL;
	fail(ENOMEM, "cannot go on");
	if (act)
		act(last_act_context);
	_exit(125);
}
