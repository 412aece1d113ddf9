/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_LOG_H
#define NSNTRACE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* What is said: with -q up to warnings, with -v all of it. */
enum log_level {
	LOG_LEVEL_ERROR,   /* errors and the hints that go with them */
	LOG_LEVEL_WARNING, /* the run goes on, but the user should know */
	LOG_LEVEL_NOTE,	   /* the run's own lines: banner, summary */
	LOG_LEVEL_DEBUG,   /* every step, with its time */
};

/* Takes one finished line, with its newline. */
typedef void log_sink(enum log_level level, const char *line, void *context);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
bool log_told_error(void);
void log_set_sink(log_sink *sink, void *context);
void log_line(enum log_level level, const char *line);
bool log_hinted(void);
uint64_t log_started(void);

int fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void before_dying(void (*act)(void *context), void *context);
void die_no_memory(void) __attribute__((noreturn));

#endif
