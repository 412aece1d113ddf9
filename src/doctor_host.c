/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of the host itself, which is not changed: where a run's packets would
 * go, who could stop them, and where it would write. What can be asked of the
 * kernel only by changing something is asked for in vain, or in a namespace
 * that nobody else is in.
 */
#include "doctor_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "legacy.h"
#include "mounts.h"
#include "netlink/foreign.h"
#include "netlink/rtnl.h"
#include "outfile.h"
#include "plan.h"
#include "probe.h"
#include "relay/relay.h"
#include "stale.h"
#include "state.h"
#include "uplink/pick.h"

/* What a rule or a file is marked with that must never stay. */
#define MARK "doctor"

/* The run that is asked about. It ends with the process that looks at it. */
struct study {
	struct facts facts;
	struct plan plan;
};

static int look(const struct options *options, struct study *study)
{
	int ret = probe(options, &study->facts);

	if (!ret)
		ret = plan_make(options, &study->facts, &study->plan);

	return ret;
}

int check_route(const struct options *options)
{
	struct study study;
	const struct facts *facts = &study.facts;
	int ret = look(options, &study);

	if (ret < 0)
		return ret;
	if (!facts->ip4_gateway && !facts->ip6_gateway) {
		warn("%s leads to its own networks only: there is no default "
		     "route",
		     facts->device.name);
		hint("ip route add default via ROUTER");
	} else {
		note("packets leave by %s", facts->device.name);
	}

	return 0;
}

/* Where the host has none either, nothing is missing. */
int check_ipv6(const struct options *options)
{
	struct study study;
	const struct plan *plan = &study.plan;
	int ret = look(options, &study);

	if (ret < 0)
		return ret;
	if (plan->ip6)
		note("the program has it, as the host has");
	else if (study.facts.ip6 && study.facts.ip6_way)
		warn("the program has none, as %s", plan->ip6_reason);
	else
		note("the program has none, as %s", plan->ip6_reason);

	return 0;
}

/* Whether the program's packets are forwarded by @interface, or could be. */
static int try_forwarding(const char *family, const char *interface,
			  const char *key)
{
	autofree char *name =
		xasprintf("net/%s/conf/%s/%s", family, interface, key);
	int ret;

	if (sysctl_is(name, "1"))
		return 0;
	ret = sysctl_try(name);

	return ret < 0 ? fail(-ret, "cannot set %s=1", name) : 0;
}

/* What a new interface begins with, and those by which answers come. */
int check_forwarding(const struct options *options)
{
	struct study study;
	const struct plan *plan = &study.plan;
	const struct facts *facts = &study.facts;
	int ret = look(options, &study);

	if (!ret && plan->ip4)
		ret = try_forwarding("ipv4", "default", "forwarding");
	for (size_t i = 0; !ret && i < facts->egress_count; i++) {
		const char *name = facts->egress[i].name;

		if (plan->ip4)
			ret = try_forwarding("ipv4", name, "forwarding");
		if (!ret && plan->ip6 && !facts->ip6_forwards)
			ret = try_forwarding("ipv6", name, "force_forwarding");
	}
	if (!ret)
		note("packets can be forwarded for single interfaces");

	return ret;
}

/* The last two bytes are the run's own. */
static void tell_pool(struct ip *ip)
{
	size_t size = ip_size(ip);
	char text[IP_TEXT_SIZE];

	memset(ip->bytes + size - 2, 0, 2);
	note("the program can have one of %s/%zu", ip_format(ip, text),
	     8 * (size - 2));
}

int check_addresses(const struct options *options)
{
	struct study study;
	struct pick pick = { 0 };
	struct run run;
	struct rtnl *rtnl;
	int ret = look(options, &study);

	if (ret < 0)
		return ret;
	ret = rtnl_open(&rtnl);
	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket");
	if (!pick_next(rtnl, &study.plan, &pick, &run))
		return pick_refuse();
	tell_pool(run.ip4.family ? &run.ip4 : &run.ip6);

	return 0;
}

static int try_chain(struct nft *nft, const struct foreign_chain *chain)
{
	const struct foreign_accepts accepts = {
		.interface = "nsn-" MARK,
		.tag = FOREIGN_TAG MARK,
	};
	int ret = foreign_rehearse(nft, chain, &accepts);

	/* It has just gone, as happens while a firewall is loaded anew. */
	if (!ret || ret == -ENOENT)
		return 0;
	if (ret == -EPERM)
		return refuse("table %s %s, which another process owns, may "
			      "drop all that the program sends",
			      foreign_family(chain), chain->table);

	return fail(-ret, "cannot %s", nft_failed(nft));
}

/* In a namespace without any rules, which the command can change as it will. */
static int try_legacy(const bool in_use[2])
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		int ret;

		if (!in_use[i])
			continue;
		if (unshare(CLONE_NEWNET) < 0)
			return fail(errno, "cannot make a network namespace");
		ret = legacy_accept(families[i], "nsn-" MARK, FOREIGN_TAG MARK);
		if (ret < 0) {
			fail(-ret, "cannot accept packets by %s",
			     legacy_name(families[i]));
			hint("install it: its rules are in use here");
			return ret;
		}
	}

	return 0;
}

int check_firewall(const struct options *options)
{
	const bool legacy[] = { legacy_in_use(AF_INET),
				legacy_in_use(AF_INET6) };
	struct foreign_chains chains = { 0 };
	struct nft *nft;
	size_t count;
	int ret = nft_open(&nft);

	(void)options;
	if (!ret)
		ret = foreign_chains(nft, &chains);
	if (ret < 0)
		return fail(-ret, "cannot read the firewall of this host");
	for (size_t i = 0; !ret && i < chains.count; i++)
		ret = try_chain(nft, &chains.chain[i]);
	if (!ret)
		ret = try_legacy(legacy);
	if (ret < 0)
		return ret;
	count = chains.count + legacy[0] + legacy[1];
	if (count)
		note("a run is let through where packets may be dropped, in "
		     "%zu %s",
		     count, count == 1 ? "chain" : "chains");
	else
		note("nothing drops what is forwarded");

	return 0;
}

int check_mounts(const struct options *options)
{
	struct study study;
	int ret = look(options, &study);

	if (ret < 0)
		return ret;
	if (!mounts_needed(&study.plan.mounts)) {
		note("no name service has to be hidden from the program");
		return 0;
	}
	ret = mounts_enter(&study.plan.mounts);
	if (!ret)
		note("name services can be hidden from the program");

	return ret;
}

int check_ports(const struct options *options)
{
	struct study study;
	const struct plan *plan = &study.plan;
	int ret = look(options, &study);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < plan->published_count; i++) {
		ret = relay_listen(&plan->published[i]);
		if (ret < 0)
			return ret;
	}
	if (plan->published_count)
		note("the ports of -P are free");
	else
		note("no port of the host is asked for");

	return 0;
}

/* Where the records of runs on this host are; the caller frees it. */
char *doctor_records(void)
{
	autoclose int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return state_directory(socket_fd);
}

/* Taken away again under its lock, so that nobody takes it for a dead run's. */
int check_records(const struct options *options)
{
	autofree char *dir = doctor_records();
	autofree char *path = xasprintf("%s/" MARK ".%d", dir, (int)getpid());
	autoclose int fd = state_open(dir, path);
	int ret;

	(void)options;
	if (fd < 0)
		return fail(-fd, "cannot write below " STATE_DIR);
	ret = state_lock(fd, LOCK_EX);
	unlink(path);
	state_remove_directories(dir);
	if (ret < 0)
		return fail(-ret, "cannot lock %s", path);
	note("what a run changes can be written down");

	return 0;
}

int check_leftovers(const struct options *options)
{
	autofree char *dir = doctor_records();

	(void)options;
	if (stale_count(dir))
		warn("killed runs have left something on this host");
	else
		note("killed runs have left nothing");

	return 0;
}

static int try_file(const struct options *options, struct study *study)
{
	autofree char *path = NULL;
	autofree char *file = NULL;

	study->plan.options = options;
	study->plan.facts = &study->facts;
	if (!study->facts.program)
		study->facts.program = xstrdup("program");
	path = plan_outfile(&study->plan, getpid(), time(NULL));
	/* The first of several has a name of its own. */
	file = xasprintf("%s%s", path, options_rotate(options) ? "_00001" : "");

	return outfile_try(file, &study->facts.invoker);
}

int check_output(const struct options *options)
{
	struct study study = { 0 };
	struct rlimit limit;
	int ret = 0;

	if (strcmp(options->outfile, "-") == 0) {
		note("the trace goes to standard output");
		return 0;
	}
	ret = identity_of_invoker(&study.facts.invoker);
	if (!ret)
		ret = try_file(options, &study);
	if (ret < 0)
		return ret;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY) {
		warn("a trace can have %llu bytes at most",
		     (unsigned long long)limit.rlim_cur);
		hint("raise the limit: ulimit -f");
	} else {
		note("'%s' can be written", options->outfile);
	}

	return 0;
}
