/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * News of the firewalls of others: that our accepts may be missing from them,
 * and that a run's own quota is used up, which is to say that there is traffic.
 * What other runs do is no news.
 */
#include "netlink/foreign.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "netlink/foreign_internal.h"
#include "netlink/nft_internal.h"

/*
 * Open a socket that is told of changes of nftables rules in the current
 * network namespace; for nft_fd(), foreign_monitor_read() and nft_close() only.
 * Returns 0, or -errno and *@monitor is NULL.
 */
int foreign_monitor_open(struct nft **monitor)
{
	int ret;

	*monitor = xcalloc(1, sizeof(**monitor));
	ret = netlink_open(&(*monitor)->nl, NETLINK_NETFILTER, SOCK_NONBLOCK,
			   1U << (NFNLGRP_NFTABLES - 1));
	if (ret < 0) {
		free(*monitor);
		*monitor = NULL;
	}

	return ret;
}

/* What is looked for in the news. */
struct watch {
	struct comment comment;
	const char *table; /* the run's own */
	struct foreign_news *news;
};

/* Whether it is a rule that a run has put into a foreign chain. */
static bool is_of_a_run(const struct nlattr *userdata)
{
	const struct comment any = foreign_comment(FOREIGN_TAG);
	const size_t size = any.size - 1; /* the rest of the tag follows */
	const uint8_t *bytes = mnl_attr_get_payload(userdata);

	return mnl_attr_get_payload_len(userdata) > size && bytes[0] == 0 &&
	       !memcmp(bytes + 2, any.bytes + 2, size - 2);
}

/*
 * Runs come and go, and with them their tables and accepts: that is no news, or
 * many runs would keep each other busy. That ours are gone is.
 */
static int tell(const struct nlmsghdr *message, void *context)
{
	struct watch *watch = context;
	const struct nlattr *attr;
	bool rule = message->nlmsg_type == NFT_TYPE(NFT_MSG_NEWRULE) ||
		    message->nlmsg_type == NFT_TYPE(NFT_MSG_DELRULE);
	bool deleted = message->nlmsg_type == NFT_TYPE(NFT_MSG_DELRULE);
	bool object = message->nlmsg_type == NFT_TYPE(NFT_MSG_NEWOBJ);

	switch (message->nlmsg_type) {
	case NFT_TYPE(NFT_MSG_NEWTABLE):
	case NFT_TYPE(NFT_MSG_NEWCHAIN):
	case NFT_TYPE(NFT_MSG_NEWRULE):
	case NFT_TYPE(NFT_MSG_DELRULE):
	case NFT_TYPE(NFT_MSG_NEWOBJ):
		break;
	default:
		return 0;
	}
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return 0;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		const char *table;

		/* The first attribute of each kind is the table's name. */
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME) {
			table = foreign_text(attr);
			if (table && object && !strcmp(table, watch->table))
				watch->news->traffic = true;
			if (object || (table && !strncmp(table, "nsn-", 4)))
				return 0;
		}
		if (rule && mnl_attr_get_type(attr) == NFTA_RULE_USERDATA &&
		    is_of_a_run(attr) &&
		    !(deleted && foreign_is_comment(attr, &watch->comment)))
			return 0;
	}
	watch->news->changed = true;

	return 0;
}

/*
 * Read what has been told since the last call, without waiting, by the run that
 * has made @accepts. Returns 0 or -errno.
 */
int foreign_monitor_read(struct nft *monitor,
			 const struct foreign_accepts *accepts,
			 struct foreign_news *news)
{
	struct watch watch = {
		.comment = foreign_comment(accepts->tag),
		.table = accepts->interface,
		.news = news,
	};
	int ret;

	*news = (struct foreign_news){ 0 };
	/* Whatever was lost may have been news. */
	while ((ret = netlink_events(&monitor->nl, tell, &watch)) == -ENOBUFS)
		*news = (struct foreign_news){ true, true };

	return ret;
}
