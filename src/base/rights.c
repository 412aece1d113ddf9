/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who invoked us, who the program is to be, and going down to that.
 *
 * There are three ways down. rights_become(): the program, which becomes
 * another user as a login would, able to go back up by a setuid program.
 * rights_drop_all(): front, tracer and relay, which give up everything for
 * good. rights_borrow_files(): keeper for the moment of opening a file, so
 * that the kernel judges it as the user's own act.
 */
#include "base/rights.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* The ids that every system keeps for "nobody" (overflowuid of the kernel). */
#define NOBODY_ID 65534

static void fill_groups(struct identity *identity)
{
	int count = 16;
	int room = 0;

	if (!identity->name)
		return;

	/* getgrouplist() says how much room it wants if that was too little. */
	do {
		room = count;
		identity->groups = xrealloc(identity->groups,
					    (size_t)room * sizeof(gid_t));
	} while (getgrouplist(identity->name, identity->gid, identity->groups,
			      &count) < 0 &&
		 count > room);
	identity->group_count = (size_t)count;
}

static void fill_from(const struct passwd *entry, struct identity *identity)
{
	*identity = (struct identity){
		.uid = entry->pw_uid,
		.gid = entry->pw_gid,
		.name = xstrdup(entry->pw_name),
		.home = xstrdup(entry->pw_dir),
		.shell = xstrdup(entry->pw_shell && *entry->pw_shell
					 ? entry->pw_shell
					 : "/bin/sh"),
	};
	fill_groups(identity);
}

/* A number that no user has: it gets no group that could mean something. */
static void fill_from_number(uid_t uid, struct identity *identity)
{
	*identity = (struct identity){
		.uid = uid,
		.gid = NOBODY_ID,
		.home = xstrdup("/"),
		.shell = xstrdup("/bin/sh"),
	};
}

static bool parse_uid(const char *text, uid_t *uid)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	/* The highest number means "no change" to the kernel. */
	if (*end || errno || value >= (uid_t)-1)
		return false;
	*uid = (uid_t)value;

	return true;
}

/* Whether @err says that one could not look whether there is such a user. */
static bool is_failure(int err)
{
	return err == EIO || err == EMFILE || err == ENFILE || err == ENOMEM;
}

/* The entry of @name, or of @uid if that is NULL; *@err says why it is not. */
static struct passwd *look_up(const char *name, uid_t uid, int *err)
{
	struct passwd *entry;

	errno = 0;
	entry = name ? getpwnam(name) : getpwuid(uid);
	*err = !entry && is_failure(errno) ? errno : 0;

	return entry;
}

/*
 * Find the user that @user names, by name first, then by number; a number need
 * not have a name. The caller frees @identity. Returns 0, or a negative errno
 * already reported.
 */
int identity_by_name(const char *user, struct identity *identity)
{
	struct passwd *entry;
	uid_t uid;
	int err;

	entry = look_up(user, 0, &err);
	if (err)
		return fail(err, "cannot look for user '%s'", user);
	if (entry) {
		fill_from(entry, identity);
		return 0;
	}
	if (!parse_uid(user, &uid))
		return refuse("unknown user '%s'", user);

	entry = look_up(NULL, uid, &err);
	if (err)
		return fail(err, "cannot look for user '%s'", user);
	if (entry)
		fill_from(entry, identity);
	else
		fill_from_number(uid, identity);

	return 0;
}

/*
 * Who invoked us: root through sudo, doas or pkexec is somebody else. Their
 * variables are believed only because root's environment is root's own.
 *
 * Returns 0, or a negative errno already reported. The caller frees @identity.
 */
int identity_of_invoker(struct identity *identity)
{
	static const char *const variables[] = { "SUDO_UID", "DOAS_USER",
						 "PKEXEC_UID" };
	struct passwd *entry;
	int err;

	for (size_t i = 0; getuid() == 0 && i < 3; i++) {
		const char *value = getenv(variables[i]);
		uid_t uid;

		if (!value || !*value)
			continue;
		/* Who cannot be looked for is not taken for root either. */
		if (parse_uid(value, &uid) || look_up(value, 0, &err) || err)
			return identity_by_name(value, identity);
	}

	entry = look_up(NULL, getuid(), &err);
	if (err)
		return fail(err, "cannot look for user %u", getuid());
	if (entry) {
		fill_from(entry, identity);
		return 0;
	}
	fill_from_number(getuid(), identity);
	identity->gid = getgid();

	return 0;
}

/* The user that owns nothing. The caller frees @identity. */
void identity_nobody(struct identity *identity)
{
	fill_from_number(NOBODY_ID, identity);
}

/* Without these no run works. */
static const unsigned needed[] = {
	CAP_NET_ADMIN, CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN,
};

/*
 * The names of the capabilities that a run needs and the process lacks, or "";
 * the caller frees it.
 */
char *rights_lacking(void)
{
	char *names = xstrdup("");

	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		autofree char *before = NULL;

		if (capng_have_capability(CAPNG_EFFECTIVE, needed[i]))
			continue;
		before = names;
		names = xasprintf("%s%scap_%s", before, *before ? ", " : "",
				  capng_capability_to_name(needed[i]));
	}

	return names;
}

/* Free what @identity holds. */
void identity_free(struct identity *identity)
{
	free(identity->groups);
	free(identity->name);
	free(identity->home);
	free(identity->shell);
	*identity = (struct identity){ 0 };
}

/*
 * Become @identity as a login would: groups, then group, then user, as each
 * needs the rights that the next gives up. The kernel drops the capabilities
 * with the user id. Must not set no_new_privs: sudo and ping work inside.
 *
 * Only system calls that are safe in a bare clone. Returns 0 or -errno.
 */
int rights_become(const struct identity *identity)
{
	if (setgroups(identity->group_count, identity->groups) < 0)
		return -errno;
	if (setresgid(identity->gid, identity->gid, identity->gid) < 0)
		return -errno;
	if (setresuid(identity->uid, identity->uid, identity->uid) < 0)
		return -errno;
	if (identity->uid != 0 && setresuid(0, 0, 0) == 0)
		return -EPERM;

	return 0;
}

/* Whether any capability is left, or the old ids can be had back. */
static bool still_privileged(const struct identity *identity, bool was_root)
{
	uid_t ruid;
	uid_t euid;
	uid_t suid;

	/* What cannot be read is not believed either. */
	if (capng_get_caps_process() < 0)
		return true;
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return true;
	if (was_root &&
	    capng_have_capabilities(CAPNG_SELECT_BOUNDS) != CAPNG_NONE)
		return true;
	if (identity->uid != 0 && setresuid(0, 0, 0) == 0)
		return true;
	if (getresuid(&ruid, &euid, &suid) < 0)
		return true;

	return ruid != identity->uid || euid != identity->uid ||
	       suid != identity->uid;
}

/*
 * Give up every right for good: no_new_privs, bounding set, groups, ids,
 * capabilities, being dumped, in the order in which each still has the right to
 * go. Must be called before a second thread exists, as it acts on one thread
 * only. An invoker who is root stays user 0, with no capability left.
 *
 * Success is not believed: it is tried to take the rights back.
 * Returns 0, or a negative errno already reported.
 */
int rights_drop_all(const struct identity *identity)
{
	bool was_root = geteuid() == 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(errno, "cannot set no_new_privs");
	if (was_root) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
			return fail(errno, "cannot drop the bounding set");
		if (setgroups(identity->group_count, identity->groups) < 0)
			return fail(errno, "cannot set groups");
		if (setresgid(identity->gid, identity->gid, identity->gid) < 0)
			return fail(errno, "cannot become group %u",
				    identity->gid);
		if (setresuid(identity->uid, identity->uid, identity->uid) < 0)
			return fail(errno, "cannot become user %u",
				    identity->uid);
	}
	capng_clear(CAPNG_SELECT_CAPS);
	capng_clear(CAPNG_SELECT_AMBIENT);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return fail(errno, "cannot drop capabilities");
	/*
	 * Nobody of the same user reads what is captured here, from a core or
	 * by ptrace(2). Last, as new ids set it anew.
	 */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(errno, "cannot close the memory to others");
	if (still_privileged(identity, was_root))
		return fail(EPERM, "cannot drop rights: some are left");

	return 0;
}

/*
 * Let the kernel judge what is opened from now on as if @identity did it: the
 * file-system ids, which take the capabilities over files with them, and the
 * groups. Returns 0, or a negative errno already reported.
 */
int rights_borrow_files(const struct identity *identity)
{
	if (setgroups(identity->group_count, identity->groups) < 0)
		return fail(errno, "cannot set groups");
	setfsgid(identity->gid);
	setfsuid(identity->uid);
	/* Neither call reports failure; an invalid id asks for the present. */
	if ((uid_t)setfsuid((uid_t)-1) != identity->uid ||
	    (gid_t)setfsgid((gid_t)-1) != identity->gid)
		return fail(EPERM, "cannot open files as user %u",
			    identity->uid);

	return 0;
}

/* Open files with one's own ids again. Returns 0 or -errno, reported. */
int rights_return_files(void)
{
	setfsuid(geteuid());
	setfsgid(getegid());
	if ((uid_t)setfsuid((uid_t)-1) != geteuid())
		return fail(EPERM, "cannot open files as user %u", geteuid());
	if (setgroups(0, NULL) < 0)
		return fail(errno, "cannot set groups");

	return 0;
}
