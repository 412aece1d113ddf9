/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run changed on the host and the kernel does not put back by itself:
 * sysctls, policy-routing rules with their tables, accepts in the firewalls of
 * others, cgroups, links whose namespace somebody keeps alive, and nftables
 * tables on kernels where nobody can own them. Each is written down before it
 * is made, below /run/nsntrace, one directory for each network namespace that
 * is somebody's host:
 *
 *   sysctl.*  "NAME OLD OURS IP_FORWARD". Shared: every run that needs the
 *             value holds a shared lock, the last one puts the old value back.
 *   run.*     what belongs to one run. Its keeper holds an exclusive lock.
 *
 * The kernel drops a lock with its process, even on kill -9. So whatever can
 * be locked here belongs to nobody any more, and the next run puts it back.
 */
#include "undo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "restore.h"

#define STATE_DIR "/run/nsntrace"

/* A sysctl that this run holds at a value, with others perhaps. */
struct held {
	char *file;
	int fd; /* with the shared lock */
};

struct undo {
	struct rtnl *rtnl; /* borrowed */
	struct nft *nft;   /* likewise, once there are accepts */
	char *dir;
	char *record; /* path of the run's own file */
	int record_fd;
	struct held *held;
	size_t held_count;
};

/*
 * Which namespace is this? A cookie is never used twice (5.14); else the inode
 * number, which is only unique among the living.
 */
static uint64_t netns_cookie(void)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat status;

	if (fd >= 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0)
		return cookie;

	return stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
}

/* Open a file of the state directory, which others may be removing. */
static int open_state(const char *dir, const char *path)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			      0600);

		if (fd >= 0)
			return fd;
		if (errno != ENOENT)
			return -errno;
		if (mkdir(STATE_DIR, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (mkdir(dir, 0755) < 0 && errno != EEXIST && errno != ENOENT)
			return -errno;
	}

	return -ENOENT;
}

/* Whether @path still names the file behind @fd: it may have been removed. */
static bool is_current(int fd, const char *path)
{
	struct stat ours;
	struct stat theirs;

	return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static bool is_empty(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_size == 0;
}

static int lock(int fd, int how)
{
	while (flock(fd, how) < 0) {
		if (errno != EINTR)
			return -errno;
	}

	return 0;
}

/* Put back what @name in the state directory tells, if nobody holds it. */
static void restore_stale(struct undo *undo, const char *name)
{
	autofree char *path = xasprintf("%s/%s", undo->dir, name);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (!is_current(fd, path))
		return;
	if (!strncmp(name, "sysctl.", 7))
		restore_sysctl(fd);
	if (!strncmp(name, "run.", 4))
		restore_run(undo->rtnl, NULL, fd, true);
	unlink(path);
}

/* Look for what killed runs left, and put it back. */
static void restore_all_stale(struct undo *undo)
{
	DIR *dir = opendir(undo->dir);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			restore_stale(undo, entry->d_name);
	}
	closedir(dir);
}

/* Open the run's own record. One that is cleaned away at once is no record. */
static int open_record(struct undo *undo)
{
	for (unsigned i = 0;; i++) {
		autofree char *path =
			xasprintf("%s/run.%d.%u", undo->dir, (int)getpid(), i);
		autoclose int fd = open_state(undo->dir, path);
		int ret;

		if (fd < 0)
			return fail(-fd, "cannot open %s", path);
		/* The same process number in another container. */
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK || errno == EINTR)
				continue;
			ret = fail(errno, "cannot lock %s", path);
			unlink(path);
			return ret;
		}
		if (!is_current(fd, path))
			continue;
		undo->record = path;
		path = NULL;
		undo->record_fd = take_fd(&fd);
		return 0;
	}
}

/* Other runs may need them: then they are not empty. */
static void remove_directories(const struct undo *undo)
{
	rmdir(undo->dir);
	rmdir(STATE_DIR);
}

/*
 * Begin a list of changes, after putting back what dead runs left. @rtnl, a
 * socket on the host, stays the caller's and must live as long. The caller
 * ends the list with undo_all(). Returns 0, or a negative errno, reported.
 */
int undo_open(struct undo **undo, struct rtnl *rtnl)
{
	struct undo *list = xcalloc(1, sizeof(*list));
	int ret;

	list->rtnl = rtnl;
	list->record_fd = -1;
	list->dir = xasprintf(STATE_DIR "/%llu",
			      (unsigned long long)netns_cookie());
	restore_all_stale(list);
	ret = open_record(list);
	if (ret < 0) {
		remove_directories(list);
		free(list->dir);
		free(list);
		return ret;
	}
	*undo = list;

	return 0;
}

/*
 * The first run to need a value: write down what was there, then set it.
 * Returns 1, 0 if there is nothing to put back, or a negative errno, reported.
 */
static int set_first(int fd, const char *name, const char *value,
		     const char *path)
{
	char old[SYSCTL_VALUE_SIZE];
	char all[SYSCTL_VALUE_SIZE];
	autofree char *text = NULL;
	int ret = sysctl_read(name, old);

	if (!ret)
		ret = sysctl_read(IP_FORWARD, all);
	if (ret < 0)
		return fail(-ret, "cannot read %s", name);
	/* The host has it so: nothing to put back. */
	if (!strcmp(old, value))
		return 0;
	text = xasprintf("%s %s %s %s\n", name, old, value, all);
	ret = write_all(fd, text, strlen(text));
	if (ret < 0)
		return fail(-ret, "cannot write %s", path);
	ret = sysctl_write(name, value);

	return ret < 0 ? fail(-ret, "cannot set %s=%s", name, value) : 1;
}

/* Others hold the value, or dead runs left it: see that it is in place. */
static int join(const char *name, const char *value)
{
	int ret = sysctl_is(name, value) ? 0 : sysctl_write(name, value);

	return ret < 0 ? fail(-ret, "cannot set %s=%s", name, value) : 0;
}

static bool is_held(const struct undo *undo, const char *path)
{
	for (size_t i = 0; i < undo->held_count; i++) {
		if (!strcmp(undo->held[i].file, path))
			return true;
	}

	return false;
}

static void hold(struct undo *undo, char **path, int *fd)
{
	undo->held = xrealloc(undo->held,
			      (undo->held_count + 1) * sizeof(*undo->held));
	undo->held[undo->held_count++] = (struct held){
		.file = *path,
		.fd = take_fd(fd),
	};
	*path = NULL;
}

/*
 * Set a sysctl for as long as any run needs it. Returns 0, or a negative errno
 * already reported.
 */
int undo_sysctl(struct undo *undo, const char *name, const char *value)
{
	autofree char *path = xasprintf("%s/sysctl.%s", undo->dir, name);
	int ret;

	for (char *at = path + strlen(undo->dir) + 1; *at; at++) {
		if (*at == '/')
			*at = ',';
	}
	/* An interface made anew under its old name has no value of ours. */
	if (is_held(undo, path))
		return join(name, value);

	for (;;) {
		autoclose int fd = open_state(undo->dir, path);

		if (fd < 0)
			return fail(-fd, "cannot open %s", path);
		ret = lock(fd, LOCK_SH);
		if (ret < 0)
			return fail(-ret, "cannot lock %s", path);
		if (!is_current(fd, path))
			continue;
		if (!is_empty(fd)) {
			ret = join(name, value);
			if (!ret)
				hold(undo, &path, &fd);
			return ret;
		}
		/* Changing the lock lets others in between: look again. */
		ret = lock(fd, LOCK_EX);
		if (ret < 0)
			return fail(-ret, "cannot lock %s", path);
		if (!is_current(fd, path) || !is_empty(fd))
			continue;
		ret = set_first(fd, name, value, path);
		if (ret <= 0) {
			unlink(path);
			return ret;
		}
	}
}

static int record(struct undo *undo, const char *line)
{
	int ret = write_all(undo->record_fd, line, strlen(line));

	return ret < 0 ? fail(-ret, "cannot write %s", undo->record) : 0;
}

/*
 * Write down that a rule by an interface, and the routes of its table, are
 * about to be made. Returns 0, or a negative errno already reported.
 */
int undo_rule(struct undo *undo, const struct rule *rule)
{
	autofree char *line = xasprintf("rule %u %u %u %s\n", rule->family,
					rule->priority, rule->table, rule->iif);

	return record(undo, line);
}

/*
 * Write down that a rule for a destination is about to be made, which leads to
 * a table that is not ours. As undo_rule().
 */
int undo_rule_to(struct undo *undo, const struct rule *rule)
{
	char text[IP_TEXT_SIZE];
	autofree char *line = xasprintf(
		"to %s %u %u %u\n", ip_format(&rule->destination, text),
		rule->prefix, rule->priority, rule->table);

	return record(undo, line);
}

/*
 * Write down a link that goes with its namespace, for the case that the
 * namespace does not go. As undo_rule().
 */
int undo_link(struct undo *undo, uint32_t index, const char *name)
{
	autofree char *line = xasprintf("link %u %s\n", index, name);

	return record(undo, line);
}

/*
 * Write down that the nftables tables called @name are about to be made, which
 * have no owner that takes them along where the kernel is older than 5.12. As
 * undo_rule().
 */
int undo_table(struct undo *undo, const char *name)
{
	autofree char *line = xasprintf("table %s\n", name);

	return record(undo, line);
}

/*
 * Write down that rules tagged @tag are about to be put into the firewall
 * tables of others. They are taken out over @nft, a socket on the host, which
 * stays the caller's and must live as long as the list: closing one that has
 * just deleted rules takes the kernel 9 ms. As undo_rule().
 */
int undo_accepts(struct undo *undo, struct nft *nft, const char *tag)
{
	autofree char *line = xasprintf("accepts %s\n", tag);

	undo->nft = nft;

	return record(undo, line);
}

/*
 * Write down that iptables-legacy is about to be told to accept what comes and
 * goes by @interface, with the comment @tag. As undo_rule().
 */
int undo_legacy(struct undo *undo, sa_family_t family, const char *interface,
		const char *tag)
{
	autofree char *line =
		xasprintf("legacy %u %s %s\n", family, interface, tag);

	return record(undo, line);
}

/* Write down that a cgroup is about to be made. As undo_rule(). */
int undo_cgroup(struct undo *undo, const char *path)
{
	autofree char *line = xasprintf("cgroup %s\n", path);

	return record(undo, line);
}

/* Leave a shared value; whoever is the last puts the old one back. */
static void release(struct held *held)
{
	/*
	 * A failed upgrade has dropped the shared lock, which is just what is
	 * wanted: somebody else still needs the value.
	 */
	if (flock(held->fd, LOCK_EX | LOCK_NB) == 0 &&
	    is_current(held->fd, held->file)) {
		restore_sysctl(held->fd);
		unlink(held->file);
	}
	fd_close(&held->fd);
	free(held->file);
}

/*
 * Put everything back and end the list. Goes on past failures, which are told.
 */
void undo_all(struct undo *undo)
{
	if (!undo)
		return;

	for (size_t i = undo->held_count; i-- > 0;)
		release(&undo->held[i]);
	restore_run(undo->rtnl, undo->nft, undo->record_fd, false);
	unlink(undo->record);
	fd_close(&undo->record_fd);
	remove_directories(undo);
	free(undo->held);
	free(undo->record);
	free(undo->dir);
	free(undo);
}
