/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A record of any bytes, such as a full /run cuts short, read by who puts back
 * what a killed run left: whatever it says, nothing is touched that does not
 * bear the name of a run. The functions that would touch something are others
 * here.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "legacy.h"
#include "netlink/foreign.h"
#include "restore.h"
#include "routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

bool __wrap_sysctl_exists(const char *name);
bool __wrap_sysctl_is(const char *name, const char *value);
int __wrap_sysctl_write(const char *name, const char *value);
void __wrap_rtnl_rule_delete(struct rtnl *rtnl, const struct rule *rule);
void __wrap_rtnl_link_delete(struct rtnl *rtnl, uint32_t index);
void __wrap_rtnl_route_delete(struct rtnl *rtnl, const struct route *route);
int __wrap_rtnl_commit(struct rtnl *rtnl);
int __wrap_rtnl_link_get(struct rtnl *rtnl, uint32_t index, const char *name,
			 struct link *link);
int __wrap_rtnl_routes(struct rtnl *rtnl, sa_family_t family,
		       int (*each)(const struct route *route, void *context),
		       void *context);
int __wrap_nft_open(struct nft **nft);
int __wrap_nft_tables_delete(struct nft *nft, const struct nft_tables *tables);
const char *__wrap_nft_failed(const struct nft *nft);
const char *__wrap_rtnl_failed(const struct rtnl *rtnl);
int __wrap_foreign_withdraw(struct nft *nft, const char *tag);
int __wrap_legacy_withdraw(sa_family_t family, const char *interface,
			   const char *tag);
int __wrap_conntrack_forget(struct nft *nft, const struct ip *ip);
int __wrap_cgroup_remove(const char *path, unsigned *moved);

/* What is tried fails by turns, in every way that a caller tells apart. */
static unsigned turn;

static int outcome(void)
{
	static const int outcomes[] = { 0, -ENOENT, -EIO, -EPERM };

	return outcomes[turn++ % (sizeof(outcomes) / sizeof(*outcomes))];
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_begins(const char *name, const char *prefix)
{
	check(!strncmp(name, prefix, strlen(prefix)));
}

bool __wrap_sysctl_exists(const char *name)
{
	check_begins(name, "net/");

	return turn++ % 4;
}

/* As if the host had not been touched since: all that is left is undone. */
bool __wrap_sysctl_is(const char *name, const char *value)
{
	(void)name;

	return !strcmp(value, "1");
}

int __wrap_sysctl_write(const char *name, const char *value)
{
	check_begins(name, "net/");
	check(!strstr(name, "/../"));
	check(*value);

	return outcome();
}

void __wrap_rtnl_rule_delete(struct rtnl *rtnl, const struct rule *rule)
{
	(void)rtnl;
	check(rule->iif ? routes_number_of_a_run(rule->table)
			: ip_size(&rule->destination) > 0);
}

/* The link of any number has the name of a run, or another one. */
int __wrap_rtnl_link_get(struct rtnl *rtnl, uint32_t index, const char *name,
			 struct link *link)
{
	(void)rtnl;
	(void)name;
	*link = (struct link){ .index = index };
	strcpy(link->name, index % 2 ? "nsn-7" : "eth0");

	return index % 3 ? 0 : -ENODEV;
}

void __wrap_rtnl_link_delete(struct rtnl *rtnl, uint32_t index)
{
	(void)rtnl;
	check(index % 2);
}

/* Two tables that have routes: a run's, and the host's own. */
int __wrap_rtnl_routes(struct rtnl *rtnl, sa_family_t family,
		       int (*each)(const struct route *route, void *context),
		       void *context)
{
	const struct route ours = { .table = 0x100007,
				    .destination.family = family };
	const struct route theirs = { .table = 254,
				      .destination.family = family };

	(void)rtnl;
	each(&ours, context);
	each(&theirs, context);

	return outcome();
}

void __wrap_rtnl_route_delete(struct rtnl *rtnl, const struct route *route)
{
	(void)rtnl;
	check(routes_number_of_a_run(route->table));
}

int __wrap_rtnl_commit(struct rtnl *rtnl)
{
	(void)rtnl;

	return outcome();
}

int __wrap_nft_open(struct nft **nft)
{
	*nft = NULL;

	return outcome();
}

int __wrap_nft_tables_delete(struct nft *nft, const struct nft_tables *tables)
{
	(void)nft;
	check_begins(tables->name, "nsn-");
	check(strlen(tables->name) < IFNAMSIZ);

	return outcome();
}

int __wrap_conntrack_forget(struct nft *nft, const struct ip *ip)
{
	(void)nft;
	check(ip_size(ip) > 0);

	return outcome();
}

const char *__wrap_nft_failed(const struct nft *nft)
{
	(void)nft;

	return "do that";
}

const char *__wrap_rtnl_failed(const struct rtnl *rtnl)
{
	(void)rtnl;

	return "do that";
}

int __wrap_foreign_withdraw(struct nft *nft, const char *tag)
{
	(void)nft;
	check_begins(tag, FOREIGN_TAG);

	return outcome();
}

int __wrap_legacy_withdraw(sa_family_t family, const char *interface,
			   const char *tag)
{
	(void)family;
	check_begins(interface, "nsn-");
	check_begins(tag, FOREIGN_TAG);

	return outcome();
}

int __wrap_cgroup_remove(const char *path, unsigned *moved)
{
	const char *name = strrchr(path, '/');

	check(name);
	check_begins(name, "/nsntrace-");
	*moved = turn % 2;

	return outcome();
}

static void ignore_line(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)line;
	(void)context;
}

/* The first byte: of which kind the record is, and for whom it is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct restore restore = { .lives = "\ncgroup /a/nsntrace-1\n" };
	int fd;

	if (!size)
		return 0;
	turn = *data >> 4;
	restore.stale = *data & 2;
	restore.aloud = *data & 4;
	fd = memfd_create("record", MFD_CLOEXEC);
	check(fd >= 0);
	check(write(fd, data + 1, size - 1) == (ssize_t)size - 1);
	log_set_sink(ignore_line, NULL);
	if (*data & 1)
		restore_run(&restore, fd);
	else
		restore_sysctl(&restore, fd);
	log_set_sink(NULL, NULL);
	close(fd);

	return 0;
}
