/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_UNDO_H
#define NSNTRACE_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink/nft.h"
#include "netlink/rtnl.h"

/* What this run changed on the host and must put back. */
struct undo;

int undo_begin(struct undo **undo, struct rtnl *rtnl);
int undo_open(struct undo **undo, struct rtnl *rtnl);
int undo_sysctl(struct undo *undo, const char *name, const char *value);
int undo_rule(struct undo *undo, const struct rule *rule);
int undo_rule_to(struct undo *undo, const struct rule *rule);
int undo_link(struct undo *undo, uint32_t index, const char *name);
int undo_table(struct undo *undo, const char *name);
int undo_connections(struct undo *undo, const struct ip *ip);
int undo_accepts(struct undo *undo, struct nft *nft, const char *tag);
int undo_legacy(struct undo *undo, sa_family_t family, const char *interface,
		const char *tag);
int undo_cgroup(struct undo *undo, const char *path);
void undo_all(struct undo *undo);

#endif
