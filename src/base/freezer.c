/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing a cgroup, with the freezer of cgroup v2 or of v1. Unlike SIGSTOP
 * nobody sees it: no shell inside, no parent, no waitpid(2). When it is to be
 * done is left to others; silent, as they know what it is for.
 */
#include "base/freezer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* Kernel: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer... */
static const struct {
	const char *file;
	const char *frozen;
	const char *thawed;
} kinds[] = {
	[FREEZER_CGROUP2] = { "cgroup.freeze", "1", "0" },
	[FREEZER_CGROUP1] = { "freezer.state", "FROZEN", "THAWED" },
};

/*
 * Open the switch of the cgroup in the directory @cgroup. Whoever holds it can
 * use it, also without the rights that opening it took.
 *
 * Returns 0, or -errno with @freezer as it was.
 */
int freezer_open(struct freezer *freezer, enum freezer_kind kind,
		 const char *cgroup)
{
	autofree char *path = xasprintf("%s/%s", cgroup, kinds[kind].file);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*freezer = (struct freezer){ .kind = kind, .fd = fd };

	return 0;
}

/*
 * Freeze all in the cgroup, now or as soon as they leave the kernel; or let
 * them go on. Doing it twice does no harm. Returns 0, also where there is no
 * freezer, or -errno.
 */
int freezer_set(const struct freezer *freezer, bool frozen)
{
	const char *text = frozen ? kinds[freezer->kind].frozen
				  : kinds[freezer->kind].thawed;

	if (freezer->fd < 0)
		return 0;

	return write(freezer->fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Whether the cgroup is, or is being, frozen by its own switch. */
bool freezer_is_set(const struct freezer *freezer)
{
	const char *thawed = kinds[freezer->kind].thawed;
	char text[16] = "";

	return freezer->fd >= 0 &&
	       pread(freezer->fd, text, sizeof(text) - 1, 0) > 0 &&
	       strncmp(text, thawed, strlen(thawed)) != 0;
}

/* Close the switch, which stays as it is. */
void freezer_close(struct freezer *freezer)
{
	fd_close(&freezer->fd);
	*freezer = FREEZER_OFF;
}
