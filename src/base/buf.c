/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing byte buffer. Integers are appended in the machine's byte order,
 * which is what both capture formats want: the reader swaps if need be.
 */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Make room for @size bytes at the end and count them as used. */
void *buf_reserve(struct buf *buf, size_t size)
{
	void *room;

	if (buf->used + size > buf->size) {
		buf->size = 2 * buf->size + size + 64;
		buf->bytes = xrealloc(buf->bytes, buf->size);
	}
	room = buf->bytes + buf->used;
	buf->used += size;

	return room;
}

/* Append @size bytes. */
void buf_append(struct buf *buf, const void *bytes, size_t size)
{
	if (size)
		memcpy(buf_reserve(buf, size), bytes, size);
}

/* Append one byte. */
void buf_u8(struct buf *buf, uint8_t value)
{
	buf_append(buf, &value, sizeof(value));
}

/* Append 16 bits in the machine's order. */
void buf_u16(struct buf *buf, uint16_t value)
{
	buf_append(buf, &value, sizeof(value));
}

/* Append 32 bits in the machine's order. */
void buf_u32(struct buf *buf, uint32_t value)
{
	buf_append(buf, &value, sizeof(value));
}

/* Append 64 bits in the machine's order. */
void buf_u64(struct buf *buf, uint64_t value)
{
	buf_append(buf, &value, sizeof(value));
}

/* Append a string without its terminating NUL. */
void buf_string(struct buf *buf, const char *string)
{
	buf_append(buf, string, strlen(string));
}

/* Forget the contents, keep the memory. */
void buf_clear(struct buf *buf)
{
	buf->used = 0;
}

/* Give the memory back; @buf is empty and may be used again. */
void buf_free(struct buf *buf)
{
	free(buf->bytes);
	*buf = (struct buf){ 0 };
}
