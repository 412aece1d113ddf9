/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_MOUNTS_H
#define NSNTRACE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#define MOUNTS_HIDDEN_MAX 4

/*
 * What the program sees otherwise than the host, in a mount namespace of its
 * own. All zero: nothing, and then there is no such namespace.
 */
struct mounts {
	/* Sockets of name services that would answer outside the namespace. */
	const char *hidden[MOUNTS_HIDDEN_MAX];
	size_t hidden_count;
	/* What /etc/resolv.conf says instead; NULL: what the host's says. */
	const char *resolv_conf;
};

bool mounts_needed(const struct mounts *mounts);
int mounts_enter(const struct mounts *mounts);
int mounts_watch(const struct mounts *mounts);
int mounts_changed(const struct mounts *mounts, int watch_fd, int mount_ns);

#endif
