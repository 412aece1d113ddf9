/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relaying connections: bytes both ways through one bounded buffer each, so
 * that the slower side sets the pace; the end of one direction and a reset are
 * passed on as what they are.
 */
#include "relay/relay_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"

#define CONNECTIONS_MAX 2048
#define BUFFER_SIZE	65536

/*
 * Who has ended his direction may have gone without our being told. Between two
 * that are both still sending, silence can last.
 */
#define HALF_IDLE_MS 60000

/* How often a buffer may be filled before others have their turn. */
#define ROUNDS_MAX 2

/*
 * Edge-triggered, as what was closed on both sides stays ready for ever, also
 * while the other socket has yet to take its last bytes.
 */
#define SIDE_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLET))

/* One of the two sockets, and what was read from it but not passed on yet. */
struct side {
	struct watch watch;
	struct connection *connection;
	size_t start;
	size_t size;
	bool ended;  /* nothing more is to be read */
	bool passed; /* and the other side was told */
	unsigned char bytes[BUFFER_SIZE];
};

struct connection {
	TAILQ_ENTRY(connection) entry;
	bool inward; /* the program is at the upstream's side */
	bool connecting;
	bool half;    /* one direction has ended */
	int64_t used; /* when, in milliseconds; of those only */
	struct side client;
	struct side upstream;
};

static struct connections *list_of(struct relay *relay,
				   const struct connection *connection)
{
	return connection->half ? &relay->halves : &relay->connections;
}

static void connection_close(struct relay *relay, struct connection *connection)
{
	TAILQ_REMOVE(list_of(relay, connection), connection, entry);
	relay->connection_count--;
	fd_close(&connection->client.watch.fd);
	fd_close(&connection->upstream.watch.fd);
	free(connection);
	relay_resume(relay);
}

/* End a connection so that whoever is at the other side sees a reset. */
static void reset_on_close(int fd)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void connection_reset(struct relay *relay, struct connection *connection)
{
	reset_on_close(connection->client.watch.fd);
	reset_on_close(connection->upstream.watch.fd);
	connection_close(relay, connection);
}

/* Close all connections, in the middle of what they were at. */
void stream_close_all(struct relay *relay)
{
	while (!TAILQ_EMPTY(&relay->connections))
		connection_close(relay, TAILQ_FIRST(&relay->connections));
	while (!TAILQ_EMPTY(&relay->halves))
		connection_close(relay, TAILQ_FIRST(&relay->halves));
}

static bool any_unfinished(const struct connections *connections)
{
	const struct connection *connection;

	TAILQ_FOREACH (connection, connections, entry) {
		const struct side *program = connection->inward
						     ? &connection->upstream
						     : &connection->client;

		if (!program->passed)
			return true;
	}

	return false;
}

/* Whether the program's side of a connection has more to say. */
bool stream_unfinished(const struct relay *relay)
{
	return any_unfinished(&relay->connections) ||
	       any_unfinished(&relay->halves);
}

static void half_used(struct relay *relay, struct connection *connection,
		      int64_t now)
{
	TAILQ_REMOVE(list_of(relay, connection), connection, entry);
	connection->half = true;
	connection->used = now;
	TAILQ_INSERT_TAIL(&relay->halves, connection, entry);
}

/*
 * Reset what is half closed and was idle for too long at @now. Whoever has yet
 * to take what we hold for him is not idle but stopped. Returns how many
 * milliseconds later to look again, or -1 if there is nothing half closed.
 */
int stream_expire(struct relay *relay, int64_t now)
{
	struct connection *oldest = TAILQ_FIRST(&relay->halves);

	while (oldest && now - oldest->used >= HALF_IDLE_MS) {
		if (oldest->client.size || oldest->upstream.size)
			half_used(relay, oldest, now);
		else
			connection_reset(relay, oldest);
		oldest = TAILQ_FIRST(&relay->halves);
	}

	return oldest ? (int)(oldest->used + HALF_IDLE_MS - now) : -1;
}

/*
 * Returns what @from has now, 0 if that is nothing, or -errno if @from is
 * broken.
 */
static ssize_t fill(struct side *from)
{
	ssize_t size;

	if (from->size || from->ended)
		return (ssize_t)from->size;
	size = recv(from->watch.fd, from->bytes, sizeof(from->bytes), 0);
	if (size < 0)
		return errno == EAGAIN ? 0 : -errno;
	from->start = 0;
	from->size = (size_t)size;
	from->ended = size == 0;

	return size;
}

/* Returns whether all that @from had is passed on. */
static bool drain(struct side *from, struct side *to)
{
	ssize_t size = send(to->watch.fd, from->bytes + from->start, from->size,
			    MSG_NOSIGNAL);

	if (size < 0 && errno == EAGAIN)
		return false;
	if (size < 0) {
		/* It takes nothing more, but may have answered before. */
		from->size = 0;
		from->ended = true;
		return true;
	}
	from->start += (size_t)size;
	from->size -= (size_t)size;

	return from->size == 0;
}

/*
 * Pass on what @from sends. Returns 0 when it has to wait, 1 when there is more
 * to do at once, or -errno if @from is broken.
 */
static int move(struct side *from, struct side *to)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		ssize_t size = fill(from);

		if (size < 0)
			return (int)size;
		if (size > 0 && !drain(from, to))
			return 0;
		if (from->ended && !from->passed) {
			shutdown(to->watch.fd, SHUT_WR);
			from->passed = true;
		}
		if (size == 0 || from->ended)
			return 0;
	}

	return 1;
}

/* The error that the socket has met since it was last asked, or 0. */
static int error_of(const struct side *side)
{
	int err = 0;
	socklen_t length = sizeof(err);

	getsockopt(side->watch.fd, SOL_SOCKET, SO_ERROR, &err, &length);

	return -err;
}

/* A reset after the end: nothing is read there any more that would tell. */
static bool is_gone(const struct side *side)
{
	return side->ended && error_of(side) < 0;
}

static void side_ready(struct relay *relay, struct watch *watch)
{
	struct side *side = container_of(watch, struct side, watch);
	struct connection *connection = side->connection;
	struct side *client = &connection->client;
	struct side *upstream = &connection->upstream;
	int there, back;
	bool finished;

	/* What the client did meanwhile is found when it is read. */
	if (connection->connecting && side == client)
		return;
	if (connection->connecting && error_of(upstream) < 0) {
		connection_reset(relay, connection);
		return;
	}
	connection->connecting = false;

	there = move(client, upstream);
	back = move(upstream, client);
	finished = client->passed && upstream->passed;
	if (there < 0 || back < 0 || (!finished && is_gone(side))) {
		connection_reset(relay, connection);
	} else if (finished) {
		connection_close(relay, connection);
	} else {
		if (client->passed || upstream->passed)
			half_used(relay, connection, clock_monotonic_ms());
		if (there > 0 || back > 0)
			watch_again(relay, watch, SIDE_EVENTS);
	}
}

static int side_open(struct relay *relay, struct connection *connection,
		     struct side *side)
{
	int on = 1;

	side->connection = connection;
	side->watch.ready = side_ready;
	/* Pieces go on as they came, not when the one before is confirmed. */
	setsockopt(side->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

	return watch_add(relay, &side->watch, SIDE_EVENTS);
}

static void connection_open(struct relay *relay,
			    const struct listener *listener, int client,
			    int upstream)
{
	struct connection *connection = xcalloc(1, sizeof(*connection));

	connection->inward = listener->service->inward;
	connection->connecting = true;
	connection->client.watch.fd = client;
	connection->upstream.watch.fd = upstream;
	TAILQ_INSERT_HEAD(&relay->connections, connection, entry);
	relay->connection_count++;

	/* Before it starts to connect, a socket looks as if it had ended. */
	if (upstream_connect(upstream, listener) < 0 ||
	    side_open(relay, connection, &connection->client) < 0 ||
	    side_open(relay, connection, &connection->upstream) < 0)
		connection_reset(relay, connection);
}

/* Clients that find no room stay in the backlog until something is closed. */
static void make_room(struct relay *relay)
{
	if (!datagram_close_oldest(relay))
		relay_pause(relay);
}

/*
 * A listener has a client. The socket for the upstream comes first: who is
 * accepted must not be sent away for want of it.
 */
void stream_ready(struct relay *relay, struct watch *watch)
{
	struct listener *listener = container_of(watch, struct listener, watch);
	autoclose int upstream = -1;
	autoclose int client = -1;

	if (relay->connection_count == CONNECTIONS_MAX) {
		relay_pause(relay);
		return;
	}
	upstream = upstream_open(listener);
	if (upstream < 0 && is_shortage(-upstream)) {
		make_room(relay);
		return;
	}
	client = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client < 0) {
		if (is_shortage(errno))
			make_room(relay);
		return;
	}
	if (upstream < 0) {
		reset_on_close(client);
		return;
	}
	connection_open(relay, listener, take_fd(&client), take_fd(&upstream));
}
