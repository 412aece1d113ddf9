/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_LIVE_H
#define NSNTRACE_CAPTURE_LIVE_H

/* What every source that reads a ring of the kernel's goes by. */

/* A block of the ring is ours this long (ms) after its first packet. */
#define BLOCK_TIMEOUT_MS 10

/*
 * A packet may be stamped before it is counted, as it passes a backlog: this
 * long (ns) before the count was read nothing new appears. What came later is
 * settled by another look after as long.
 */
#define SLACK	  2000000
#define SETTLE_MS 3

/* No count is waited for longer than this (ms) if no frame comes. */
#define STALL_MS 1000

#endif
