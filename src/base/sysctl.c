/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values below /proc/sys, by their path there ("net/ipv4/ip_forward": a dot
 * would be ambiguous, as interface names have dots). What lies under net/ is
 * that of the caller's network namespace. Silent: the callers report.
 */
#include "base/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

static int open_sysctl(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Read a value without its newline. Returns 0 or -errno. */
int sysctl_read(const char *name, char value[SYSCTL_VALUE_SIZE])
{
	autoclose int fd = open_sysctl(name, O_RDONLY);
	ssize_t size;

	if (fd < 0)
		return fd;
	size = read(fd, value, SYSCTL_VALUE_SIZE - 1);
	if (size < 0)
		return -errno;
	value[size] = '\0';
	value[strcspn(value, "\n")] = '\0';

	return 0;
}

/* Write a value. Returns 0 or -errno. */
int sysctl_write(const char *name, const char *value)
{
	autoclose int fd = open_sysctl(name, O_WRONLY);

	if (fd < 0)
		return fd;

	return write_all(fd, value, strlen(value));
}

/* Find out whether a value could be written. Returns 0 or -errno. */
int sysctl_try(const char *name)
{
	autoclose int fd = open_sysctl(name, O_WRONLY);

	return fd < 0 ? fd : 0;
}

/*
 * Whether this kernel, or this interface, has the value at all. So has it what
 * cannot be looked at: its use tells why.
 */
bool sysctl_exists(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);

	return file_exists(path);
}

/* Whether the value can be read and equals @value. */
bool sysctl_is(const char *name, const char *value)
{
	char now[SYSCTL_VALUE_SIZE];

	return sysctl_read(name, now) == 0 && strcmp(now, value) == 0;
}
