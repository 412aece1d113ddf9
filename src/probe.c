/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Facts about this host, read only: who we are, which way leads out, what the
 * kernel can do, which name services there are. Nothing is decided here, but
 * what the user asked for and cannot be had (a user, a device, a program, a
 * filter) is refused here, before anything is built.
 */
#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <linux/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/fd.h"
#include "base/log.h"
#include "filter.h"
#include "legacy.h"

/* What a login on the host would give, so that the program behaves the same. */
static const char *const copied[] = {
	"net/ipv4/ping_group_range",
	"net/ipv4/ip_unprivileged_port_start",
	"net/ipv4/ip_local_port_range",
	"net/ipv4/ip_default_ttl",
	"net/ipv4/tcp_rmem",
	"net/ipv4/tcp_wmem",
	"net/core/somaxconn",
};

_Static_assert(sizeof(copied) / sizeof(*copied) <= COPIED_SYSCTLS_MAX,
	       "room for all copied values");

/* Where name services listen that answer from outside the namespace. */
static const struct {
	const char *directory;
	const char *socket;
} name_services[] = {
	{ "/run/systemd/resolve", "/run/systemd/resolve/io.systemd.Resolve" },
	{ "/run/nscd", "/run/nscd/socket" },
	{ "/var/run/nscd", "/var/run/nscd/socket" },
};

static int probe_privileges(void)
{
	if (geteuid() == 0)
		return 0;

	refuse("only root can trace a program in a network namespace");
	hint("run it with sudo");

	return -EPERM;
}

/* Whom the program runs as: by default nothing changes. */
static int probe_user(const struct options *options, struct facts *facts)
{
	int count;

	if (options->user)
		return identity_by_name(options->user, &facts->user);

	facts->user.uid = getuid();
	facts->user.gid = getgid();
	count = getgroups(0, NULL);
	if (count <= 0)
		return 0;
	facts->user.groups = xcalloc((size_t)count, sizeof(gid_t));
	count = getgroups(count, facts->user.groups);
	facts->user.group_count = count > 0 ? (size_t)count : 0;

	return 0;
}

/* Whether @path is a file that somebody could execute; else errno says why. */
static bool is_program(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return false;
	errno = EISDIR;

	return !S_ISDIR(status.st_mode);
}

/*
 * Find what execvp(3) would execute. A name that is nowhere is told now,
 * before an older trace is overwritten; every other reason is exec's to tell.
 */
static int probe_program(const char *name, struct facts *facts)
{
	const char *path = getenv("PATH");
	autofree char *directories = NULL;
	char *next;

	if (strchr(name, '/')) {
		if (is_program(name) || errno != ENOENT) {
			facts->program = xstrdup(name);
			return 0;
		}
		return fail(ENOENT, "cannot execute '%s'", name);
	}

	directories = xstrdup(path ? path : "/bin:/usr/bin");
	next = directories;
	while (next) {
		const char *directory = strsep(&next, ":");
		autofree char *candidate =
			xasprintf("%s/%s", *directory ? directory : ".", name);

		if (is_program(candidate) || errno == EACCES) {
			facts->program = xstrdup(candidate);
			return 0;
		}
	}

	return fail(ENOENT, "cannot execute '%s'", name);
}

static int probe_device(struct rtnl *rtnl, const char *name,
			struct link *device)
{
	int ret = rtnl_link_get(rtnl, 0, name, device);

	if (ret < 0) {
		fail(-ret, "cannot trace on interface '%s'", name);
		hint("without -d the host's own routing decides");
		return ret;
	}
	if (!(device->flags & IFF_UP)) {
		fail(ENETDOWN, "cannot trace on interface '%s'", name);
		hint("set it up with: ip link set %s up", name);
		return -ENETDOWN;
	}

	return 0;
}

/*
 * Which way leads out: by @name, or, if that is NULL, by the host's own
 * routing, whatever it does.
 */
static int probe_routing(struct rtnl *rtnl, const char *name,
			 struct facts *facts)
{
	struct link device = { 0 };
	struct survey survey;
	int ret = name ? probe_device(rtnl, name, &device) : 0;

	if (ret < 0)
		return ret;
	ret = routes_survey(rtnl, device.index, &survey);
	if (ret < 0)
		return fail(-ret, "cannot read the routes of this host");
	if (!name && survey.egress_count)
		ret = rtnl_link_get(rtnl, survey.egress[0].index, NULL,
				    &device);
	/* It may have gone in this moment. */
	if (ret == -ENODEV)
		device.index = 0;
	else if (ret < 0)
		return fail(-ret, "cannot read the interfaces of this host");

	facts->device = device;
	facts->egress = survey.egress;
	facts->egress_count = survey.egress_count;
	facts->ip4_way = survey.ip4.leads;
	facts->ip4_gateway = survey.ip4.beyond;
	/* A host that only knows its neighbours still reaches those. */
	facts->ip6_way = survey.ip6.leads &&
			 (name || survey.ip6.beyond || !survey.ip4.leads);
	facts->ip6_gateway = survey.ip6.beyond;

	return 0;
}

static int probe_uplink(const struct options *options, struct facts *facts)
{
	struct rtnl *rtnl;
	int ret;

	if (options->engine == ENGINE_NONE)
		return 0;

	ret = rtnl_open(&rtnl);
	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket");
	ret = probe_routing(rtnl, options->device, facts);
	rtnl_close(rtnl);

	return ret;
}

static int probe_firewalls(struct facts *facts)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct nft *nft;
	int ret = nft_open(&nft);

	if (!ret)
		ret = foreign_chains(nft, &facts->firewalls);
	nft_close(nft);
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		if (legacy_in_use(families[i]))
			facts->legacy[i] = legacy_name(families[i]);
	}

	return ret < 0 ? fail(-ret, "cannot read the firewall of this host")
		       : 0;
}

static bool is_strict(const char *interface)
{
	char name[64];

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/rp_filter", interface);

	return sysctl_is(name, "1");
}

static void probe_kernel(struct facts *facts)
{
	const char *device = facts->device.name;
	char name[80];

	facts->ip6_kernel = file_exists("/proc/net/if_inet6");
	facts->ip6 = facts->ip6_kernel &&
		     !sysctl_is("net/ipv6/conf/all/disable_ipv6", "1");
	facts->ip6_forwards = sysctl_is("net/ipv6/conf/all/forwarding", "1");
	facts->ip6_force = sysctl_exists("net/ipv6/conf/all/force_forwarding");

	/* The kernel takes the higher of the two; 2 is loose (RFC 3704). */
	snprintf(name, sizeof(name), "net/ipv4/conf/%s/rp_filter", device);
	facts->strict_rp_filter =
		*device && (is_strict("all") || is_strict(device)) &&
		!sysctl_is("net/ipv4/conf/all/rp_filter", "2") &&
		!sysctl_is(name, "2");

	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++) {
		struct copied_sysctl *value =
			&facts->copied[facts->copied_count];

		value->name = copied[i];
		if (sysctl_read(copied[i], value->value) == 0)
			facts->copied_count++;
	}
}

/*
 * Whether a child of the cgroup @path can be made: another file system may lie
 * over it, or it may be mounted read-only.
 */
static bool is_usable(const char *path)
{
	autofree char *procs = path ? xasprintf("%s/cgroup.procs", path) : NULL;

	return procs && access(procs, W_OK) == 0;
}

static void probe_cgroups(struct facts *facts)
{
	facts->cgroup = cgroup_own_path(NULL);
	facts->freezer = cgroup_own_path("freezer");
	facts->freezes = is_usable(facts->cgroup);
	facts->freezable = facts->freezes || is_usable(facts->freezer);
}

static int probe_names(struct facts *facts)
{
	int ret = resolv_read(RESOLV_PATH, &facts->resolv);

	if (ret < 0)
		return ret;

	facts->resolved = file_exists("/run/systemd/resolve/stub-resolv.conf");
	/* A service that is not at work yet may be, before the run ends. */
	for (size_t i = 0; i < sizeof(name_services) / sizeof(*name_services);
	     i++) {
		if (file_exists(name_services[i].directory))
			facts->hidden[facts->hidden_count++] =
				name_services[i].socket;
	}

	return 0;
}

/*
 * Whether @path is what the program writes to as @stream too, by another name
 * (/dev/stdout): both would end up mixed. A null device takes everything.
 */
static bool is_stream(const char *path, int stream)
{
	struct stat named;
	struct stat open;

	return stat(path, &named) == 0 && fstat(stream, &open) == 0 &&
	       named.st_dev == open.st_dev && named.st_ino == open.st_ino &&
	       (!S_ISCHR(open.st_mode) || isatty(stream));
}

static int probe_output(const struct options *options)
{
	const char *outfile = options->outfile;
	struct stat status;

	if (is_stream(outfile, STDOUT_FILENO) ||
	    is_stream(outfile, STDERR_FILENO)) {
		refuse("'%s' is where the program's own output goes", outfile);
		hint("with -o - nothing but the capture is on standard output");
		return -EINVAL;
	}
	if (options_rotate(options) && stat(outfile, &status) == 0 &&
	    !S_ISREG(status.st_mode))
		return refuse("'%s' is no regular file, and --ring-buffer "
			      "makes several of one",
			      outfile);
	if (strcmp(outfile, "-") != 0 || !isatty(STDOUT_FILENO))
		return 0;

	refuse("a capture does not go to a terminal");
	hint("send it on: nsntrace -o - PROGRAM | tshark -l -i -");

	return -EINVAL;
}

/*
 * Find out all that planning needs. Returns 0, or a negative errno already
 * reported (-ENOENT: there is no such program). Free @facts in both cases.
 */
int probe(const struct options *options, struct facts *facts)
{
	int ret;

	*facts = (struct facts){ 0 };
	uname(&facts->uts);
	ret = options_doctor(options) ? 0 : probe_privileges();
	if (!ret && !options_doctor(options))
		ret = probe_output(options);
	if (!ret)
		ret = identity_of_invoker(&facts->invoker);
	if (!ret)
		ret = probe_user(options, facts);
	if (!ret && options->filter)
		ret = filter_compile(options->filter, options->snaplen,
				     &facts->invoker, &facts->filter,
				     &facts->filter_count);
	if (!ret)
		ret = probe_uplink(options, facts);
	if (!ret && options->action == ACTION_DRY_RUN)
		ret = probe_firewalls(facts);
	if (!ret)
		ret = probe_names(facts);
	if (!ret && options->action == ACTION_RUN)
		ret = probe_program(options->argv[0], facts);
	if (ret < 0)
		return ret;

	probe_kernel(facts);
	probe_cgroups(facts);
	debug("probed the host");

	return 0;
}

/* Free what the facts hold. */
void facts_free(struct facts *facts)
{
	identity_free(&facts->invoker);
	identity_free(&facts->user);
	resolv_free(&facts->resolv);
	foreign_chains_free(&facts->firewalls);
	free(facts->program);
	free(facts->egress);
	free(facts->cgroup);
	free(facts->freezer);
	free(facts->filter);
	*facts = (struct facts){ 0 };
}
