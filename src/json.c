/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text as a string of JSON (RFC 8259). What is no UTF-8 (file names are bytes)
 * has no place there, and becomes U+FFFD byte by byte.
 */
#include "json.h"

#include <stddef.h>
#include <stdint.h>

/* The sequences of UTF-8 by their first two bytes (RFC 3629, section 4). */
static const struct {
	uint8_t first[2];
	uint8_t second[2];
	size_t size;
} sequences[] = {
	{ { 0xc2, 0xdf }, { 0x80, 0xbf }, 2 },
	{ { 0xe0, 0xe0 }, { 0xa0, 0xbf }, 3 },
	{ { 0xe1, 0xec }, { 0x80, 0xbf }, 3 },
	{ { 0xed, 0xed }, { 0x80, 0x9f }, 3 },
	{ { 0xee, 0xef }, { 0x80, 0xbf }, 3 },
	{ { 0xf0, 0xf0 }, { 0x90, 0xbf }, 4 },
	{ { 0xf1, 0xf3 }, { 0x80, 0xbf }, 4 },
	{ { 0xf4, 0xf4 }, { 0x80, 0x8f }, 4 },
};

/* How many bytes the character at @text has, or 0 if it is none. */
static size_t character(const uint8_t *text)
{
	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(sequences) / sizeof(*sequences); i++) {
		size_t size = 2;

		if (text[0] < sequences[i].first[0] ||
		    text[0] > sequences[i].first[1])
			continue;
		if (text[1] < sequences[i].second[0] ||
		    text[1] > sequences[i].second[1])
			return 0;
		while (size < sequences[i].size && (text[size] & 0xc0) == 0x80)
			size++;
		return size == sequences[i].size ? size : 0;
	}

	return 0;
}

/* Print @text to @stream, in quotes. */
void json_string(FILE *stream, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	fputc('"', stream);
	while (*at) {
		size_t size = character(at);

		if (!size)
			fputs("\\ufffd", stream);
		else if (*at == '"' || *at == '\\')
			fprintf(stream, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(stream, "\\u%04x", *at);
		else
			fwrite(at, 1, size, stream);
		at += size ? size : 1;
	}
	fputc('"', stream);
}
