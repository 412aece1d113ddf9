/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup in which a run's program is born: it holds all descendants, even
 * those that daemonise or are setuid, so that they can be counted and ended
 * without asking each of them. That is cgroup v2 (also where it is mounted
 * beside v1), of whose predecessor only paths and members are known here;
 * silent, as a host without it is not an error.
 */
#include "base/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* Whether @word is in @list, whose words are separated by commas. */
static bool lists(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (*list) {
		size_t next = strcspn(list, ",\n");

		if (next == length && !strncmp(list, word, length))
			return true;
		list += next;
		list += strspn(list, ",\n");
	}

	return false;
}

/*
 * Where the hierarchy of @controller (of v1; NULL: v2) is mounted with its
 * root, or NULL; the caller frees it.
 */
static char *find_mount(const char *controller)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	char *found = NULL;
	size_t size = 0;

	if (!mounts)
		return NULL;

	/* proc(5): id parent dev root mountpoint options ... - type source
	 * superoptions */
	while (!found && getline(&line, &size, mounts) > 0) {
		const char *rest =
			strstr(line, controller ? " - cgroup " : " - cgroup2 ");
		char root[512];
		char point[512];

		if (rest &&
		    (!controller ||
		     lists(strrchr(rest, ' ') + 1, controller)) &&
		    sscanf(line, "%*s %*s %*s %511s %511s", root, point) == 2 &&
		    !strcmp(root, "/"))
			found = xstrdup(point);
	}
	free(line);
	fclose(mounts);

	return found;
}

/*
 * The directory of the caller's own cgroup, in the hierarchy of @controller (of
 * v1) or, if that is NULL, of v2. Returns a path that the caller frees, or NULL
 * if there is none to be seen here.
 */
char *cgroup_own_path(const char *controller)
{
	autofree char *mount = find_mount(controller);
	FILE *file = mount ? fopen("/proc/self/cgroup", "re") : NULL;
	char *line = NULL;
	char *path = NULL;
	size_t size = 0;

	if (!file)
		return NULL;

	/* cgroups(7): number:controllers:path, none of them for v2 */
	while (!path && getline(&line, &size, file) > 0) {
		char *controllers = strchr(line, ':');
		char *own = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!own)
			continue;
		*own++ = '\0';
		controllers++;
		if (controller ? !lists(controllers, controller) : *controllers)
			continue;
		own[strcspn(own, "\n")] = '\0';
		path = xasprintf("%s%s", mount, own);
	}
	free(line);
	fclose(file);

	return path;
}

static int open_in(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Make the cgroup @path, and open what is needed of it later: the descriptor
 * of cgroup.kill keeps its authority when the process drops its own.
 *
 * Returns 0, or -errno with nothing made.
 */
int cgroup_create(struct cgroup *cgroup, const char *path)
{
	int ret;

	*cgroup = CGROUP_NONE;
	if (mkdir(path, 0755) < 0)
		return -errno;
	cgroup->path = xstrdup(path);

	cgroup->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = cgroup->dir < 0 ? -errno : 0;
	if (!ret) {
		cgroup->kill = open_in(cgroup->dir, "cgroup.kill", O_WRONLY);
		ret = cgroup->kill < 0 ? cgroup->kill : 0;
	}
	if (ret < 0) {
		rmdir(path);
		cgroup_close(cgroup);
	}

	return ret;
}

/* Kill all in the cgroup behind @kill_fd. Returns 0 or -errno. */
int cgroup_kill(int kill_fd)
{
	return write(kill_fd, "1", 1) < 0 ? -errno : 0;
}

/*
 * Move the process @pid into the cgroup @path, of v1 or v2, which takes the
 * kernel 6-16 ms. Returns 0 or -errno.
 */
int cgroup_move(const char *path, pid_t pid)
{
	autofree char *procs = xasprintf("%s/cgroup.procs", path);
	autoclose int fd = open(procs, O_WRONLY | O_CLOEXEC);

	return fd < 0 || dprintf(fd, "%d", (int)pid) < 0 ? -errno : 0;
}

/* Some cgroup below @path, which the caller frees, or NULL. */
static char *child_of(const char *path)
{
	DIR *dir = opendir(path);
	char *child = NULL;
	struct dirent *entry;

	if (!dir)
		return NULL;
	while (!child && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			child = xasprintf("%s/%s", path, entry->d_name);
	}
	closedir(dir);

	return child;
}

/* Some cgroup that has none below it: @path or below; the caller frees it. */
static char *leaf_of(const char *path)
{
	char *leaf = xstrdup(path);
	char *child;

	while ((child = child_of(leaf))) {
		free(leaf);
		leaf = child;
	}

	return leaf;
}

/* Move all processes of the cgroup @path to @target. Returns how many. */
static unsigned move_all(const char *path, const char *target)
{
	autofree char *procs = xasprintf("%s/cgroup.procs", path);
	FILE *file = fopen(procs, "re");
	unsigned moved = 0;
	int pid;

	while (file && fscanf(file, "%d", &pid) == 1) {
		/* One that has ended meanwhile is no loss. */
		if (cgroup_move(target, pid) == 0)
			moved++;
		else
			debug("cannot move process %d up", pid);
	}
	if (file)
		fclose(file);

	return moved;
}

/* A cgroup that so many steps do not empty is being filled. */
#define REMOVE_STEPS_MAX 1000

/*
 * Remove the cgroup @path, of v1 or v2, and those that somebody has made below
 * it. Whoever still lives there is moved up to its parent first, and counted
 * in @moved: it goes on, as it would have without us, and is thawed by that if
 * need be. Returns 1, or 0 if there was none, or -errno.
 */
int cgroup_remove(const char *path, unsigned *moved)
{
	autofree char *parent = xasprintf("%s/..", path);

	*moved = 0;
	for (int step = 0; step < REMOVE_STEPS_MAX; step++) {
		autofree char *leaf = NULL;

		if (rmdir(path) == 0)
			return 1;
		if (errno == ENOENT)
			return 0;
		/* Read-only, the kernel does not look whether it is there. */
		if (errno == EROFS && access(path, F_OK) < 0)
			return 0;
		if (errno != EBUSY)
			return -errno;
		leaf = leaf_of(path);
		*moved += move_all(leaf, parent);
		if (strcmp(leaf, path) != 0)
			rmdir(leaf);
	}

	return -EBUSY;
}

/* Close the descriptors; the cgroup itself stays. */
void cgroup_close(struct cgroup *cgroup)
{
	fd_close(&cgroup->dir);
	fd_close(&cgroup->kill);
	free(cgroup->path);
	*cgroup = CGROUP_NONE;
}
