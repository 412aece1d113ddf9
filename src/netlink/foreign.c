/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chains of other people's firewalls that may drop what is forwarded, and our
 * accepts in them: an accept in a table of one's own does not overrule another
 * table's drop. Ours are known by their comment alone, never by a handle, which
 * after a reload is the number of somebody else's rule. Silent: nft_failed()
 * says what could not be done. Of what comes from the kernel nothing is taken
 * for granted, as all of it was put there by others. That rules have changed is
 * heard of in foreign_monitor.c.
 */
#include "netlink/foreign.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "netlink/foreign_internal.h"
#include "netlink/nft_expr.h"
#include "netlink/nft_internal.h"

/*
 * How often the rules may change between looking and deleting. Each time some
 * other change has succeeded, so many runs that end at once all get there.
 */
#define WITHDRAW_TRIES 10000

/* The comment of a rule with @tag. */
struct comment foreign_comment(const char *tag)
{
	struct comment comment = { .bytes = { NFTNL_UDATA_RULE_COMMENT } };
	size_t size = strnlen(tag, FOREIGN_TAG_SIZE - 1);

	memcpy(comment.bytes + 2, tag, size);
	comment.bytes[1] = (uint8_t)(size + 1);
	comment.size = 2 + size + 1;

	return comment;
}

/* Whether a rule's @userdata is just @comment. */
bool foreign_is_comment(const struct nlattr *userdata,
			const struct comment *comment)
{
	return mnl_attr_get_payload_len(userdata) == comment->size &&
	       !memcmp(mnl_attr_get_payload(userdata), comment->bytes,
		       comment->size);
}

/* The family as nft(8) calls it. */
const char *foreign_family(const struct foreign_chain *chain)
{
	switch (chain->family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return "inet";
	}
}

/*
 * What kernel and others wrote, or a null pointer if it is no such thing: names
 * that fit a request.
 */
const char *foreign_text(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 &&
			       mnl_attr_get_payload_len(attr) <= NFT_NAME_MAXLEN
		       ? mnl_attr_get_str(attr)
		       : NULL;
}

static uint32_t number_of(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_U32) == 0
		       ? ntohl(mnl_attr_get_u32(attr))
		       : 0;
}

/* What is to be known of a chain. */
struct sight {
	const char *table;
	const char *name;
	const char *type;
	bool forward;
	uint32_t policy;
	uint32_t rules;
};

static bool hangs_at_forward(const struct nlattr *hook)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested (attr, hook) {
		if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
			return number_of(attr) == NF_INET_FORWARD;
	}

	return false;
}

static void see_attribute(struct sight *sight, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case NFTA_CHAIN_TABLE:
		sight->table = foreign_text(attr);
		break;
	case NFTA_CHAIN_NAME:
		sight->name = foreign_text(attr);
		break;
	case NFTA_CHAIN_TYPE:
		sight->type = foreign_text(attr);
		break;
	case NFTA_CHAIN_HOOK:
		sight->forward = hangs_at_forward(attr);
		break;
	case NFTA_CHAIN_POLICY:
		sight->policy = number_of(attr);
		break;
	case NFTA_CHAIN_USE:
		sight->rules = number_of(attr);
		break;
	default:
		break;
	}
}

/* One that has rules may have some that drop: what they mean is not asked. */
static bool can_drop(uint8_t family, const struct sight *sight)
{
	if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6 &&
	    family != NFPROTO_INET)
		return false;
	if (!sight->forward || !sight->table || !sight->name || !sight->type)
		return false;
	/* Those of runs only count. */
	if (!strncmp(sight->table, "nsn-", 4))
		return false;

	return !strcmp(sight->type, "filter") &&
	       (sight->policy == NF_DROP || sight->rules);
}

static int collect_chain(const struct nlmsghdr *message, void *context)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	struct foreign_chains *chains = context;
	struct sight sight = { .policy = NF_ACCEPT };
	const struct nlattr *attr;

	if (message->nlmsg_type != NFT_TYPE(NFT_MSG_NEWCHAIN) ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return 0;
	mnl_attr_for_each (attr, message, sizeof(*header))
		see_attribute(&sight, attr);
	if (!can_drop(header->nfgen_family, &sight))
		return 0;

	chains->chain = xrealloc(chains->chain,
				 (chains->count + 1) * sizeof(*chains->chain));
	chains->chain[chains->count++] = (struct foreign_chain){
		.family = header->nfgen_family,
		.table = xstrdup(sight.table),
		.name = xstrdup(sight.name),
	};

	return 0;
}

/*
 * Find the chains of this host that may drop what is forwarded. Returns 0 or
 * -errno; @chains is to be freed in both cases.
 */
int foreign_chains(struct nft *nft, struct foreign_chains *chains)
{
	*chains = (struct foreign_chains){ 0 };
	nft_header(netlink_request(&nft->nl, NFT_TYPE(NFT_MSG_GETCHAIN),
				   NLM_F_DUMP, "list the nftables chains"),
		   NFPROTO_UNSPEC);

	return netlink_query(&nft->nl, collect_chain, chains);
}

/* Free what the list holds. */
void foreign_chains_free(struct foreign_chains *chains)
{
	for (size_t i = 0; i < chains->count; i++) {
		free(chains->chain[i].table);
		free(chains->chain[i].name);
	}
	free(chains->chain);
	*chains = (struct foreign_chains){ 0 };
}

static struct nftnl_rule *rule_of(const struct foreign_chain *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	/* Without these words it would be about rules of others. */
	if (!rule ||
	    nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, chain->table) < 0 ||
	    nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain->name) < 0)
		die_no_memory();

	return rule;
}

/* Make a request about @rule, which is in @chain, and free it. */
static void request(struct nft *nft, uint16_t type, uint16_t flags,
		    const char *what, const struct foreign_chain *chain,
		    struct nftnl_rule *rule)
{
	struct nlmsghdr *message = netlink_request(
		&nft->nl, NFT_TYPE(type), flags, "%s chain %s of table %s %s",
		what, chain->name, foreign_family(chain), chain->table);

	nft_header(message, chain->family);
	nftnl_rule_nlmsg_build_payload(message, rule);
	nftnl_rule_free(rule);
}

static void put_accepts(struct nft *nft, const struct foreign_chain *chain,
			const struct foreign_accepts *accepts)
{
	static void (*const directions[])(struct nftnl_rule * rule, uint32_t op,
					  const char *name) = {
		nft_oifname,
		nft_iifname,
	};
	const struct comment comment = foreign_comment(accepts->tag);

	for (size_t i = 0; i < sizeof(directions) / sizeof(*directions); i++) {
		struct nftnl_rule *rule = rule_of(chain);

		directions[i](rule, NFT_CMP_EQ, accepts->interface);
		nft_counter(rule);
		nft_accept(rule);
		/* Without a comment nobody could take it out again. */
		if (nftnl_rule_set_data(rule, NFTNL_RULE_USERDATA,
					comment.bytes,
					(uint32_t)comment.size) < 0)
			die_no_memory();
		/* Neither NLM_F_APPEND nor a position: at the top. */
		request(nft, NFT_MSG_NEWRULE, NLM_F_ACK | NLM_F_CREATE,
			"accept packets in", chain, rule);
	}
}

/*
 * Put accepts for what comes from and goes to the interface at the top of
 * @chain. Returns 0, or -errno: -EPERM if the table is another process' own,
 * -ENOENT if there is no such chain any more.
 */
int foreign_accept(struct nft *nft, const struct foreign_chain *chain,
		   const struct foreign_accepts *accepts)
{
	nft_begin(nft, 0);
	put_accepts(nft, chain, accepts);
	nft_end(nft);

	return netlink_commit(&nft->nl);
}

/* A request that nobody can grant: to make the table of @chain, anew. */
static void put_impossible(struct nft *nft, const struct foreign_chain *chain)
{
	struct nlmsghdr *message = netlink_request(
		&nft->nl, NFT_TYPE(NFT_MSG_NEWTABLE),
		NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, "make table %s %s anew",
		foreign_family(chain), chain->table);

	nft_header(message, chain->family);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, chain->table);
}

/*
 * Find out what foreign_accept() would return, and change nothing: the kernel
 * judges each request of a transaction, and carries out none if one fails, as
 * the last one here is bound to.
 */
int foreign_rehearse(struct nft *nft, const struct foreign_chain *chain,
		     const struct foreign_accepts *accepts)
{
	int ret;

	nft_begin(nft, 0);
	put_accepts(nft, chain, accepts);
	put_impossible(nft, chain);
	nft_end(nft);
	ret = netlink_commit(&nft->nl);

	return ret == -EEXIST ? 0 : ret;
}

/* The handles of the rules in a chain that have our comment. */
struct tagged {
	struct comment comment;
	uint64_t *handle;
	size_t count;
};

static int collect_tagged(const struct nlmsghdr *message, void *context)
{
	struct tagged *tagged = context;
	const struct nlattr *attr;
	uint64_t handle = 0;
	bool ours = false;

	if (message->nlmsg_type != NFT_TYPE(NFT_MSG_NEWRULE))
		return 0;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_RULE_HANDLE &&
		    mnl_attr_validate(attr, MNL_TYPE_U64) == 0)
			handle = be64toh(mnl_attr_get_u64(attr));
		if (mnl_attr_get_type(attr) == NFTA_RULE_USERDATA)
			ours = foreign_is_comment(attr, &tagged->comment);
	}
	if (!ours || !handle)
		return 0;
	tagged->handle =
		xrealloc(tagged->handle, (tagged->count + 1) * sizeof(handle));
	tagged->handle[tagged->count++] = handle;

	return 0;
}

static int find_tagged(struct nft *nft, const struct foreign_chain *chain,
		       const char *tag, struct tagged *tagged)
{
	*tagged = (struct tagged){ .comment = foreign_comment(tag) };
	request(nft, NFT_MSG_GETRULE, NLM_F_DUMP, "list the rules in", chain,
		rule_of(chain));

	return netlink_query(&nft->nl, collect_tagged, tagged);
}

/*
 * How many of the two accepts are in @chain. Returns that or -errno.
 */
int foreign_accepted(struct nft *nft, const struct foreign_chain *chain,
		     const char *tag)
{
	struct tagged tagged;
	int ret = find_tagged(nft, chain, tag, &tagged);

	free(tagged.handle);

	return ret < 0 ? ret : (int)tagged.count;
}

static int read_generation(const struct nlmsghdr *message, void *context)
{
	uint32_t *generation = context;
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID)
			*generation = number_of(attr);
	}

	return 0;
}

/*
 * Delete the rules of @chain that have our comment. A handle means something
 * only as long as nobody changes the rules: the kernel refuses (-ERESTART) if
 * that has happened since @generation.
 */
static int withdraw_once(struct nft *nft, const struct foreign_chain *chain,
			 const char *tag)
{
	uint32_t generation = 0;
	struct tagged tagged;
	int ret;

	nft_header(netlink_request(&nft->nl, NFT_TYPE(NFT_MSG_GETGEN), 0,
				   "ask for the generation of the rules"),
		   NFPROTO_UNSPEC);
	ret = netlink_query(&nft->nl, read_generation, &generation);
	if (ret < 0)
		return ret;
	ret = find_tagged(nft, chain, tag, &tagged);
	if (ret == 0 && tagged.count) {
		nft_begin(nft, generation);
		for (size_t i = 0; i < tagged.count; i++) {
			struct nftnl_rule *rule = rule_of(chain);

			nftnl_rule_set_u64(rule, NFTNL_RULE_HANDLE,
					   tagged.handle[i]);
			request(nft, NFT_MSG_DELRULE, NLM_F_ACK,
				"take our accepts out of", chain, rule);
		}
		nft_end(nft);
		ret = netlink_commit(&nft->nl);
	}
	free(tagged.handle);

	return ret < 0 ? ret : (int)tagged.count;
}

static int withdraw(struct nft *nft, const struct foreign_chain *chain,
		    const char *tag)
{
	int ret = -ERESTART;

	for (int i = 0; i < WITHDRAW_TRIES && ret == -ERESTART; i++)
		ret = withdraw_once(nft, chain, tag);

	/* The chain went, and our rules with it. */
	return ret == -ENOENT ? 0 : ret;
}

/*
 * Take the accepts tagged @tag out of all chains. Goes on past a failure.
 * Returns how many rules were taken out, or the first -errno.
 */
int foreign_withdraw(struct nft *nft, const char *tag)
{
	struct foreign_chains chains;
	int first = foreign_chains(nft, &chains);
	int count = 0;

	for (size_t i = 0; i < chains.count; i++) {
		int ret = withdraw(nft, &chains.chain[i], tag);

		if (ret >= 0)
			count += ret;
		else if (!first)
			first = ret;
	}
	foreign_chains_free(&chains);

	return first ? first : count;
}
