/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_CHECKSUM_H
#define NSNTRACE_CAPTURE_CHECKSUM_H

#include "capture/source.h"
#include "capture/stage.h"

/* Completes the checksums that the kernel left to hardware. */
struct checksum_stage {
	struct stage stage;
	const struct capture_interface *interfaces;
};

void checksum_init(struct checksum_stage *checksum,
		   const struct capture_interface *interfaces,
		   struct stage *next);

#endif
