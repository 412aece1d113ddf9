/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_OPTION_TABLE_H
#define NSNTRACE_OPTION_TABLE_H

#include <stddef.h>

#include "options.h"

/* What an option takes, and how each shell completes it. */
struct option_value {
	const char *name;
	const char *bash; /* arguments of compgen; NULL: nothing to propose */
	const char *zsh;  /* action of _arguments */
	const char *fish; /* options of complete */
	bool optional;	  /* may be left out, and comes after '=' only */
};

/* One option. Without a group it is not shown, without a setter refused. */
struct option_entry {
	const char *letters; /* at most two; "": a name only */
	const char *name;
	const struct option_value *value; /* NULL: takes none */
	const char *group;
	const char *help;
	int (*set)(struct options *options, const char *value);
};

extern const struct option_entry option_table[];
extern const size_t option_count;

#endif
