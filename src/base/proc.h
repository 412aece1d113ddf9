/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_PROC_H
#define NSNTRACE_BASE_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* As long as the kernel lets a name be, and the NUL. */
#define PROC_NAME_SIZE 16

typedef void proc_each(pid_t pid, void *context);

pid_t proc_fork(int *pidfd);
pid_t proc_fork_into_cgroup(int cgroup_fd, int *pidfd);
int proc_signal(int pidfd, int signo);
void proc_die_with_parent(pid_t parent);
bool proc_is_among(const pid_t *pids, size_t count, pid_t pid);
int proc_netns_open(pid_t pid);
uint64_t proc_netns_inode(int netns_fd);
int proc_name(pid_t pid, char name[PROC_NAME_SIZE]);
unsigned proc_each_in_netns(uint64_t inode, const pid_t *except, size_t count,
			    proc_each *each, void *context);
void proc_kill_netns(uint64_t inode, const pid_t *except, size_t count);

int signals_open(const sigset_t *set);
int exit_status(int wstatus);

#endif
