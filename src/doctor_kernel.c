/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of what a run asks of the kernel's network: each makes network
 * namespaces that nobody else is in, and does there what a run does, by the
 * same functions.
 */
#include "doctor_checks.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "capture/source.h"
#include "netlink/gauge.h"
#include "netlink/nft.h"
#include "netlink/rtnl.h"
#include "netlink/sockdiag.h"
#include "plan.h"

#define MIB ((size_t)1024 * 1024)

/* What a run would be called that has no number. */
#define NAME "nsn-doctor"

/* A namespace with nothing in it but lo, which is down. */
static int enter_new_netns(void)
{
	int ret;

	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	ret = fail(errno, "cannot make a network namespace");
	if (ret == -ENOSPC)
		hint("raise the limit: sysctl user.max_net_namespaces");

	return ret;
}

static int open_rtnl(struct rtnl **rtnl)
{
	int ret = rtnl_open(rtnl);

	return ret < 0 ? fail(-ret, "cannot open a route netlink socket") : 0;
}

static int set_loopback_up(void)
{
	struct rtnl *rtnl;
	int ret = open_rtnl(&rtnl);

	if (ret < 0)
		return ret;
	rtnl_link_flags(rtnl, PLAN_LO_INDEX, IFF_UP, IFF_UP);
	ret = rtnl_commit(rtnl);
	if (ret < 0)
		fail(-ret, "cannot %s", rtnl_failed(rtnl));
	rtnl_close(rtnl);

	return ret;
}

/* A run goes into the namespace once more, for the program. */
int check_netns(const struct options *options)
{
	autoclose int own = proc_netns_open(getpid());
	int ret = enter_new_netns();

	(void)options;
	if (ret < 0)
		return ret;
	if (own < 0)
		return fail(-own, "cannot open the network namespace");
	if (setns(own, CLONE_NEWNET) < 0)
		return fail(errno, "cannot enter the network namespace");
	note("a network namespace can be made and entered");

	return 0;
}

int check_veth(const struct options *options)
{
	struct rtnl *host;
	int ret = enter_new_netns();

	(void)options;
	if (!ret)
		ret = open_rtnl(&host);
	if (!ret)
		ret = enter_new_netns();
	if (!ret) {
		autoclose int inside = proc_netns_open(getpid());
		const struct veth veth = {
			.name = NAME,
			.index = ROUTES_RUN_BASE,
			.mac = plan_outside_mac,
			.peer_name = PLAN_INSIDE_NAME,
			.peer_index = PLAN_INSIDE_INDEX,
			.peer_mac = plan_inside_mac,
			.peer_netns = inside,
			.mtu = 1500,
		};

		rtnl_veth_add(host, &veth);
		ret = rtnl_commit(host);
		if (ret < 0)
			return fail(-ret, "cannot %s", rtnl_failed(host));
		note("a pair of interfaces can join two namespaces");
	}

	return ret;
}

/* Make the tables of a run, and see with which wishes granted. */
static int add_tables(struct nft **nft, struct nft_tables *tables)
{
	int ret = enter_new_netns();

	if (ret < 0)
		return ret;
	*tables = (struct nft_tables){
		.name = NAME,
		.interface = "lo",
		.owner = true,
		.egress = true,
	};
	ip_parse("10.200.0.1", &tables->ip4);
	ip_parse("64:ff9b:1::1", &tables->ip6);
	ret = nft_open(nft);
	if (ret < 0)
		return fail(-ret, "cannot open an nftables socket");
	ret = nft_tables_add(*nft, tables);

	return ret < 0 ? fail(-ret, "cannot %s", nft_failed(*nft)) : 0;
}

int check_nftables(const struct options *options)
{
	struct nft_tables tables;
	struct nft *nft;
	int ret = add_tables(&nft, &tables);

	(void)options;
	if (!ret)
		note("addresses can be translated");

	return ret;
}

int check_owner(const struct options *options)
{
	struct nft_tables tables;
	struct nft *nft;
	int ret = add_tables(&nft, &tables);

	(void)options;
	if (ret < 0)
		return ret;
	if (tables.owner)
		note("the tables go with the process that has made them");
	else
		warn("this kernel's tables have no owner: if a run is killed, "
		     "the next one removes them");

	return 0;
}

int check_silence(const struct options *options)
{
	struct nft_tables tables;
	struct nft *nft;
	int ret = add_tables(&nft, &tables);

	(void)options;
	if (ret < 0)
		return ret;
	if (tables.egress)
		note("what the host says by itself can be kept out of a trace");
	else
		warn("this kernel has no egress hook: daemons of the host that "
		     "speak to all interfaces get errors at those of a run");

	return 0;
}

int check_counters(const struct options *options)
{
	struct nft_tables tables;
	struct nft *nft;
	int ret = add_tables(&nft, &tables);

	(void)options;
	if (ret < 0)
		return ret;
	ret = gauge_add(nft, &tables);
	if (ret < 0)
		return fail(-ret,
			    "cannot tell whether packets leave the host: "
			    "cannot %s",
			    nft_failed(nft));
	note("it can be told whether packets leave the host");

	return 0;
}

int check_capture(const struct options *options)
{
	const struct capture_interface lo = { .name = "lo" };
	const struct source_settings settings = {
		.interfaces = &lo,
		.interface_count = 1,
		.ring_bytes = options->buffer_size * MIB,
		.snaplen = options->snaplen,
	};
	const struct source_ops *ops = options->source == CAPTURE_PACKET
					       ? &source_packet
					       : &source_libpcap;
	struct source *source;
	int ret = enter_new_netns();

	if (!ret)
		ret = set_loopback_up();
	if (!ret)
		ret = ops->open(&settings, &source);
	if (ret < 0)
		return ret;
	/* Closing it here would take as long as the end of the process. */
	note("packets can be captured, in a ring of %u MiB",
	     options->buffer_size);

	return 0;
}

/* Somebody listens at @ip, at the port that is returned, or -errno. */
static int listen_at(const struct ip *ip)
{
	struct sockaddr_storage address;
	socklen_t size = ip_sockaddr(ip, 0, &address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return fail(errno, "cannot listen at a port");

	/* Left open: who listens is to be found. */
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int look_for_sockets(struct sockdiag *sockdiag)
{
	struct ip ip;
	int port;

	ip_parse("127.0.0.1", &ip);
	port = listen_at(&ip);
	if (port < 0)
		return port;
	if (sockdiag_finds(sockdiag, IPPROTO_TCP, &ip, (uint16_t)port) <= 0 ||
	    sockdiag_tcp_unfinished(sockdiag) < 0)
		warn("this kernel does not tell of TCP sockets: the last "
		     "packets of a program may be missing");
	else if (!sockdiag_knows(sockdiag, IPPROTO_UDP))
		warn("this kernel does not tell of UDP sockets: -L and -P work "
		     "for TCP only");
	else if (sockdiag_abort(sockdiag, &ip) <= 0)
		warn("this kernel cannot end connections "
		     "(CONFIG_INET_DIAG_DESTROY): processes that outlive the "
		     "program wait for answers in vain");
	else
		note("connections can be followed to their end");

	return 0;
}

int check_sockets(const struct options *options)
{
	struct sockdiag *sockdiag;
	int ret = enter_new_netns();

	(void)options;
	if (!ret)
		ret = set_loopback_up();
	if (ret < 0)
		return ret;
	ret = sockdiag_open(&sockdiag);
	if (ret < 0)
		return fail(-ret, "cannot open a socket diagnosis socket");

	return look_for_sockets(sockdiag);
}
