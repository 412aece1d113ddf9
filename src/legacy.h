/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_LEGACY_H
#define NSNTRACE_LEGACY_H

#include <stdbool.h>
#include <sys/socket.h>

const char *legacy_name(sa_family_t family);
bool legacy_in_use(sa_family_t family);
int legacy_accept(sa_family_t family, const char *interface, const char *tag);
int legacy_withdraw(sa_family_t family, const char *interface, const char *tag);

#endif
