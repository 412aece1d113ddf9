/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accepts in the FORWARD chain of iptables as it was before nftables. Its
 * tables can only be read and written as a whole, in a format of their own, so
 * this is the one place where another program does something for us: by its
 * absolute path, without the user's environment, and only where such a table is
 * there already, as it would make one.
 */
#include "legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* How long to wait for somebody else who changes the tables, in seconds. */
#define LOCK_PATIENCE "5"

static const struct {
	const char *tables; /* names those that there are, in this namespace */
	const char *name;   /* by which one file knows what it is to be */
	const char *commands[2];
} variants[] = {
	{ "/proc/self/net/ip_tables_names",
	  "iptables-legacy",
	  { "/usr/sbin/iptables-legacy", "/sbin/iptables-legacy" } },
	{ "/proc/self/net/ip6_tables_names",
	  "ip6tables-legacy",
	  { "/usr/sbin/ip6tables-legacy", "/sbin/ip6tables-legacy" } },
};

/* The command for @family, as messages name it. */
const char *legacy_name(sa_family_t family)
{
	return variants[family == AF_INET6].name;
}

/* Whether this host has rules of that kind for what is forwarded. */
bool legacy_in_use(sa_family_t family)
{
	FILE *file = fopen(variants[family == AF_INET6].tables, "re");
	char line[64];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = !strcmp(line, "filter\n");
	fclose(file);

	return found;
}

/* Start it with no more than what it needs. Returns 0 or -errno. */
static int start(pid_t *pid, const char *command, const char *const *argv)
{
	static char *const no_environment[] = { NULL };
	posix_spawn_file_actions_t streams;
	posix_spawnattr_t attributes;
	sigset_t none;
	int ret;

	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&streams);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		posix_spawn_file_actions_addopen(&streams, fd, "/dev/null",
						 O_RDWR, 0);
	ret = posix_spawn(pid, command, &streams, &attributes,
			  (char *const *)argv, no_environment);
	posix_spawn_file_actions_destroy(&streams);
	posix_spawnattr_destroy(&attributes);

	return -ret;
}

/* Returns 0, or -errno: -EIO if the command has failed. */
static int run(sa_family_t family, const char *const *argv)
{
	int ret = -ENOENT;
	int wstatus;
	pid_t pid;

	for (int i = 0; i < 2 && ret == -ENOENT; i++)
		ret = start(&pid, variants[family == AF_INET6].commands[i],
			    argv);
	if (ret < 0)
		return ret;
	while (waitpid(pid, &wstatus, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}

	return wstatus == 0 ? 0 : -EIO;
}

/*
 * Do @what, "-I" or "-D", with both accepts. Goes on past a failure; returns 0
 * or the first -errno.
 */
static int change(sa_family_t family, const char *what, const char *interface,
		  const char *tag)
{
	static const char *const directions[] = { "-o", "-i" };
	int first = 0;

	for (size_t i = 0; i < sizeof(directions) / sizeof(*directions); i++) {
		const char *const argv[] = {
			legacy_name(family),
			"-w",
			LOCK_PATIENCE,
			what,
			"FORWARD",
			directions[i],
			interface,
			"-m",
			"comment",
			"--comment",
			tag,
			"-j",
			"ACCEPT",
			NULL,
		};
		int ret = run(family, argv);

		first = first ? first : ret;
	}

	return first;
}

/*
 * Put accepts for what comes from and goes to @interface at the top of the
 * chain, with the comment @tag. Returns 0 or -errno: -ENOENT if the command is
 * not installed, -EIO if it failed.
 */
int legacy_accept(sa_family_t family, const char *interface, const char *tag)
{
	return change(family, "-I", interface, tag);
}

/*
 * Take them out again, wherever they are by now: they are known by all that
 * makes them up. As legacy_accept(); but -EIO may only mean that they are gone.
 */
int legacy_withdraw(sa_family_t family, const char *interface, const char *tag)
{
	return change(family, "-D", interface, tag);
}
