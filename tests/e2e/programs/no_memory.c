/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into nsntrace: the N-th allocation fails of those that it makes
 * itself, or that the libraries for netlink and packets make, in all of its
 * processes together. Not the C library's, whose look-up of users then ends in
 * an assertion, nor libseccomp's, which goes on with a list that lacks calls.
 *
 * NO_MEMORY names a file of two numbers of 64 bits: N, and how many there were.
 * The traced program knows nothing of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	uint64_t failing;
	atomic_uint_least64_t count;
} * shared;

/* Where those are who may get nothing. */
static struct range {
	uintptr_t first;
	uintptr_t end;
} ranges[8];
static int range_count;

static bool is_concerned(const char *path)
{
	/* The program itself has no name here. */
	return !*path || strstr(path, "libmnl") || strstr(path, "libnftnl") ||
	       strstr(path, "libpcap");
}

static int find_ranges(struct dl_phdr_info *info, size_t size, void *context)
{
	struct range *range = &ranges[range_count];

	(void)size;
	(void)context;
	if (!is_concerned(info->dlpi_name) || range_count == 8)
		return 0;
	range_count++;
	range->first = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			range->end = info->dlpi_addr +
				     info->dlpi_phdr[i].p_vaddr +
				     info->dlpi_phdr[i].p_memsz;
	}

	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("NO_MEMORY");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	unsetenv("LD_PRELOAD");
	unsetenv("NO_MEMORY");
	if (fd < 0)
		return;
	dl_iterate_phdr(find_ranges, NULL);
	mapped = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	close(fd);
	if (mapped != MAP_FAILED)
		shared = mapped;
}

static bool fails(const void *caller)
{
	bool concerned = false;

	for (int i = 0; i < range_count; i++)
		concerned |= (uintptr_t)caller >= ranges[i].first &&
			     (uintptr_t)caller < ranges[i].end;
	if (!shared || !concerned ||
	    atomic_fetch_add(&shared->count, 1) + 1 != shared->failing)
		return false;
	errno = ENOMEM;

	return true;
}

void *malloc(size_t size)
{
	static void *(*real)(size_t);

	if (!real)
		real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");

	return fails(__builtin_return_address(0)) ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
	static void *(*real)(size_t, size_t);

	if (!real)
		real = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");

	return fails(__builtin_return_address(0)) ? NULL : real(count, size);
}

void *realloc(void *pointer, size_t size)
{
	static void *(*real)(void *, size_t);

	if (!real)
		real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");

	return fails(__builtin_return_address(0)) ? NULL : real(pointer, size);
}
