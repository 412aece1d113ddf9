/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets where clients arrive: made on the clients' side of the wall, and
 * opened and closed by whoever was handed them, which takes no rights. While
 * one is closed its port stays taken and its clients are refused by the kernel,
 * as they are where nobody listens. Who comes is left to relay.c.
 */
#include "relay/relay_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

/* How many 64 KiB datagrams may wait for their turn. */
#define DATAGRAM_BUFFER (4 << 20)

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * A bound TCP socket that does not listen refuses. It keeps its port from
 * others because it does not share it then; while it listens nobody can take
 * it, and connections that linger on do not keep it from listening again.
 */
static int stream_open(int fd)
{
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return -errno;

	return 0;
}

static int stream_shut(int fd)
{
	if (shutdown(fd, SHUT_RD) < 0 ||
	    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0) < 0)
		return -errno;

	return 0;
}

/*
 * A UDP socket takes all that comes to its port, unless it is connected, as it
 * is here to nobody but itself.
 */
static int datagram_open(int fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	return connect(fd, &nobody, sizeof(nobody)) < 0 ? -errno : 0;
}

static int datagram_shut(int fd)
{
	struct sockaddr_storage itself;
	socklen_t length = sizeof(itself);

	if (getsockname(fd, (struct sockaddr *)&itself, &length) < 0 ||
	    connect(fd, (struct sockaddr *)&itself, length) < 0)
		return -errno;

	return 0;
}

/*
 * Whether clients of @service are refused while nobody listens upstream. UDP
 * over IPv6 forgets its peer only in part (Linux: __udp_disconnect() leaves
 * sk_v6_daddr), which does no harm where peer and clients are one address.
 */
bool listener_refuses(const struct relay_service *service)
{
	const struct ip *listen = &service->listen;

	return service->follow && (service->tcp || listen->family == AF_INET ||
				   ip_is_loopback(listen));
}

static int make_stream(int fd, const struct relay_service *service)
{
	int ret = stream_open(fd);

	if (!ret && listener_refuses(service))
		ret = stream_shut(fd);

	return ret;
}

static int make_datagram(int fd, const struct relay_service *service)
{
	bool ip6 = service->listen.family == AF_INET6;
	int size = DATAGRAM_BUFFER;

	if (set_option(fd, ip6 ? IPPROTO_IPV6 : IPPROTO_IP,
		       ip6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1) < 0)
		return -errno;
	/* Only bursts suffer where this is not allowed. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));

	return listener_refuses(service) ? datagram_shut(fd) : 0;
}

static int make(int fd, const struct relay_service *service)
{
	struct sockaddr_storage address;
	socklen_t length =
		ip_sockaddr(&service->listen, service->port, &address);
	/*
	 * Connections of an earlier run must not keep a port from us; UDP has
	 * none, and would share it with whoever else wants it. Inside that is
	 * wanted: a resolver that is traced itself may bind to all addresses.
	 */
	int share = service->tcp || !service->inward;

	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, share) < 0)
		return -errno;
	if (service->listen.family == AF_INET6 &&
	    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		return -errno;

	return service->tcp ? make_stream(fd, service)
			    : make_datagram(fd, service);
}

/*
 * Make the socket at which @service is found, in the network namespace of the
 * caller; one that follows is closed at first. Returns a non-blocking
 * descriptor that the caller owns, or -errno, reported.
 */
int relay_listen(const struct relay_service *service)
{
	int type = service->tcp ? SOCK_STREAM : SOCK_DGRAM;
	autoclose int fd = socket(service->listen.family,
				  type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret = fd < 0 ? -errno : make(fd, service);
	char text[IP_TEXT_SIZE];

	if (ret < 0)
		return fail(-ret, "cannot listen on %s port %u/%s for %s",
			    ip_format(&service->listen, text), service->port,
			    service->tcp ? "tcp" : "udp",
			    service->inward ? "publishing" : "relaying");

	return take_fd(&fd);
}

/* Let clients come from now on. Returns 0, or -errno, told once in a row. */
int listener_open(struct relay *relay, struct listener *listener)
{
	const struct relay_service *service = listener->service;
	int fd = listener->watch.fd;
	int ret = service->tcp ? stream_open(fd) : datagram_open(fd);
	char text[IP_TEXT_SIZE];

	if (!ret)
		ret = watch_add(relay, &listener->watch,
				service->tcp && relay->paused ? 0 : EPOLLIN);
	if (ret < 0 && !listener->failing)
		fail(-ret, "cannot listen on %s port %u/%s again",
		     ip_format(&service->listen, text), service->port,
		     service->tcp ? "tcp" : "udp");
	listener->failing = ret < 0;
	listener->closed = ret < 0;

	return ret;
}

/* Refuse clients from now on, those too that wait to be accepted. */
void listener_close(struct relay *relay, struct listener *listener)
{
	int fd = listener->watch.fd;

	/* Not listening is an event that would never end. */
	epoll_ctl(relay->epoll, EPOLL_CTL_DEL, fd, NULL);
	if (listener->service->tcp)
		stream_shut(fd);
	else
		datagram_shut(fd);
	listener->closed = true;
}
