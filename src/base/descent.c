/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who descends from whom. A process that is a subreaper (prctl(2)) has all who
 * descend from it below it for as long as they live: no session, user, cgroup
 * or namespace that they may go to changes that. Silent.
 */
#include "base/descent.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"

/* Of /proc/PID/status, see proc(5). */
struct status {
	char state;
	pid_t parent;
	unsigned threads;
};

/* Returns whether the process is there. */
static bool read_status(pid_t pid, struct status *status)
{
	char path[64];
	char line[256];
	FILE *file;

	*status = (struct status){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", &status->state);
		sscanf(line, "PPid: %d", &status->parent);
		sscanf(line, "Threads: %u", &status->threads);
	}
	fclose(file);

	return true;
}

/* Whether @pid is @ancestor, or a child of a child of it. */
bool descent_from(pid_t pid, pid_t ancestor)
{
	struct status status;

	while (pid > 1 && pid != ancestor)
		pid = read_status(pid, &status) ? status.parent : 0;

	return pid == ancestor;
}

/* The first of its threads may have ended before the others. */
static bool lives(pid_t pid)
{
	struct status status;

	return read_status(pid, &status) && status.state != 'X' &&
	       (status.state != 'Z' || status.threads > 1);
}

struct pids {
	pid_t *pid;
	size_t count;
	size_t room;
};

static void append(struct pids *pids, pid_t pid)
{
	if (pids->count == pids->room) {
		pids->room = pids->room ? 2 * pids->room : 64;
		pids->pid = xrealloc(pids->pid, pids->room * sizeof(pid_t));
	}
	pids->pid[pids->count++] = pid;
}

/*
 * Append the children that the thread behind @task, a path, has: also those who
 * have ended and were not waited for. Returns whether the kernel tells.
 */
static bool append_children(struct pids *pids, const char *task)
{
	autofree char *path = xasprintf("%s/children", task);
	FILE *file = fopen(path, "re");
	int pid;

	if (!file)
		return false;
	while (fscanf(file, "%d", &pid) == 1)
		append(pids, pid);
	fclose(file);

	return true;
}

/* Append the children of all threads of @pid. */
static void append_children_of(struct pids *pids, pid_t pid)
{
	autofree char *tasks = xasprintf("/proc/%d/task", (int)pid);
	DIR *dir = opendir(tasks);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		autofree char *task = NULL;

		if (entry->d_name[0] == '.')
			continue;
		task = xasprintf("%s/%s", tasks, entry->d_name);
		append_children(pids, task);
	}
	closedir(dir);
}

/*
 * How many children the calling thread has, those included who have ended and
 * were not waited for. Exact, if nobody else waits for them. Returns UINT_MAX
 * where the kernel does not tell (CONFIG_PROC_CHILDREN).
 */
unsigned descent_children(void)
{
	struct pids pids = { 0 };
	unsigned count = UINT_MAX;

	if (append_children(&pids, "/proc/thread-self"))
		count = (unsigned)pids.count;
	free(pids.pid);

	return count;
}

/*
 * Call @each, if not NULL, for every living process that descends from the
 * calling thread, but not for the @count of @except nor for who descends from
 * them. One whose parent ends meanwhile may be missed.
 *
 * Returns how many, or -ENOSYS where the kernel does not tell.
 */
int descent_each(const pid_t *except, size_t count, proc_each *each,
		 void *context)
{
	struct pids pids = { 0 };
	int found = 0;

	if (!append_children(&pids, "/proc/thread-self"))
		return -ENOSYS;
	for (size_t i = 0; i < pids.count; i++) {
		pid_t pid = pids.pid[i];

		if (proc_is_among(except, count, pid))
			continue;
		append_children_of(&pids, pid);
		if (!lives(pid))
			continue;
		found++;
		if (each)
			each(pid, context);
	}
	free(pids.pid);

	return found;
}
