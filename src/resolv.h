/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RESOLV_H
#define NSNTRACE_RESOLV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"

#define RESOLV_PATH	   "/etc/resolv.conf"
#define RESOLV_SERVERS_MAX 8

/* The host's resolver configuration. */
struct resolv {
	bool present; /* the file, or what it links to, exists */
	char *target; /* its path, links followed; NULL if not present */
	char *text;   /* all of it; NULL if not present */
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t count;
};

int resolv_read(const char *path, struct resolv *resolv);
void resolv_parse(const char *text, struct resolv *resolv);
char *resolv_with_servers(const char *text, const struct ip *servers,
			  size_t count);
char *resolv_with_replaced(const char *text, const struct ip *from,
			   const struct ip *to, size_t count);
void resolv_free(struct resolv *resolv);

#endif
