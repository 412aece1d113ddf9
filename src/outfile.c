/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and removing the trace's file on behalf of the user who asked for it:
 * the kernel judges with that user's ids whether it may be written. Only where
 * root was called by somebody who may not write there (sudo in /root) root's
 * own rights help, and then never onto somebody else's file.
 */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/*
 * Not O_TRUNC: only a regular file that may be used is cut. Non-blocking: a
 * FIFO without a reader must not hang the one process that cleans up.
 */
#define OPEN_FLAGS (O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* Whether everybody may put files beside @path, as in /tmp. */
static bool is_in_sticky_directory(const char *path, struct stat *directory)
{
	autofree char *copy = xstrdup(path);

	return stat(dirname(copy), directory) == 0 &&
	       (directory->st_mode & (S_ISVTX | S_IWOTH)) ==
		       (S_ISVTX | S_IWOTH);
}

/*
 * What the kernel's protected_symlinks, _regular and _fifos would say
 * (proc_sys_fs(5)), whatever this host has them set to: in a directory for
 * everybody, only what is ours, or the directory's owner's, is used.
 */
static bool is_trap(const char *path, const struct stat *status, uid_t uid)
{
	struct stat directory;

	if (!is_in_sticky_directory(path, &directory))
		return false;
	if (status->st_uid == uid || status->st_uid == directory.st_uid)
		return S_ISREG(status->st_mode) && status->st_nlink > 1;

	return true;
}

/* @follow: a last symbolic link may be followed, if it is no trap. */
static int open_existing(const char *path, uid_t uid, bool follow)
{
	struct stat status;
	autoclose int fd = open(path, OPEN_FLAGS | O_NOFOLLOW);

	if (fd < 0 && errno == ELOOP) {
		if (lstat(path, &status) < 0)
			return -errno;
		if (!follow || is_trap(path, &status, uid))
			return -ELOOP;
		fd = open(path, OPEN_FLAGS);
		return fd < 0 ? -errno : take_fd(&fd);
	}
	/* Who put a FIFO there would read it as soon as we wait for him. */
	if (fd < 0 && errno == ENXIO && lstat(path, &status) == 0)
		return is_trap(path, &status, uid) ? -EACCES : -ENXIO;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (is_trap(path, &status, uid))
		return -EACCES;

	return take_fd(&fd);
}

static int create(const char *path)
{
	int fd = open(path, OPEN_FLAGS | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);

	return fd < 0 ? -errno : fd;
}

/* Use what is there, or make it; somebody may do the same beside us. */
static int open_or_create(const char *path, uid_t uid, bool follow)
{
	int fd = -ENOENT;

	for (int attempt = 0; attempt < 10; attempt++) {
		fd = open_existing(path, uid, follow);
		if (fd != -ENOENT)
			return fd;
		fd = create(path);
		if (fd != -EEXIST)
			return fd;
	}

	return fd;
}

/* With root's own rights, but never onto another's file, nor by his link. */
static int open_as_root(const char *path)
{
	autoclose int fd = open_or_create(path, 0, false);
	struct stat status;

	if (fd < 0)
		return take_fd(&fd);
	if (fstat(fd, &status) < 0 || status.st_uid != 0)
		return -EACCES;

	return take_fd(&fd);
}

static bool is_fifo(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* As outfile_open(), but nothing is cut. */
static int open_for(const char *path, const struct identity *user)
{
	int ret = rights_borrow_files(user);
	int fd;

	if (ret < 0)
		return ret;
	fd = open_or_create(path, user->uid, true);
	ret = rights_return_files();
	if (ret < 0) {
		fd_close(&fd);
		return ret;
	}
	if ((fd == -EACCES || fd == -EPERM) && user->uid != 0 && getuid() == 0)
		fd = open_as_root(path);
	if (fd >= 0 || (fd == -ENXIO && is_fifo(path)))
		return fd;
	if (fd == -EEXIST)
		return refuse("cannot write to '%s': it is a symbolic link "
			      "that leads nowhere",
			      path);

	return fail(-fd, "cannot write to '%s'", path);
}

/*
 * Open @path for writing on behalf of @user. An existing regular file is cut
 * to nothing; its owner and mode stay, and FIFOs and devices are used as they
 * are. Returns a descriptor that the caller owns, -ENXIO (not reported) for a
 * FIFO that nobody reads yet, or a negative errno already reported.
 */
int outfile_open(const char *path, const struct identity *user)
{
	autoclose int fd = open_for(path, user);
	struct stat status;

	if (fd < 0)
		return take_fd(&fd);
	if (fstat(fd, &status) < 0)
		return fail(errno, "cannot look at '%s'", path);
	if (S_ISREG(status.st_mode) && ftruncate(fd, 0) < 0)
		return fail(errno, "cannot truncate '%s'", path);

	return take_fd(&fd);
}

/* Whether a file can be made and written in the directory of @path. */
static int try_directory(const char *path)
{
	autofree char *copy = xstrdup(path);
	const char *dir = dirname(copy);
	autoclose int fd = open(dir, OPEN_FLAGS | O_TMPFILE, 0600);

	/* Not every file system has files without a name. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0
			       ? -errno
			       : 0;
	if (fd < 0)
		return -errno;

	return write_all(fd, "nsntrace", 8);
}

static int try_path(const char *path, uid_t uid, bool follow)
{
	struct stat status;
	int fd;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? try_directory(path) : -errno;
	/* Who reads a FIFO would take our leaving it for the end. */
	if (S_ISFIFO(status.st_mode))
		return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? -errno
								       : 0;
	fd = open_existing(path, uid, follow);
	if (fd < 0)
		return fd;
	close(fd);

	return 0;
}

static int try_as_root(const char *path)
{
	struct stat status;

	if (lstat(path, &status) == 0 && status.st_uid != 0)
		return -EACCES;

	return try_path(path, 0, false);
}

/*
 * Find out whether outfile_open() could open @path, and change nothing. Returns
 * 0, or a negative errno already reported.
 */
int outfile_try(const char *path, const struct identity *user)
{
	bool root = geteuid() == 0;
	int ret = root ? rights_borrow_files(user) : 0;
	int tried;

	if (ret < 0)
		return ret;
	tried = try_path(path, user->uid, true);
	ret = root ? rights_return_files() : 0;
	if (ret < 0)
		return ret;
	if ((tried == -EACCES || tried == -EPERM) && user->uid != 0 &&
	    getuid() == 0)
		tried = try_as_root(path);

	return tried < 0 ? fail(-tried, "cannot write to '%s'", path) : 0;
}

static int mark_of(int fd, const char *path, struct outfile_mark *mark)
{
	struct statx status = { 0 };

	if (statx(fd, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
		return -errno;
	*mark = (struct outfile_mark){
		.device = { status.stx_dev_major, status.stx_dev_minor },
		.inode = status.stx_ino,
		.born = { status.stx_btime.tv_sec, status.stx_btime.tv_nsec },
		.owner = status.stx_uid,
	};

	return 0;
}

/* Remember which file @fd is. Returns 0, or -errno. */
int outfile_mark(int fd, struct outfile_mark *mark)
{
	return mark_of(fd, "", mark);
}

static bool is_same(const struct outfile_mark *a, const struct outfile_mark *b)
{
	return a->device[0] == b->device[0] && a->device[1] == b->device[1] &&
	       a->inode == b->inode && a->born[0] == b->born[0] &&
	       a->born[1] == b->born[1];
}

static int remove_marked(const char *path, const struct outfile_mark *mark)
{
	struct outfile_mark there = { .inode = 0 };
	int ret = mark_of(AT_FDCWD, path, &there);

	if (ret < 0)
		return ret;
	if (!is_same(&there, mark))
		return 0;

	return unlink(path) < 0 ? -errno : 0;
}

/*
 * Remove a file that outfile_open() has opened, with the same rights. One that
 * somebody has moved or removed already is no failure, and what has taken its
 * place stays. Any other is told: the run goes on.
 */
void outfile_remove(const char *path, const struct outfile_mark *mark,
		    const struct identity *user)
{
	int ret = rights_borrow_files(user);

	if (ret < 0)
		return;
	ret = remove_marked(path, mark);
	if (rights_return_files() < 0)
		return;
	if ((ret == -EACCES || ret == -EPERM) && user->uid != 0 &&
	    getuid() == 0 && mark->owner == 0)
		ret = remove_marked(path, mark);
	if (ret < 0 && ret != -ENOENT)
		warn("cannot remove '%s': %s", path, strerror(-ret));
}
