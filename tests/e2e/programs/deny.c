/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded, it stands for a kernel that lacks something. DENY is one of
 *
 *	send FROM TO	bytes, in hexadecimal digits, that the kernel is to be
 *			sent others of: a name that it does not know, say
 *	socket A B	there are no sockets of family A and protocol B
 *	option A B	sockets have no option B of level A
 *	memory		there is none that is not to be reserved
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SIZE_MAX_SENT 65536

/* The next function of the same name. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether DENY begins with @word; what follows is a and b. */
static int denies(const char *word, char a[64], char b[64])
{
	const char *deny = getenv("DENY");
	char first[64];

	return deny && sscanf(deny, "%63s %63s %63s", first, a, b) >= 1 &&
	       !strcmp(first, word);
}

static size_t bytes_of(const char *digits, unsigned char bytes[32])
{
	size_t count = 0;

	for (; sscanf(digits, "%2hhx", &bytes[count]) == 1; digits += 2)
		count++;

	return count;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags,
	       const struct sockaddr *to, socklen_t to_size)
{
	static char changed[SIZE_MAX_SENT];
	unsigned char from[32], into[32];
	char a[64], b[64];

	if (denies("send", a, b) && size <= sizeof(changed)) {
		size_t count = bytes_of(a, from);
		char *at = memcpy(changed, bytes, size);
		char *end = changed + size;

		bytes_of(b, into);
		while ((at = memmem(at, (size_t)(end - at), from, count)))
			memcpy(at, into, count);
		bytes = changed;
	}

	return NEXT(sendto)(fd, bytes, size, flags, to, to_size);
}

int socket(int family, int type, int protocol)
{
	char a[64], b[64];

	if (denies("socket", a, b) && family == atoi(a) &&
	    protocol == atoi(b)) {
		errno = EPROTONOSUPPORT;
		return -1;
	}

	return NEXT(socket)(family, type, protocol);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	char a[64], b[64];

	if (denies("option", a, b) && level == atoi(a) && option == atoi(b)) {
		errno = ENOMEM;
		return -1;
	}

	return NEXT(setsockopt)(fd, level, option, value, size);
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	char a[64], b[64];

	if ((flags & MAP_NORESERVE) && denies("memory", a, b)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}

	return NEXT(mmap)(at, size, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return mmap(at, size, prot, flags, fd, offset);
}
