/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The records of what runs changed on the host, as files below /run/nsntrace:
 * one directory for each network namespace that is somebody's host.
 *
 *   sysctl.*  "NAME OLD OURS IP_FORWARD". Shared: every run that needs the
 *             value holds a shared lock, the last one puts the old value back.
 *   run.*     what belongs to one run. Its keeper holds an exclusive lock.
 *
 * The kernel drops a lock with its process, even on kill -9. So whatever can
 * be locked here belongs to nobody any more. What the records say is left to
 * others; silent, as they know what a failure means.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * Which namespace is this? A cookie is never used twice (5.14); else the inode
 * number, which is only unique among the living.
 */
static uint64_t netns_cookie(int socket)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat status;

	if (getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ==
	    0)
		return cookie;

	return stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
}

/*
 * Where the records of this network namespace are, in which @socket was made;
 * the caller frees it.
 */
char *state_directory(int socket)
{
	return xasprintf(STATE_DIR "/%llu",
			 (unsigned long long)netns_cookie(socket));
}

/*
 * Open the file @path in the directory @dir, either of which others may be
 * removing, or make it. Returns a descriptor the caller owns, or -errno.
 */
int state_open(const char *dir, const char *path)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			      0600);

		if (fd >= 0)
			return fd;
		if (errno != ENOENT)
			return -errno;
		if (mkdir(STATE_DIR, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (mkdir(dir, 0755) < 0 && errno != EEXIST && errno != ENOENT)
			return -errno;
	}

	return -EAGAIN;
}

/* flock(2), whatever signals come. Returns 0 or -errno. */
int state_lock(int fd, int how)
{
	while (flock(fd, how) < 0) {
		if (errno != EINTR)
			return -errno;
	}

	return 0;
}

/* Whether @path still names the file behind @fd: it may have been removed. */
bool state_is_current(int fd, const char *path)
{
	struct stat ours;
	struct stat theirs;

	/* What cannot be looked at has not been removed for that. */
	if (fstat(fd, &ours) < 0 || stat(path, &theirs) < 0)
		return !means_absent(errno);

	return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* Other runs may need them: then they are not empty. */
void state_remove_directories(const char *dir)
{
	rmdir(dir);
	rmdir(STATE_DIR);
}
