/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each process can still do in its sandbox, what it dies of, and what it
 * says then. Each act is that of a child, which keeps quiet otherwise.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024 * 1024)

/* What a child does; it returns whether that went as it should. */
typedef bool act(void);

static pid_t tester;
static char said[256];

static void say(enum log_level level, const char *line, void *context)
{
	const int *fd = context;

	(void)level;
	if (write(*fd, line, strlen(line)) < 0)
		_exit(3);
}

/* As in a run: all signals blocked, and lines go elsewhere. */
static void be_child(enum sandbox_process process, act *what, int fd)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	log_set_sink(say, &fd);
	prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    sandbox_enter(process) < 0)
		_exit(2);
	_exit(what() ? 0 : 1);
}

/* The wait status of who acts in the sandbox; what it says is in said[]. */
static int act_as(enum sandbox_process process, act *what)
{
	int wstatus, fds[2];
	ssize_t size;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	tester = getpid();
	pid = fork();
	if (!pid)
		be_child(process, what, fds[1]);
	close(fds[1]);
	size = read(fds[0], said, sizeof(said) - 1);
	said[size > 0 ? size : 0] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);

	return wstatus;
}

#ifdef WITHOUT_SECCOMP

static bool fork_off(void)
{
	return fork() >= 0;
}

static void test_nothing_changes(void **state)
{
	(void)state;
	assert_int_equal(act_as(SANDBOX_RELAY, fork_off), 0);
	assert_string_equal(said, "");
}

#else

static const char *const names[] = {
	[SANDBOX_FRONT] = "front",
	[SANDBOX_TRACER] = "tracer",
	[SANDBOX_RELAY] = "relay",
};

static bool is_missing(long ret)
{
	return ret < 0 && errno == ENOSYS;
}

static bool use_memory(void)
{
	char *small = malloc(100), *large = malloc(64UL * MIB);

	memset(large, 1, 64UL * MIB);
	large = realloc(large, 128UL * MIB);
	free(small);
	free(large);

	return true;
}

static bool wait_a_moment(void)
{
	const struct timespec moment = { .tv_nsec = 1 };

	return poll(NULL, 0, 1) == 0 && nanosleep(&moment, NULL) == 0 &&
	       syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &moment) == 0;
}

static bool use_newer_calls(void)
{
	return is_missing(syscall(1000)) && is_missing(syscall(1000000)) &&
	       is_missing(syscall(SYS_clone3, NULL, 0)) &&
	       is_missing(syscall(SYS_close_range, 100, 200, 0));
}

/* One that nobody refused is no reason to die. */
static bool be_sent_sigsys(void)
{
	return raise(SIGSYS) == 0;
}

static bool read_file(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	bool ok = file && getc(file) == 'N';

	fclose(file);

	return ok;
}

static bool look_at_terminal(void)
{
	int group;

	isatty(0);

	return ioctl(0, TIOCGPGRP, &group) < 0 || group;
}

static bool ask_whether_it_lives(void)
{
	return kill(tester, 0) == 0;
}

static bool raise_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool make_socket(int family, int type)
{
	return socket(family, type, 0) >= 0;
}

static bool make_internet_sockets(void)
{
	return make_socket(AF_INET, SOCK_STREAM) &&
	       make_socket(AF_INET, SOCK_DGRAM);
}

static void *have_a_name(void *argument)
{
	pthread_setname_np(pthread_self(), "some name");
	free(malloc(100));

	return argument;
}

static bool make_thread(void)
{
	const struct sched_param none = { 0 };
	pthread_t thread;

	return pthread_create(&thread, NULL, have_a_name, NULL) == 0 &&
	       pthread_join(thread, NULL) == 0 &&
	       sched_setscheduler(0, SCHED_OTHER, &none) == 0;
}

static bool use_descriptors(void)
{
	int event = eventfd(0, EFD_CLOEXEC);

	return event >= 0 && eventfd_write(event, 1) == 0 && close(event) == 0;
}

/* Each may be done; of what all may do, by all. */
static void test_work_goes_on(void **state)
{
	static const struct {
		enum sandbox_process process;
		act *what;
	} cases[] = {
		{ SANDBOX_FRONT, use_memory },
		{ SANDBOX_FRONT, wait_a_moment },
		{ SANDBOX_FRONT, use_newer_calls },
		{ SANDBOX_FRONT, be_sent_sigsys },
		{ SANDBOX_FRONT, read_file },
		{ SANDBOX_FRONT, look_at_terminal },
		{ SANDBOX_FRONT, ask_whether_it_lives },
		{ SANDBOX_TRACER, use_memory },
		{ SANDBOX_TRACER, wait_a_moment },
		{ SANDBOX_TRACER, use_newer_calls },
		{ SANDBOX_TRACER, be_sent_sigsys },
		{ SANDBOX_TRACER, make_thread },
		{ SANDBOX_TRACER, use_descriptors },
		{ SANDBOX_RELAY, use_memory },
		{ SANDBOX_RELAY, wait_a_moment },
		{ SANDBOX_RELAY, use_newer_calls },
		{ SANDBOX_RELAY, be_sent_sigsys },
		{ SANDBOX_RELAY, raise_limit },
		{ SANDBOX_RELAY, make_internet_sockets },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int wstatus = act_as(cases[i].process, cases[i].what);

		if (wstatus || *said)
			fail_msg("case %zu: status %x, \"%s\"", i, wstatus,
				 said);
	}
}

static bool account(void)
{
	return syscall(SYS_acct, NULL) == 0;
}

static bool execute(void)
{
	return execl("/bin/true", "true", NULL) == 0;
}

static bool leave_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool make_unix_socket(void)
{
	return make_socket(AF_UNIX, SOCK_STREAM);
}

static bool make_internet_socket(void)
{
	return make_socket(AF_INET, SOCK_STREAM);
}

static bool type_for_the_user(void)
{
	return ioctl(0, TIOCSTI, "x") == 0;
}

static bool set_other_option(void)
{
	int size = 1;

	return setsockopt(0, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0;
}

static void *account_there(void *argument)
{
	account();

	return argument;
}

static bool account_in_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, account_there, NULL) == 0 &&
	       pthread_join(thread, NULL) == 0;
}

#ifndef SANITIZED
static bool fork_off(void)
{
	return fork() >= 0;
}

static bool write_file(void)
{
	return open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0;
}

static bool make_nameless_file(void)
{
	return open("/tmp", O_RDONLY | O_TMPFILE | O_CLOEXEC, 0600) >= 0;
}

static bool send_signal(void)
{
	return kill(tester, SIGCHLD) == 0;
}

static bool send_signal_to_thread(void)
{
	return syscall(SYS_tgkill, tester, tester, SIGCHLD) == 0;
}

static bool trace(void)
{
	return syscall(SYS_ptrace, 0, 0, NULL, NULL) == 0;
}

static bool open_memory(void)
{
	return prctl(PR_SET_DUMPABLE, 1) == 0;
}
#endif

/* Each is the last that the process does, and it says what it was. */
static void test_others_are_deadly(void **state)
{
	static const struct {
		enum sandbox_process process;
		act *what;
		const char *call;
	} cases[] = {
		{ SANDBOX_FRONT, account, "acct" },
		{ SANDBOX_FRONT, execute, "execve" },
		{ SANDBOX_FRONT, leave_namespace, "unshare" },
		{ SANDBOX_FRONT, map_code, "mmap" },
		{ SANDBOX_FRONT, make_code, "mprotect" },
		{ SANDBOX_FRONT, make_internet_socket, "socket" },
		{ SANDBOX_FRONT, type_for_the_user, "ioctl" },
		{ SANDBOX_TRACER, account, "acct" },
		{ SANDBOX_TRACER, account_in_thread, "acct" },
		{ SANDBOX_TRACER, execute, "execve" },
		{ SANDBOX_TRACER, leave_namespace, "unshare" },
		{ SANDBOX_TRACER, map_code, "mmap" },
		{ SANDBOX_TRACER, make_code, "mprotect" },
		{ SANDBOX_TRACER, make_internet_socket, "socket" },
		{ SANDBOX_TRACER, set_other_option, "setsockopt" },
		{ SANDBOX_RELAY, account, "acct" },
		{ SANDBOX_RELAY, execute, "execve" },
		{ SANDBOX_RELAY, leave_namespace, "unshare" },
		{ SANDBOX_RELAY, map_code, "mmap" },
		{ SANDBOX_RELAY, make_code, "mprotect" },
		{ SANDBOX_RELAY, make_unix_socket, "socket" },
#ifndef SANITIZED
		{ SANDBOX_FRONT, fork_off, "clone" },
		{ SANDBOX_FRONT, write_file, "openat" },
		{ SANDBOX_FRONT, make_nameless_file, "openat" },
		{ SANDBOX_FRONT, send_signal, "kill" },
		{ SANDBOX_FRONT, send_signal_to_thread, "tgkill" },
		{ SANDBOX_FRONT, trace, "ptrace" },
		{ SANDBOX_FRONT, open_memory, "prctl" },
		{ SANDBOX_TRACER, fork_off, "clone" },
		{ SANDBOX_TRACER, ask_whether_it_lives, "kill" },
		{ SANDBOX_TRACER, trace, "ptrace" },
		{ SANDBOX_TRACER, open_memory, "prctl" },
		{ SANDBOX_RELAY, fork_off, "clone" },
		{ SANDBOX_RELAY, send_signal, "kill" },
		{ SANDBOX_RELAY, trace, "ptrace" },
		{ SANDBOX_RELAY, open_memory, "prctl" },
#endif
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int wstatus = act_as(cases[i].process, cases[i].what);
		char expected[sizeof(said)];

		snprintf(expected, sizeof(expected),
			 "nsntrace: the %s process tried the system call %s, "
			 "which it never makes: please report this\n",
			 names[cases[i].process], cases[i].call);
		assert_string_equal(said, expected);
		assert_true(WIFSIGNALED(wstatus));
		assert_int_equal(WTERMSIG(wstatus), SIGSYS);
	}
}

static bool give_up(void)
{
	abort();
}

static bool die_as_the_program(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);

	return kill(getpid(), SIGTERM) != 0;
}

/* What the C library and we die of is not the sandbox. */
static void test_other_ends(void **state)
{
	(void)state;
	for (enum sandbox_process i = SANDBOX_FRONT; i <= SANDBOX_RELAY; i++) {
		int wstatus = act_as(i, give_up);

		assert_true(WIFSIGNALED(wstatus));
		assert_int_equal(WTERMSIG(wstatus), SIGABRT);
		assert_string_equal(said, "");
	}
	assert_int_equal(act_as(SANDBOX_FRONT, die_as_the_program), SIGTERM);
	assert_string_equal(said, "");
}

#ifndef SANITIZED
static bool open_no_file(void)
{
	return is_missing(open("/proc/self/status", O_RDONLY | O_CLOEXEC)) &&
	       is_missing(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

/* A C library may look there for what it can do without. */
static void test_no_files(void **state)
{
	(void)state;
	assert_int_equal(act_as(SANDBOX_TRACER, open_no_file), 0);
	assert_int_equal(act_as(SANDBOX_RELAY, open_no_file), 0);
}
#endif

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef WITHOUT_SECCOMP
		cmocka_unit_test(test_nothing_changes),
#else
		cmocka_unit_test(test_work_goes_on),
		cmocka_unit_test(test_others_are_deadly),
		cmocka_unit_test(test_other_ends),
#ifndef SANITIZED
		cmocka_unit_test(test_no_files),
#endif
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
