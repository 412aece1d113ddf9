/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options and facts in, choices out: nothing of this host has a say. */
#include "plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fd.h"
#include "services.h"

static struct options options;
static struct facts facts;
static struct plan plan;
static char name[] = "prog";
static char *argv[] = { name, NULL };
static char said[4096];

static void keep(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

/* A host as most are: one uplink, both families, a remote resolver. */
static int set_up(void **state)
{
	(void)state;
	options = (struct options){
		.outfile = "nsntrace.pcap",
		.snaplen = 262144,
		.buffer_size = 16,
		.queue_size = 256,
		.loopback = true,
		.argv = argv,
	};
	facts = (struct facts){
		.invoker = { .uid = 1000, .gid = 1000 },
		.device = { .index = 2, .name = "eth0", .mtu = 1500 },
		.ip4_way = true,
		.ip4_gateway = true,
		.ip6_way = true,
		.ip6_gateway = true,
		.ip6 = true,
		.ip6_force = true,
		.resolv = { .present = true, .count = 1 },
	};
	ip_parse("192.0.2.53", &facts.resolv.servers[0]);
	said[0] = '\0';
	log_set_sink(keep, NULL);

	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	plan_free(&plan);

	return 0;
}

static void test_format_by_name(void **state)
{
	static const struct {
		const char *name;
		enum format asked;
		enum format expected;
	} cases[] = {
		{ "trace.pcap", FORMAT_AUTO, FORMAT_PCAP },
		{ "trace.pcapng", FORMAT_AUTO, FORMAT_PCAPNG },
		{ "trace.pcapng.old", FORMAT_AUTO, FORMAT_PCAP },
		{ "pcapng", FORMAT_AUTO, FORMAT_PCAP },
		{ ".pcapng", FORMAT_AUTO, FORMAT_PCAPNG },
		{ "trace.pcapng", FORMAT_PCAP, FORMAT_PCAP },
		{ "-", FORMAT_PCAPNG, FORMAT_PCAPNG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		options.outfile = cases[i].name;
		options.format = cases[i].asked;
		assert_int_equal(plan_make(&options, &facts, &plan), 0);
		assert_int_equal(plan.format, cases[i].expected);
		plan_free(&plan);
	}
}

static void test_families(void **state)
{
	(void)state;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_true(plan.ip4);
	assert_true(plan.ip6);
	assert_string_equal(plan.ip6_reason, "");
	plan_free(&plan);

	facts.ip6_force = false;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_false(plan.ip6);
	assert_non_null(strstr(plan.ip6_reason, "forward"));
	plan_free(&plan);

	facts.ip6_forwards = true;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_true(plan.ip6);
	plan_free(&plan);

	facts.device.mtu = 1279;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_false(plan.ip6);
	assert_int_equal(plan.mtu, 1279);
}

static void test_no_way_out(void **state)
{
	(void)state;
	facts.ip4_way = facts.ip6_way = false;
	assert_true(plan_make(&options, &facts, &plan) < 0);
	assert_string_equal(said, "nsntrace: cannot trace on interface "
				  "'eth0': it has no address, or no route\n");
	plan_free(&plan);

	said[0] = '\0';
	facts.device.index = 0;
	assert_true(plan_make(&options, &facts, &plan) < 0);
	assert_non_null(strstr(said, "no route"));
	assert_non_null(strstr(said, "hint: with -d lo"));
	plan_free(&plan);

	options.engine = ENGINE_NONE;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_false(plan.capture_device);
	assert_true(plan.capture_lo);
	assert_int_equal(plan.service_count, 0);
}

static void test_candidates(void **state)
{
	static bool seen[65536];
	struct run run;

	(void)state;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	for (unsigned i = 0; i < 65024; i++) {
		unsigned low;

		plan_candidate(&plan, i, 0, 0, &run);
		assert_int_equal(run.ip4.bytes[0], 10);
		assert_int_equal(run.ip4.bytes[1], 200);
		assert_true(run.ip4.bytes[3] != 0 && run.ip4.bytes[3] != 255);
		low = (unsigned)(run.ip4.bytes[2] << 8 | run.ip4.bytes[3]);
		assert_false(seen[low]);
		seen[low] = true;
		assert_int_equal(run.index, run.table);
		assert_true(strlen(run.name) < IFNAMSIZ);
	}
	plan_candidate(&plan, 0, 1, 1, &run);
	assert_int_equal(run.ip4.bytes[0], 172);
	assert_int_equal(run.ip6.bytes[0], 0x20);
}

static void expect_service(size_t i, bool tcp, const char *listen,
			   const char *upstream)
{
	char text[IP_TEXT_SIZE];

	assert_true(i < plan.service_count);
	assert_int_equal(plan.services[i].tcp, tcp);
	assert_int_equal(plan.services[i].port, 53);
	assert_string_equal(ip_format(&plan.services[i].listen, text), listen);
	assert_string_equal(ip_format(&plan.services[i].upstream, text),
			    upstream);
}

static void test_resolvers(void **state)
{
	(void)state;
	/* One that is reached through the uplink needs no help. */
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 0);
	plan_free(&plan);

	/* Each once, over both protocols and families. */
	ip_parse("127.0.0.53", &facts.resolv.servers[0]);
	ip_parse("::1", &facts.resolv.servers[1]);
	ip_parse("127.0.0.53", &facts.resolv.servers[2]);
	facts.resolv.count = 3;
	facts.resolved = true;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 4);
	expect_service(0, false, "127.0.0.53", "127.0.0.53");
	expect_service(1, true, "127.0.0.53", "127.0.0.53");
	expect_service(2, false, "::1", "::1");
	expect_service(3, true, "::1", "::1");
	plan_free(&plan);

	/* The C library's own default. */
	facts.resolv = (struct resolv){ 0 };
	facts.resolved = false;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 2);
	expect_service(0, false, "127.0.0.1", "127.0.0.1");
	plan_free(&plan);

	/* Without a file to mount on, the relay leads to the given server. */
	ip_parse("9.9.9.9", &options.dns[0]);
	options.dns_count = 1;
	options.device = "eth0";
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	expect_service(0, false, "127.0.0.1", "9.9.9.9");
	assert_string_equal(plan.services[0].device, "eth0");
	assert_non_null(strstr(plan.mounts.resolv_conf, "nameserver 9.9.9.9"));
}

/* Inside there is no such link: the relay stands in for who is on it. */
static void test_resolvers_on_the_link(void **state)
{
	static char text[] = "search a.example\n"
			     "nameserver fe80::1%lo # by rdnssd\n"
			     "nameserver 127.53.0.1\n"
			     "nameserver 192.0.2.53\n"
			     "nameserver fe80::2%lo\n"
			     "options edns0";
	struct resolv *resolv = &facts.resolv;

	(void)state;
	resolv->text = text;
	resolv_parse(text, resolv);
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_string_equal(plan.mounts.resolv_conf, "search a.example\n"
						     "nameserver 127.53.0.2\n"
						     "nameserver 127.53.0.1\n"
						     "nameserver 192.0.2.53\n"
						     "nameserver 127.53.0.3\n"
						     "options edns0\n");
	assert_int_equal(plan.service_count, 6);
	expect_service(0, false, "127.53.0.2", "fe80::1");
	assert_int_equal(plan.services[0].upstream.scope, 1);
	expect_service(1, true, "127.53.0.2", "fe80::1");
	expect_service(2, false, "127.53.0.1", "127.53.0.1");
	expect_service(4, false, "127.53.0.3", "fe80::2");
	plan_free(&plan);

	/* Given ones are told apart likewise. */
	assert_true(ip_parse("fe80::3%lo", &options.dns[0]));
	options.dns_count = 1;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_string_equal(plan.mounts.resolv_conf, "search a.example\n"
						     "options edns0\n"
						     "nameserver 127.53.0.1\n");
	assert_int_equal(plan.service_count, 2);
	expect_service(0, false, "127.53.0.1", "fe80::3");
	plan_free(&plan);

	/* Nobody reaches one whose link is not said. */
	options.dns_count = 0;
	resolv_parse("nameserver fe80::1\n", resolv);
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_null(plan.mounts.resolv_conf);
	assert_int_equal(plan.service_count, 0);
}

/* Both loopback addresses, each leading to itself. */
static void test_local_ports(void **state)
{
	(void)state;
	options.local.port[0] =
		(struct port){ .tcp = true, .host = 53, .inside = 53 };
	options.local.count = 1;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 2);
	expect_service(0, true, "127.0.0.1", "127.0.0.1");
	expect_service(1, true, "::1", "::1");
	assert_true(plan.services[0].follow);
	assert_false(plan.services[0].inward);
	plan_free(&plan);

	/* Without a way out, and without IPv6. */
	options.engine = ENGINE_NONE;
	facts.ip6 = false;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 1);
	plan_free(&plan);
	options.engine = ENGINE_AUTO;

	/* A resolver at the same place does it, in either protocol. */
	facts.resolv = (struct resolv){ 0 };
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 2);
	plan_free(&plan);

	/* At another place it is in the way. */
	ip_parse("9.9.9.9", &options.dns[0]);
	options.dns_count = 1;
	assert_true(plan_make(&options, &facts, &plan) < 0);
	assert_string_equal(said, "nsntrace: --localhost 53/tcp: the name "
				  "server of --dns is at 127.0.0.1 inside\n");
	plan_free(&plan);

	/* It is at another port of that address. */
	options.local.port[0].host = options.local.port[0].inside = 54;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 3);
}

static void expect_published(size_t i, const char *listen,
			     const char *const *upstreams)
{
	const struct relay_service *service = &plan.published[i];
	char text[IP_TEXT_SIZE];

	assert_true(service->inward && service->follow);
	assert_int_equal(service->port, 80);
	assert_int_equal(service->upstream_port, 8080);
	assert_string_equal(ip_format(&service->listen, text), listen);
	assert_string_equal(ip_format(&service->upstream, text), upstreams[0]);
	for (int j = 0; j < RELAY_FALLBACKS_MAX; j++)
		assert_string_equal(ip_format(&service->fallbacks[j], text),
				    upstreams[j + 1]);
}

/* To the loopback address of the family first, then to what else there is. */
static void test_published_ports(void **state)
{
	static const char *const v4[] = { "127.0.0.1", "::1", "192.0.2.9",
					  "2001:db8::9" };
	static const char *const v6[] = { "::1", "127.0.0.1", "2001:db8::9",
					  "192.0.2.9" };
	struct run run = { 0 };

	(void)state;
	ip_parse("192.0.2.9", &run.ip4);
	ip_parse("2001:db8::9", &run.ip6);
	options.published.port[0] = (struct port){ .host = 80, .inside = 8080 };
	options.published.count = 2;
	options.published.port[1] = options.published.port[0];
	ip_parse("::1", &options.published.port[1].address);
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.service_count, 0);
	assert_int_equal(plan.published_count, 3);
	services_settle(plan.published, plan.published_count, &run);
	expect_published(0, "0.0.0.0", v4);
	expect_published(1, "::", v6);
	expect_published(2, "::1", v6);
	plan_free(&plan);

	facts.ip6 = false;
	options.published.count = 1;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.published_count, 1);
	assert_int_equal(plan.published[0].fallbacks[0].family, 0);
}

static void test_root_never_observes(void **state)
{
	(void)state;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.observer.uid, 1000);
	plan_free(&plan);

	facts.invoker = (struct identity){ 0 };
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.observer.uid, 65534);
	assert_int_equal(plan.observer.gid, 65534);
}

static void test_queue(void **state)
{
	(void)state;
	options.queue_size = 65536;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_int_equal(plan.queue_bytes, 65536 * (uint64_t)1048576);
}

/* Without a freezer only what asks for one is refused. */
static void test_lossless(void **state)
{
	(void)state;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	plan_free(&plan);

	options.lossless = true;
	assert_true(plan_make(&options, &facts, &plan) < 0);
	assert_non_null(strstr(said, "--lossless\nnsntrace: hint: "));
	plan_free(&plan);

	facts.freezable = true;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
}

static const char *printed(void)
{
	static char text[4096];
	FILE *stream = fmemopen(text, sizeof(text), "w");

	plan_print(&plan, stream);
	fclose(stream);

	return text;
}

/* What is opened on either side is told before it is. */
static void test_printed_ports(void **state)
{
	(void)state;
	facts.ip6 = false;
	options.local.port[0] =
		(struct port){ .tcp = true, .host = 5432, .inside = 5432 };
	options.local.count = 1;
	options.published.port[0] = (struct port){ .host = 80, .inside = 8080 };
	options.published.count = 1;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_non_null(strstr(printed(),
			       "relay: tcp port 5432 inside at 127.0.0.1 to "
			       "127.0.0.1\n"
			       "publish: udp port 80 at 0.0.0.0 to port 8080 "
			       "inside\n"));
}

/* Of the cgroups that there are, those that are made are listed. */
static void test_printed_cgroups(void **state)
{
	char cgroup[] = "/v2", freezer[] = "/v1";

	(void)state;
	facts.cgroup = cgroup;
	facts.freezer = freezer;
	facts.freezable = true;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	assert_non_null(strstr(printed(), "cgroup: a child of /v2\n"));
	assert_null(strstr(printed(), "/v1"));
	options.lossless = true;
	assert_non_null(strstr(printed(), "cgroup: a child of /v2\n"
					  "cgroup: a child of /v1\n"
					  "pause: "));
	facts.freezes = true;
	assert_null(strstr(printed(), "/v1"));
}

static void test_outfile(void **state)
{
	char program[] = "/usr/bin/wget";
	char *outfile;

	(void)state;
	options.outfile = "%e-%p-%t-%u.pcap";
	facts.program = program;
	facts.user.uid = 12;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	outfile = plan_outfile(&plan, 77, 1234567890);
	assert_string_equal(outfile, "wget-77-1234567890-12.pcap");
	free(outfile);
}

static void test_print(void **state)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct egress egress = { .name = "eth0" };

	(void)state;
	options.device = "eth0";
	options.rotate = (struct rotate_limits){ 5000, 7, 500000000, 3 };
	options.autostop.packets = 100;
	facts.egress = &egress;
	facts.egress_count = 1;
	facts.strict_rp_filter = true;
	assert_int_equal(plan_make(&options, &facts, &plan), 0);
	plan_print(&plan, stream);
	fclose(stream);
	assert_non_null(strstr(text, "engine: nat\n"));
	assert_non_null(strstr(text, "net/ipv4/conf/eth0/forwarding=1"));
	assert_non_null(strstr(text, "net/ipv6/conf/eth0/force_forwarding=1"));
	assert_non_null(strstr(text, "net/ipv4/conf/eth0/rp_filter=2"));
	assert_non_null(strstr(text, "rule: iif nsn-"));
	assert_non_null(strstr(text, "next file: 5000 bytes 7 packets 0.5 "
				     "seconds 3 files kept\n"));
	assert_non_null(strstr(text, "autostop: 100 packets\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_format_by_name, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_families, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_way_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_candidates, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_resolvers, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_resolvers_on_the_link,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_local_ports, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_published_ports, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_root_never_observes,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lossless, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_printed_ports, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_printed_cgroups, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_outfile, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_print, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
