/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_FOREIGN_H
#define NSNTRACE_NETLINK_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/nft.h"

/* With what the tags of all runs begin; nobody else's comment does. */
#define FOREIGN_TAG "nsntrace:"

/* As long as a rule's comment may be, and the null byte. */
#define FOREIGN_TAG_SIZE 64

/* A chain of somebody else's that decides what is forwarded. */
struct foreign_chain {
	uint8_t family; /* NFPROTO_* */
	char *table;
	char *name;
};

struct foreign_chains {
	struct foreign_chain *chain;
	size_t count;
};

/* The two rules that let through what a run sends and receives. */
struct foreign_accepts {
	const char *interface; /* host end of the veth pair */
	const char *tag;       /* FOREIGN_TAG and what no other run has */
};

/* What the monitor has heard of. */
struct foreign_news {
	bool changed; /* accepts may be missing somewhere */
	bool traffic; /* the run's first packets of a family, see gauge.h */
};

int foreign_chains(struct nft *nft, struct foreign_chains *chains);
void foreign_chains_free(struct foreign_chains *chains);
const char *foreign_family(const struct foreign_chain *chain);
int foreign_accept(struct nft *nft, const struct foreign_chain *chain,
		   const struct foreign_accepts *accepts);
int foreign_rehearse(struct nft *nft, const struct foreign_chain *chain,
		     const struct foreign_accepts *accepts);
int foreign_accepted(struct nft *nft, const struct foreign_chain *chain,
		     const char *tag);
int foreign_withdraw(struct nft *nft, const char *tag);

int foreign_monitor_open(struct nft **monitor, const struct nft_tables *own);
int foreign_monitor_read(struct nft *monitor,
			 const struct foreign_accepts *accepts,
			 struct foreign_news *news);

#endif
