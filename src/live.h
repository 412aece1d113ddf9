/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_LIVE_H
#define NSNTRACE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

/* The line at the foot of the terminal that says how a run goes. */
struct live {
	int tty;	  /* never blocks; -1: there is no line in this run */
	uint64_t started; /* the program: ns of CLOCK_MONOTONIC; 0: not yet */
	uint64_t next;	  /* look at the terminal then */
	unsigned rows;	  /* of the terminal, if the line is there; else 0 */
};

#define LIVE_NONE ((struct live){ .tty = -1 })

void live_open(struct live *live);
void live_start(struct live *live);
int live_timeout(const struct live *live);
bool live_is_due(struct live *live);
unsigned live_room(const struct live *live);
void live_draw(struct live *live, const struct message_progress *progress);
void live_hide(struct live *live);
void live_close(struct live *live);
void live_reset(unsigned rows);
void live_repaint(void);

void live_format(char *text, size_t size,
		 const struct message_progress *progress, uint64_t seconds);

#endif
