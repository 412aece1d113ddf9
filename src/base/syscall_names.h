/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_SYSCALL_NAMES_H
#define NSNTRACE_BASE_SYSCALL_NAMES_H

/* A system call of this architecture, as the headers of the kernel name it. */
struct syscall_name {
	int number;
	const char *name;
};

/* All of them, made by the build; the last one's name is NULL. */
extern const struct syscall_name syscall_names[];

#endif
