/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of a trace, one after another: their names, and which of them is
 * removed where only the last are kept. Whose rights a file is opened and
 * removed with is known by outfile.c, when the next one is due by the tracer.
 */
#include "series.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "capture/rotate.h"
#include "outfile.h"

/* A file of a ring, and how to know it again. */
struct kept {
	char *name;
	struct outfile_mark mark;
};

/* Keep the directory of the user's, where keeper itself does not stay. */
static int keep_directory(struct series *series)
{
	if (series->base[0] == '/')
		return 0;
	series->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return series->directory < 0 ? fail(errno, "cannot open '.'") : 0;
}

/*
 * Prepare for the files of a run of program @pid. Must be called in the user's
 * directory. Returns 0, or a negative errno already reported.
 */
int series_begin(struct series *series, const struct plan *plan, pid_t pid)
{
	uint64_t keep = plan->options->rotate.files;

	*series = (struct series){
		.plan = plan,
		.base = plan_outfile(plan, pid, time(NULL)),
		.directory = -1,
	};
	if (!plan->rotate)
		return 0;
	if (keep)
		series->kept = xcalloc(keep, sizeof(*series->kept));

	return keep_directory(series);
}

static void set_name(struct series *series)
{
	free(series->name);
	series->name = series->plan->rotate
			       ? rotate_name(series->base, series->count + 1,
					     time(NULL))
			       : xstrdup(series->base);
}

/*
 * What is not a regular file is no part of a rotation: one that is read as it
 * grows has no end at which the next could begin.
 */
static int check(const struct series *series, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return fail(errno, "cannot look at '%s'", series->name);
	if (!S_ISREG(status.st_mode))
		return refuse("cannot write to '%s': it is no regular file",
			      series->name);

	return 0;
}

/* Only now is the oldest removed: had this one failed, it would be missed. */
static int make_room(struct series *series, int fd)
{
	const struct identity *user = &series->plan->facts->invoker;
	uint64_t keep = series->plan->options->rotate.files;
	struct kept *kept = &series->kept[series->count % keep];
	int ret;

	if (kept->name)
		outfile_remove(kept->name, &kept->mark, user);
	free(kept->name);
	kept->name = xstrdup(series->name);
	ret = outfile_mark(fd, &kept->mark);

	return ret < 0 ? fail(-ret, "cannot look at '%s'", series->name) : 0;
}

/*
 * Open the next file, or the only one, in the user's directory. Returns a
 * descriptor that the caller owns, -ENXIO (not reported) for a FIFO that
 * nobody reads yet, or a negative errno already reported.
 */
int series_open(struct series *series)
{
	const struct identity *user = &series->plan->facts->invoker;
	autoclose int fd = -1;
	int ret = 0;

	set_name(series);
	fd = outfile_open(series->name, user);
	if (fd == -ENXIO && series->plan->rotate)
		return fail(ENXIO, "cannot write to '%s'", series->name);
	if (fd < 0)
		return take_fd(&fd);
	if (series->plan->rotate)
		ret = check(series, fd);
	if (!ret && series->kept)
		ret = make_room(series, fd);
	if (ret < 0)
		return ret;
	series->count++;
	debug("writing to %s", series->name);

	return take_fd(&fd);
}

/* As series_open(), when the user's directory has been left for the root. */
int series_next(struct series *series)
{
	const struct identity *user = &series->plan->facts->invoker;
	int ret = 0;

	if (series->directory < 0)
		return series_open(series);

	/* Root may not enter where only the user may (NFS). */
	ret = rights_borrow_files(user);
	if (!ret && fchdir(series->directory) < 0)
		ret = fail(errno, "cannot enter the directory of '%s'",
			   series->base);
	if (rights_return_files() < 0)
		ret = -EPERM;
	if (!ret)
		ret = series_open(series);
	if (chdir("/") < 0)
		debug("cannot leave the directory");

	return ret;
}
