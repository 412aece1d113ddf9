/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wait statuses, pidfds, and children that are found by their namespace. */
#include "base/proc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

static void test_exit_status(void **state)
{
	static const struct {
		int wstatus;
		int expected;
	} cases[] = {
		{ W_EXITCODE(0, 0), 0 },
		{ W_EXITCODE(7, 0), 7 },
		{ W_EXITCODE(255, 0), 255 },
		{ W_EXITCODE(0, SIGKILL), 137 },
		{ W_EXITCODE(0, SIGINT), 130 },
		{ W_EXITCODE(0, SIGSEGV) | WCOREFLAG, 139 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(exit_status(cases[i].wstatus),
				 cases[i].expected);
}

static void test_pidfd_signals_the_child(void **state)
{
	autoclose int pidfd = -1;
	int wstatus;
	pid_t pid;

	(void)state;
	pid = proc_fork(&pidfd);
	if (!pid) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(proc_signal(pidfd, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_int_equal(exit_status(wstatus), 128 + SIGTERM);
	assert_int_equal(proc_signal(pidfd, SIGTERM), -ESRCH);
}

static void test_signals_are_read(void **state)
{
	struct signalfd_siginfo info;
	autoclose int fd = -1;
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = signals_open(&set);
	assert_true(fd >= 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(read(fd, &info, sizeof(info)), sizeof(info));
	assert_int_equal(info.ssi_signo, SIGUSR1);
	assert_int_equal(info.ssi_pid, getpid());
}

static pid_t found;

static void find(pid_t pid, void *context)
{
	(void)context;
	if (pid == getpid())
		found = pid;
}

/* A process may call itself anything; what it says is shown on a terminal. */
static void test_name(void **state)
{
	char name[PROC_NAME_SIZE];

	(void)state;
	prctl(PR_SET_NAME, "plain (x) 45678");
	assert_int_equal(proc_name(getpid(), name), 0);
	assert_string_equal(name, "plain (x) 45678");
	prctl(PR_SET_NAME, "\033[2J\n\303\251\x7f\xc2\x9b");
	assert_int_equal(proc_name(getpid(), name), 0);
	assert_string_equal(name, "?[2J??????");
	prctl(PR_SET_NAME, "");
	assert_int_equal(proc_name(getpid(), name), 0);
	assert_string_equal(name, "");
	assert_true(proc_name(-1, name) < 0);
}

static void test_processes_are_found_by_namespace(void **state)
{
	autoclose int ns = proc_netns_open(getpid());
	const pid_t own = getpid();
	uint64_t inode;

	(void)state;
	assert_true(ns >= 0);
	inode = proc_netns_inode(ns);
	assert_true(inode != 0);
	assert_true(proc_each_in_netns(inode, NULL, 0, find, NULL) > 0);
	assert_int_equal(found, getpid());
	found = 0;
	proc_each_in_netns(inode, &own, 1, find, NULL);
	assert_int_equal(found, 0);
	assert_int_equal(
		proc_each_in_netns(inode + 1000000, NULL, 0, find, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_status),
		cmocka_unit_test(test_pidfd_signals_the_child),
		cmocka_unit_test(test_signals_are_read),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_processes_are_found_by_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
