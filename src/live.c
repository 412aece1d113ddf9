/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live line of a long run. The program writes to the same terminal without
 * us: so the bottom row is taken out of what scrolls, as apt does, and the line
 * is drawn there in single writes that leave the cursor where it was. A program
 * that does more with the terminal than to write lines has it for itself. When
 * to look and where the numbers come from is left to front.
 */
#include "live.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* A run is long from here on. */
#define FIRST_NS 2000000000

#define TICK_NS 1000000000

/* What is smaller has no row to spare, or no room for the numbers. */
#define ROWS_MIN    5
#define COLUMNS_MIN 40

/* How long the rest of a sequence that was begun may take. */
#define REST_MS 100

#define SEQUENCE_MAX 512
#define TEXT_MAX     128
#define GROUPED_MAX  27 /* 2^64 - 1, six commas and the end */

/* Of ECMA-48 and DEC's VT100, as far as every terminal knows it. */
#define SAVE_CURSOR    "\0337" /* and what letters look like */
#define RESTORE_CURSOR "\0338"
#define INDEX	       "\033D" /* down, in the same column; may scroll */
#define UP	       "\033[A"
#define FIRST_COLUMN   "\033[G"
#define GO_TO_ROW      "\033[%u;1H"
#define ERASE_ROW      "\033[m\033[2K"
#define ERASE_BELOW    "\033[m\033[J"
#define REVERSE	       "\033[7m"
/* Both send the cursor home. */
#define SCROLL_ALL    "\033[r"
#define SCROLL_TO_ROW "\033[1;%ur"

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

/*
 * Write all of @text or nothing of it: half a sequence would garble what the
 * program writes next. Returns false if the terminal takes nothing now, as
 * after Ctrl-S.
 */
static bool put(int fd, const char *text)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	size_t left = strlen(text);
	ssize_t done = write(fd, text, left);

	if (done < 0)
		return false;
	while ((left -= (size_t)done) > 0) {
		text += done;
		if (poll(&room, 1, REST_MS) <= 0)
			break;
		done = write(fd, text, left);
		if (done < 0)
			break;
	}

	return true;
}

/*
 * Open the terminal, as no file can be opened for writing later on. There will
 * be a line only if standard error is the controlling terminal, and one that
 * knows the sequences.
 */
void live_open(struct live *live)
{
	const char *kind = getenv("TERM");

	if (!kind || !*kind || strcmp(kind, "dumb") == 0)
		return;
	if (tcgetpgrp(STDERR_FILENO) < 0)
		return;
	live->tty = open_terminal();
}

/* The program begins now. */
void live_start(struct live *live)
{
	live->started = clock_monotonic_ns();
	live->next = live->started + FIRST_NS;
}

/* For poll(2): milliseconds until live_is_due(), or -1. */
int live_timeout(const struct live *live)
{
	uint64_t now = clock_monotonic_ns();

	if (live->tty < 0 || !live->started)
		return -1;

	return live->next > now ? (int)((live->next - now) / 1000000) + 1 : 0;
}

/* Whether it is time to look at the terminal; then it is again in a second. */
bool live_is_due(struct live *live)
{
	uint64_t now = clock_monotonic_ns();

	if (live->tty < 0 || !live->started || now < live->next)
		return false;
	live->next = now + TICK_NS;

	return true;
}

/*
 * Whether the line may be there now: not in the background, nor where it is
 * small, nor where somebody reads keys or hides them, which editors, pagers,
 * shells and whoever asks for a password do.
 */
static bool is_ours(const struct live *live, struct winsize *size)
{
	struct termios mode;

	if (live->tty < 0 || tcgetpgrp(live->tty) != getpgrp() ||
	    tcgetattr(live->tty, &mode) < 0 ||
	    ioctl(live->tty, TIOCGWINSZ, size) < 0)
		return false;

	return (mode.c_lflag & ICANON) && (mode.c_lflag & ECHO) &&
	       size->ws_row >= ROWS_MIN && size->ws_col >= COLUMNS_MIN;
}

/* The rows of the terminal, or 0 if the line may not be there now. */
unsigned live_room(const struct live *live)
{
	struct winsize size;

	return is_ours(live, &size) ? size.ws_row : 0;
}

/*
 * Take the bottom row out of what scrolls. If the cursor is there, it goes up
 * with all the rest. After a change of size the old line is somewhere below it.
 */
static bool reserve(struct live *live, unsigned rows)
{
	char text[SEQUENCE_MAX];

	snprintf(text, sizeof(text),
		 SAVE_CURSOR SCROLL_ALL RESTORE_CURSOR INDEX
		 "%s" UP SAVE_CURSOR SCROLL_TO_ROW RESTORE_CURSOR,
		 live->rows
			 ? SAVE_CURSOR FIRST_COLUMN ERASE_BELOW RESTORE_CURSOR
			 : "",
		 rows - 1);
	if (!put(live->tty, text))
		return false;
	live->rows = rows;

	return true;
}

/*
 * Draw the line, if there is room for it. What scrolls is told anew each time,
 * as the program may have told otherwise.
 */
void live_draw(struct live *live, const struct message_progress *progress)
{
	uint64_t seconds = (clock_monotonic_ns() - live->started) / 1000000000;
	char line[TEXT_MAX], text[SEQUENCE_MAX];
	struct winsize size;

	if (!is_ours(live, &size) ||
	    (size.ws_row != live->rows && !reserve(live, size.ws_row)))
		return;
	live_format(line, sizeof(line), progress, seconds);
	/* Nothing in the last column, where it might wrap. */
	snprintf(text, sizeof(text),
		 SAVE_CURSOR SCROLL_TO_ROW GO_TO_ROW ERASE_ROW REVERSE
		 "%.*s" RESTORE_CURSOR,
		 live->rows - 1U, live->rows, size.ws_col - 1, line);
	put(live->tty, text);
}

static const char *hiding(char *text, size_t size, unsigned rows)
{
	snprintf(text, size,
		 SAVE_CURSOR SCROLL_ALL GO_TO_ROW ERASE_ROW RESTORE_CURSOR,
		 rows);

	return text;
}

/* Give the row back. If the terminal takes nothing now, the line stays. */
void live_hide(struct live *live)
{
	char text[SEQUENCE_MAX];

	if (live->rows &&
	    put(live->tty, hiding(text, sizeof(text), live->rows)))
		live->rows = 0;
}

/*
 * There will be no line any more. What comes next are lines on standard error,
 * and like them this waits for a terminal that was stopped.
 */
void live_close(struct live *live)
{
	char text[SEQUENCE_MAX];

	if (live->rows)
		put(STDERR_FILENO, hiding(text, sizeof(text), live->rows));
	live->rows = 0;
	fd_close(&live->tty);
}

/*
 * Give the row back in place of a process that cannot: the controlling terminal
 * had @rows when the line was drawn there.
 */
void live_reset(unsigned rows)
{
	autoclose int tty = open_terminal();
	char text[SEQUENCE_MAX];

	if (tty >= 0)
		put(tty, hiding(text, sizeof(text), rows));
}

/*
 * Have those who are in the foreground of the controlling terminal draw anew
 * what they have there, by the signal that a change of its size would send.
 */
void live_repaint(void)
{
	autoclose int tty = open_terminal();
	pid_t group = tty < 0 ? -1 : tcgetpgrp(tty);

	if (group > 0)
		kill(-group, SIGWINCH);
}

/* @number with its digits in groups of three, in at most GROUPED_MAX bytes. */
static const char *grouped(char *text, uint64_t number)
{
	char *at = text + GROUPED_MAX - 1;
	unsigned digits = 0;

	*at = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + number % 10);
		number /= 10;
		digits++;
	} while (number);

	return at;
}

static void format_bytes(char *text, size_t size, uint64_t bytes)
{
	static const char *const units[] = {
		"kB", "MB", "GB", "TB", "PB", "EB"
	};
	size_t unit = 0;
	uint64_t tenths;

	if (bytes < 1000) {
		snprintf(text, size, "%" PRIu64 " bytes", bytes);
		return;
	}
	for (; bytes >= 1000000; unit++)
		bytes /= 1000;
	/* Cut, not rounded: no more is said than there is. */
	tenths = bytes / 100;
	snprintf(text, size, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10,
		 tenths % 10, units[unit]);
}

static void format_time(char *text, size_t size, uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60;

	if (hours)
		snprintf(text, size, "%" PRIu64 ":%02u:%02u", hours,
			 (unsigned)(minutes % 60), (unsigned)(seconds % 60));
	else
		snprintf(text, size, "%" PRIu64 ":%02u", minutes,
			 (unsigned)(seconds % 60));
}

/*
 * "1,234 packets, 5.6 MB, 0 dropped, 0:12" for a run that has lasted @seconds.
 * What is of most interest comes first, as the end may be cut.
 */
void live_format(char *text, size_t size,
		 const struct message_progress *progress, uint64_t seconds)
{
	char packets[GROUPED_MAX], dropped[GROUPED_MAX], bytes[32], time[32];

	format_bytes(bytes, sizeof(bytes), progress->bytes);
	format_time(time, sizeof(time), seconds);
	snprintf(text, size, "%s packets, %s, %s dropped, %s",
		 grouped(packets, progress->packets), bytes,
		 grouped(dropped, progress->dropped), time);
}
