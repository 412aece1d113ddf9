/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets on one side of the wall, served on the other: the listening ones were
 * made on one side, everything else belongs to the other, where the relay is.
 * Here are the upstreams and the loop; the clients' sockets are listener.c's,
 * when they are open follow.c's, and what is done with a datagram or with a
 * connection datagram.c's and stream.c's. No byte that passes is looked at.
 */
#include "relay/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/relay_internal.h"

/* Descriptors can become free elsewhere too: look again after this long. */
#define PAUSE_MS 1000

/* How long an upstream may let its client's last words wait. */
#define LAST_WORDS_MS 1000

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

static int upstream_try(const struct listener *listener)
{
	const struct relay_service *service = listener->service;
	int type = service->tcp ? SOCK_STREAM : SOCK_DGRAM;
	autoclose int fd = socket(listener->upstream->family,
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
	int fd = upstream_try(listener);
	char text[IP_TEXT_SIZE];

	if (fd < 0 && is_shortage(-fd))
		return fd;
	if (fd < 0 && !listener->failing)
		fail(-fd, "cannot relay to %s port %u%s%s",
		     ip_format(listener->upstream, text),
		     service->upstream_port, service->device[0] ? " by " : "",
		     service->device);
	listener->failing = fd < 0;

	return fd;
}

/* Start connecting @fd to the upstream. Returns 0 or -errno, not reported. */
int upstream_connect(int fd, const struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t length = ip_sockaddr(
		listener->upstream, listener->service->upstream_port, &address);

	if (connect(fd, (struct sockaddr *)&address, length) < 0 &&
	    errno != EINPROGRESS)
		return -errno;

	return 0;
}

static void watch_streams(struct relay *relay, uint32_t events)
{
	for (size_t i = 0; i < relay->listener_count; i++) {
		struct listener *listener = &relay->listeners[i];

		if (listener->service->tcp && !listener->closed)
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

/*
 * A message: the program has ended, and what it said last is to be passed on.
 * The end of all messages: nobody waits for that.
 */
static void end_ready(struct relay *relay, struct watch *watch)
{
	char message[64];

	if (read(watch->fd, message, sizeof(message)) > 0)
		relay->ending = true;
	else
		relay->ended = true;
}

/* Of two time-outs the earlier one; -1 is none. */
static int sooner(int one, int other)
{
	if (one < 0 || other < 0)
		return one < 0 ? other : one;

	return one < other ? one : other;
}

/* How long to wait for what happens next; -1 is for ever. */
static int next_timeout(struct relay *relay)
{
	int64_t now = clock_monotonic_ms();
	int timeout;

	/* Clients that nobody has accepted yet come first: they are there. */
	if (relay->ending)
		return stream_unfinished(relay) ? LAST_WORDS_MS : 0;

	timeout =
		sooner(datagram_expire(relay, now), stream_expire(relay, now));
	timeout = sooner(timeout, follow_look(relay, now));

	return relay->paused ? sooner(timeout, PAUSE_MS) : timeout;
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
		int ready = epoll_wait(relay->epoll, &event, 1,
				       next_timeout(relay));

		if (ready < 0 && errno != EINTR)
			return fail(errno, "cannot wait for what to relay");
		if (ready == 0 && relay->ending)
			return 0;
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
		listener->upstream = &services[i].upstream;
		listener->closed = listener_refuses(&services[i]);
		listener->watch.fd = listeners[i];
		listener->watch.ready =
			services[i].tcp ? stream_ready : datagram_ready;
		ret = listener->closed
			      ? 0
			      : watch_add(relay, &listener->watch, EPOLLIN);
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
 * @count of each, until the other side of @end_fd is gone, or has sent
 * something and the last words of the program are passed on. Who follows is
 * open by the time @ready is called, if that is not NULL. Needs no rights, and
 * takes all descriptors that the process may have. The descriptors stay the
 * caller's.
 *
 * Returns 0, or -errno, reported.
 */
int relay_serve(const struct relay_service *services, const int *listeners,
		size_t count, int end_fd, void (*ready)(int end_fd))
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
	if (ret < 0) {
		fail(-ret, "cannot wait for what to relay");
	} else {
		follow_begin(&relay);
		if (ready)
			ready(end_fd);
		ret = serve(&relay);
		follow_end(&relay);
	}

	stream_close_all(&relay);
	while (datagram_close_oldest(&relay))
		continue;
	fd_close(&relay.epoll);
	free_pointer(&relay.listeners);

	return ret;
}
