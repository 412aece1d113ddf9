/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting back what a record of undo.c's tells, by the run that wrote it or,
 * where that was killed, by a later one. Who may do so is the caller's affair.
 */
#include "restore.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "legacy.h"
#include "netlink/foreign.h"
#include "netlink/nft.h"
#include "routes.h"

#define RECORD_SIZE 512

/* Read a small file as text. Returns 0 or -errno. */
static int read_record(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	if (got < 0)
		return -errno;
	text[got] = '\0';

	return 0;
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
 * that we gave it. Failures are told.
 */
void restore_sysctl(int fd)
{
	char text[RECORD_SIZE];
	char name[RECORD_SIZE];
	char old[64];
	char ours[64];
	char all[64];

	if (read_record(fd, text, sizeof(text)) < 0 ||
	    sscanf(text, "%511s %63s %63s %63s", name, old, ours, all) != 4)
		return;
	if (!sysctl_is(name, ours) || is_overruled(name, all))
		return;
	debug("putting back %s=%s", name, old);
	if (sysctl_write(name, old) < 0 && sysctl_exists(name))
		warn("cannot put back %s=%s", name, old);
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
 * that was killed may have made one after the first look.
 */
static void flush_table(struct rtnl *rtnl, sa_family_t family, uint32_t table)
{
	bool empty = false;

	for (int look = 0; !empty && look < LOOKS_MAX; look++) {
		struct flush flush = { .table = table };

		/* Deletions by others disturb the reading: look again. */
		empty = rtnl_routes(rtnl, family, collect_route, &flush) == 0 &&
			!flush.routes.count;
		/* One by one: some go with their interface right now. */
		for (size_t i = 0; i < flush.routes.count; i++) {
			rtnl_route_delete(rtnl, &flush.routes.route[i]);
			rtnl_commit(rtnl);
		}
		routes_free(&flush.routes);
	}
}

static void restore_rule(struct rtnl *rtnl, const char *line)
{
	struct rule rule = { 0 };
	char iif[IFNAMSIZ];
	unsigned family;

	if (sscanf(line, "rule %u %u %u %15s", &family, &rule.priority,
		   &rule.table, iif) != 4)
		return;
	rule.family = (sa_family_t)family;
	rule.iif = iif;
	debug("putting back the routing of %s", iif);
	rtnl_rule_delete(rtnl, &rule);
	rtnl_commit(rtnl);
	/* Whatever a record says: the tables of others are not ours to empty.
	 */
	if (routes_number_of_a_run(rule.table))
		flush_table(rtnl, rule.family, rule.table);
}

static void restore_rule_to(struct rtnl *rtnl, const char *line)
{
	struct rule rule = { 0 };
	char text[IP_TEXT_SIZE];
	unsigned prefix;

	if (sscanf(line, "to %63s %u %u %u", text, &prefix, &rule.priority,
		   &rule.table) != 4 ||
	    !ip_parse(text, &rule.destination))
		return;
	rule.family = rule.destination.family;
	rule.prefix = (uint8_t)prefix;
	debug("putting back the routing to %s", text);
	rtnl_rule_delete(rtnl, &rule);
	rtnl_commit(rtnl);
}

/*
 * A killed run's link goes with its namespace, unless a process or a dying
 * connection keeps that alive. The number is not enough: it may be another's.
 */
static void restore_link(struct rtnl *rtnl, const char *line)
{
	char name[IFNAMSIZ];
	struct link link;
	unsigned index;

	if (sscanf(line, "link %u %15s", &index, name) != 2 ||
	    rtnl_link_get(rtnl, index, NULL, &link) < 0 ||
	    strcmp(link.name, name) != 0)
		return;
	debug("removing link %s", name);
	rtnl_link_delete(rtnl, index);
	rtnl_commit(rtnl);
}

/*
 * Owned tables went with their run, and one of that name may be another run's:
 * the kernel lets nobody else delete it.
 */
static void restore_table(const char *line)
{
	struct nft_tables both = {
		.name = line + strlen("table "),
		.ip4.family = AF_INET,
		.egress = true,
	};
	struct nft *nft;

	if (nft_open(&nft) < 0)
		return;
	debug("removing tables %s", both.name);
	nft_tables_delete(nft, &both);
	nft_close(nft);
}

/* Only what has the run's own tag: a firewall may have been loaded anew. */
static void restore_accepts(struct nft *nft, const char *line)
{
	const char *tag = line + strlen("accepts ");
	struct nft *own = NULL;
	int ret = nft ? 0 : nft_open(&own);

	debug("taking rules tagged %s out of firewalls", tag);
	if (!ret)
		ret = foreign_withdraw(nft ? nft : own, tag);
	if (ret < 0)
		warn("cannot take rules tagged %s out of firewalls: %s", tag,
		     strerror(-ret));
	nft_close(own);
}

static void restore_legacy(const char *line)
{
	char interface[IFNAMSIZ];
	char tag[FOREIGN_TAG_SIZE];
	unsigned family;
	int ret;

	if (sscanf(line, "legacy %u %15s %63s", &family, interface, tag) != 3)
		return;
	debug("taking rules tagged %s out of %s", tag,
	      legacy_name((sa_family_t)family));
	ret = legacy_withdraw((sa_family_t)family, interface, tag);
	/* -EIO: somebody else has, as a firewall does that is loaded anew. */
	if (ret < 0 && ret != -EIO)
		warn("cannot take rules tagged %s out of %s: %s", tag,
		     legacy_name((sa_family_t)family), strerror(-ret));
}

static void restore_cgroup(const char *line)
{
	const char *path = line + strlen("cgroup ");
	int ret = cgroup_remove(path);

	debug("removing cgroup %s", path);
	if (ret < 0 && ret != -ENOENT)
		warn("cannot remove cgroup %s: %s", path, strerror(-ret));
}

/*
 * Put back all that the record of a run behind @fd tells, over @rtnl and @nft,
 * or a socket of its own if that is NULL; links and tables only if the run is
 * @stale. Goes on past failures, which are told.
 */
void restore_run(struct rtnl *rtnl, struct nft *nft, int fd, bool stale)
{
	FILE *file = fdopen(dup(fd), "r");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return;
	rewind(file);
	while (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "rule ", 5))
			restore_rule(rtnl, line);
		if (!strncmp(line, "to ", 3))
			restore_rule_to(rtnl, line);
		if (!strncmp(line, "accepts ", 8))
			restore_accepts(nft, line);
		if (!strncmp(line, "legacy ", 7))
			restore_legacy(line);
		/* One's own takes a while, and goes behind the prompt. */
		if (stale && !strncmp(line, "link ", 5))
			restore_link(rtnl, line);
		if (stale && !strncmp(line, "table ", 6))
			restore_table(line);
		if (!strncmp(line, "cgroup ", 7))
			restore_cgroup(line);
	}
	free(line);
	fclose(file);
}
