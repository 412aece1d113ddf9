/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the program sees of the host's name services while the host changes
 * them. This process plays the host, in a mount namespace that it makes for
 * itself as root, with an /etc and a /run of its own; a child that has entered
 * its mounts plays the program, and answers questions about what it sees.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Before cmocka, whose fail() is another. */
#include "base/fd.h"
#include "base/log.h"
#include "mounts.h"
#include "resolv.h"

#include <cmocka.h>

#define RESOLVED "/run/systemd/resolve"
#define SOCKET	 RESOLVED "/io.systemd.Resolve"
#define MONITOR	 RESOLVED "/io.systemd.Resolve.Monitor"
#define STUB	 RESOLVED "/stub-resolv.conf"
#define NSCD	 "/run/nscd/socket"

#define HOSTS_TEXT "nameserver 127.0.0.53\n"
#define OUR_TEXT   "nameserver 192.0.2.53\n"

#define NOBODY 65534

static const struct mounts hide_both = {
	.hidden = { SOCKET, NSCD },
	.hidden_count = 2,
};
static const struct mounts our_text = { .resolv_conf = OUR_TEXT };
static const struct mounts everything = {
	.hidden = { SOCKET, NSCD },
	.hidden_count = 2,
	.resolv_conf = OUR_TEXT,
};

/* The program of the running test, and what keeper would hold for it. */
static struct {
	const struct mounts *mounts;
	pid_t pid;
	int channel;
	int mount_ns;
	int watch_fd;
} run;

struct question {
	char what; /* 'c'onnect to, 'r'ead or 's'tat a path */
	char path[256];
};

struct answer {
	int err;
	char text[512];
	struct stat status;
};

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncat(address.sun_path, path, sizeof(address.sun_path) - 1);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0
		       ? errno
		       : 0;
}

static int read_file(const char *path, char *text, size_t size)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		return errno;
	text[length] = '\0';

	return 0;
}

static void look(const struct question *question, struct answer *answer)
{
	*answer = (struct answer){ 0 };
	switch (question->what) {
	case 'c':
		answer->err = connect_to(question->path);
		break;
	case 'r':
		answer->err = read_file(question->path, answer->text,
					sizeof(answer->text));
		break;
	default:
		if (stat(question->path, &answer->status) < 0)
			answer->err = errno;
	}
}

/* Asks the program. */
static struct answer ask(char what, const char *path)
{
	struct question question = { .what = what };
	struct answer answer;

	snprintf(question.path, sizeof(question.path), "%s", path);
	assert_int_equal(send(run.channel, &question, sizeof(question), 0),
			 sizeof(question));
	assert_int_equal(recv(run.channel, &answer, sizeof(answer), 0),
			 sizeof(answer));

	return answer;
}

static void assert_reads(const char *path, const char *text)
{
	struct answer answer = ask('r', path);

	assert_int_equal(answer.err, 0);
	assert_string_equal(answer.text, text);
}

static void be_program(int channel, const struct mounts *mounts)
{
	struct question question;
	struct answer answer = { .err = -mounts_enter(mounts) };

	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		_exit(1);
	do {
		if (send(channel, &answer, sizeof(answer), 0) < 0)
			_exit(1);
		if (recv(channel, &question, sizeof(question), 0) <= 0)
			_exit(0);
		look(&question, &answer);
	} while (true);
}

/* Start a program with @mounts, watched from before it looks. */
static void start(const struct mounts *mounts)
{
	struct answer answer;
	char path[64];
	int pair[2];

	run.mounts = mounts;
	run.watch_fd = mounts_watch(mounts);
	assert_true(run.watch_fd >= 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);

	run.pid = fork();
	if (run.pid == 0) {
		close(pair[0]);
		be_program(pair[1], mounts);
	}
	close(pair[1]);
	run.channel = pair[0];

	assert_int_equal(recv(run.channel, &answer, sizeof(answer), 0),
			 sizeof(answer));
	assert_int_equal(answer.err, 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", run.pid);
	run.mount_ns = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(run.mount_ns >= 0);
}

static bool watch_is_readable(int timeout)
{
	struct pollfd pollfd = { .fd = run.watch_fd, .events = POLLIN };

	return poll(&pollfd, 1, timeout) == 1;
}

/* What keeper does when the host has changed something. */
static void keep_up(void)
{
	assert_true(watch_is_readable(5000));
	while (watch_is_readable(0))
		assert_int_equal(
			mounts_changed(run.mounts, run.watch_fd, run.mount_ns),
			0);
}

/* How many mounts process @pid sees. */
static int count_mounts(pid_t pid)
{
	char path[64];
	FILE *file;
	int count = 0;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);

	return count;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);

	return count;
}

/* The host's side. */

static void write_text(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

/* As resolvconf, NetworkManager and systemd-resolved do it. */
static void replace(const char *path, const char *text)
{
	char *temporary = xasprintf("%s.new", path);

	write_text(temporary, text);
	assert_int_equal(rename(temporary, path), 0);
	free(temporary);
}

/* A daemon that listens at @path; close what is returned to end it. */
static int serve(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(path);
	strncat(address.sun_path, path, sizeof(address.sun_path) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(listen(fd, 16), 0);

	return fd;
}

static void make_directory(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_resolved(void)
{
	make_directory("/run/systemd");
	make_directory(RESOLVED);
	write_text(STUB, HOSTS_TEXT);
}

static int give_host(void **state)
{
	(void)state;
	umask(022);
	if (mount("etc", "/etc", "tmpfs", 0, "mode=755") < 0 ||
	    mount("run", "/run", "tmpfs", 0, "mode=755") < 0)
		return -1;
	run.pid = 0;

	return 0;
}

static int take_host(void **state)
{
	(void)state;
	if (run.pid) {
		close(run.channel);
		close(run.mount_ns);
		close(run.watch_fd);
		if (waitpid(run.pid, NULL, 0) < 0)
			return -1;
	}

	return umount2("/etc", MNT_DETACH) + umount2("/run", MNT_DETACH);
}

/* The tests. */

static void test_needed(void **state)
{
	const struct mounts nothing = { 0 };

	(void)state;
	assert_false(mounts_needed(&nothing));
	assert_true(mounts_needed(&hide_both));
	assert_true(mounts_needed(&our_text));
}

static void test_hidden(void **state)
{
	const struct mounts nothing = { 0 };
	autoclose int resolved = -1;
	autoclose int monitor = -1;

	make_resolved();
	resolved = serve(SOCKET);
	monitor = serve(MONITOR);

	start(&nothing);
	assert_int_equal(ask('c', SOCKET).err, 0);
	take_host(state);

	give_host(state);
	make_resolved();
	close(resolved);
	close(monitor);
	resolved = serve(SOCKET);
	monitor = serve(MONITOR);
	start(&hide_both);
	assert_int_equal(ask('c', SOCKET).err, ENOENT);
	assert_int_equal(ask('c', MONITOR).err, 0);
	assert_int_equal(connect_to(SOCKET), 0);
}

static void test_daemon_restarts(void **state)
{
	autoclose int first = -1;
	autoclose int second = -1;

	(void)state;
	make_resolved();
	first = serve(SOCKET);
	start(&hide_both);
	second = serve(SOCKET);

	assert_int_equal(connect_to(SOCKET), 0);
	assert_int_equal(ask('c', SOCKET).err, ENOENT);
	replace(STUB, "nameserver 127.0.0.54\n");
	assert_reads(STUB, "nameserver 127.0.0.54\n");
}

static void test_files_beside(void **state)
{
	(void)state;
	make_resolved();
	make_directory(RESOLVED "/netif");
	write_text(RESOLVED "/netif/2", "LLMNR=yes\n");
	assert_int_equal(
		symlink("../run/systemd/resolve/stub-resolv.conf", RESOLV_PATH),
		0);
	start(&hide_both);

	assert_reads(RESOLV_PATH, HOSTS_TEXT);
	assert_reads(RESOLVED "/netif/2", "LLMNR=yes\n");
	assert_int_equal(ask('r', RESOLVED "/resolv.conf").err, ENOENT);

	replace(STUB, "search example\n");
	assert_reads(RESOLV_PATH, "search example\n");
	assert_reads(STUB, "search example\n");
	replace(RESOLVED "/resolv.conf", "nameserver 192.0.2.1\n");
	assert_reads(RESOLVED "/resolv.conf", "nameserver 192.0.2.1\n");
}

static void test_directory_looks_the_same(void **state)
{
	struct answer answer;
	struct statvfs seen;
	char path[64];

	(void)state;
	make_resolved();
	assert_int_equal(chown(RESOLVED, 101, 102), 0);
	assert_int_equal(chmod(RESOLVED, 01751), 0);
	start(&hide_both);

	answer = ask('s', RESOLVED);
	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.status.st_mode, S_IFDIR | 01751);
	assert_int_equal(answer.status.st_uid, 101);
	assert_int_equal(answer.status.st_gid, 102);

	snprintf(path, sizeof(path), "/proc/%d/root%s", run.pid, RESOLVED);
	assert_int_equal(statvfs(path, &seen), 0);
	assert_true(seen.f_flag & ST_RDONLY);
}

/* Two sockets in one directory, one of them named by way of a link. */
static void test_same_directory(void **state)
{
	static const struct mounts mounts = {
		.hidden = { "/run/nscd/socket", "/run/link/nscd/other" },
		.hidden_count = 2,
	};
	autoclose int one = -1;
	autoclose int other = -1;
	int before = count_mounts(getpid());

	(void)state;
	make_directory("/run/nscd");
	assert_int_equal(symlink("/run", "/run/link"), 0);
	one = serve("/run/nscd/socket");
	other = serve("/run/nscd/other");
	write_text("/run/nscd/pid", "1\n");
	start(&mounts);

	assert_int_equal(ask('c', "/run/nscd/socket").err, ENOENT);
	assert_int_equal(ask('c', "/run/nscd/other").err, ENOENT);
	assert_int_equal(ask('c', "/run/link/nscd/socket").err, ENOENT);
	assert_reads("/run/nscd/pid", "1\n");
	assert_int_equal(count_mounts(run.pid), before + 2);
}

static void test_directory_made_anew(void **state)
{
	autoclose int first = -1;
	autoclose int second = -1;

	(void)state;
	make_directory("/run/nscd");
	first = serve(NSCD);
	start(&hide_both);
	assert_int_equal(ask('c', NSCD).err, ENOENT);

	assert_int_equal(unlink(NSCD), 0);
	assert_int_equal(rmdir("/run/nscd"), 0);
	make_directory("/run/nscd");
	second = serve(NSCD);
	assert_int_equal(ask('c', NSCD).err, 0);
	keep_up();
	assert_int_equal(ask('c', NSCD).err, ENOENT);
}

static void test_directory_comes_later(void **state)
{
	autoclose int resolved = -1;

	(void)state;
	start(&everything);
	make_resolved();
	resolved = serve(SOCKET);
	assert_int_equal(ask('c', SOCKET).err, 0);
	keep_up();
	assert_int_equal(ask('c', SOCKET).err, ENOENT);
	assert_reads(STUB, HOSTS_TEXT);
}

static void test_own_text(void **state)
{
	(void)state;
	write_text(RESOLV_PATH, HOSTS_TEXT);
	umask(077);
	start(&our_text);

	assert_reads(RESOLV_PATH, OUR_TEXT);
	assert_int_equal(ask('s', RESOLV_PATH).status.st_mode, S_IFREG | 0644);
}

static void test_own_text_behind_link(void **state)
{
	(void)state;
	make_resolved();
	assert_int_equal(
		symlink("../run/systemd/resolve/stub-resolv.conf", RESOLV_PATH),
		0);
	start(&everything);
	assert_reads(RESOLV_PATH, OUR_TEXT);

	/* Ours is in place: no event must put another one on top. */
	for (int i = 0; i < 3; i++) {
		replace(STUB, HOSTS_TEXT);
		assert_reads(RESOLV_PATH, HOSTS_TEXT);
		keep_up();
		assert_reads(RESOLV_PATH, OUR_TEXT);
	}
	assert_int_equal(ask('c', SOCKET).err, ENOENT);
}

static void test_replaced(void **state)
{
	char *host;

	(void)state;
	write_text(RESOLV_PATH, HOSTS_TEXT);
	start(&our_text);

	/* So many that the events do not fit into one read. */
	for (int i = 0; i < 500; i++) {
		host = xasprintf("nameserver 192.0.2.%d\n", i % 250);
		replace(RESOLV_PATH, host);
		if (i < 499)
			free(host);
	}
	assert_reads(RESOLV_PATH, host);
	free(host);
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void test_nothing_is_stacked(void **state)
{
	int mounts;

	(void)state;
	make_resolved();
	make_directory("/run/nscd");
	write_text(RESOLV_PATH, HOSTS_TEXT);
	start(&everything);
	mounts = count_mounts(run.pid);

	write_text("/run/resolv.conf", HOSTS_TEXT);
	replace(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	make_directory("/run/systemd/nscd");
	keep_up();
	assert_int_equal(count_mounts(run.pid), mounts);
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void test_missing(void **state)
{
	(void)state;
	start(&our_text);
	assert_int_equal(ask('r', RESOLV_PATH).err, ENOENT);

	write_text(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void test_dangling(void **state)
{
	(void)state;
	assert_int_equal(symlink("../run/resolvconf/resolv.conf", RESOLV_PATH),
			 0);
	start(&our_text);
	assert_int_equal(ask('r', RESOLV_PATH).err, ENOENT);

	make_directory("/run/resolvconf");
	keep_up();
	replace("/run/resolvconf/resolv.conf", HOSTS_TEXT);
	assert_reads(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void test_link_leads_elsewhere(void **state)
{
	(void)state;
	make_directory("/run/a");
	make_directory("/run/b");
	write_text("/run/a/one", HOSTS_TEXT);
	write_text("/run/b/two", HOSTS_TEXT);
	assert_int_equal(symlink("/run/a/one", RESOLV_PATH), 0);
	start(&our_text);
	assert_reads(RESOLV_PATH, OUR_TEXT);

	assert_int_equal(symlink("/run/b/two", "/etc/new"), 0);
	assert_int_equal(rename("/etc/new", RESOLV_PATH), 0);
	assert_reads(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);

	replace("/run/b/two", "search b\n");
	assert_reads(RESOLV_PATH, "search b\n");
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void test_directory_of_target_made_anew(void **state)
{
	(void)state;
	make_directory("/run/a");
	make_directory("/run/a/b");
	write_text("/run/a/b/one", HOSTS_TEXT);
	assert_int_equal(symlink("/run/a/b/one", RESOLV_PATH), 0);
	start(&our_text);

	assert_int_equal(unlink("/run/a/b/one"), 0);
	assert_int_equal(rmdir("/run/a/b"), 0);
	keep_up();
	assert_int_equal(ask('r', RESOLV_PATH).err, ENOENT);
	make_directory("/run/a/b");
	write_text("/run/a/b/one", HOSTS_TEXT);
	assert_reads(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	assert_reads(RESOLV_PATH, OUR_TEXT);
}

static void keep_silent(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)line;
	(void)context;
}

/* With a descriptor that is no namespace, doing anything would fail. */
static void test_other_changes(void **state)
{
	(void)state;
	make_resolved();
	write_text(RESOLV_PATH, HOSTS_TEXT);
	start(&everything);

	write_text("/etc/passwd", "");
	make_directory("/run/systemd/units");
	write_text("/etc/resolv.conf.tmp", "");
	assert_true(watch_is_readable(5000));
	assert_int_equal(mounts_changed(&everything, run.watch_fd, -1), 0);
	assert_false(watch_is_readable(0));
	assert_int_equal(mounts_changed(&everything, run.watch_fd, -1), 0);

	replace(RESOLV_PATH, HOSTS_TEXT);
	log_set_sink(keep_silent, NULL);
	assert_int_equal(mounts_changed(&everything, run.watch_fd, -1), -EBADF);
	log_set_sink(NULL, NULL);
}

static void test_host_sees_nothing(void **state)
{
	int mounts = count_mounts(getpid());
	int root = count_entries("/");
	int entries;

	(void)state;
	make_resolved();
	make_directory("/run/nscd");
	write_text(RESOLV_PATH, HOSTS_TEXT);
	entries = count_entries(RESOLVED);
	start(&everything);
	replace(RESOLV_PATH, HOSTS_TEXT);
	keep_up();
	assert_true(count_mounts(run.pid) > mounts);

	assert_int_equal(count_mounts(getpid()), mounts);
	assert_int_equal(count_entries("/"), root);
	assert_int_equal(count_entries("/run"), 4);
	assert_int_equal(count_entries("/etc"), 3);
	assert_int_equal(count_entries(RESOLVED), entries);
}

static void test_mounts_of_host_appear(void **state)
{
	(void)state;
	make_resolved();
	make_directory("/run/media");
	start(&hide_both);
	assert_int_equal(mount("media", "/run/media", "tmpfs", 0, NULL), 0);
	write_text("/run/media/file", "there\n");
	assert_reads("/run/media/file", "there\n");
	assert_int_equal(umount("/run/media"), 0);
}

/* A traced program that is itself an nsntrace: 0, or the line that failed. */
static int be_inner(const struct mounts *inner, int ready, int replaced)
{
	char byte = 0;

	if (mounts_enter(&everything) < 0)
		return __LINE__;
	start(inner);
	if (strcmp(ask('r', RESOLV_PATH).text, inner->resolv_conf) != 0 ||
	    ask('c', SOCKET).err != ENOENT)
		return __LINE__;
	if (write(ready, &byte, 1) != 1 || read(replaced, &byte, 1) != 1 ||
	    strcmp(ask('r', RESOLV_PATH).text, HOSTS_TEXT) != 0)
		return __LINE__;
	keep_up();
	if (strcmp(ask('r', RESOLV_PATH).text, inner->resolv_conf) != 0 ||
	    ask('c', SOCKET).err != ENOENT)
		return __LINE__;

	return 0;
}

static void test_within_another(void **state)
{
	static const struct mounts inner = {
		.hidden = { SOCKET, NSCD },
		.hidden_count = 2,
		.resolv_conf = "nameserver 192.0.2.54\n",
	};
	autoclose int resolved = -1;
	int ready[2];
	int replaced[2];
	char byte;
	pid_t pid;
	int status;

	(void)state;
	make_resolved();
	resolved = serve(SOCKET);
	assert_int_equal(symlink(STUB, RESOLV_PATH), 0);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(replaced), 0);

	pid = fork();
	if (pid == 0) {
		status = be_inner(&inner, ready[1], replaced[0]);
		if (status)
			print_error("line %d\n", status);
		_exit(status ? 1 : 0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	replace(STUB, HOSTS_TEXT);
	assert_int_equal(write(replaced[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(replaced[0]);
	close(replaced[1]);
}

/* As systemd leaves them: shared, so that leaks of ours would be seen. */
static int be_host(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return -1;

	return mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL);
}

#define on_host(test) \
	cmocka_unit_test_setup_teardown(test, give_host, take_host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needed),
		on_host(test_hidden),
		on_host(test_daemon_restarts),
		on_host(test_files_beside),
		on_host(test_directory_looks_the_same),
		on_host(test_same_directory),
		on_host(test_directory_made_anew),
		on_host(test_directory_comes_later),
		on_host(test_own_text),
		on_host(test_own_text_behind_link),
		on_host(test_replaced),
		on_host(test_nothing_is_stacked),
		on_host(test_missing),
		on_host(test_dangling),
		on_host(test_link_leads_elsewhere),
		on_host(test_directory_of_target_made_anew),
		on_host(test_other_changes),
		on_host(test_host_sees_nothing),
		on_host(test_mounts_of_host_appear),
		on_host(test_within_another),
	};

	return cmocka_run_group_tests_name("mounts", tests, be_host, NULL);
}
