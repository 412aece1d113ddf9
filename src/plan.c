/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options and facts become every choice of a run. Pure: nothing is asked of
 * the host here, nothing changed, so that --dry-run can tell what a run would
 * do. Where only the kernel can decide (is that name, that address free?) the
 * plan gives candidates, and struct run holds what was got.
 */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "netlink/foreign.h"
#include "pattern.h"
#include "services.h"

/* Locally administered, the same in all runs: the link is their own. */
const uint8_t plan_inside_mac[6] = { 0x02, 0x6e, 0x73, 0x6e, 0x00, 0x02 };
const uint8_t plan_outside_mac[6] = { 0x02, 0x6e, 0x73, 0x6e, 0x00, 0x01 };

/*
 * Where the program's addresses come from: the first pool that nobody here has
 * a route to. 198.18/15 is for benchmarks (RFC 2544), 100.64/10 carriers and
 * overlay networks use.
 */
static const char *const pools[PLAN_POOLS] = { "10.200.0.0", "172.30.0.0",
					       "192.168.0.0", "198.18.0.0",
					       "100.115.0.0" };

/*
 * Not unique local addresses: with one as its source address the C library
 * would prefer IPv4 (RFC 6724), unlike on the host. 64:ff9b:1::/48 is for
 * local use (RFC 8215), 2001:2::/48 for benchmarks (RFC 5180).
 */
static const char *const pools6[PLAN_POOLS6] = { "64:ff9b:1::", "2001:2::" };

#define MIB	    ((size_t)1024 * 1024)
#define IP6_MIN_MTU 1280 /* RFC 8200, section 5 */

/* Unlike numbers for runs that start at once, unlike ones for those after. */
static uint32_t first_number(pid_t pid)
{
	return (uint32_t)pid * 40503U % ROUTES_RUNS;
}

/*
 * The name, numbers and addresses to try on the @attempt'th try, out of the
 * given pools. The name decides: whoever creates the interface has it all.
 */
void plan_candidate(const struct plan *plan, unsigned attempt, unsigned pool,
		    unsigned pool6, struct run *run)
{
	uint32_t number = (plan->first + attempt) % ROUTES_RUNS;

	*run = (struct run){
		.number = number,
		.index = ROUTES_RUN_BASE + number,
		.table = ROUTES_RUN_BASE + number,
	};
	snprintf(run->name, sizeof(run->name), "nsn-%u", number);
	if (plan->ip4) {
		ip_parse(pools[pool % PLAN_POOLS], &run->ip4);
		run->ip4.bytes[2] = (uint8_t)(number / 254);
		run->ip4.bytes[3] = (uint8_t)(number % 254 + 1);
	}
	if (plan->ip6) {
		ip_parse(pools6[pool6 % PLAN_POOLS6], &run->ip6);
		run->ip6.bytes[14] = (uint8_t)((number + 1) >> 8);
		run->ip6.bytes[15] = (uint8_t)(number + 1);
	}
}

static bool plan_has_ip6(struct plan *plan)
{
	const struct facts *facts = plan->facts;
	const char *reason = "";

	if (!facts->ip6)
		reason = "it is switched off on this host";
	else if (!facts->ip6_way)
		reason = plan->options->device
				 ? "the device has no IPv6 route"
				 : "this host has no default IPv6 route";
	else if (!facts->ip6_forwards && !facts->ip6_force)
		reason = "this kernel cannot forward it for one interface only";
	else if (plan->mtu < IP6_MIN_MTU)
		reason = "the MTU of the device is too small for it";
	snprintf(plan->ip6_reason, sizeof(plan->ip6_reason), "%s", reason);

	return !*reason;
}

static int plan_uplink(struct plan *plan)
{
	const struct options *options = plan->options;
	const struct facts *facts = plan->facts;

	plan->engine = options->engine;
	if (plan->engine == ENGINE_NONE && !options->loopback)
		return refuse("there is nothing to capture with --no-loopback "
			      "and no way out");
	if (plan->engine == ENGINE_NONE)
		return 0;
	if (!facts->device.index) {
		refuse("this host has no route that leads anywhere");
		hint("with -d lo the program runs without a way out");
		return -ENETUNREACH;
	}

	plan->engine = ENGINE_NAT;
	plan->mtu = facts->device.mtu;
	plan->ip4 = facts->ip4_way;
	plan->ip6 = plan_has_ip6(plan);
	plan->ip6_links = facts->ip6_kernel && plan->mtu >= IP6_MIN_MTU;
	ip_parse("169.254.1.1", &plan->gateway4);
	ip_parse("fe80::1", &plan->gateway6);
	if (plan->ip4 || plan->ip6)
		return 0;

	refuse("cannot trace on interface '%s': it has no address, "
	       "or no route",
	       facts->device.name);

	return -EADDRNOTAVAIL;
}

static enum format format_of(const struct options *options)
{
	static const char suffix[] = ".pcapng";
	size_t length = strlen(options->outfile);

	if (options->format != FORMAT_AUTO)
		return options->format;
	if (length >= strlen(suffix) &&
	    !strcmp(options->outfile + length - strlen(suffix), suffix))
		return FORMAT_PCAPNG;

	return FORMAT_PCAP;
}

static int plan_capture(struct plan *plan)
{
	const struct options *options = plan->options;
	const struct identity *invoker = &plan->facts->invoker;

	plan->to_stdout = !strcmp(options->outfile, "-");
	plan->rotate = options_rotate(options);
	plan->format = format_of(options);
	plan->capture_device = plan->engine == ENGINE_NAT;
	plan->capture_lo = options->loopback;
	plan->ring_bytes = options->buffer_size * MIB;
	plan->queue_bytes = options->queue_size * MIB;

	/* What parses bytes from the network is never root. */
	identity_nobody(&plan->nobody);
	plan->observer = invoker->uid ? *invoker : plan->nobody;

	if (!options->lossless || plan->facts->freezable)
		return 0;
	refuse("this host has no cgroup in which a program can be paused for "
	       "--lossless");
	hint("it takes cgroup v2 of Linux 5.14, or the freezer of v1, mounted "
	     "and writable");

	return -EOPNOTSUPP;
}

static void plan_mounts(struct plan *plan)
{
	for (size_t i = 0; i < plan->facts->hidden_count; i++)
		plan->mounts.hidden[i] = plan->facts->hidden[i];
	plan->mounts.hidden_count = plan->facts->hidden_count;
}

/*
 * Decide. @plan points into @options and @facts, which must live as long.
 * Returns 0, or a negative errno already reported. To be freed in both cases.
 */
int plan_make(const struct options *options, const struct facts *facts,
	      struct plan *plan)
{
	int ret;

	*plan = (struct plan){
		.options = options,
		.facts = facts,
		.first = first_number(getpid()),
	};
	ret = plan_uplink(plan);
	if (!ret)
		ret = plan_capture(plan);
	if (ret < 0)
		return ret;
	ret = services_plan(plan);
	plan_mounts(plan);

	return ret;
}

/* Free what the plan itself owns. */
void plan_free(struct plan *plan)
{
	identity_free(&plan->nobody);
	free(plan->resolv_conf);
	plan->resolv_conf = NULL;
}

/* The name of the trace, once the program's @pid is known; caller frees. */
char *plan_outfile(const struct plan *plan, pid_t pid, time_t started)
{
	const struct pattern_values values = {
		.pid = pid,
		.path = plan->facts->program,
		.host = plan->facts->uts.nodename,
		.started = started,
		.uid = plan->facts->user.uid,
	};

	return pattern_expand(plan->options->outfile, &values);
}

static void print_sysctls(const struct plan *plan, const struct run *run,
			  FILE *stream)
{
	const struct facts *facts = plan->facts;

	for (size_t i = 0; i < facts->egress_count; i++) {
		const char *name = facts->egress[i].name;

		if (plan->ip4)
			fprintf(stream,
				"sysctl: net/ipv4/conf/%s/forwarding=1"
				" during the run\n",
				name);
		if (plan->ip6 && !facts->ip6_forwards)
			fprintf(stream,
				"sysctl: net/ipv6/conf/%s/force_forwarding=1"
				" during the run\n",
				name);
	}
	if (plan->options->device && facts->strict_rp_filter)
		fprintf(stream,
			"sysctl: net/ipv4/conf/%s/rp_filter=2"
			" during the run\n",
			facts->device.name);
	if (plan->options->device)
		fprintf(stream, "rule: iif %s lookup %u, only by %s\n",
			run->name, run->table, facts->device.name);
}

static void print_accepts(const struct plan *plan, const struct run *run,
			  FILE *stream)
{
	const struct foreign_chains *chains = &plan->facts->firewalls;
	const char *const *legacy = plan->facts->legacy;
	const bool carried[] = { plan->ip4, plan->ip6 };

	for (size_t i = 0; i < chains->count; i++)
		fprintf(stream,
			"accept: %s both ways in chain %s of table %s %s"
			" during the run\n",
			run->name, chains->chain[i].name,
			foreign_family(&chains->chain[i]),
			chains->chain[i].table);
	for (size_t i = 0; i < 2; i++) {
		if (legacy[i] && carried[i])
			fprintf(stream,
				"accept: %s both ways by %s during the run\n",
				run->name, legacy[i]);
	}
}

static void print_nat(const struct plan *plan, FILE *stream)
{
	char text[IP_TEXT_SIZE];
	struct run run;

	plan_candidate(plan, 0, 0, 0, &run);
	fprintf(stream, "uplink: %s\n", plan->facts->device.name);
	fprintf(stream, "link: %s (index %u, mtu %u) to %s inside\n", run.name,
		run.index, plan->mtu, PLAN_INSIDE_NAME);
	if (plan->ip4)
		fprintf(stream, "address: %s\n", ip_format(&run.ip4, text));
	if (plan->ip6)
		fprintf(stream, "address: %s\n", ip_format(&run.ip6, text));
	else
		fprintf(stream, "address: no IPv6, as %s\n", plan->ip6_reason);
	fprintf(stream, "table: inet %s (masquerade)\n", run.name);
	fprintf(stream, "table: netdev %s (keeps the host's own chatter out)\n",
		run.name);
	print_sysctls(plan, &run, stream);
	print_accepts(plan, &run, stream);
}

static void print_names(const struct plan *plan, FILE *stream)
{
	services_print(plan, stream);
	for (size_t i = 0; i < plan->mounts.hidden_count; i++)
		fprintf(stream, "mount: %s hidden from the program\n",
			plan->mounts.hidden[i]);
	if (plan->mounts.resolv_conf)
		fprintf(stream, "mount: %s with %s servers\n", RESOLV_PATH,
			plan->options->dns_count ? "the given" : "relayed");
}

static void print_limits(const char *what, const struct rotate_limits *limits,
			 const char *files, FILE *stream)
{
	const struct rotate_limits none = { 0 };

	if (memcmp(limits, &none, sizeof(none)) == 0)
		return;
	fprintf(stream, "%s:", what);
	if (limits->bytes)
		fprintf(stream, " %" PRIu64 " bytes", limits->bytes);
	if (limits->packets)
		fprintf(stream, " %" PRIu64 " packets", limits->packets);
	if (limits->duration)
		fprintf(stream, " %g seconds", (double)limits->duration / 1e9);
	if (limits->files)
		fprintf(stream, " %" PRIu64 " files %s", limits->files, files);
	fprintf(stream, "\n");
}

static void print_cgroups(const struct plan *plan, FILE *stream)
{
	const struct facts *facts = plan->facts;
	bool lossless = plan->options->lossless;

	if (facts->cgroup)
		fprintf(stream, "cgroup: a child of %s\n", facts->cgroup);
	if (lossless && !facts->freezes)
		fprintf(stream, "cgroup: a child of %s\n", facts->freezer);
	if (lossless)
		fprintf(stream,
			"pause: the program, while half of the queue is "
			"taken and until it is a quarter\n");
}

/* Say on @stream what a run would do, one choice a line. */
void plan_print(const struct plan *plan, FILE *stream)
{
	const struct facts *facts = plan->facts;

	fprintf(stream, "program: %s as user %u\n",
		facts->program ? facts->program : plan->options->argv[0],
		facts->user.uid);
	fprintf(stream, "engine: %s\n",
		plan->engine == ENGINE_NAT ? "nat" : "none");
	if (plan->engine == ENGINE_NAT)
		print_nat(plan, stream);
	print_cgroups(plan, stream);
	fprintf(stream, "record: below /run/nsntrace, during the run\n");
	print_names(plan, stream);
	fprintf(stream,
		"capture: %s%s%s, %zu MiB of ring, %zu MiB of queue, "
		"as user %u\n",
		plan->capture_device ? PLAN_INSIDE_NAME : "",
		plan->capture_device && plan->capture_lo ? " and " : "",
		plan->capture_lo ? "lo" : "", plan->ring_bytes / MIB,
		plan->queue_bytes / MIB, plan->observer.uid);
	fprintf(stream, "source: %s\n",
		plan->options->source == CAPTURE_PACKET ? "packet" : "libpcap");
	if (plan->options->filter)
		fprintf(stream, "filter: %s (%u instructions)\n",
			plan->options->filter, facts->filter_count);
	fprintf(stream, "file: %s (%s)\n", plan->options->outfile,
		plan->format == FORMAT_PCAPNG ? "pcapng" : "pcap");
	print_limits("next file", &plan->options->rotate, "kept", stream);
	print_limits("autostop", &plan->options->autostop, "full", stream);
}
