/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_STAGE_H
#define NSNTRACE_CAPTURE_STAGE_H

#include "capture/frame.h"

/*
 * What may look at, change or hold back frames on their way to the writer.
 * Stages are joined in a row behind the merge; each hands on to its next one.
 */
struct stage {
	const struct stage_ops *ops;
	struct stage *next;
};

struct stage_ops {
	/* One frame, which lives until merge_recycle(). */
	void (*frame)(struct stage *stage, struct frame *frame);
};

static inline void stage_frame(struct stage *stage, struct frame *frame)
{
	stage->ops->frame(stage, frame);
}

#endif
