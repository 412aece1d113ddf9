/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_CGROUP_H
#define NSNTRACE_BASE_CGROUP_H

#include <stddef.h>
#include <sys/types.h>

/* A cgroup (v2) of the run; all descriptors -1 where there is none. */
struct cgroup {
	int dir;
	int kill; /* writing "1" kills all in it, whoever writes (5.14) */
	char *path;
};

#define CGROUP_NONE ((struct cgroup){ .dir = -1, .kill = -1 })

char *cgroup_own_path(const char *controller);
int cgroup_create(struct cgroup *cgroup, const char *path);
int cgroup_kill(int kill_fd);
int cgroup_move(const char *path, pid_t pid);
int cgroup_remove(const char *path, unsigned *moved);
void cgroup_close(struct cgroup *cgroup);

#endif
