/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_RIGHTS_H
#define NSNTRACE_BASE_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Who somebody is, as far as the kernel is concerned, and a login shell. */
struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char *name; /* NULL if it has none */
	char *home;
	char *shell;
};

int identity_by_name(const char *user, struct identity *identity);
int identity_of_invoker(struct identity *identity);
void identity_nobody(struct identity *identity);
void identity_free(struct identity *identity);

char *rights_lacking(void);
int rights_become(const struct identity *identity);
int rights_drop_all(const struct identity *identity);
int rights_borrow_files(const struct identity *identity);
int rights_return_files(void);

#endif
