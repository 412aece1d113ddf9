/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run changed on the host and the kernel does not put back by itself:
 * sysctls, policy-routing rules with their tables, accepts in the firewalls of
 * others, cgroups, links whose namespace somebody keeps alive, and nftables
 * tables on kernels where nobody can own them. Each is written down before it
 * is made, in the records of state.c, so that the next run can put back what a
 * killed one could not.
 */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "restore.h"
#include "stale.h"
#include "state.h"

/* A sysctl that this run holds at a value, with others perhaps. */
struct held {
	char *file;
	int fd; /* with the shared lock */
};

struct undo {
	struct rtnl *rtnl; /* borrowed */
	struct nft *nft;   /* likewise, once there are accepts */
	char *dir;
	char *record; /* path of the run's own file; NULL: it is in memory */
	int record_fd;
	int spare;	/* kept for putting back, as a run may have no other */
	int unrecorded; /* why it is, a positive errno */
	struct held *held;
	size_t held_count;
};

/* Returns 1 if the file is empty, 0 if not, or -errno. */
static int is_empty(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -errno : status.st_size == 0;
}

/* Whether a host has no place for records, which nobody can do much about. */
static bool is_no_place(int err)
{
	return err == EROFS || err == EACCES || err == EPERM || err == ENOENT ||
	       err == ENOTDIR;
}

/*
 * What the run puts back itself need not be in a file; only a killed run
 * leaves it then. How that differs for what runs share, see set_for_good().
 */
static int open_in_memory(struct undo *undo, int reason)
{
	undo->record_fd = memfd_create("nsntrace-record", MFD_CLOEXEC);
	if (undo->record_fd < 0)
		return fail(errno, "cannot keep a record in memory");
	undo->unrecorded = reason;
	debug("keeping the record in memory, as " STATE_DIR
	      " cannot be written: %s",
	      strerror(reason));

	return 0;
}

/* Open the run's own record. One that is cleaned away at once is no record. */
static int open_record(struct undo *undo)
{
	for (unsigned i = 0;; i++) {
		autofree char *path = xasprintf("%s/" STATE_RUN "%d.%u",
						undo->dir, (int)getpid(), i);
		autoclose int fd = state_open(undo->dir, path);
		int ret;

		if (fd < 0 && is_no_place(-fd))
			return open_in_memory(undo, -fd);
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
		if (!state_is_current(fd, path))
			continue;
		undo->record = path;
		path = NULL;
		undo->record_fd = take_fd(&fd);
		return 0;
	}
}

/*
 * Begin a list of changes. @rtnl, a socket on the host, stays the caller's and
 * must live as long. The caller ends the list with undo_all(). Returns 0, or a
 * negative errno, reported.
 */
int undo_begin(struct undo **undo, struct rtnl *rtnl)
{
	struct undo *list = xcalloc(1, sizeof(*list));
	int ret;

	list->rtnl = rtnl;
	list->record_fd = -1;
	list->dir = state_directory(rtnl_fd(rtnl));
	ret = open_record(list);
	list->spare = fcntl(rtnl_fd(rtnl), F_DUPFD_CLOEXEC, 0);
	if (!ret && list->spare < 0)
		ret = fail(errno, "cannot keep a descriptor in reserve");
	if (ret < 0) {
		fd_close(&list->record_fd);
		fd_close(&list->spare);
		if (list->record)
			unlink(list->record);
		free(list->record);
		state_remove_directories(list->dir);
		free(list->dir);
		free(list);
		return ret;
	}
	*undo = list;

	return 0;
}

/*
 * As undo_begin(), but what dead runs left is put back first.
 */
int undo_open(struct undo **undo, struct rtnl *rtnl)
{
	autofree char *dir = state_directory(rtnl_fd(rtnl));

	stale_restore(rtnl, dir);

	return undo_begin(undo, rtnl);
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

/*
 * Nobody can tell here whether another run needs the value, and one run must
 * not take it away from another: so it stays.
 */
static int set_for_good(const struct undo *undo, const char *name,
			const char *value)
{
	int ret;

	if (sysctl_is(name, value))
		return 0;
	ret = sysctl_write(name, value);
	if (ret < 0)
		return fail(-ret, "cannot set %s=%s", name, value);
	warn("%s=%s will stay: which runs need it cannot be recorded "
	     "in " STATE_DIR ": %s",
	     name, value, strerror(undo->unrecorded));

	return 0;
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

/* Leave a shared value; whoever is the last puts the old one back. */
static void release(struct held *held, struct restore *restore)
{
	unsigned failed = restore->failed;

	/*
	 * A failed upgrade has dropped the shared lock, which is just what is
	 * wanted: somebody else still needs the value.
	 */
	if (flock(held->fd, LOCK_EX | LOCK_NB) == 0 &&
	    state_is_current(held->fd, held->file)) {
		restore_sysctl(restore, held->fd);
		/* What could not be put back now can be later. */
		if (restore->failed == failed)
			unlink(held->file);
	}
	fd_close(&held->fd);
	free(held->file);
}

/* Without a lock on its record a value is as if it was never needed. */
static int forgo(const char *path, int *fd, int err)
{
	struct restore restore = { 0 };
	struct held held = { .file = xstrdup(path), .fd = take_fd(fd) };

	release(&held, &restore);

	return fail(err, "cannot lock %s", path);
}

/* The record of a sysctl; the caller frees it. */
static char *path_of(const struct undo *undo, const char *name)
{
	char *path = xasprintf("%s/" STATE_SYSCTL "%s", undo->dir, name);

	for (char *at = path + strlen(undo->dir) + 1; *at; at++) {
		if (*at == '/')
			*at = ',';
	}

	return path;
}

/*
 * Set a value whose record is still empty, and hold it. Returns 0, 1 if others
 * were quicker, or a negative errno, reported.
 */
static int set_and_hold(struct undo *undo, const char *name, const char *value,
			char **path, int *fd)
{
	int ret = state_lock(*fd, LOCK_EX);

	if (ret < 0)
		return forgo(*path, fd, -ret);
	/* Changing the lock lets others in between. */
	if (!state_is_current(*fd, *path) || is_empty(*fd) <= 0)
		return 1;
	ret = set_first(*fd, name, value, *path);
	if (ret <= 0) {
		unlink(*path);
		return ret;
	}
	/* Likewise: who had joined us may have put the old one back. */
	ret = state_lock(*fd, LOCK_SH);
	if (ret < 0)
		return forgo(*path, fd, -ret);
	if (!state_is_current(*fd, *path))
		return 1;
	hold(undo, path, fd);

	return 0;
}

/* Set and hold a value, whoever needs it already. As set_and_hold(). */
static int settle(struct undo *undo, const char *name, const char *value,
		  char **path, int *fd)
{
	int ret = state_lock(*fd, LOCK_SH);

	if (!ret && !state_is_current(*fd, *path))
		return 1;
	if (!ret)
		ret = is_empty(*fd);
	if (ret < 0)
		return forgo(*path, fd, -ret);
	if (ret)
		return set_and_hold(undo, name, value, path, fd);
	ret = join(name, value);
	if (!ret)
		hold(undo, path, fd);

	return ret;
}

/*
 * Set a sysctl for as long as any run needs it. Returns 0, or a negative errno
 * already reported.
 */
int undo_sysctl(struct undo *undo, const char *name, const char *value)
{
	autofree char *path = path_of(undo, name);
	int ret = 1;

	if (undo->unrecorded)
		return set_for_good(undo, name, value);
	/* An interface made anew under its old name has no value of ours. */
	if (is_held(undo, path))
		return join(name, value);

	while (ret > 0) {
		autoclose int fd = state_open(undo->dir, path);

		if (fd < 0)
			return fail(-fd, "cannot open %s", path);
		ret = settle(undo, name, value, &path, &fd);
	}

	return ret;
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
 * Write down that the host will translate connections of @ip, which it knows
 * for days where nobody sees their end. Nothing if that is no address. As
 * undo_rule().
 */
int undo_connections(struct undo *undo, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];
	autofree char *line = NULL;

	if (!ip->family)
		return 0;
	line = xasprintf("connections %s\n", ip_format(ip, text));

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

/*
 * Put everything back and end the list. Goes on past failures, which are told.
 */
void undo_all(struct undo *undo)
{
	struct restore shared = { 0 };
	struct restore own = { 0 };

	if (!undo)
		return;

	fd_close(&undo->spare);
	for (size_t i = undo->held_count; i-- > 0;)
		release(&undo->held[i], &shared);
	own.rtnl = undo->rtnl;
	own.nft = undo->nft;
	restore_run(&own, undo->record_fd);
	if (undo->record && !own.failed)
		unlink(undo->record);
	fd_close(&undo->record_fd);
	state_remove_directories(undo->dir);
	free(undo->held);
	free(undo->record);
	free(undo->dir);
	free(undo);
}
