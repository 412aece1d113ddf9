/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_FORWARD_H
#define NSNTRACE_UPLINK_FORWARD_H

#include "uplink/uplink.h"

int forward_link(struct uplink *uplink);
int forward_by(struct uplink *uplink, const char *interface);
int forward_loosen(struct uplink *uplink, const char *device);

#endif
