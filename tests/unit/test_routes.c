/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which routes lead out of a host, and which stand for everything. */
#include "routes.h"

#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MULLVAD 1836018789

static struct route route_to(const char *destination, uint8_t prefix)
{
	struct route route = {
		.type = RTN_UNICAST,
		.table = RT_TABLE_MAIN,
		.prefix = prefix,
		.index = 2,
	};

	assert_true(ip_parse(destination, &route.destination));

	return route;
}

static void test_destinations(void **state)
{
	static const struct {
		const char *destination;
		uint8_t prefix;
		bool leaves;
		bool is_default;
	} cases[] = {
		{ "0.0.0.0", 0, true, true },
		{ "128.0.0.0", 1, true, true },
		{ "10.0.0.0", 8, true, false },
		{ "8.8.8.8", 32, true, false },
		{ "169.254.0.0", 16, true, false },
		{ "224.0.0.0", 4, false, true },
		{ "239.255.255.250", 32, false, false },
		{ "::", 0, true, true },
		{ "2000::", 3, true, true },
		{ "2001:db8::", 16, true, false },
		{ "2001:db8::", 64, true, false },
		{ "fe80::", 64, false, false },
		{ "ff00::", 8, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route route =
			route_to(cases[i].destination, cases[i].prefix);

		assert_int_equal(route_leaves(&route), cases[i].leaves);
		assert_int_equal(route_is_default(&route), cases[i].is_default);
	}
}

/* A route is one that leaves but for a single thing. */
static void test_others(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t table;
		uint32_t index;
		bool leaves;
	} cases[] = {
		{ RTN_UNICAST, RT_TABLE_MAIN, 2, true },
		{ RTN_UNREACHABLE, RT_TABLE_MAIN, 2, false },
		{ RTN_MULTICAST, RT_TABLE_MAIN, 2, false },
		{ RTN_UNICAST, RT_TABLE_LOCAL, 2, false },
		{ RTN_UNICAST, RT_TABLE_MAIN, 1, false },
		{ RTN_UNICAST, RT_TABLE_MAIN, 0, false },
		{ RTN_UNICAST, MULLVAD, 2, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route route = route_to("10.0.0.0", 8);

		route.type = cases[i].type;
		route.table = cases[i].table;
		route.index = cases[i].index;
		assert_int_equal(route_leaves(&route), cases[i].leaves);
	}
}

/* The first number and the last are a run's; those around them are not. */
static void test_runs(void **state)
{
	static const struct {
		uint32_t number;
		bool is_run;
	} cases[] = {
		{ ROUTES_RUN_BASE - 1, false },
		{ ROUTES_RUN_BASE, true },
		{ ROUTES_RUN_BASE + ROUTES_RUNS - 1, true },
		{ ROUTES_RUN_BASE + ROUTES_RUNS, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct route copy = route_to("10.0.0.0", 8);
		struct route inside = route_to("10.200.0.7", 32);
		struct route inside6 = route_to("64:ff9b:1::7", 128);
		struct route wide = route_to("10.0.0.0", 24);

		copy.table = cases[i].number;
		inside.index = inside6.index = wide.index = cases[i].number;
		assert_int_equal(route_is_of_a_run(&copy), cases[i].is_run);
		assert_int_equal(route_leaves(&copy), !cases[i].is_run);
		assert_int_equal(route_is_of_a_run(&inside), cases[i].is_run);
		assert_int_equal(route_is_of_a_run(&inside6), cases[i].is_run);
		/* Somebody's interface, whose number happens to be as high. */
		assert_true(route_leaves(&wide));
	}
}

static void test_list_grows(void **state)
{
	struct routes routes = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct route route = route_to("10.0.0.0", 8);

		route.metric = i;
		routes_append(&routes, &route);
	}
	assert_int_equal(routes.count, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(routes.route[i].metric, i);
	routes_free(&routes);
	assert_int_equal(routes.count, 0);
	assert_null(routes.route);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_destinations),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_list_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
