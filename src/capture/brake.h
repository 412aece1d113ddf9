/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_BRAKE_H
#define NSNTRACE_CAPTURE_BRAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/freezer.h"

/* What freezes the program while the queue is too full. */
struct brake {
	struct freezer freezer;
	size_t high; /* bytes in the queue: freeze */
	size_t low;  /* thaw */
	atomic_bool wanted;
	pthread_t thread;
	int wake_fd; /* of the thread; -1: there is none */
	atomic_bool ended;
	pthread_mutex_t lock; /* for all that follows */
	bool on;
	bool given_up;
	uint64_t since; /* ns of CLOCK_MONOTONIC, while it is on */
	uint64_t times;
	uint64_t total; /* ns, of the times that are over */
};

void brake_init(struct brake *brake, const struct freezer *freezer,
		size_t limit);
bool brake_weigh(struct brake *brake, size_t taken, bool late);
void brake_start(struct brake *brake);
void brake_tell(struct brake *brake);
void brake_give_up(struct brake *brake);
void brake_stop(struct brake *brake);

#endif
