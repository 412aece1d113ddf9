/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_FD_H
#define NSNTRACE_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

/* Close a descriptor when its variable goes out of scope. */
#define autoclose __attribute__((cleanup(fd_close)))

/* Free a pointer when its variable goes out of scope. */
#define autofree __attribute__((cleanup(free_pointer)))

void fd_close(int *fd);
void free_pointer(void *pointer);
int take_fd(int *fd);
bool means_absent(int err);
bool file_exists(const char *path);
int write_all(int fd, const void *bytes, size_t size);
int fd_close_inherited(void);
void fd_close_others(int *keep, size_t count);
int fd_standard_streams(void);
int fd_leave_standard_streams(void);

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *string);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
