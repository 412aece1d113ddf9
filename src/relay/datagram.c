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

struct flow {
	struct watch watch; /* towards the upstream */
	TAILQ_ENTRY(flow) order;
	struct listener *listener;
	struct sockaddr_storage client;
	socklen_t client_length;
	int64_t used; /* when, in milliseconds */
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
 * An answer, or the news that there is nobody to answer, which a datagram
 * socket cannot pass on. A client that does not read loses what its buffer
 * cannot hold.
 */
static void flow_ready(struct relay *relay, struct watch *watch)
{
	static unsigned char bytes[DATAGRAM_MAX];
	struct flow *flow = container_of(watch, struct flow, watch);
	ssize_t size = recv(watch->fd, bytes, sizeof(bytes), 0);

	if (size < 0)
		return;
	flow_used(relay, flow);
	sendto(flow->listener->watch.fd, bytes, (size_t)size, 0,
	       (struct sockaddr *)&flow->client, flow->client_length);
}

static int flow_connect(struct relay *relay, struct flow *flow)
{
	autoclose int fd = upstream_open(flow->listener);
	int ret;

	while (fd < 0 && is_shortage(-fd) && datagram_close_oldest(relay))
		fd = upstream_open(flow->listener);
	if (fd < 0)
		return fd;
	ret = upstream_connect(fd, flow->listener->service);
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
			      const struct sockaddr_storage *client,
			      socklen_t length)
{
	struct flow *flow;

	if (relay->flow_count == FLOWS_MAX)
		datagram_close_oldest(relay);

	flow = xcalloc(1, sizeof(*flow));
	flow->watch.ready = flow_ready;
	flow->listener = listener;
	flow->client = *client;
	flow->client_length = length;
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
			      const struct sockaddr_storage *client,
			      socklen_t length)
{
	struct flow *flow;

	TAILQ_FOREACH_REVERSE (flow, &relay->flows, flows, order) {
		if (flow->listener == listener &&
		    flow->client_length == length &&
		    memcmp(&flow->client, client, length) == 0)
			return flow;
	}

	return NULL;
}

/* A listener has a datagram of some client for the upstream. */
void datagram_ready(struct relay *relay, struct watch *watch)
{
	static unsigned char bytes[DATAGRAM_MAX];
	struct listener *listener = container_of(watch, struct listener, watch);
	struct sockaddr_storage client = { 0 };
	socklen_t length = sizeof(client);
	ssize_t size = recvfrom(watch->fd, bytes, sizeof(bytes), 0,
				(struct sockaddr *)&client, &length);
	struct flow *flow;

	if (size < 0)
		return;
	flow = flow_find(relay, listener, &client, length);
	if (!flow)
		flow = flow_open(relay, listener, &client, length);
	if (!flow)
		return;
	flow_used(relay, flow);
	/* What comes back is an earlier datagram's failure: this one was not
	 * sent yet. */
	if (send(flow->watch.fd, bytes, (size_t)size, 0) < 0 &&
	    errno == ECONNREFUSED)
		send(flow->watch.fd, bytes, (size_t)size, 0);
}
