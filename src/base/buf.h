/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_BUF_H
#define NSNTRACE_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

/* A growing byte buffer. All zero is an empty one. */
struct buf {
	uint8_t *bytes;
	size_t used;
	size_t size;
};

void *buf_reserve(struct buf *buf, size_t size);
void buf_append(struct buf *buf, const void *bytes, size_t size);
void buf_u8(struct buf *buf, uint8_t value);
void buf_u16(struct buf *buf, uint16_t value);
void buf_u32(struct buf *buf, uint32_t value);
void buf_u64(struct buf *buf, uint64_t value);
void buf_string(struct buf *buf, const char *string);
void buf_clear(struct buf *buf);
void buf_free(struct buf *buf);

#endif
