/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services that are found only while their upstream is, so that clients are
 * refused on one side as they are on the other. The kernel completes a client's
 * handshake before anybody is told of it: to refuse, a listener must be closed
 * beforehand. It tells nobody when a socket begins to listen either, so it is
 * asked, in turns that no client notices; one question takes microseconds.
 */
#include "relay/relay_internal.h"

#include <netinet/in.h>

#include "base/clock.h"
#include "base/log.h"

#define LOOK_MS 20

static const struct ip *candidate(const struct relay_service *service, size_t i)
{
	return i ? &service->fallbacks[i - 1] : &service->upstream;
}

/* The first of the service's upstreams that somebody listens at, or NULL. */
static const struct ip *find_upstream(struct relay *relay,
				      const struct relay_service *service)
{
	uint8_t protocol = service->tcp ? IPPROTO_TCP : IPPROTO_UDP;

	for (size_t i = 0; i <= RELAY_FALLBACKS_MAX; i++) {
		const struct ip *upstream = candidate(service, i);

		if (upstream->family &&
		    sockdiag_finds(relay->sockdiag, protocol, upstream,
				   service->upstream_port) > 0)
			return upstream;
	}

	return NULL;
}

static void look(struct relay *relay, struct listener *listener)
{
	const struct ip *upstream = find_upstream(relay, listener->service);

	listener->upstream = upstream;
	if (upstream && listener->closed)
		listener_open(relay, listener);
	else if (!upstream && !listener->closed &&
		 listener_refuses(listener->service))
		listener_close(relay, listener);
}

/*
 * Look after the upstreams, if it is time for that. Returns how many
 * milliseconds later to do so again, or -1 if there is no need.
 */
int follow_look(struct relay *relay, int64_t now)
{
	if (!relay->sockdiag)
		return -1;
	if (now < relay->next_look)
		return (int)(relay->next_look - now);

	for (size_t i = 0; i < relay->listener_count; i++) {
		if (relay->listeners[i].service->follow)
			look(relay, &relay->listeners[i]);
	}
	relay->next_look = now + LOOK_MS;

	return LOOK_MS;
}

/* Where nobody can tell, all are open, and the first upstream is it. */
static void open_all(struct relay *relay)
{
	debug("cannot see who listens: connections that are refused will be "
	      "reset");
	for (size_t i = 0; i < relay->listener_count; i++) {
		if (relay->listeners[i].closed)
			listener_open(relay, &relay->listeners[i]);
	}
}

static bool anybody_follows(const struct relay *relay)
{
	for (size_t i = 0; i < relay->listener_count; i++) {
		if (relay->listeners[i].service->follow)
			return true;
	}

	return false;
}

/* Open the listeners that have an upstream. */
void follow_begin(struct relay *relay)
{
	bool knows;

	if (!anybody_follows(relay))
		return;
	knows = sockdiag_open(&relay->sockdiag) == 0 &&
		sockdiag_knows(relay->sockdiag, IPPROTO_TCP) &&
		sockdiag_knows(relay->sockdiag, IPPROTO_UDP);

	if (knows) {
		follow_look(relay, clock_monotonic_ms());
		return;
	}
	follow_end(relay);
	open_all(relay);
}

/* Look no more. */
void follow_end(struct relay *relay)
{
	sockdiag_close(relay->sockdiag);
	relay->sockdiag = NULL;
}
