/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_REPORT_H
#define NSNTRACE_REPORT_H

#include "channel.h"
#include "plan.h"

void report_start(const struct plan *plan, const struct run *run);
void report_end(const struct plan *plan,
		const struct message_finished *finished);

#endif
