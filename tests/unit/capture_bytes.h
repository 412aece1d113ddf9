/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the tests of the writers: frames, files in memory, and expected bytes.
 * Include it after <cmocka.h> and what that needs.
 */
#ifndef NSNTRACE_TESTS_CAPTURE_BYTES_H
#define NSNTRACE_TESTS_CAPTURE_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/writer.h"

/* Integers of an expected file, in the machine's order. */
#define BYTE(value, n) (uint8_t)((uint64_t)(value) >> (8 * (n)))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define N16(value) BYTE(value, 0), BYTE(value, 1)
#define N32(value) N16(value), N16((value) >> 16)
#define N64(value) N32(value), N32((uint64_t)(value) >> 32)
#else
#define N16(value) BYTE(value, 1), BYTE(value, 0)
#define N32(value) N16((value) >> 16), N16(value)
#define N64(value) N32((uint64_t)(value) >> 32), N32(value)
#endif

/* A frame of @len bytes of which @caplen are kept: 0xa0, 0xa1, ... */
static inline struct frame *frame_new(uint64_t time, uint32_t caplen,
				      uint32_t len)
{
	struct frame *frame = xcalloc(1, sizeof(*frame) + caplen);

	frame->time = time;
	frame->caplen = caplen;
	frame->len = len;
	for (uint32_t i = 0; i < caplen; i++)
		frame->bytes[i] = (uint8_t)(0xa0 + i);

	return frame;
}

static inline int memory_file(void)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);

	assert_true(fd >= 0);

	return fd;
}

static inline size_t file_size(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);

	return (size_t)status.st_size;
}

/* All of a file; the caller frees it. */
static inline uint8_t *file_bytes(int fd, size_t *size)
{
	uint8_t *bytes;

	*size = file_size(fd);
	bytes = xcalloc(1, *size + 1);
	assert_int_equal(pread(fd, bytes, *size, 0), *size);

	return bytes;
}

static inline void assert_file(int fd, const uint8_t *expected, size_t size)
{
	size_t got;
	uint8_t *bytes = file_bytes(fd, &got);

	for (size_t i = 0; i < got && i < size; i++)
		if (bytes[i] != expected[i])
			fail_msg("byte %zu is %#x, not %#x", i, bytes[i],
				 expected[i]);
	assert_int_equal(got, size);
	free(bytes);
}

#endif
