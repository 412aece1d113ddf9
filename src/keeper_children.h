/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_KEEPER_CHILDREN_H
#define NSNTRACE_KEEPER_CHILDREN_H

#include <stdbool.h>

#include "keeper_loop.h"

int keeper_start_tracer(struct keeper *keeper);
int keeper_start_relay(struct keeper *keeper);
int keeper_take_ports(struct keeper *keeper);
int keeper_start_publisher(struct keeper *keeper);
void keeper_stop_relays(struct keeper *keeper);
void keeper_end_relays(struct keeper *keeper, bool wait);

#endif
