/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_POLICY_H
#define NSNTRACE_UPLINK_POLICY_H

#include "uplink/uplink.h"

int policy_install(const struct uplink *uplink);
int policy_follow(const struct uplink *uplink, uint32_t device);

#endif
