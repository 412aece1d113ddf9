/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UPLINK_ANSWERS_H
#define NSNTRACE_UPLINK_ANSWERS_H

#include "uplink/uplink.h"

int answers_lead_back(const struct uplink *uplink);

#endif
