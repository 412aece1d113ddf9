/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink as the kernel's answers deserve it: requests that carry a label and
 * go out together, every one of them acknowledged; questions whose answer is
 * whole before anybody sees it. What the messages say is left to rtnl, nft and
 * sockdiag, and telling the user to their callers.
 */
#include "netlink/socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* No request of ours is longer: each name in it fits an interface name. */
#define REQUEST_SIZE 4096

/* The kernel fills at most this much at once. */
#define REPLY_SIZE 32768

/*
 * How many requests go out at once. Their acknowledgements all wait in the
 * receive buffer, by default 208 KiB, while sendto() works through them.
 */
#define REQUESTS_AT_ONCE 64

/* A table that changes all the time must not keep us asking for ever. */
#define QUERY_TRIES 5

/*
 * Open a socket to @bus (NETLINK_ROUTE, ...) with @flags (SOCK_NONBLOCK or 0),
 * a member of the multicast @groups. Returns 0, or -errno with nothing to be
 * closed.
 */
int netlink_open(struct netlink *nl, int bus, int flags, unsigned int groups)
{
	static const int options[] = { NETLINK_EXT_ACK, NETLINK_CAP_ACK,
				       NETLINK_GET_STRICT_CHK };
	int on = 1;

	*nl = (struct netlink){ .sequence = 1 };
	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC | flags);
	if (!nl->socket)
		return -errno;

	/* Each makes answers better, none makes them right: 4.20 has all. */
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		mnl_socket_setsockopt(nl->socket, options[i], &on, sizeof(on));

	if (mnl_socket_bind(nl->socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		int saved = errno;

		netlink_close(nl);
		return -saved;
	}

	return 0;
}

/*
 * Be told only of what passes @filter. A socket that is told more costs no more
 * than time.
 */
void netlink_filter(struct netlink *nl, struct sock_filter *filter,
		    size_t count)
{
	const struct sock_fprog program = {
		.len = (unsigned short)count,
		.filter = filter,
	};

	setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_ATTACH_FILTER,
		   &program, sizeof(program));
}

/* Close the socket; requests that were never sent are forgotten. */
void netlink_close(struct netlink *nl)
{
	if (nl->socket)
		mnl_socket_close(nl->socket);
	buf_free(&nl->batch);
	free(nl->requests);
	*nl = (struct netlink){ 0 };
}

static const struct nlmsghdr *header(const struct netlink *nl, size_t i)
{
	return (const struct nlmsghdr *)(nl->batch.bytes +
					 nl->requests[i].offset);
}

/* Give back the room that the request made last did not need. */
static void finish_last(struct netlink *nl)
{
	size_t last = nl->count - 1;

	if (nl->count)
		nl->batch.used = nl->requests[last].offset +
				 MNL_ALIGN(header(nl, last)->nlmsg_len);
}

/*
 * Begin a request; the caller appends to what is returned until it begins the
 * next one. @label says what the request does, as in "cannot LABEL".
 */
struct nlmsghdr *netlink_request(struct netlink *nl, uint16_t type,
				 uint16_t flags, const char *label, ...)
{
	struct netlink_request *request;
	struct nlmsghdr *message;
	va_list args;

	finish_last(nl);
	nl->requests =
		xrealloc(nl->requests, (nl->count + 1) * sizeof(*nl->requests));
	request = &nl->requests[nl->count++];
	request->offset = nl->batch.used;
	va_start(args, label);
	vsnprintf(request->label, sizeof(request->label), label, args);
	va_end(args);

	message = mnl_nlmsg_put_header(buf_reserve(&nl->batch, REQUEST_SIZE));
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = nl->sequence++;

	return message;
}

/* The messages that netlink_commit() would send, good until the next call. */
const void *netlink_batch(struct netlink *nl, size_t *size)
{
	finish_last(nl);
	*size = nl->batch.used;

	return nl->batch.bytes;
}

/* Forget the requests from the one numbered @count on. */
static void drop_requests(struct netlink *nl, size_t count)
{
	if (count < nl->count)
		nl->batch.used = nl->requests[count].offset;
	nl->count = count;
}

static int send_requests(struct netlink *nl, size_t first, size_t end)
{
	size_t from = nl->requests[first].offset;
	size_t to = end < nl->count ? nl->requests[end].offset : nl->batch.used;

	if (mnl_socket_sendto(nl->socket, nl->batch.bytes + from, to - from) <
	    0)
		return -errno;

	return 0;
}

/* Like recv(2), but -errno on failure. */
static ssize_t receive(struct netlink *nl, void *bytes, size_t size)
{
	ssize_t got;

	do
		got = mnl_socket_recvfrom(nl->socket, bytes, size);
	while (got < 0 && errno == EINTR);

	return got < 0 ? -errno : got;
}

/*
 * Whether a whole message begins here, with @left bytes to go. Unlike libmnl's
 * this does not take a length over 2 GiB for a negative one, and it wants the
 * padding too, up to which libmnl looks for attributes.
 */
bool netlink_ok(const struct nlmsghdr *message, int left)
{
	return mnl_nlmsg_ok(message, left) &&
	       message->nlmsg_len <= (uint32_t)left &&
	       MNL_ALIGN(message->nlmsg_len) <= (uint32_t)left;
}

/* The kernel's own errors end here (Linux: MAX_ERRNO). */
#define ERRNO_MAX 4095

/* Whether a number is one that the kernel tells in place of an error. */
static bool is_result(int number)
{
	return number <= 0 && number >= -ERRNO_MAX;
}

/*
 * The error that @reply, of type NLMSG_ERROR, tells: 0 for an acknowledgement,
 * else -errno. @text becomes what the kernel says of it in words, or NULL; it
 * lives as long as @reply.
 */
int netlink_error(const struct nlmsghdr *reply, const char **text)
{
	const uint16_t worded = NLM_F_ACK_TLVS | NLM_F_CAPPED;
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(reply);
	const struct nlattr *attr;

	*text = NULL;
	if (mnl_nlmsg_get_payload_len(reply) < sizeof(*error) ||
	    !is_result(error->error))
		return -EBADMSG;
	if ((reply->nlmsg_flags & worded) != worded)
		return error->error;

	mnl_attr_for_each (attr, reply, sizeof(*error)) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			*text = mnl_attr_get_str(attr);
	}

	return error->error;
}

/* Keep what is to be known of request @i, which failed. */
static void note_failure(struct netlink *nl, size_t i, const char *text)
{
	int used = snprintf(nl->failed, sizeof(nl->failed), "%s",
			    nl->requests[i].label);

	if (text)
		snprintf(nl->failed + used, sizeof(nl->failed) - (size_t)used,
			 " (%s)", text);
	nl->failed_type = header(nl, i)->nlmsg_type;
	/* On every bus a request begins with what it is about. */
	nl->failed_family =
		*(const uint8_t *)mnl_nlmsg_get_payload(header(nl, i));
}

/* Requests on their way, those from @first to before @end. */
struct flight {
	struct netlink *nl;
	size_t first;
	size_t end;
	size_t awaited; /* acknowledgements to come */
	int ret;	/* of the first that failed */
};

static void land(struct flight *flight, const struct nlmsghdr *reply)
{
	size_t i = flight->first;
	const char *text;
	int error;

	while (i < flight->end &&
	       header(flight->nl, i)->nlmsg_seq != reply->nlmsg_seq)
		i++;
	if (i == flight->end || reply->nlmsg_type != NLMSG_ERROR)
		return;

	error = netlink_error(reply, &text);
	if (error && !flight->ret) {
		flight->ret = error;
		note_failure(flight->nl, i, text);
	}
	if (header(flight->nl, i)->nlmsg_flags & NLM_F_ACK)
		flight->awaited--;
	else
		flight->awaited = 0; /* the whole batch was turned down */
}

static int await_all(struct flight *flight)
{
	uint8_t bytes[REPLY_SIZE] __attribute__((aligned(MNL_ALIGNTO)));

	while (flight->awaited) {
		const struct nlmsghdr *reply = (struct nlmsghdr *)bytes;
		ssize_t got = receive(flight->nl, bytes, sizeof(bytes));
		int left = (int)got;

		if (got < 0) {
			note_failure(flight->nl, flight->first, NULL);
			return (int)got;
		}
		for (; flight->awaited && netlink_ok(reply, left);
		     reply = mnl_nlmsg_next(reply, &left))
			land(flight, reply);
	}

	return flight->ret;
}

/*
 * Send the requests made so far and read their acknowledgements, all of them.
 * Returns 0, or -errno of the first that failed, with @failed set. The batch is
 * empty afterwards in either case.
 */
int netlink_commit(struct netlink *nl)
{
	int ret = 0;

	finish_last(nl);
	for (size_t first = 0; !ret && first < nl->count;) {
		struct flight flight = { .nl = nl, .first = first };

		for (flight.end = first; flight.end < nl->count &&
					 flight.end - first < REQUESTS_AT_ONCE;
		     flight.end++)
			if (header(nl, flight.end)->nlmsg_flags & NLM_F_ACK)
				flight.awaited++;

		ret = send_requests(nl, first, flight.end);
		if (ret < 0)
			note_failure(nl, first, NULL);
		else
			ret = await_all(&flight);
		first = flight.end;
	}
	drop_requests(nl, 0);

	return ret;
}

/* What is to be done after a message of an answer. */
enum step {
	STEP_SKIP,
	STEP_KEEP,
	STEP_KEEP_LAST,
	STEP_END
};

/* Classify @reply to the request numbered @sequence; @ret is set at an end. */
static enum step classify(const struct nlmsghdr *reply, uint32_t sequence,
			  int *ret)
{
	const char *text;

	if (reply->nlmsg_seq != sequence)
		return STEP_SKIP;
	if (reply->nlmsg_flags & NLM_F_DUMP_INTR)
		*ret = -EINTR;

	switch (reply->nlmsg_type) {
	case NLMSG_NOOP:
		return STEP_SKIP;
	case NLMSG_ERROR:
		*ret = netlink_error(reply, &text);
		return STEP_END;
	case NLMSG_DONE:
		if (mnl_nlmsg_get_payload_len(reply) >= sizeof(int) &&
		    *(int *)mnl_nlmsg_get_payload(reply) < 0 &&
		    is_result(*(int *)mnl_nlmsg_get_payload(reply)))
			*ret = *(int *)mnl_nlmsg_get_payload(reply);
		return STEP_END;
	default:
		return reply->nlmsg_flags & NLM_F_MULTI ? STEP_KEEP
							: STEP_KEEP_LAST;
	}
}

/* Gather the whole answer; -EINTR if it changed while it was given. */
static int gather(struct netlink *nl, uint32_t sequence, struct buf *answer)
{
	uint8_t bytes[REPLY_SIZE] __attribute__((aligned(MNL_ALIGNTO)));
	int ret = 0;

	for (;;) {
		const struct nlmsghdr *reply = (struct nlmsghdr *)bytes;
		ssize_t got = receive(nl, bytes, sizeof(bytes));
		int left = (int)got;

		if (got < 0)
			return (int)got;
		for (; netlink_ok(reply, left);
		     reply = mnl_nlmsg_next(reply, &left)) {
			enum step step = classify(reply, sequence, &ret);

			if (step == STEP_KEEP || step == STEP_KEEP_LAST)
				buf_append(answer, reply,
					   MNL_ALIGN(reply->nlmsg_len));
			if (step == STEP_KEEP_LAST || step == STEP_END)
				return ret;
		}
	}
}

static int deliver(const struct buf *answer, netlink_each *each, void *context)
{
	const struct nlmsghdr *reply = (struct nlmsghdr *)answer->bytes;
	int left = (int)answer->used;
	int ret = 0;

	for (; !ret && netlink_ok(reply, left);
	     reply = mnl_nlmsg_next(reply, &left))
		ret = each(reply, context);

	return ret;
}

/*
 * Send the request made last, and that one only, and hand each message of the
 * answer to @each. The answer is whole before the first is handed over, so
 * @each may itself make requests and ask questions. It is consistent too,
 * unless what it tells of changes faster than it can be told, as where hundreds
 * of runs start: then it may lack what moved meanwhile, which is news for a
 * monitor.
 *
 * Returns 0, what @each returned other than 0, or -errno with @failed set.
 */
int netlink_query(struct netlink *nl, netlink_each *each, void *context)
{
	size_t last = nl->count - 1;
	struct buf answer = { 0 };
	int ret = -EINTR;

	finish_last(nl);
	for (int i = 0; i < QUERY_TRIES && ret == -EINTR; i++) {
		buf_clear(&answer);
		ret = send_requests(nl, last, nl->count);
		if (ret == 0)
			ret = gather(nl, header(nl, last)->nlmsg_seq, &answer);
	}
	if (ret == -EINTR)
		ret = 0;
	if (ret < 0)
		note_failure(nl, last, NULL);
	drop_requests(nl, last);
	if (ret == 0)
		ret = deliver(&answer, each, context);
	buf_free(&answer);

	return ret;
}

/*
 * Hand what a non-blocking member of multicast groups was told to @each, until
 * there is no more. Returns 0, what @each returned other than 0, or -errno:
 * -ENOBUFS if some was lost, after which reading can go on.
 */
int netlink_events(struct netlink *nl, netlink_each *each, void *context)
{
	uint8_t bytes[REPLY_SIZE] __attribute__((aligned(MNL_ALIGNTO)));

	for (;;) {
		ssize_t got = receive(nl, bytes, sizeof(bytes));
		struct buf told = { .bytes = bytes, .used = (size_t)got };
		int ret;

		if (got == -EAGAIN)
			return 0;
		if (got < 0)
			return (int)got;
		ret = deliver(&told, each, context);
		if (ret)
			return ret;
	}
}
