/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting back what a record of undo.c's tells, by the run that wrote it or,
 * where that was killed, by a later one or by --cleanup. Who may do so is the
 * caller's affair.
 */
#include "restore.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cgroup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "legacy.h"
#include "netlink/conntrack.h"
#include "netlink/foreign.h"
#include "netlink/nft.h"
#include "routes.h"

#define RECORD_SIZE 512

static void found(struct restore *restore, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One thing was there and is dealt with: a word for who asked for it. */
static void found(struct restore *restore, const char *fmt, ...)
{
	char text[RECORD_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	restore->found++;
	if (restore->aloud)
		note("%c%s.", toupper((unsigned char)*text), text + 1);
	else
		debug("%s", text);
}

/* What cannot be put back is worth a warning, but no more than that. */
static void failed(struct restore *restore, const char *what, int err)
{
	warn("cannot %s: %s", what, strerror(-err));
	restore->failed++;
}

/*
 * Whatever a record says, what does not bear the name of a run is not ours. One
 * that was cut short, by a full /run, may end in the midst of a name.
 */
static bool is_ours(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static bool is_link_of_a_run(const char *name)
{
	return is_ours(name, "nsn-") && strlen(name) < IFNAMSIZ;
}

/* Read a small file as text. Returns whether it is whole. */
static bool read_record(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	if (got <= 0 || text[got - 1] != '\n')
		return false;
	text[got] = '\0';

	return true;
}

/*
 * Whoever writes to the switch for all interfaces, as Docker does when it
 * starts, sets each one's forwarding too: what looks like ours is theirs.
 */
static bool is_overruled(const char *name, const char *all)
{
	const char *key = strrchr(name, '/');

	return key && !strcmp(key, "/forwarding") &&
	       !sysctl_is(IP_FORWARD, all);
}

/*
 * Put a sysctl back as the record behind @fd tells, if it still has the value
 * that we gave it. Failures are told and counted.
 */
void restore_sysctl(struct restore *restore, int fd)
{
	char text[RECORD_SIZE];
	char name[RECORD_SIZE];
	char old[64];
	char ours[64];
	char all[64];
	autofree char *what = NULL;
	int ret;

	if (restore->gone || !read_record(fd, text, sizeof(text)) ||
	    sscanf(text, "%511s %63s %63s %63s", name, old, ours, all) != 4 ||
	    !is_ours(name, "net/") || strstr(name, "/../") ||
	    !sysctl_exists(name) || sysctl_is(name, old))
		return;
	if (!sysctl_is(name, ours) || is_overruled(name, all)) {
		found(restore, "left %s as somebody else has set it", name);
		return;
	}
	what = xasprintf("put back %s=%s", name, old);
	ret = sysctl_write(name, old);
	if (!ret)
		found(restore, "%s", what);
	else if (sysctl_exists(name))
		failed(restore, what, ret);
}

/* More looks than this find only what cannot be deleted. */
#define LOOKS_MAX 8

struct flush {
	uint32_t table;
	struct routes routes;
};

static int collect_route(const struct route *route, void *context)
{
	struct flush *flush = context;

	if (route->table == flush->table)
		routes_append(&flush->routes, route);

	return 0;
}

/*
 * Delete all routes of a private table; they do not go with the rule. A run
 * that was killed may have made one after the first look. Returns how many
 * there were.
 */
static size_t flush_table(struct rtnl *rtnl, sa_family_t family, uint32_t table)
{
	size_t count = 0;
	bool empty = false;

	for (int look = 0; !empty && look < LOOKS_MAX; look++) {
		struct flush flush = { .table = table };

		/* Deletions by others disturb the reading: look again. */
		empty = rtnl_routes(rtnl, family, collect_route, &flush) == 0 &&
			!flush.routes.count;
		/* One by one: some go with their interface right now. */
		for (size_t i = 0; i < flush.routes.count; i++) {
			rtnl_route_delete(rtnl, &flush.routes.route[i]);
			count += rtnl_commit(rtnl) == 0;
		}
		routes_free(&flush.routes);
	}

	return count;
}

/* Whether an error means that the thing is not there, and need not go. */
static bool is_gone(int ret)
{
	return ret == -ENOENT || ret == -ESRCH || ret == -ENODEV ||
	       ret == -EAFNOSUPPORT;
}

/* Send a deletion. Returns whether there was something; failures are told. */
static bool commit(struct restore *restore)
{
	int ret = rtnl_commit(restore->rtnl);

	if (ret < 0 && !is_gone(ret))
		failed(restore, rtnl_failed(restore->rtnl), ret);

	return ret == 0;
}

static void restore_rule(struct restore *restore, const char *text)
{
	struct rule rule = { 0 };
	char iif[IFNAMSIZ];
	unsigned family;
	size_t routes;
	bool gone;

	if (sscanf(text, "%u %u %u %15s", &family, &rule.priority, &rule.table,
		   iif) != 4 ||
	    !routes_number_of_a_run(rule.table))
		return;
	rule.family = (sa_family_t)family;
	rule.iif = iif;
	rtnl_rule_delete(restore->rtnl, &rule);
	gone = commit(restore);
	routes = flush_table(restore->rtnl, rule.family, rule.table);
	if (gone || routes)
		found(restore, "removed the IPv%d routing of %s",
		      family == AF_INET6 ? 6 : 4, iif);
}

static void restore_rule_to(struct restore *restore, const char *line)
{
	struct rule rule = { 0 };
	char text[IP_TEXT_SIZE];
	unsigned prefix;

	if (sscanf(line, "%63s %u %u %u", text, &prefix, &rule.priority,
		   &rule.table) != 4 ||
	    !ip_parse(text, &rule.destination))
		return;
	rule.family = rule.destination.family;
	rule.prefix = (uint8_t)prefix;
	rtnl_rule_delete(restore->rtnl, &rule);
	if (commit(restore))
		found(restore, "removed the routing rule to %s", text);
}

/*
 * A killed run's link goes with its namespace, unless a process or a dying
 * connection keeps that alive. The number is not enough: it may be another's.
 */
static void restore_link(struct restore *restore, const char *text)
{
	char name[IFNAMSIZ];
	struct link link;
	unsigned index;

	if (sscanf(text, "%u %15s", &index, name) != 2 ||
	    !is_link_of_a_run(name) ||
	    rtnl_link_get(restore->rtnl, index, NULL, &link) < 0 ||
	    strcmp(link.name, name) != 0)
		return;
	rtnl_link_delete(restore->rtnl, index);
	if (commit(restore))
		found(restore, "removed the link %s", name);
}

/*
 * Owned tables went with their run, and one of that name may be another run's:
 * the kernel lets nobody else delete it.
 */
static void restore_table(struct restore *restore, const char *name)
{
	const struct nft_tables tables[] = {
		{ .name = name, .ip4.family = AF_INET },
		{ .name = name, .egress = true },
	};
	unsigned removed = 0;
	struct nft *nft;

	if (!is_link_of_a_run(name) || nft_open(&nft) < 0)
		return;
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		int ret = nft_tables_delete(nft, &tables[i]);

		removed += ret == 0;
		if (ret < 0 && !is_gone(ret) && ret != -EPERM)
			failed(restore, nft_failed(nft), ret);
	}
	if (removed)
		found(restore, "removed the tables %s", name);
	nft_close(nft);
}

/* Where the host cannot forget them, they end by themselves. */
static void restore_connections(struct restore *restore, const char *text)
{
	struct nft *nft;
	struct ip ip;
	int count;

	if (!ip_parse(text, &ip) || nft_open(&nft) < 0)
		return;
	count = conntrack_forget(nft, &ip);
	nft_close(nft);
	if (count > 0)
		found(restore, "forgot %d %s of %s", count,
		      count == 1 ? "connection" : "connections", text);
}

/* Only what has the run's own tag: a firewall may have been loaded anew. */
static void restore_accepts(struct restore *restore, const char *tag)
{
	autofree char *what =
		xasprintf("take rules tagged %s out of firewalls", tag);
	struct nft *own = NULL;
	int ret;

	if (!is_ours(tag, FOREIGN_TAG))
		return;
	ret = restore->nft ? 0 : nft_open(&own);
	if (!ret)
		ret = foreign_withdraw(own ? own : restore->nft, tag);
	if (ret < 0)
		failed(restore, what, ret);
	if (ret > 0)
		found(restore, "took %d rules tagged %s out of firewalls", ret,
		      tag);
	nft_close(own);
}

static void restore_legacy(struct restore *restore, const char *text)
{
	char interface[IFNAMSIZ];
	char tag[FOREIGN_TAG_SIZE];
	autofree char *what = NULL;
	unsigned family;
	int ret;

	if (sscanf(text, "%u %15s %63s", &family, interface, tag) != 3 ||
	    !is_link_of_a_run(interface) || !is_ours(tag, FOREIGN_TAG))
		return;
	what = xasprintf("take rules tagged %s out of %s", tag,
			 legacy_name((sa_family_t)family));
	ret = legacy_withdraw((sa_family_t)family, interface, tag);
	/* -EIO: somebody else has, as a firewall does that is loaded anew. */
	if (ret < 0 && ret != -EIO)
		failed(restore, what, ret);
	else if (!ret)
		found(restore, "took rules tagged %s out of %s", tag,
		      legacy_name((sa_family_t)family));
}

static void restore_cgroup(struct restore *restore, const char *path)
{
	autofree char *what = xasprintf("remove cgroup %s", path);
	const char *name = strrchr(path, '/');
	unsigned moved;
	int ret;

	if (!name || !is_ours(name, "/nsntrace-"))
		return;
	ret = cgroup_remove(path, &moved);
	if (ret < 0)
		failed(restore, what, ret);
	else if (ret && moved)
		found(restore,
		      "removed the cgroup %s, whose processes run on, without "
		      "a network",
		      path);
	else if (ret)
		found(restore, "removed the cgroup %s", path);
}

/* clang-format scatters tables whose rows are short. */
/* clang-format off */

/* What a line of a record begins with. */
static const struct {
	const char *word;
	bool stale; /* one's own takes a while, and goes behind the prompt */
	bool netns; /* goes with the network namespace */
	void (*restore)(struct restore *restore, const char *rest);
} kinds[] = {
	{ "rule ", false, true, restore_rule },
	{ "to ", false, true, restore_rule_to },
	{ "accepts ", false, true, restore_accepts },
	{ "legacy ", false, true, restore_legacy },
	{ "link ", true, true, restore_link },
	{ "table ", true, true, restore_table },
	{ "connections ", true, true, restore_connections },
	{ "cgroup ", false, false, restore_cgroup },
};

/* clang-format on */

/* Names and numbers are used again: somebody who lives may have the same. */
static bool is_of_the_living(const struct restore *restore, const char *line)
{
	autofree char *whole = xasprintf("\n%s\n", line);

	return restore->lives && strstr(restore->lives, whole);
}

static void restore_line(struct restore *restore, const char *line)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		size_t length = strlen(kinds[i].word);

		if (!strncmp(line, kinds[i].word, length) &&
		    (restore->stale || !kinds[i].stale) &&
		    !(restore->gone && kinds[i].netns))
			kinds[i].restore(restore, line + length);
	}
}

/* All that is in a file, ended by a null byte, for buf_free(). */
static struct buf read_all(int fd)
{
	struct buf text = { 0 };
	char bytes[4096];
	ssize_t got;

	while ((got = pread(fd, bytes, sizeof(bytes), (off_t)text.used)) > 0)
		buf_append(&text, bytes, (size_t)got);
	buf_u8(&text, '\0');

	return text;
}

/*
 * Put back all that the record of a run behind @fd tells; links and tables only
 * if it is stale. Goes on past failures, which are told and counted. A run may
 * be here for want of descriptors: no second one is taken for reading.
 */
void restore_run(struct restore *restore, int fd)
{
	struct buf text = read_all(fd);
	char *next = (char *)text.bytes;
	char *line;

	/* Cut short, what the last line was to tell of was not done. */
	while ((line = strsep(&next, "\n")) && next) {
		if (!is_of_the_living(restore, line))
			restore_line(restore, line);
	}
	buf_free(&text);
}
