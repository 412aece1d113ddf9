/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors and memory whose owner can be seen in the code: closed or freed
 * at the end of scope, handed on by a verb. Out of memory ends the process.
 */
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Close *@fd if it is open, and mark it closed. errno is kept. */
void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* For autofree: @pointer is the address of the pointer to be freed. */
void free_pointer(void *pointer)
{
	void **held = pointer;

	free(*held);
	*held = NULL;
}

/* Whether @err of open(2) and the like says that there is no such file. */
bool means_absent(int err)
{
	return err == ENOENT || err == ENOTDIR || err == ELOOP;
}

/* Whether there is a file; so there is where one cannot look. */
bool file_exists(const char *path)
{
	return access(path, F_OK) == 0 || !means_absent(errno);
}

/* Hand the descriptor on: the caller owns what is returned, *@fd is closed. */
int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;

	return taken;
}

/* Write all @size bytes. Returns 0, or -errno of the write that failed. */
int write_all(int fd, const void *bytes, size_t size)
{
	const char *next = bytes;

	while (size) {
		ssize_t written = write(fd, next, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		next += written;
		size -= (size_t)written;
	}

	return 0;
}

/*
 * Close every descriptor above 2 that is not close-on-exec. All of ours are, so
 * what is left are those that the user's shell handed to the program; whoever
 * else keeps one would keep the user's pipe open. Returns 0 or -errno.
 */
int fd_close_inherited(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		int flags = fd > 2 ? fcntl(fd, F_GETFD) : -1;

		if (flags >= 0 && !(flags & FD_CLOEXEC))
			close(fd);
	}
	closedir(dir);

	return 0;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* With one call, which is of Linux 5.9, or with very many. */
static void close_between(unsigned first, unsigned last)
{
	unsigned end = (unsigned)sysconf(_SC_OPEN_MAX);

	if (close_range(first, last, 0) == 0)
		return;
	for (unsigned fd = first; fd <= last && fd < end; fd++)
		close((int)fd);
}

/*
 * Close every descriptor above 2 but the @count ones in @keep, which is put in
 * order.
 */
void fd_close_others(int *keep, size_t count)
{
	unsigned next = 3;

	qsort(keep, count, sizeof(*keep), compare_ints);
	for (size_t i = 0; i < count; i++) {
		if ((unsigned)keep[i] > next)
			close_between(next, (unsigned)keep[i] - 1);
		next = (unsigned)keep[i] + 1;
	}
	close_between(next, ~0U);
}

/*
 * Make sure that 0, 1 and 2 exist, so that no descriptor of ours ever becomes
 * the program's standard output. One that was closed still cannot be used, as
 * it is open in the other direction. Returns 0 or -errno.
 */
int fd_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free number is @fd itself. */
		if (open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
			return -errno;
	}

	return 0;
}

/*
 * Let go of the user's terminal and pipes: 0, 1 and 2 lead nowhere from now
 * on. Returns 0 or -errno.
 */
int fd_leave_standard_streams(void)
{
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++) {
		if (dup2(null, fd) < 0)
			return -errno;
	}

	return 0;
}

/* calloc() that cannot fail. */
void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		die_no_memory();

	return memory;
}

/* realloc() that cannot fail. */
void *xrealloc(void *pointer, size_t size)
{
	void *memory = realloc(pointer, size);

	if (!memory)
		die_no_memory();

	return memory;
}

/* strdup() that cannot fail. */
char *xstrdup(const char *string)
{
	char *copy = strdup(string);

	if (!copy)
		die_no_memory();

	return copy;
}

/* asprintf() that cannot fail; the caller frees what is returned. */
char *xasprintf(const char *fmt, ...)
{
	char *string;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&string, fmt, args) < 0)
		die_no_memory();
	va_end(args);

	return string;
}
