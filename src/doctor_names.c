/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the name servers answer that the program would ask, by asking each of
 * them who serves the root: what every server can answer, or refuse to.
 */
#include "doctor_checks.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "resolv.h"

#define DNS_PORT    53
#define SERVERS_MAX RESOLV_SERVERS_MAX

/* How long to wait for answers, and when to ask again. */
#define ANSWER_MS 3000
#define AGAIN_MS  1000

#define ID_SIZE 2
#define FLAGS	2 /* offset; the first bit says that it is an answer */

/* A server that was asked. */
struct asked {
	struct ip ip;
	struct pollfd socket;
	int error; /* -errno: it cannot be reached */
	bool answered;
};

/* RFC 1035, section 4.1: one question, for the servers (NS) of the root. */
static void ask(struct asked *server)
{
	uint8_t query[] = { 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };

	if (server->error || server->answered)
		return;
	if (getrandom(query, ID_SIZE, 0) < 0 ||
	    send(server->socket.fd, query, sizeof(query), 0) < 0)
		server->error = -errno;
}

/* Connected, so that a port where nobody listens is told. */
static void begin(struct asked *server)
{
	struct sockaddr_storage address;
	socklen_t size = ip_sockaddr(&server->ip, DNS_PORT, &address);

	server->socket.events = POLLIN;
	server->socket.fd =
		socket(server->ip.family,
		       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->socket.fd < 0 ||
	    connect(server->socket.fd, (struct sockaddr *)&address, size) < 0)
		server->error = -errno;
	ask(server);
}

static void hear(struct asked *server)
{
	uint8_t answer[512];
	ssize_t got = recv(server->socket.fd, answer, sizeof(answer), 0);

	if (got < 0 && errno != EAGAIN)
		server->error = -errno;
	else if (got > FLAGS && (answer[FLAGS] & 0x80))
		server->answered = true;
}

/* Whom nothing more is to be expected of is not polled. */
static size_t count_open(struct asked *servers, size_t count,
			 struct pollfd polls[SERVERS_MAX])
{
	size_t open = 0;

	for (size_t i = 0; i < count; i++) {
		bool done = servers[i].error || servers[i].answered;

		polls[i] = servers[i].socket;
		if (done)
			polls[i].fd = -1;
		open += !done;
	}

	return open;
}

static void ask_all(struct asked *servers, size_t count)
{
	const int64_t started = clock_monotonic_ms();
	int64_t again = AGAIN_MS;
	int64_t now = 0;

	for (size_t i = 0; i < count; i++)
		begin(&servers[i]);
	while (now < ANSWER_MS) {
		struct pollfd polls[SERVERS_MAX];

		if (!count_open(servers, count, polls))
			return;
		poll(polls, count, (int)(again - now));
		for (size_t i = 0; i < count; i++) {
			if (polls[i].fd >= 0 && polls[i].revents)
				hear(&servers[i]);
		}
		now = clock_monotonic_ms() - started;
		if (now >= again) {
			again += AGAIN_MS;
			for (size_t i = 0; i < count; i++)
				ask(&servers[i]);
		}
	}
}

static void tell(const struct asked *server)
{
	char text[IP_TEXT_SIZE];

	ip_format(&server->ip, text);
	if (server->error == -ECONNREFUSED)
		warn("no name server listens at %s", text);
	else if (server->error)
		warn("cannot ask the name server %s: %s", text,
		     strerror(-server->error));
	else
		warn("the name server %s does not answer", text);
}

/* Those of --dns, else the host's, else what resolv.conf(5) says. */
static int choose(const struct options *options, struct asked *servers)
{
	struct resolv resolv = { 0 };
	const struct ip *from = options->dns;
	size_t count = options->dns_count;
	int ret = count ? 0 : resolv_read(RESOLV_PATH, &resolv);

	if (ret < 0)
		return ret;
	if (!count) {
		from = resolv.servers;
		count = resolv.count;
	}
	for (size_t i = 0; i < count; i++)
		servers[i] = (struct asked){ .ip = from[i] };
	if (!count)
		ip_parse("127.0.0.1", &servers[count++].ip);
	resolv_free(&resolv);

	return (int)count;
}

int check_names(const struct options *options)
{
	struct asked servers[SERVERS_MAX] = { 0 };
	int count = choose(options, servers);
	bool all = true;

	if (count < 0)
		return count;
	ask_all(servers, (size_t)count);
	for (int i = 0; i < count; i++) {
		if (!servers[i].answered)
			tell(&servers[i]);
		all = all && servers[i].answered;
	}
	if (all && count == 1)
		note("the name server answers");
	else if (all)
		note("all %d name servers answer", count);

	return 0;
}
