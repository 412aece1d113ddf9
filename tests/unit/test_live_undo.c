/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values that several runs share, in a namespace of the test's own with a /run
 * of its own. Each run is a process, so that it can be killed.
 */
#include "undo.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sysctl.h"
#include "netlink/nft.h"

#include <cmocka.h>

#define NAME  "net/ipv4/conf/lo/forwarding"
#define TABLE 0x100007

struct process {
	pid_t pid;
	int orders; /* a byte does one thing */
	int done;
};

/* What a run does when it is told to. */
static void obey(char order, struct undo **undo, struct rtnl *rtnl)
{
	const struct rule rule = {
		.family = AF_INET,
		.iif = "lo",
		.table = TABLE,
		.priority = 77,
	};
	const struct route route = {
		.type = 7, /* RTN_UNREACHABLE */
		.table = TABLE,
		.destination.family = AF_INET,
	};
	struct rule to = {
		.table = RT_TABLE_MAIN,
		.priority = 77,
		.prefix = 128,
	};

	/* As on a kernel on which tables have no owner. */
	struct nft_tables tables = {
		.name = "nsn-7",
		.interface = "lo",
		.egress = true,
	};
	struct nft *nft;

	ip_parse("192.0.2.7", &tables.ip4);
	ip_parse("2001:db8::7", &to.destination);
	to.family = to.destination.family;
	switch (order) {
	case 's':
		if (undo_sysctl(*undo, NAME, "1") < 0)
			_exit(2);
		break;
	case 'r':
		if (undo_rule(*undo, &rule) < 0)
			_exit(2);
		rtnl_rule_add(rtnl, &rule);
		rtnl_route_add(rtnl, &route);
		if (rtnl_commit(rtnl) < 0)
			_exit(3);
		break;
	case 't':
		if (undo_rule_to(*undo, &to) < 0)
			_exit(2);
		rtnl_rule_add(rtnl, &to);
		if (rtnl_commit(rtnl) < 0)
			_exit(3);
		break;
	case 'n':
		if (undo_table(*undo, tables.name) < 0)
			_exit(2);
		if (nft_open(&nft) < 0 || nft_tables_add(nft, &tables) < 0)
			_exit(3);
		break;
	case 'x':
		if (undo_sysctl(*undo, "net/ipv4/conf/none/forwarding", "1") >=
		    0)
			_exit(2);
		break;
	case 'l':
		if (undo_link(*undo, if_nametoindex("nsn-7"), "nsn-7") < 0)
			_exit(2);
		break;
	case 'u':
		undo_all(*undo);
		*undo = NULL;
		break;
	case 'q':
		_exit(0);
	default:
		_exit(4);
	}
}

static void be_run(int orders, int done)
{
	struct undo *undo;
	struct rtnl *rtnl;
	char order;

	if (rtnl_open(&rtnl) < 0 || undo_open(&undo, rtnl) < 0)
		_exit(1);
	if (write(done, "", 1) != 1)
		_exit(1);
	while (read(orders, &order, 1) == 1) {
		obey(order, &undo, rtnl);
		if (write(done, "", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void await(struct process *process)
{
	char byte;

	assert_int_equal(read(process->done, &byte, 1), 1);
}

static struct process start(void)
{
	struct process process;
	int orders[2];
	int done[2];

	assert_int_equal(pipe(orders), 0);
	assert_int_equal(pipe(done), 0);
	process.pid = fork();
	assert_true(process.pid >= 0);
	if (!process.pid) {
		close(orders[1]);
		close(done[0]);
		be_run(orders[0], done[1]);
	}
	close(orders[0]);
	close(done[1]);
	process.orders = orders[1];
	process.done = done[0];
	await(&process);

	return process;
}

static void order(struct process *process, char what)
{
	assert_int_equal(write(process->orders, &what, 1), 1);
	await(process);
}

static void finish(struct process *process, int signo)
{
	int wstatus;

	if (signo)
		kill(process->pid, signo);
	else
		assert_int_equal(write(process->orders, "q", 1), 1);
	close(process->orders);
	assert_int_equal(waitpid(process->pid, &wstatus, 0), process->pid);
	assert_int_equal(signo ? WTERMSIG(wstatus) : WEXITSTATUS(wstatus),
			 signo);
	close(process->done);
}

static void assert_value(const char *expected)
{
	char value[SYSCTL_VALUE_SIZE];

	assert_int_equal(sysctl_read(NAME, value), 0);
	assert_string_equal(value, expected);
}

static bool run_is_empty(void)
{
	DIR *dir = opendir("/run");
	unsigned entries = 0;

	assert_non_null(dir);
	while (readdir(dir))
		entries++;
	closedir(dir);

	return entries == 2;
}

static int count_rule(const struct route *route, void *context)
{
	unsigned *count = context;

	*count += route->table == TABLE;

	return 0;
}

/* Routes in the run's private table. */
static unsigned table_routes(void)
{
	struct rtnl *rtnl;
	unsigned count = 0;

	assert_int_equal(rtnl_open(&rtnl), 0);
	assert_true(rtnl_routes(rtnl, AF_INET, count_rule, &count) >= 0);
	rtnl_close(rtnl);

	return count;
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(sysctl_write(NAME, "0"), 0);
	assert_true(run_is_empty());

	return 0;
}

static void test_last_one_restores(void **state)
{
	struct process first = start();
	struct process second = start();

	(void)state;
	order(&first, 's');
	assert_value("1");
	assert_false(run_is_empty());
	order(&second, 's');
	order(&first, 'u');
	assert_value("1");
	order(&second, 'u');
	assert_value("0");
	assert_true(run_is_empty());
	finish(&first, 0);
	finish(&second, 0);
}

static void test_value_that_was_there_stays(void **state)
{
	struct process run = start();

	(void)state;
	assert_int_equal(sysctl_write(NAME, "1"), 0);
	order(&run, 's');
	order(&run, 'u');
	assert_value("1");
	assert_true(run_is_empty());
	finish(&run, 0);
}

static void test_admin_has_the_last_word(void **state)
{
	struct process run = start();

	(void)state;
	order(&run, 's');
	assert_int_equal(sysctl_write(NAME, "0"), 0);
	order(&run, 'u');
	assert_value("0");
	assert_true(run_is_empty());
	finish(&run, 0);
}

static void test_next_run_restores(void **state)
{
	struct process killed = start();
	struct process next;

	(void)state;
	order(&killed, 's');
	order(&killed, 'r');
	finish(&killed, SIGKILL);
	assert_value("1");
	assert_int_equal(table_routes(), 1);

	next = start();
	assert_value("0");
	assert_int_equal(table_routes(), 0);
	order(&next, 'u');
	assert_true(run_is_empty());
	finish(&next, 0);
}

static void test_killed_beside_a_living_one(void **state)
{
	struct process killed = start();
	struct process living = start();
	struct process next;

	(void)state;
	order(&killed, 's');
	order(&living, 's');
	finish(&killed, SIGKILL);
	next = start();
	assert_value("1");
	order(&next, 'u');
	assert_value("1");
	order(&living, 'u');
	assert_value("0");
	assert_true(run_is_empty());
	finish(&living, 0);
	finish(&next, 0);
}

static void test_rule_goes(void **state)
{
	struct process run = start();

	(void)state;
	order(&run, 'r');
	assert_int_equal(table_routes(), 1);
	order(&run, 'u');
	assert_int_equal(table_routes(), 0);
	assert_true(run_is_empty());
	finish(&run, 0);
}

static int count_main(const struct route *route, void *context)
{
	unsigned *count = context;

	*count += route->table == RT_TABLE_MAIN && route->prefix == 32;

	return 0;
}

/* The host's own route, and rules at our priority. */
static void assert_host(unsigned routes, int rules)
{
	unsigned found = 0;
	struct rtnl *rtnl;

	assert_int_equal(rtnl_open(&rtnl), 0);
	assert_true(rtnl_routes(rtnl, AF_UNSPEC, count_main, &found) >= 0);
	rtnl_close(rtnl);
	assert_int_equal(found, routes);
	assert_int_equal(system("ip -6 rule show pref 77 | grep -q ."),
			 rules ? 0 : 0x100);
}

/* A rule that leads to a table of the host's goes, and the table stays. */
static void test_rule_to_main_goes(void **state)
{
	struct process run = start();
	struct process killed = start();

	(void)state;
	assert_int_equal(system("ip route add blackhole 198.51.100.7; "
				"ip -6 route add blackhole 2001:db8::/32"),
			 0);
	order(&run, 't');
	assert_host(2, 1);
	order(&run, 'u');
	assert_host(2, 0);
	order(&killed, 't');
	finish(&killed, SIGKILL);
	assert_host(2, 1);
	finish(&run, 0);
	run = start();
	assert_host(2, 0);
	order(&run, 'u');
	finish(&run, 0);
	assert_true(run_is_empty());
}

/* Not even if a record tells so. */
static void test_main_is_never_emptied(void **state)
{
	struct process killed = start();
	struct process next;

	(void)state;
	assert_int_equal(system("for record in /run/nsntrace/*/run.*; do "
				"echo rule 2 77 254 lo >>$record; "
				"echo rule 10 77 254 lo >>$record; done"),
			 0);
	finish(&killed, SIGKILL);
	next = start();
	assert_host(2, 0);
	order(&next, 'u');
	finish(&next, 0);
	assert_true(run_is_empty());
}

/* Tables that nobody owns go with the next run, and only then. */
static void test_tables_go(void **state)
{
	struct process killed = start();
	struct process next;

	(void)state;
	order(&killed, 'n');
	assert_int_equal(system("nft add table inet other"), 0);
	finish(&killed, SIGKILL);
	assert_int_equal(system("nft list table inet nsn-7 >&2 && "
				"nft list table netdev nsn-7 >&2"),
			 0);
	next = start();
	assert_int_equal(system("test \"$(nft list tables)\" = "
				"'table inet other'"),
			 0);
	assert_int_equal(system("nft delete table inet other"), 0);
	order(&next, 'u');
	finish(&next, 0);
	assert_true(run_is_empty());
}

static int remove_link(void **state)
{
	(void)state;

	return system("ip link delete nsn-7 2>/dev/null") < 0;
}

/* Numbers and names are used again: what a living run has too stays. */
static void test_names_are_used_again(void **state)
{
	struct process killed = start();
	struct process living = start();
	struct process next;

	(void)state;
	assert_int_equal(system("ip link add nsn-7 type veth peer name nsn-8"),
			 0);
	order(&killed, 'l');
	order(&living, 'l');
	finish(&killed, SIGKILL);
	next = start();
	assert_true(if_nametoindex("nsn-7") > 0);
	finish(&next, SIGKILL);
	finish(&living, SIGKILL);
	next = start();
	assert_int_equal(if_nametoindex("nsn-7"), 0);
	order(&next, 'u');
	finish(&next, 0);
	assert_true(run_is_empty());
}

/*
 * Only what bears the name of a run is touched, whatever a record says; and a
 * line that was cut short says nothing.
 */
static void test_what_is_not_ours_stays(void **state)
{
	struct process killed = start();
	struct process next;

	(void)state;
	assert_int_equal(
		system("ip link add nsn-7 type veth peer name other; "
		       "nft add table inet other; "
		       "number() { ip -o link show $1 | cut -d: -f1; }; "
		       "{ echo link $(number other) other; "
		       "echo table other; echo accepts other; "
		       "printf 'link %s nsn-7' $(number nsn-7); } "
		       ">>$(ls /run/nsntrace/*/run.*)"),
		0);
	finish(&killed, SIGKILL);
	next = start();
	assert_true(if_nametoindex("nsn-7") > 0);
	assert_int_equal(system("nft delete table inet other"), 0);
	order(&next, 'u');
	finish(&next, 0);
	assert_true(run_is_empty());
}

/* A value that is not there leaves no file behind. */
static void test_no_such_value(void **state)
{
	struct process run = start();

	(void)state;
	order(&run, 'x');
	order(&run, 'u');
	assert_true(run_is_empty());
	finish(&run, 0);
}

/* Many at once, in no order: the value never goes while one holds it. */
static void test_crowd(void **state)
{
	pid_t pids[16];

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		for (unsigned turn = 0; turn < 50; turn++) {
			struct undo *undo;
			struct rtnl *rtnl;

			if (rtnl_open(&rtnl) < 0 ||
			    undo_open(&undo, rtnl) < 0 ||
			    undo_sysctl(undo, NAME, "1") < 0 ||
			    !sysctl_is(NAME, "1"))
				_exit(1);
			undo_all(undo);
			rtnl_close(rtnl);
		}
		_exit(0);
	}
	for (size_t i = 0; i < 16; i++) {
		int wstatus;

		assert_int_equal(waitpid(pids[i], &wstatus, 0), pids[i]);
		assert_int_equal(wstatus, 0);
	}
	assert_value("0");
	assert_true(run_is_empty());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_last_one_restores, set_up),
		cmocka_unit_test_setup(test_value_that_was_there_stays, set_up),
		cmocka_unit_test_setup(test_admin_has_the_last_word, set_up),
		cmocka_unit_test_setup(test_next_run_restores, set_up),
		cmocka_unit_test_setup(test_killed_beside_a_living_one, set_up),
		cmocka_unit_test_setup(test_rule_goes, set_up),
		cmocka_unit_test_setup(test_rule_to_main_goes, set_up),
		cmocka_unit_test_setup(test_main_is_never_emptied, set_up),
		cmocka_unit_test_setup(test_tables_go, set_up),
		cmocka_unit_test_setup_teardown(test_names_are_used_again,
						set_up, remove_link),
		cmocka_unit_test_setup_teardown(test_what_is_not_ours_stays,
						set_up, remove_link),
		cmocka_unit_test_setup(test_no_such_value, set_up),
		cmocka_unit_test_setup(test_crowd, set_up),
	};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		return 1;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
