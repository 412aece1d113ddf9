/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_PROLOGUE_H
#define NSNTRACE_CAPTURE_PROLOGUE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/source.h"

/* An interface whose packets a socket of all interfaces lets through. */
struct prologue_interface {
	uint32_t index;
	bool loopback;
};

int prologue_prepend(const struct prologue_interface *interfaces,
		     unsigned count, const struct capture_filter *filter,
		     uint32_t snaplen, struct sock_filter *program);

#endif
