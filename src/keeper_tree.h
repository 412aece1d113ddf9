/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_KEEPER_TREE_H
#define NSNTRACE_KEEPER_TREE_H

#include "keeper_loop.h"

int keeper_make_cgroup(struct keeper *keeper);
int keeper_hold_tree(struct keeper *keeper);
bool keeper_has_left(const struct keeper *keeper);
void keeper_find_left(struct keeper *keeper, struct left *left);
void keeper_end_left(struct keeper *keeper);
void keeper_kill_all(struct keeper *keeper);

#endif
