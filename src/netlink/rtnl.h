/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_NETLINK_RTNL_H
#define NSNTRACE_NETLINK_RTNL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

/* A route netlink socket, in the namespace in which it was opened. */
struct rtnl;

struct veth {
	const char *name;
	uint32_t index;
	const uint8_t *mac;
	const char *peer_name;
	uint32_t peer_index;
	const uint8_t *peer_mac;
	int peer_netns; /* descriptor of the namespace of the peer */
	uint32_t mtu;
};

struct link {
	uint32_t index;
	char name[IFNAMSIZ];
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	uint16_t type; /* ARPHRD_* */
	uint8_t state; /* IF_OPER_* */
	uint64_t rx_packets;
	uint64_t tx_packets;
	uint64_t rx_dropped;
	uint64_t tx_dropped;
};

struct address {
	uint32_t index;
	struct ip ip;
	uint8_t prefix;
	uint8_t scope; /* RT_SCOPE_* */
};

struct route {
	uint8_t type;	       /* RTN_*; 0 means RTN_UNICAST */
	uint8_t scope;	       /* RT_SCOPE_* */
	uint8_t protocol;      /* RTPROT_*; 0 means RTPROT_STATIC */
	uint32_t table;	       /* 0 means RT_TABLE_MAIN */
	struct ip destination; /* family always set; prefix 0: default */
	uint8_t prefix;
	struct ip gateway;
	uint32_t index; /* of the interface it leaves by; 0: none */
	uint32_t metric;
	bool onlink;
	struct ip source; /* preferred source */
	bool multipath;	  /* read only: one of several next hops */
};

struct rule {
	sa_family_t family;
	const char *iif; /* only what enters by this one; NULL: by any */
	uint32_t table;
	uint32_t priority;
	struct ip destination; /* only what goes there; AF_UNSPEC: anywhere */
	uint8_t prefix;
};

int rtnl_open(struct rtnl **rtnl);
void rtnl_close(struct rtnl *rtnl);
int rtnl_fd(const struct rtnl *rtnl);

/* Requests gather in a batch; rtnl_commit() sends them all. */
void rtnl_veth_add(struct rtnl *rtnl, const struct veth *veth);
void rtnl_link_no_addrgen(struct rtnl *rtnl, uint32_t index);
void rtnl_link_flags(struct rtnl *rtnl, uint32_t index, uint32_t flags,
		     uint32_t mask);
void rtnl_link_delete(struct rtnl *rtnl, uint32_t index);
void rtnl_address_add(struct rtnl *rtnl, const struct address *address);
void rtnl_route_add(struct rtnl *rtnl, const struct route *route);
void rtnl_route_replace(struct rtnl *rtnl, const struct route *route);
void rtnl_route_delete(struct rtnl *rtnl, const struct route *route);
void rtnl_neighbour_add(struct rtnl *rtnl, uint32_t index, const struct ip *ip,
			const uint8_t mac[6]);
void rtnl_rule_add(struct rtnl *rtnl, const struct rule *rule);
void rtnl_rule_delete(struct rtnl *rtnl, const struct rule *rule);
const void *rtnl_batch(struct rtnl *rtnl, size_t *size);
int rtnl_commit(struct rtnl *rtnl);
const char *rtnl_failed(const struct rtnl *rtnl);

/* Questions. A callback that returns other than 0 ends the dump with that. */
int rtnl_link_get(struct rtnl *rtnl, uint32_t index, const char *name,
		  struct link *link);
int rtnl_link_await(struct rtnl *rtnl, uint32_t index);
int rtnl_links(struct rtnl *rtnl,
	       int (*each)(const struct link *link, void *context),
	       void *context);
int rtnl_addresses(struct rtnl *rtnl,
		   int (*each)(const struct address *address, void *context),
		   void *context);
int rtnl_routes(struct rtnl *rtnl, sa_family_t family,
		int (*each)(const struct route *route, void *context),
		void *context);
int rtnl_route_lookup(struct rtnl *rtnl, const struct ip *destination,
		      uint32_t index, struct route *route);

/* What changed on the host, told as it happens. */
enum rtnl_event {
	RTNL_EVENT_ROUTE_NEW,
	RTNL_EVENT_ROUTE_DEL,
	RTNL_EVENT_RULE,    /* some rule has come or gone */
	RTNL_EVENT_OVERRUN, /* some were lost: look anew */
};

int rtnl_monitor_open(struct rtnl **monitor, uint16_t hidden);
int rtnl_monitor_read(struct rtnl *monitor,
		      void (*each)(enum rtnl_event event,
				   const struct route *route, void *context),
		      void *context);

#endif
