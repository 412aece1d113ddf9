/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault LOG [KEY CALL NTH WHAT]... -- PROGRAM [ARGUMENT]...: run PROGRAM, have
 * some of its system calls fail or kill somebody, write all of them into LOG,
 * and end when the last descendant has.
 *
 * KEY names a thread by its descent: 0 is PROGRAM, 0.2 its second child, 0.2.1
 * the first child of that, and 0.2+1 the second one's first other thread. CALL
 * is a number. WHAT happens in place of the NTH such call is errno N as "eN",
 * or SIGKILL for some processes as "kKEY,KEY".
 *
 * Calls are seen by seccomp's notifications. Other than with ptrace(2) that
 * costs little, works with programs that are setuid, and one process can be
 * meant without a word of those beside it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS_MAX 1024
#define CALLS_MAX 512
#define FDS_MAX	  64
#define KEY_SIZE  32

struct fault {
	const char *key;
	int call;
	unsigned nth;
	int error;	     /* or 0 */
	const char *victims; /* or NULL */
};

struct task {
	pid_t tid;
	pid_t group;
	char key[KEY_SIZE];
	unsigned children;
	unsigned threads;
	unsigned short calls[CALLS_MAX];
	uint16_t asked[FDS_MAX]; /* by netlink, on each descriptor */
	struct seccomp_data latest;
};

static struct task tasks[TASKS_MAX];
static size_t task_count;
static struct fault *faults;
static size_t fault_count;
static FILE *record;

/* The latest: numbers are used again. */
static struct task *find_task(pid_t tid)
{
	for (size_t i = task_count; i-- > 0;)
		if (tasks[i].tid == tid)
			return &tasks[i];

	return NULL;
}

static struct task *find_key(const char *key, size_t length)
{
	for (size_t i = task_count; i-- > 0;)
		if (strlen(tasks[i].key) == length &&
		    strncmp(tasks[i].key, key, length) == 0)
			return &tasks[i];

	return NULL;
}

static struct task *add_task(pid_t tid, pid_t group)
{
	struct task *task = &tasks[task_count];

	if (task_count == TASKS_MAX)
		exit(3);
	task_count++;
	task->tid = tid;
	task->group = group;

	return task;
}

static void read_ids(pid_t tid, pid_t *group, pid_t *parent)
{
	char path[64];
	char line[256];
	FILE *file;

	*group = *parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "Tgid: %d", group);
		sscanf(line, "PPid: %d", parent);
	}
	if (file)
		fclose(file);
}

/* Give their keys to all children that @parent has made up to now, in order. */
static void note_children(struct task *parent)
{
	char path[64];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent->group,
		 parent->tid);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1) {
		if (!find_task(pid))
			snprintf(add_task(pid, pid)->key, KEY_SIZE, "%.20s.%u",
				 parent->key, ++parent->children);
	}
	if (file)
		fclose(file);
}

/* The same for the threads of @first, whichever of them is the first to run. */
static void note_threads(struct task *first)
{
	char path[64];
	const struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", first->group);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0 && !find_task(tid))
			snprintf(add_task(tid, first->group)->key, KEY_SIZE,
				 "%.20s+%u", first->key, ++first->threads);
	}
	if (dir)
		closedir(dir);
}

/*
 * Who makes a call for the first time. Its elder siblings have a key by then,
 * as those were noted when their parent went on to fork(2) again.
 */
static struct task *meet(pid_t tid)
{
	struct task *relative;
	struct task *task;
	pid_t group, parent;

	read_ids(tid, &group, &parent);
	relative = find_task(group == tid ? parent : group);
	/* Lists may lack some while others end; this one waits for us. */
	for (int i = 0; relative && i < 1000; i++) {
		if (group == tid)
			note_children(relative);
		else
			note_threads(relative);
		task = find_task(tid);
		if (task)
			return task;
	}

	task = add_task(tid, group);
	strcpy(task->key, task_count == 1 ? "0" : "?");

	return task;
}

/* Which argument is a path, or a descriptor; none: -1. */
static void find_operand(int call, int *path, int *fd)
{
	*path = *fd = -1;
	switch (call) {
	case SYS_openat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_mkdirat:
	case SYS_unlinkat:
	case SYS_readlinkat:
		*path = 1;
		*fd = 0;
		break;
#ifdef SYS_open
	case SYS_open:
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_readlink:
#endif
	case SYS_chdir:
	case SYS_execve:
		*path = 0;
		break;
	case SYS_mmap:
		*fd = 4;
		break;
	default:
		*fd = 0;
	}
}

static void read_operand(pid_t tid, const struct seccomp_data *data, char *text,
			 size_t size)
{
	int path, fd;
	char name[64];
	ssize_t got = 0;

	find_operand(data->nr, &path, &fd);
	if (path >= 0) {
		int memory;

		snprintf(name, sizeof(name), "/proc/%d/mem", tid);
		memory = open(name, O_RDONLY | O_CLOEXEC);
		got = pread(memory, text, size - 1, (off_t)data->args[path]);
		close(memory);
	}
	if ((got <= 0 || !*text) && fd >= 0) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", tid,
			 (int)data->args[fd]);
		got = readlink(name, text, size - 1);
	}
	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

/* What is asked by netlink, of a batch of nftables first; 0: another call. */
static uint16_t read_request(pid_t tid, const struct seccomp_data *data)
{
	struct nlmsghdr request[2] = { { 0 } };
	struct iovec ours = { request, sizeof(*request) };
	struct iovec theirs = { (void *)data->args[1], sizeof(*request) };

	if (data->nr != SYS_sendto || data->args[2] < sizeof(*request) ||
	    process_vm_readv(tid, &ours, 1, &theirs, 1, 0) < 0 ||
	    request->nlmsg_len > data->args[2])
		return 0;
	/* Of another family this is RTM_NEWLINK, which is longer. */
	if (request->nlmsg_type != NFNL_MSG_BATCH_BEGIN ||
	    request->nlmsg_len > NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return request->nlmsg_type;
	ours.iov_base = &request[1];
	theirs.iov_base = (char *)data->args[1] + request->nlmsg_len;
	process_vm_readv(tid, &ours, 1, &theirs, 1, 0);

	return request[1].nlmsg_type;
}

/* What a socket was asked last is what its next messages are about. */
static void note_request(struct task *task, const struct seccomp_data *data)
{
	uint16_t type = read_request(task->tid, data);

	if (type || data->nr == SYS_close)
		task->asked[data->args[0] % FDS_MAX] = type;
}

/* Recordings tell of what a call is: that costs more than all the rest. */
static void log_call(const struct task *task, const struct seccomp_data *data,
		     unsigned nth, bool fails)
{
	uint16_t asked = task->asked[data->args[0] % FDS_MAX];
	char operand[128] = "";

	if (asked && (data->nr == SYS_sendto || data->nr == SYS_recvmsg))
		snprintf(operand, sizeof(operand), "netlink %x", asked);
	else if (!fault_count || fails)
		read_operand(task->tid, data, operand, sizeof(operand));
	fprintf(record, "%s %d %u %llx %llx %llx %s\n", task->key, data->nr,
		nth, data->args[0], data->args[1], data->args[2], operand);
	if (fails)
		fprintf(record, "!\n");
}

/* What a process calls itself is known best when it ends. */
static void log_name(const struct task *task)
{
	char path[64];
	char name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", task->tid);
	file = fopen(path, "re");
	if (file && fgets(name, sizeof(name), file))
		fprintf(record, "= %s %s", task->key, name);
	if (file)
		fclose(file);
}

/* Kill those who are there. Returns whether @task's process is among them. */
static bool kill_all(const char *victims, const struct task *task)
{
	bool suicide = false;

	while (*victims) {
		size_t length = strcspn(victims, ",");
		const struct task *victim = find_key(victims, length);

		if (victim) {
			kill(victim->group, SIGKILL);
			suicide |= victim->group == task->group;
		}
		victims += length;
		victims += *victims == ',';
	}

	return suicide;
}

static const struct fault *find_fault(const struct task *task, int call,
				      unsigned nth)
{
	for (size_t i = 0; i < fault_count; i++)
		if (faults[i].call == call && faults[i].nth == nth &&
		    strcmp(faults[i].key, task->key) == 0)
			return &faults[i];

	return NULL;
}

/* Who has been killed by now needs no answer. */
static void answer(int listener, uint64_t id, const struct task *task,
		   const struct fault *fault)
{
	struct seccomp_notif_resp response = { .id = id };

	if (fault && fault->victims && kill_all(fault->victims, task))
		return;
	if (fault && fault->error)
		response.error = -fault->error;
	else
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static bool is_fork(int call)
{
	return call == SYS_clone || call == SYS_clone3
#ifdef SYS_fork
	       || call == SYS_fork || call == SYS_vfork
#endif
		;
}

/*
 * The kernel makes writes to sysctls of networks again for as long as somebody
 * else has its lock, with or without us in between.
 */
static bool is_again(struct task *task, const struct seccomp_data *data)
{
	bool same = memcmp(&task->latest, data, sizeof(*data)) == 0;

	task->latest = *data;

	return same && data->nr == SYS_write;
}

static void hear_call(int listener)
{
	struct seccomp_notif call = { 0 };
	const struct fault *fault;
	struct task *task;
	unsigned nth;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	task = find_task((pid_t)call.pid);
	if (!task)
		task = meet((pid_t)call.pid);
	if (is_again(task, &call.data)) {
		answer(listener, call.id, task, NULL);
		return;
	}
	if (is_fork(call.data.nr))
		note_children(task);
	nth = ++task->calls[call.data.nr % CALLS_MAX];
	fault = find_fault(task, call.data.nr, nth);
	note_request(task, &call.data);
	log_call(task, &call.data, nth, fault);
	if (call.data.nr == SYS_exit_group)
		log_name(task);
	answer(listener, call.id, task, fault);
}

/* In the child, whose table of descriptors is ours: where the calls come. */
static int install(void)
{
	struct sock_filter all[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	const struct sock_fprog filter = { 1, all };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER |
				    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			    &filter);
}

static pid_t start(char **argv, int *listener)
{
	volatile int *shared = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	*shared = -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL,
			     NULL);
	if (!pid) {
		/* The next call waits for an answer already. */
		*shared = install();
		execvp(argv[0], argv);
		_exit(127);
	}
	while (pid > 0 && (*listener = *shared) < 0 &&
	       waitpid(pid, NULL, WNOHANG) == 0)
		sched_yield();

	return pid;
}

static char **parse(int argc, char **argv)
{
	char **next = argv + 2;

	faults = calloc((size_t)argc, sizeof(*faults));
	while (*next && strcmp(*next, "--") != 0 && next + 4 < argv + argc) {
		struct fault *fault = &faults[fault_count++];

		fault->key = next[0];
		fault->call = atoi(next[1]);
		fault->nth = (unsigned)atoi(next[2]);
		if (*next[3] == 'e')
			fault->error = atoi(next[3] + 1);
		else
			fault->victims = next[3] + 1;
		next += 4;
	}

	return *next ? next + 1 : next;
}

int main(int argc, char **argv)
{
	char **program = argc > 3 ? parse(argc, argv) : argv;
	struct pollfd polls[2] = { { .events = POLLIN }, { .events = POLLIN } };
	bool buried = false;
	int status = 0;
	pid_t pid;

	record = argc > 3 ? fopen(argv[1], "we") : NULL;
	if (!record || !*program)
		return 2;
	pid = start(program, &polls[0].fd);
	polls[1].fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (polls[0].fd < 0 || polls[1].fd < 0)
		return 2;
	/* Until nobody is left, before Linux 6.11 not even a zombie. */
	while (!(polls[0].revents & POLLHUP)) {
		if (polls[0].revents & POLLIN)
			hear_call(polls[0].fd);
		if (polls[1].revents) {
			buried = waitpid(pid, &status, 0) == pid;
			polls[1] = (struct pollfd){ .fd = -1 };
		}
		poll(polls, 2, -1);
	}
	if (!buried)
		waitpid(pid, &status, 0);
	fclose(record);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}

	return WEXITSTATUS(status);
}
