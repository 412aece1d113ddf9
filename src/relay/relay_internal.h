/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_RELAY_RELAY_INTERNAL_H
#define NSNTRACE_RELAY_RELAY_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "netlink/sockdiag.h"
#include "relay/relay.h"

/* The member @member of a @type is at @pointer: where the @type is. */
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct relay;

/* A descriptor in the loop, and what to do when it is ready. */
struct watch {
	int fd;
	void (*ready)(struct relay *relay, struct watch *watch);
};

/* A socket on the clients' side of the wall. */
struct listener {
	struct watch watch;
	const struct relay_service *service;
	const struct ip *upstream; /* or a fallback; NULL: nobody is there */
	bool closed;  /* clients are refused, the port stays taken */
	bool failing; /* was told; told again only after a success */
};

TAILQ_HEAD(flows, flow);
TAILQ_HEAD(connections, connection);

struct relay {
	int epoll;
	bool ended;
	bool paused; /* TCP listeners are not looked at */
	bool ending; /* serves only what is under way */
	struct watch end;
	struct listener *listeners;
	size_t listener_count;
	struct sockdiag *sockdiag; /* of the upstreams' side; or NULL */
	int64_t next_look;	   /* when to ask it, in milliseconds */
	struct flows flows;	   /* the least recently used comes first */
	size_t flow_count;
	struct connections connections; /* open both ways */
	struct connections halves; /* the least recently used comes first */
	size_t connection_count;
};

/* relay.c */
int watch_add(struct relay *relay, struct watch *watch, uint32_t events);
void watch_again(struct relay *relay, struct watch *watch, uint32_t events);
bool is_shortage(int err);
int upstream_open(struct listener *listener);
int upstream_connect(int fd, const struct listener *listener);
void relay_pause(struct relay *relay);
void relay_resume(struct relay *relay);

/* listener.c */
bool listener_refuses(const struct relay_service *service);
int listener_open(struct relay *relay, struct listener *listener);
void listener_close(struct relay *relay, struct listener *listener);

/* follow.c */
void follow_begin(struct relay *relay);
int follow_look(struct relay *relay, int64_t now);
void follow_end(struct relay *relay);

/* datagram.c */
void datagram_ready(struct relay *relay, struct watch *watch);
int datagram_expire(struct relay *relay, int64_t now);
bool datagram_close_oldest(struct relay *relay);

/* stream.c */
void stream_ready(struct relay *relay, struct watch *watch);
int stream_expire(struct relay *relay, int64_t now);
bool stream_unfinished(const struct relay *relay);
void stream_close_all(struct relay *relay);

#endif
