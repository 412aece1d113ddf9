/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who descends from whom, also where parents have ended. */
#include "base/descent.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

#define LIFE_SECONDS 60

static struct {
	pid_t pid[8];
	int count;
} found;

static void find(pid_t pid, void *context)
{
	(void)context;
	if (found.count < 8)
		found.pid[found.count] = pid;
	found.count++;
}

/* Who descends from us, but not who is or descends from @except. */
static void look(pid_t except)
{
	int count;

	memset(&found, 0, sizeof(found));
	count = descent_each(&except, 1, find, NULL);
	assert_int_equal(count, found.count);
}

static void test_from(void **state)
{
	(void)state;
	assert_true(descent_from(getpid(), getpid()));
	assert_true(descent_from(getpid(), getppid()));
	assert_false(descent_from(getppid(), getpid()));
	assert_false(descent_from(0, getpid()));
	assert_false(descent_from(1, getpid()));
}

/* Like fork(2); but no child is to outlive a test that fails. */
static pid_t start(void)
{
	pid_t pid = fork();

	if (!pid)
		alarm(LIFE_SECONDS);

	return pid;
}

static pid_t start_pausing(void)
{
	pid_t pid = start();

	if (pid)
		return pid;
	setsid();
	pause();
	_exit(0);
}

/* Has a child that lives, of which it tells, and one that has ended. */
static void be_parent(int tell)
{
	pid_t pids[2] = { start_pausing(), start() };
	siginfo_t info;

	if (!pids[1])
		_exit(0);
	waitid(P_PID, (id_t)pids[1], &info, WEXITED | WNOWAIT);
	if (write(tell, pids, sizeof(pids)) != sizeof(pids))
		_exit(1);
	pause();
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_each(void **state)
{
	pid_t parent, pids[2];
	int tell[2];

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	assert_int_equal(descent_children(), 0);
	look(0);
	assert_int_equal(found.count, 0);

	assert_int_equal(pipe(tell), 0);
	parent = start();
	if (!parent)
		be_parent(tell[1]);
	assert_int_equal(read(tell[0], pids, sizeof(pids)), sizeof(pids));
	assert_int_equal(descent_children(), 1);
	look(0);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.pid[0], parent);
	assert_int_equal(found.pid[1], pids[0]);
	look(parent);
	assert_int_equal(found.count, 0);

	/* All become ours, also who has ended. */
	end(parent);
	assert_int_equal(descent_children(), 2);
	look(0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.pid[0], pids[0]);
	end(pids[1]);
	assert_int_equal(descent_children(), 1);
	end(pids[0]);
	assert_int_equal(descent_children(), 0);
	close(tell[0]);
	close(tell[1]);
}

static void *go_on(void *context)
{
	(void)context;
	pause();

	return NULL;
}

static char state_of(pid_t pid)
{
	char path[64];
	char state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*d %*s %c", &state), 1);
	fclose(file);

	return state;
}

/* Its first thread seems to be dead, but another one goes on. */
static void test_first_thread_has_ended(void **state)
{
	pid_t pid = start();

	(void)state;
	if (!pid) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, go_on, NULL) != 0)
			_exit(1);
		pthread_exit(NULL);
	}
	while (state_of(pid) != 'Z')
		usleep(1000);
	look(0);
	assert_int_equal(found.count, 1);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_first_thread_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
