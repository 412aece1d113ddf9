/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_STATE_H
#define NSNTRACE_STATE_H

#include <stdbool.h>

#define STATE_DIR "/run/nsntrace"

/* How the names of records begin. */
#define STATE_RUN    "run."
#define STATE_SYSCTL "sysctl."

/* Beside them where the namespace goes with its runs; see doctor_trial.c. */
#define STATE_TRIAL ".trial"

char *state_directory(int socket);
int state_open(const char *dir, const char *path);
int state_lock(int fd, int how);
bool state_is_current(int fd, const char *path);
void state_remove_directories(const char *dir);

#endif
