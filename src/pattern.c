/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names with %-patterns, named and filled in as core(5) does. Opening the
 * file is left to others, and so is numbering the files of a rotation.
 */
#include "pattern.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"

static void append_number(struct buf *name, intmax_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%jd", number);
	buf_string(name, digits);
}

/*
 * Append a value that others chose. Like the kernel with core files, let it
 * name neither another directory nor this one nor the one above: '/' becomes
 * '!', and so does what would leave a part of the path empty, "." or "..".
 */
static void append_foreign(struct buf *name, const char *value)
{
	size_t start = name->used;

	buf_string(name, value);
	for (size_t i = start; i < name->used; i++)
		if (name->bytes[i] == '/')
			name->bytes[i] = '!';

	if (value[0] == '\0')
		buf_u8(name, '!');
	else if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		name->bytes[start] = '!';
}

static void append_pid(struct buf *name, const struct pattern_values *values)
{
	append_number(name, values->pid);
}

static void append_file(struct buf *name, const struct pattern_values *values)
{
	const char *slash = strrchr(values->path, '/');

	append_foreign(name, slash ? slash + 1 : values->path);
}

static void append_path(struct buf *name, const struct pattern_values *values)
{
	append_foreign(name, values->path);
}

static void append_host(struct buf *name, const struct pattern_values *values)
{
	append_foreign(name, values->host);
}

static void append_started(struct buf *name,
			   const struct pattern_values *values)
{
	append_number(name, values->started);
}

static void append_uid(struct buf *name, const struct pattern_values *values)
{
	append_number(name, values->uid);
}

static void append_percent(struct buf *name,
			   const struct pattern_values *values)
{
	(void)values;
	buf_u8(name, '%');
}

typedef void append_value(struct buf *name,
			  const struct pattern_values *values);

/* What stands for each letter behind a percent sign. */
static append_value *const patterns[UCHAR_MAX + 1] = {
	['p'] = append_pid,	['e'] = append_file,	['E'] = append_path,
	['h'] = append_host,	['t'] = append_started, ['u'] = append_uid,
	['%'] = append_percent,
};

/* How many bytes the (UTF-8) character at @text has; 0 at its end. */
static int character_size(const char *text)
{
	int size = *text != '\0';

	while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
		size++;

	return size;
}

/*
 * Check that @pattern has no patterns but the known ones. Returns 0, or -EINVAL
 * when the first other one has been reported.
 */
int pattern_check(const char *pattern)
{
	for (const char *at = strchr(pattern, '%'); at;
	     at = strchr(at + 2, '%')) {
		if (patterns[(uint8_t)at[1]])
			continue;

		return refuse("unknown '%.*s' in file name '%s' (known are %%p "
			      "%%e %%E %%h %%t %%u, and %%%% for a percent "
			      "sign)",
			      1 + character_size(at + 1), at, pattern);
	}

	return 0;
}

/*
 * Fill in @pattern, which pattern_check() has let pass. The caller frees what
 * is returned.
 */
char *pattern_expand(const char *pattern, const struct pattern_values *values)
{
	struct buf name = { 0 };

	while (*pattern) {
		if (*pattern != '%') {
			buf_u8(&name, (uint8_t)*pattern++);
			continue;
		}
		patterns[(uint8_t)pattern[1]](&name, values);
		pattern += 2;
	}
	buf_u8(&name, '\0');

	return (char *)name.bytes;
}
