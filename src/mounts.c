/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's own view of the host's name services: sockets that would
 * answer outside the namespace are hidden, and resolv.conf can be another one.
 * It stays so while the host replaces its files, makes its directories anew and
 * restarts its daemons. Which sockets and which text is the caller's choice.
 */
#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "resolv.h"

/*
 * Where things are built before they are mounted where they belong: a directory
 * that exists everywhere and is on the way to no name service. No program runs
 * yet in a namespace where this happens.
 */
#define STAGE	    "/proc"
#define STAGE_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define STAGE_SEAL  (MS_REMOUNT | MS_BIND | MS_RDONLY | STAGE_FLAGS)

/*
 * For open_tree(2) and move_mount(2). <sys/mount.h> has the names from glibc
 * 2.36 on, and does not go together with <linux/mount.h> before 2.37.
 */
#define TREE_CLONE 0x01
#define MOVE_FLAGS (0x04 /* F_EMPTY_PATH */ | 0x10 /* T_SYMLINKS */)

/* Where the covered directory itself stays, below its cover. */
#define BENEATH ".nsntrace"

/* More links than this between RESOLV_PATH and its file are not followed. */
#define LINKS_MAX 8

/* A path whose change on the host concerns us, and what the host has there. */
struct place {
	char *path;
	struct stat host; /* all zero: nothing */
};

/*
 * The directories of hidden sockets first, then RESOLV_PATH: these are mounted
 * on. What follows is what RESOLV_PATH links to.
 */
struct places {
	struct place all[MOUNTS_HIDDEN_MAX + LINKS_MAX];
	size_t count;
	size_t mounted_on;
};

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

static char *parent_of(const char *path)
{
	char *parent = xstrdup(path);

	cut_last(parent);

	return parent;
}

static void places_free(struct places *places)
{
	while (places->count)
		free(places->all[--places->count].path);
}

static void place_add(struct places *places, char *path)
{
	struct place *place = &places->all[places->count++];

	place->path = path;
	stat(path, &place->host);
}

/* RESOLV_PATH, what it links to, and so on, also where the last is missing. */
static void places_add_links(struct places *places)
{
	char *path = xstrdup(RESOLV_PATH);

	for (int i = 0; i < LINKS_MAX; i++) {
		autofree char *parent = parent_of(path);
		char target[PATH_MAX];
		ssize_t length = readlink(path, target, sizeof(target) - 1);

		place_add(places, path);
		if (length < 0)
			return;
		target[length] = '\0';
		if (target[0] == '/')
			path = xstrdup(target);
		else
			path = xasprintf("%s/%s", parent, target);
	}
	free(path);
}

/* Must run where the host's mounts are seen. */
static void places_find(const struct mounts *mounts, struct places *places)
{
	for (size_t i = 0; i < mounts->hidden_count; i++)
		place_add(places, parent_of(mounts->hidden[i]));
	places->mounted_on = places->count;
	if (!mounts->resolv_conf)
		return;
	places->mounted_on++;
	places_add_links(places);
}

/* Whether the program needs a mount namespace of its own. */
bool mounts_needed(const struct mounts *mounts)
{
	return mounts->hidden_count || mounts->resolv_conf;
}

/* An empty file system on the stage; @options are those of tmpfs. */
static int stage_open(const char *options)
{
	if (mount("nsntrace", STAGE, "tmpfs", STAGE_FLAGS, options) < 0)
		return fail(errno, "cannot mount a tmpfs");

	return 0;
}

/* By name alone: no other directory concerned has a file of such a name. */
static bool is_hidden(const struct mounts *mounts, const char *name)
{
	for (size_t i = 0; i < mounts->hidden_count; i++) {
		if (strcmp(strrchr(mounts->hidden[i], '/') + 1, name) == 0)
			return true;
	}

	return false;
}

static int link_beneath(const char *name)
{
	autofree char *link = xasprintf("%s/%s", STAGE, name);
	autofree char *target = xasprintf("%s/%s", BENEATH, name);

	if (symlink(target, link) < 0 && errno != EEXIST)
		return fail(errno, "cannot link %s", name);

	return 0;
}

/*
 * Fill the stage with a cover for @path: everything in it but what is hidden,
 * as links into the directory itself, so that what they lead to is always what
 * the host has there now. resolv.conf may link to one of systemd-resolved's two
 * files, so these have a link before they exist.
 */
static int cover_fill(const struct mounts *mounts, const char *path)
{
	struct dirent *entry;
	int ret;
	DIR *dir;

	if (mkdir(STAGE "/" BENEATH, 0755) < 0 ||
	    mount(path, STAGE "/" BENEATH, NULL, MS_BIND | MS_REC, NULL) < 0)
		return fail(errno, "cannot bind %s", path);

	dir = opendir(path);
	if (!dir)
		return fail(errno, "cannot list %s", path);

	ret = link_beneath("resolv.conf");
	if (!ret)
		ret = link_beneath("stub-resolv.conf");
	while (!ret && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
		    !is_hidden(mounts, name))
			ret = link_beneath(name);
	}
	closedir(dir);

	return ret;
}

/*
 * Whether what is seen at @place is what the host has there: if not, it is
 * covered already, or absent. Returns 1 or 0, or a negative errno.
 */
static int is_exposed(const struct place *place)
{
	struct stat seen;

	if (stat(place->path, &seen) < 0)
		return means_absent(errno)
			       ? 0
			       : fail(errno, "cannot look at %s", place->path);

	return seen.st_dev == place->host.st_dev &&
	       seen.st_ino == place->host.st_ino;
}

/*
 * Cover the directory of a hidden socket, unless that is done. Something on the
 * socket itself would go when the host unlinks it, which is how a daemon that
 * restarts begins. Now it is missing: glibc does without nscd, nss-resolve says
 * UNAVAIL, and the usual nsswitch.conf goes on with "dns".
 */
static int cover(const struct mounts *mounts, const struct place *place)
{
	const struct stat *host = &place->host;
	char options[96];
	int ret;

	ret = is_exposed(place);
	if (ret <= 0)
		return ret;

	snprintf(options, sizeof(options), "size=1m,mode=%o,uid=%u,gid=%u",
		 host->st_mode & 07777, host->st_uid, host->st_gid);
	ret = stage_open(options);
	if (ret < 0)
		return ret;

	ret = cover_fill(mounts, place->path);
	if (!ret && mount(NULL, STAGE, NULL, STAGE_SEAL, NULL) < 0)
		ret = fail(errno, "cannot make a tmpfs read-only");
	if (!ret && mount(STAGE, place->path, NULL, MS_MOVE, NULL) < 0)
		ret = fail(errno, "cannot cover %s", place->path);
	if (ret < 0)
		umount2(STAGE, MNT_DETACH);

	return ret;
}

static int write_file(const char *path, const char *text)
{
	autoclose int fd =
		open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	int ret;

	/* Whatever the umask is: the program may be anybody. */
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return fail(errno, "cannot make a new %s", RESOLV_PATH);

	ret = write_all(fd, text, strlen(text));
	if (ret < 0)
		return fail(-ret, "cannot write a new %s", RESOLV_PATH);

	return 0;
}

/*
 * Put our text over what RESOLV_PATH leads to. If there is nothing, there is
 * nothing to mount on either, and glibc asks 127.0.0.1.
 */
static int replace_resolv_conf(const char *text, const struct place *place)
{
	const char *file = STAGE "/resolv.conf";
	int ret;

	ret = is_exposed(place);
	if (ret <= 0)
		return ret;

	ret = stage_open("mode=755");
	if (ret < 0)
		return ret;

	ret = write_file(file, text);
	if (!ret && mount(file, RESOLV_PATH, NULL, MS_BIND, NULL) < 0)
		ret = fail(errno, "cannot mount on %s", RESOLV_PATH);
	umount2(STAGE, MNT_DETACH);

	return ret;
}

/*
 * Give the calling process a mount namespace of its own in which the program
 * sees what @mounts says. Mounts of the host still appear there; ours do not
 * appear on the host. Paths that do not exist are left alone.
 *
 * Must be called as root, single-threaded, before rights are dropped; the
 * working directory stays. To miss no change of the host, the descriptor of
 * mounts_watch() should be older. Returns 0, or a negative errno already
 * reported.
 */
int mounts_enter(const struct mounts *mounts)
{
	struct places places __attribute__((cleanup(places_free))) = { 0 };
	int ret = 0;

	places_find(mounts, &places);
	if (unshare(CLONE_NEWNS) < 0)
		return fail(errno, "cannot make a mount namespace");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return fail(errno, "cannot keep mounts from the host");

	for (size_t i = 0; !ret && i < mounts->hidden_count; i++)
		ret = cover(mounts, &places.all[i]);
	/* The last, because it may lie in a directory that is covered. */
	if (!ret && mounts->resolv_conf)
		ret = replace_resolv_conf(mounts->resolv_conf,
					  &places.all[mounts->hidden_count]);

	return ret;
}

/* Watch the directory of @path, or the nearest one above it that exists. */
static void watch(int watch_fd, const char *path)
{
	const uint32_t events = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF |
				IN_MOVE_SELF | IN_ONLYDIR;
	autofree char *directory = parent_of(path);

	while (inotify_add_watch(watch_fd, directory, events) < 0) {
		if (!means_absent(errno)) {
			warn("changes in %s will go unnoticed: %s", directory,
			     strerror(errno));
			return;
		}
		cut_last(directory);
	}
}

static void watch_all(const struct places *places, int watch_fd)
{
	for (size_t i = 0; i < places->count; i++)
		watch(watch_fd, places->all[i].path);
}

/*
 * Watch for what makes the program see the host's again: a file or directory
 * made anew or renamed over an old one takes along what was mounted there.
 *
 * To be called in the host's mount namespace. Returns an inotify descriptor
 * that the caller owns, close-on-exec and non-blocking, to be handed to
 * mounts_changed() whenever it is readable; or a negative errno already
 * reported.
 */
int mounts_watch(const struct mounts *mounts)
{
	struct places places __attribute__((cleanup(places_free))) = { 0 };
	int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (watch_fd < 0)
		return fail(errno, "cannot watch for a new %s", RESOLV_PATH);

	places_find(mounts, &places);
	watch_all(&places, watch_fd);

	return watch_fd;
}

/* Any component counts: a directory on the way may have been missing. */
static bool has_component(const char *path, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = path; (at = strchr(at, '/')); at++) {
		if (strncmp(at + 1, name, length) == 0 &&
		    (at[1 + length] == '/' || !at[1 + length]))
			return true;
	}

	return false;
}

/* An event without a name tells of a watch that went, or of lost events. */
static bool concerns(const struct places *places,
		     const struct inotify_event *event)
{
	for (size_t i = 0; event->len && i < places->count; i++) {
		if (has_component(places->all[i].path, event->name))
			return true;
	}

	return !event->len;
}

/*
 * Whether something happened that concerns us: 1, 0 or a negative errno. It is
 * one read: if there is more, the descriptor stays readable.
 */
static int read_events(int watch_fd, const struct places *places)
{
	_Alignas(struct inotify_event) char events[16384];
	ssize_t size = read(watch_fd, events, sizeof(events));
	const char *next = events;
	int ours = 0;

	if (size < 0 && errno != EAGAIN && errno != EINTR)
		return fail(errno, "cannot read changes of %s", RESOLV_PATH);

	while (next - events < size) {
		const struct inotify_event *event = (const void *)next;

		ours |= concerns(places, event);
		next += sizeof(*event) + event->len;
	}

	return ours;
}

/*
 * Runs in a process of its own. It makes a view like the program's for itself
 * and carries over what the program's lacks. So nothing half-built is ever seen
 * there, and what is in place already is not mounted once more.
 */
static int renew(const struct mounts *mounts, int mount_ns)
{
	struct places places __attribute__((cleanup(places_free))) = { 0 };
	int trees[MOUNTS_HIDDEN_MAX + 1];
	int ret;

	places_find(mounts, &places);
	ret = mounts_enter(mounts);
	if (ret < 0)
		return ret;

	for (size_t i = 0; i < places.mounted_on; i++)
		trees[i] = (int)syscall(SYS_open_tree, AT_FDCWD,
					places.all[i].path,
					TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);

	if (setns(mount_ns, CLONE_NEWNS) < 0)
		return fail(errno, "cannot enter the program's mounts");

	for (size_t i = 0; ret >= 0 && i < places.mounted_on; i++) {
		const char *path = places.all[i].path;

		ret = is_exposed(&places.all[i]);
		if (ret > 0 && syscall(SYS_move_mount, trees[i], "", AT_FDCWD,
				       path, MOVE_FLAGS) < 0)
			ret = fail(errno, "cannot mount on %s", path);
	}

	return ret < 0 ? ret : 0;
}

/*
 * Read the events of @watch_fd, which mounts_watch() made, and if one of them
 * concerns the paths of @mounts, put what is missing back into the program's
 * mount namespace @mount_ns (an open /proc/PID/ns/mnt). A short-lived child
 * does it, because nobody comes back from setns() to where he was; it is
 * awaited here. What is still in place is left alone, and so is what the
 * program itself has mounted there.
 *
 * Returns 0, or a negative errno that is already reported.
 */
int mounts_changed(const struct mounts *mounts, int watch_fd, int mount_ns)
{
	struct places places __attribute__((cleanup(places_free))) = { 0 };
	int status;
	pid_t pid;
	int ret;

	places_find(mounts, &places);
	ret = read_events(watch_fd, &places);
	if (ret <= 0)
		return ret;

	/* First watch, then look: what comes later is an event again. */
	watch_all(&places, watch_fd);

	pid = fork();
	if (pid < 0)
		return fail(errno, "cannot fork");
	if (pid == 0)
		_exit(-renew(mounts, mount_ns));

	if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0)
		return fail(errno, "cannot wait for process %d", pid);

	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}
