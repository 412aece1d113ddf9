/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_STAGE_H
#define NSNTRACE_CAPTURE_STAGE_H

#include <stdint.h>

#include "capture/queue.h"

/*
 * What may look at, change or hold back frames on their way to the writer.
 * Stages are joined in a row; each passes on to its next one.
 */
struct stage {
	const struct stage_ops *ops;
	struct stage *next;
};

struct stage_ops {
	/* Take ownership of a batch. Frames go on by stage_frame(). */
	int (*push)(struct stage *stage, struct batch *batch);
	/* One frame, valid during the call only. */
	int (*frame)(struct stage *stage, struct frame *frame);
	/* Time has passed: @now is in nanoseconds since the epoch. */
	int (*tick)(struct stage *stage, uint64_t now);
	/* No more will come: let go of all that is held. */
	int (*flush)(struct stage *stage);
	void (*free)(struct stage *stage);
};

#endif
