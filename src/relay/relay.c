/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets on one side of the wall, served on the other: the listening ones are
 * made inside the program's namespace, everything else belongs to the host's.
 * Here are the sockets and the loop; what is done with a datagram or with a
 * connection is datagram.c's and stream.c's. No byte that passes is looked at.
 */
#include "relay/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/relay_internal.h"

/* How many 64 KiB datagrams may wait for their turn. */
#define DATAGRAM_BUFFER (4 << 20)

/* Descriptors can become free elsewhere too: look again after this long. */
#define PAUSE_MS 1000

static int set_option(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

static int listen_at(int fd, const struct relay_service *service)
{
	int size = DATAGRAM_BUFFER;
	struct sockaddr_storage address;
	socklen_t length =
		ip_sockaddr(&service->listen, service->port, &address);

	/* A resolver that is traced itself may still bind to all addresses. */
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) < 0)
		return -errno;
	if (service->listen.family == AF_INET6 &&
	    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return -errno;
	if (service->tcp)
		return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
	/* Only bursts suffer where this is not allowed. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));

	return 0;
}

/*
 * Make the socket at which @service is found, in the network namespace of the
 * caller. Returns a non-blocking descriptor that the caller owns, or -errno,
 * reported.
 */
int relay_listen(const struct relay_service *service)
{
	int type = service->tcp ? SOCK_STREAM : SOCK_DGRAM;
	autoclose int fd = socket(service->listen.family,
				  type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret = fd < 0 ? -errno : listen_at(fd, service);
	char text[IP_TEXT_SIZE];

	if (ret < 0)
		return fail(-ret, "cannot listen on %s port %u/%s for relaying",
			    ip_format(&service->listen, text), service->port,
			    service->tcp ? "tcp" : "udp");

	return take_fd(&fd);
}

/*
 * Put @watch into the loop until its descriptor is closed. Returns 0, or
 * -errno, not reported.
 */
int watch_add(struct relay *relay, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(relay->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0)
		return -errno;

	return 0;
}

/*
 * Wait for @events from now on; where they are edge-triggered, one that is
 * there already is told anew.
 */
void watch_again(struct relay *relay, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	/* Of what the loop knows already, nothing can be refused. */
	epoll_ctl(relay->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

/* Whether @err goes away by itself when something else is closed. */
bool is_shortage(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS ||
	       err == ENOMEM;
}

static int upstream_try(const struct relay_service *service)
{
	int type = service->tcp ? SOCK_STREAM : SOCK_DGRAM;
	autoclose int fd = socket(service->upstream.family,
				  type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (service->device[0] &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, service->device,
		       (socklen_t)strlen(service->device)) < 0)
		return -errno;

	return take_fd(&fd);
}

/*
 * Make a socket towards the upstream of @listener, not connected yet. Returns a
 * descriptor that the caller owns, or -errno: a shortage is silent, anything
 * else is reported once in a row.
 */
int upstream_open(struct listener *listener)
{
	const struct relay_service *service = listener->service;
	int fd = upstream_try(service);
	char text[IP_TEXT_SIZE];

	if (fd < 0 && is_shortage(-fd))
		return fd;
	if (fd < 0 && !listener->failing)
		fail(-fd, "cannot relay to %s port %u%s%s",
		     ip_format(&service->upstream, text),
		     service->upstream_port, service->device[0] ? " by " : "",
		     service->device);
	listener->failing = fd < 0;

	return fd;
}

/* Start connecting @fd to the upstream. Returns 0 or -errno, not reported. */
int upstream_connect(int fd, const struct relay_service *service)
{
	struct sockaddr_storage address;
	socklen_t length = ip_sockaddr(&service->upstream,
				       service->upstream_port, &address);

	if (connect(fd, (struct sockaddr *)&address, length) < 0 &&
	    errno != EINPROGRESS)
		return -errno;

	return 0;
}

static void watch_streams(struct relay *relay, uint32_t events)
{
	for (size_t i = 0; i < relay->listener_count; i++) {
		struct listener *listener = &relay->listeners[i];

		if (listener->service->tcp)
			watch_again(relay, &listener->watch, events);
	}
}

/* Accept nobody until something is closed: clients wait in the backlog. */
void relay_pause(struct relay *relay)
{
	relay->paused = true;
	watch_streams(relay, 0);
}

/* Something was closed, so that there may be room for another connection. */
void relay_resume(struct relay *relay)
{
	if (!relay->paused)
		return;
	relay->paused = false;
	watch_streams(relay, EPOLLIN);
}

static void end_ready(struct relay *relay, struct watch *watch)
{
	(void)watch;
	relay->ended = true;
}

/* Of two time-outs the earlier one; -1 is none. */
static int sooner(int one, int other)
{
	if (one < 0 || other < 0)
		return one < 0 ? other : one;

	return one < other ? one : other;
}

/*
 * One event at a time: a second one in the same batch could belong to what the
 * first one has closed.
 */
static int serve(struct relay *relay)
{
	while (!relay->ended) {
		struct epoll_event event;
		struct watch *watch;
		int64_t now = clock_monotonic_ms();
		int timeout = sooner(datagram_expire(relay, now),
				     stream_expire(relay, now));
		int ready;

		if (relay->paused)
			timeout = sooner(timeout, PAUSE_MS);
		ready = epoll_wait(relay->epoll, &event, 1, timeout);
		if (ready < 0 && errno != EINTR)
			return fail(errno, "cannot wait for what to relay");
		if (ready == 0)
			relay_resume(relay);
		if (ready <= 0)
			continue;
		watch = event.data.ptr;
		watch->ready(relay, watch);
	}

	return 0;
}

static int watch_listeners(struct relay *relay,
			   const struct relay_service *services,
			   const int *listeners)
{
	for (size_t i = 0; i < relay->listener_count; i++) {
		struct listener *listener = &relay->listeners[i];
		int ret;

		listener->service = &services[i];
		listener->watch.fd = listeners[i];
		listener->watch.ready =
			services[i].tcp ? stream_ready : datagram_ready;
		ret = watch_add(relay, &listener->watch, EPOLLIN);
		if (ret < 0)
			return ret;
	}

	return watch_add(relay, &relay->end, EPOLLIN);
}

/* A shell's usual limit is less than what all flows and connections need. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * Move bytes between the clients of @listeners and the upstreams of @services,
 * @count of each, until @end_fd is readable or its other side is gone. Needs no
 * rights, and takes all descriptors that the process may have. The descriptors
 * stay the caller's.
 *
 * Returns 0, or -errno, reported.
 */
int relay_serve(const struct relay_service *services, const int *listeners,
		size_t count, int end_fd)
{
	struct relay relay = {
		.end = { .fd = end_fd, .ready = end_ready },
		.listener_count = count,
	};
	int ret;

	raise_descriptor_limit();
	TAILQ_INIT(&relay.flows);
	TAILQ_INIT(&relay.connections);
	TAILQ_INIT(&relay.halves);
	relay.listeners = xcalloc(count, sizeof(*relay.listeners));
	relay.epoll = epoll_create1(EPOLL_CLOEXEC);
	ret = relay.epoll < 0 ? -errno
			      : watch_listeners(&relay, services, listeners);
	if (ret < 0)
		fail(-ret, "cannot wait for what to relay");
	else
		ret = serve(&relay);

	stream_close_all(&relay);
	while (datagram_close_oldest(&relay))
		continue;
	fd_close(&relay.epoll);
	free_pointer(&relay.listeners);

	return ret;
}
