/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_SYSCTL_H
#define NSNTRACE_BASE_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

/* Room for any value that is handled here. */
#define SYSCTL_VALUE_SIZE 128

int sysctl_read(const char *name, char value[SYSCTL_VALUE_SIZE]);
int sysctl_write(const char *name, const char *value);
int sysctl_try(const char *name);
bool sysctl_exists(const char *name);
bool sysctl_is(const char *name, const char *value);

#endif
