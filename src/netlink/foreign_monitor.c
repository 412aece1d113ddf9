/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * News of the firewalls of others: that our accepts may be missing from them,
 * and that a run's own quota is used up, which is to say that there is traffic.
 * What other runs do is no news.
 */
#include "netlink/foreign.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "netlink/foreign_internal.h"
#include "netlink/nft_internal.h"

/* What the names of runs' tables begin with: one word of a filter. */
#define FOREIGN_RUN "nsn-"

/* Where the first message of a change has its type, and its table's name. */
#define CHANGE_TYPE  offsetof(struct nlmsghdr, nlmsg_type)
#define CHANGE_TABLE (NLMSG_HDRLEN + sizeof(struct nfgenmsg) + NLA_HDRLEN)

/* A filter reads words most significant byte first. */
static uint32_t word(const char *text)
{
	uint32_t bytes;

	memcpy(&bytes, text, sizeof(bytes));

	return ntohl(bytes);
}

/*
 * Have the kernel hide what other runs do to their own tables, which it tells
 * apart from all else: where hundreds come and go each would be woken by all.
 * Tables with an owner are not deleted together with others'.
 */
static void hide_other_runs(struct nft *monitor, const char *own)
{
	char name[IFNAMSIZ] = "";
	struct sock_filter filter[16] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, CHANGE_TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 htons(NFT_TYPE(NFT_MSG_NEWGEN)), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, CHANGE_TABLE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(FOREIGN_RUN), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	size_t count = 6;

	/* The rest of the name, which has its zero and is padded with more. */
	snprintf(name, sizeof(name), "%s", own);
	for (size_t i = 4; i <= strlen(name); i += 4) {
		filter[count++] = (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, (uint32_t)(CHANGE_TABLE + i));
		filter[count++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, word(name + i), 1, 0);
		filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET, 0);
	}
	filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET, UINT32_MAX);
	netlink_filter(&monitor->nl, filter, count);
}

/*
 * Open a socket that is told of changes of nftables rules in the current
 * network namespace; for nft_fd(), foreign_monitor_read() and nft_close() only.
 * @own are the tables of the run. Returns 0, or -errno and *@monitor is NULL.
 */
int foreign_monitor_open(struct nft **monitor, const struct nft_tables *own)
{
	int ret;

	*monitor = xcalloc(1, sizeof(**monitor));
	ret = netlink_open(&(*monitor)->nl, NETLINK_NETFILTER, SOCK_NONBLOCK,
			   1U << (NFNLGRP_NFTABLES - 1));
	if (ret < 0) {
		free(*monitor);
		*monitor = NULL;
	} else if (own->owner) {
		hide_other_runs(*monitor, own->name);
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
			if (object ||
			    (table && !strncmp(table, FOREIGN_RUN, 4)))
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
