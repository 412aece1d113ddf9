/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_FRONT_H
#define NSNTRACE_FRONT_H

#include "plan.h"

/* Status of nsntrace itself failing, and of exec failing (see env(1)). */
#define STATUS_FAILED	      125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

int front_run(const struct plan *plan);

#endif
