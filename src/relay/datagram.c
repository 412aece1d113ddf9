/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relaying datagrams: each client, an address and port inside, has a socket of
 * its own outside, so that an answer finds its way back without being read.
 */
#include "relay/relay_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"

#define FLOWS_MAX    1024
#define FLOW_IDLE_MS 60000

/* The longest that an IP header can announce. */
#define DATAGRAM_MAX 65535

/*
 * Who has sent a datagram, and to which of the addresses that the listener may
 * have: what answers must come from there.
 */
struct peer {
	struct sockaddr_storage client;
	socklen_t length;
	size_t control_length;
	union {
		struct cmsghdr header; /* packet information, of the family */
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
};

struct flow {
	struct watch watch; /* towards the upstream */
	TAILQ_ENTRY(flow) order;
	struct listener *listener;
	int64_t used;	  /* when, in milliseconds */
	struct peer peer; /* last, as it ends in control data of any size */
};

static void flow_close(struct relay *relay, struct flow *flow)
{
	TAILQ_REMOVE(&relay->flows, flow, order);
	relay->flow_count--;
	fd_close(&flow->watch.fd);
	free(flow);
	relay_resume(relay);
}

/* Close the flow that was idle for longest. Returns false if there is none. */
bool datagram_close_oldest(struct relay *relay)
{
	struct flow *oldest = TAILQ_FIRST(&relay->flows);

	if (oldest)
		flow_close(relay, oldest);

	return oldest;
}

/*
 * Close what is idle for too long at @now. Returns how many milliseconds later
 * there can be another one, or -1 if there are no flows.
 */
int datagram_expire(struct relay *relay, int64_t now)
{
	struct flow *oldest = TAILQ_FIRST(&relay->flows);

	while (oldest && now - oldest->used >= FLOW_IDLE_MS) {
		flow_close(relay, oldest);
		oldest = TAILQ_FIRST(&relay->flows);
	}

	return oldest ? (int)(oldest->used + FLOW_IDLE_MS - now) : -1;
}

static void flow_used(struct relay *relay, struct flow *flow)
{
	flow->used = clock_monotonic_ms();
	TAILQ_REMOVE(&relay->flows, flow, order);
	TAILQ_INSERT_TAIL(&relay->flows, flow, order);
}

/*
 * Of the interface by which a datagram came nothing is to be kept: the answer
 * goes by the host's routes, unless the address means nothing without it.
 */
static void forget_interface(struct cmsghdr *header)
{
	void *data = CMSG_DATA(header);
	struct in6_pktinfo *in6 = data;
	struct in_pktinfo *in = data;

	if (header->cmsg_level == IPPROTO_IP)
		in->ipi_ifindex = 0;
	else if (!IN6_IS_ADDR_LINKLOCAL(&in6->ipi6_addr))
		in6->ipi6_ifindex = 0;
}

/* Like recvmsg(2), for one datagram and who has sent it. */
static ssize_t peer_receive(int fd, struct peer *peer, struct iovec *bytes)
{
	struct msghdr header = {
		.msg_name = &peer->client,
		.msg_namelen = sizeof(peer->client),
		.msg_iov = bytes,
		.msg_iovlen = 1,
		.msg_control = &peer->control,
		.msg_controllen = sizeof(peer->control),
	};
	ssize_t size;

	memset(peer, 0, sizeof(*peer));
	size = recvmsg(fd, &header, 0);
	peer->length = header.msg_namelen;
	peer->control_length = header.msg_controllen;
	if (size >= 0 && CMSG_FIRSTHDR(&header))
		forget_interface(&peer->control.header);

	return size;
}

static bool peer_equal(const struct peer *one, const struct peer *other)
{
	return one->length == other->length &&
	       one->control_length == other->control_length &&
	       memcmp(&one->client, &other->client, one->length) == 0 &&
	       memcmp(one->control.room, other->control.room,
		      one->control_length) == 0;
}

static void peer_send(int fd, struct peer *peer, struct iovec *bytes)
{
	const struct msghdr header = {
		.msg_name = &peer->client,
		.msg_namelen = peer->length,
		.msg_iov = bytes,
		.msg_iovlen = 1,
		.msg_control = &peer->control,
		.msg_controllen = peer->control_length,
	};

	sendmsg(fd, &header, 0);
}

/*
 * An answer, or the news that there is nobody to answer, which a datagram
 * socket cannot pass on. A client that does not read loses what its buffer
 * cannot hold.
 */
static void flow_ready(struct relay *relay, struct watch *watch)
{
	static unsigned char bytes[DATAGRAM_MAX];
	struct flow *flow = container_of(watch, struct flow, watch);
	ssize_t size = recv(watch->fd, bytes, sizeof(bytes), 0);
	struct iovec answer = { bytes, (size_t)size };

	if (size < 0)
		return;
	flow_used(relay, flow);
	peer_send(flow->listener->watch.fd, &flow->peer, &answer);
}

static int flow_connect(struct relay *relay, struct flow *flow)
{
	autoclose int fd = upstream_open(flow->listener);
	int ret;

	while (fd < 0 && is_shortage(-fd) && datagram_close_oldest(relay))
		fd = upstream_open(flow->listener);
	if (fd < 0)
		return fd;
	ret = upstream_connect(fd, flow->listener);
	if (ret < 0)
		return ret;
	flow->watch.fd = fd;
	ret = watch_add(relay, &flow->watch, EPOLLIN);
	if (ret < 0)
		return ret;
	take_fd(&fd);

	return 0;
}

static struct flow *flow_open(struct relay *relay, struct listener *listener,
			      const struct peer *peer)
{
	struct flow *flow;

	if (relay->flow_count == FLOWS_MAX)
		datagram_close_oldest(relay);

	flow = xcalloc(1, sizeof(*flow));
	flow->watch.ready = flow_ready;
	flow->listener = listener;
	flow->peer = *peer;
	if (flow_connect(relay, flow) < 0) {
		free(flow);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&relay->flows, flow, order);
	relay->flow_count++;

	return flow;
}

/* Looking at all of them costs less than the system calls around it. */
static struct flow *flow_find(struct relay *relay,
			      const struct listener *listener,
			      const struct peer *peer)
{
	struct flow *flow;

	TAILQ_FOREACH_REVERSE (flow, &relay->flows, flows, order) {
		if (flow->listener == listener && peer_equal(&flow->peer, peer))
			return flow;
	}

	return NULL;
}

/* A listener has a datagram of some client for the upstream. */
void datagram_ready(struct relay *relay, struct watch *watch)
{
	static unsigned char bytes[DATAGRAM_MAX];
	struct listener *listener = container_of(watch, struct listener, watch);
	struct iovec room = { bytes, sizeof(bytes) };
	struct peer peer;
	ssize_t size = peer_receive(watch->fd, &peer, &room);
	struct flow *flow;

	if (size < 0 || !listener->upstream)
		return;
	flow = flow_find(relay, listener, &peer);
	if (!flow)
		flow = flow_open(relay, listener, &peer);
	if (!flow)
		return;
	flow_used(relay, flow);
	/* What comes back is an earlier datagram's failure: this one was not
	 * sent yet. */
	if (send(flow->watch.fd, bytes, (size_t)size, 0) < 0 &&
	    errno == ECONNREFUSED)
		send(flow->watch.fd, bytes, (size_t)size, 0);
}
