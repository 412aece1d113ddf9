/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_OUTFILE_H
#define NSNTRACE_OUTFILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/rights.h"

/* A file that was opened, to be known again by. */
struct outfile_mark {
	uint32_t device[2];
	uint64_t inode;
	int64_t born[2]; /* where the file system knows, as numbers return */
	uid_t owner;
};

int outfile_try(const char *path, const struct identity *user);
int outfile_open(const char *path, const struct identity *user);
int outfile_mark(int fd, struct outfile_mark *mark);
void outfile_remove(const char *path, const struct outfile_mark *mark,
		    const struct identity *user);

#endif
