/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_FOREIGN_INTERNAL_H
#define NSNTRACE_NETLINK_FOREIGN_INTERNAL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/foreign.h"

/* A rule's comment as the kernel keeps it: type, size, text. */
struct comment {
	uint8_t bytes[2 + FOREIGN_TAG_SIZE];
	size_t size;
};

struct comment foreign_comment(const char *tag);
bool foreign_is_comment(const struct nlattr *userdata,
			const struct comment *comment);
const char *foreign_text(const struct nlattr *attr);

#endif
