/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What killed runs left on the host: their records are those that nobody
 * holds. The next run puts it back before it begins, --cleanup does only that
 * and tells the user. How one thing is put back is left to restore.c.
 */
#include "stale.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "restore.h"
#include "state.h"

static bool is_run(const char *name)
{
	return !strncmp(name, STATE_RUN, strlen(STATE_RUN));
}

static bool is_sysctl(const char *name)
{
	return !strncmp(name, STATE_SYSCTL, strlen(STATE_SYSCTL));
}

/* Call @each with every name in the directory @dir, if there is one. */
static void each_name(const char *dir,
		      void (*each)(const char *dir, const char *name,
				   void *context),
		      void *context)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries))) {
		if (entry->d_name[0] != '.')
			each(dir, entry->d_name, context);
	}
	closedir(entries);
}

/*
 * Take a record that nobody holds any more. Returns a descriptor the caller
 * owns, or -errno: -EWOULDBLOCK if its run lives, -ENOENT if it is gone.
 */
static int take(const char *path)
{
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int ret;

	if (fd < 0)
		return -errno;
	ret = state_lock(fd, LOCK_EX | LOCK_NB);
	if (ret < 0)
		return ret;

	return state_is_current(fd, path) ? take_fd(&fd) : -ENOENT;
}

/* What one look at the records has come to. */
struct look {
	struct restore restore;
	struct buf lives;  /* the text of the records of all runs that live */
	unsigned runs;	   /* how many these are */
	const char *taken; /* the record that we hold ourselves, or NULL */
};

static void read_living(const char *dir, const char *name, void *context)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	autoclose int fd = -1;
	struct look *look = context;
	char text[4096];
	ssize_t got;

	if (!is_run(name) || (look->taken && !strcmp(name, look->taken)))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || state_lock(fd, LOCK_SH | LOCK_NB) != -EWOULDBLOCK)
		return;
	look->runs++;
	buf_append(&look->lives, "\n", 1);
	while ((got = read(fd, text, sizeof(text))) > 0)
		buf_append(&look->lives, text, (size_t)got);
}

/* Once, and only if there is somebody else's record to compare with. */
static void read_lives(struct look *look, const char *dir)
{
	if (look->restore.lives)
		return;
	each_name(dir, read_living, look);
	buf_append(&look->lives, "", 1);
	look->restore.lives = (const char *)look->lives.bytes;
}

static void put_back(const char *dir, const char *name, void *context)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	autoclose int fd = take(path);
	struct look *look = context;
	unsigned failed = look->restore.failed;

	if (fd == -EWOULDBLOCK || fd == -ENOENT)
		return;
	if (fd < 0) {
		if (look->restore.aloud)
			warn("cannot open %s: %s", path, strerror(-fd));
		look->restore.failed++;
		return;
	}
	if (is_sysctl(name))
		restore_sysctl(&look->restore, fd);
	if (is_run(name)) {
		look->taken = name;
		read_lives(look, dir);
		restore_run(&look->restore, fd);
	}
	/* What could not be put back now can be later. */
	if (look->restore.failed == failed)
		unlink(path);
}

/*
 * Put back what killed runs left, by the records in @dir, over @rtnl, a socket
 * on the host. Only what cannot be put back is told.
 */
void stale_restore(struct rtnl *rtnl, const char *dir)
{
	struct look look = { .restore = { .rtnl = rtnl, .stale = true } };

	each_name(dir, put_back, &look);
	buf_free(&look.lives);
}

static void count_stale(const char *dir, const char *name, void *context)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	autoclose int fd = take(path);
	unsigned *count = context;
	struct stat status;

	/* A run that is just beginning has written nothing yet. */
	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size)
		++*count;
}

/* How many records killed runs left in @dir; nothing is put back. */
unsigned stale_count(const char *dir)
{
	unsigned count = 0;

	each_name(dir, count_stale, &count);

	return count;
}

static void count_name(const char *dir, const char *name, void *context)
{
	unsigned *count = context;

	(void)dir;
	(void)name;
	++*count;
}

/* Nobody holds its mark: the trial's namespace goes with who is left in it. */
static void forget_trial(const char *top, const char *name, void *context)
{
	autofree char *dir = xasprintf("%s/%s", top, name);
	autofree char *mark = xasprintf("%s/" STATE_TRIAL, dir);
	autoclose int fd = take(mark);
	unsigned left = 0;

	if (fd < 0)
		return;
	each_name(dir, put_back, context);
	each_name(dir, count_name, &left);
	if (left)
		return;
	unlink(mark);
	rmdir(dir);
}

static void forget_trials(struct look *look)
{
	look->restore.gone = true;
	each_name(STATE_DIR, forget_trial, look);
	look->restore.gone = false;
}

/*
 * Put back what killed trial runs of --doctor left, each on a host of its own
 * that nobody can look at any more. Only what cannot be put back is told.
 */
void stale_trials(void)
{
	struct look look = { .restore = { .stale = true } };

	forget_trials(&look);
	buf_free(&look.lives);
}

/* Records that are for a look from another network namespace. */
struct elsewhere {
	const char *here;
	bool any;
};

static void look_elsewhere(const char *top, const char *name, void *context)
{
	autofree char *dir = xasprintf("%s/%s", top, name);
	struct elsewhere *elsewhere = context;

	if (strcmp(dir, elsewhere->here) != 0)
		elsewhere->any |= stale_count(dir) > 0;
}

static void tell(const struct look *look, const char *dir)
{
	struct elsewhere elsewhere = { .here = dir };

	each_name(STATE_DIR, look_elsewhere, &elsewhere);
	if (!look->restore.found && !look->restore.failed)
		note("Nothing was left by killed runs.");
	if (look->runs)
		note("%u %s, and what %s was not touched.", look->runs,
		     look->runs == 1 ? "run goes on" : "runs go on",
		     look->runs == 1 ? "it needs" : "they need");
	if (elsewhere.any)
		note("What killed runs left in another network namespace can "
		     "be put back there only, by nsntrace --cleanup.");
}

/*
 * --cleanup: put back what killed runs left, and tell each thing. Returns 0, or
 * a negative errno already reported if something could not be put back.
 */
int stale_cleanup(void)
{
	struct look look = { .restore = { .stale = true, .aloud = true } };
	autofree char *dir = NULL;
	int ret;

	if (geteuid() != 0) {
		refuse("only root can put back what killed runs left");
		hint("run it with sudo");
		return -EPERM;
	}
	ret = rtnl_open(&look.restore.rtnl);
	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket");
	dir = state_directory(rtnl_fd(look.restore.rtnl));
	read_lives(&look, dir);
	each_name(dir, put_back, &look);
	forget_trials(&look);
	buf_free(&look.lives);
	tell(&look, dir);
	state_remove_directories(dir);
	rtnl_close(look.restore.rtnl);

	return look.restore.failed ? -EIO : 0;
}
