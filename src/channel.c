/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages between the processes of a run: whole ones of fixed layout over
 * SOCK_SEQPACKET, with descriptors beside them. End of file means that the
 * other side has died, which is how every process learns of it.
 */
#include "channel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Make both ends of a channel. Returns 0, or a negative errno, reported. */
int channel_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(errno, "cannot make a socket pair");

	return 0;
}

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

static void put_descriptors(struct msghdr *header, union control *control,
			    const int *fds, size_t count)
{
	struct cmsghdr *cmsg = &control->header;

	memset(control, 0, sizeof(*control));
	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(count * sizeof(int));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
}

/*
 * Whether what was sent and not yet read takes more than half of the room that
 * there is for it. The kernel counts both alike, with its own overhead (Linux:
 * unix_outq_len() and sock_alloc_send_pskb()).
 */
static bool is_crowded(int fd)
{
	socklen_t size = sizeof(int);
	int taken, room;

	return ioctl(fd, SIOCOUTQ, &taken) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0 &&
	       taken > room / 2;
}

/*
 * Who waits for what was lost would wait for ever: have both sides see the end
 * of the channel. What keeps a message from somebody who is there is told
 * first, perhaps by that channel; who is gone is missed where messages are
 * read.
 */
static void give_up(int fd, int err)
{
	if (err != EPIPE && err != ECONNRESET && err != ENOTCONN &&
	    err != EBADF)
		fail(err, "cannot reach another process of this run");
	shutdown(fd, SHUT_RDWR);
}

/*
 * Send a message with @size bytes of @body and copies of @fds, which stay the
 * caller's. Lines are dropped rather than waited for, and while there is still
 * room for what is no line: nobody may hang because a terminal is stopped. Any
 * other that cannot be sent closes the channel, and both sides see its end.
 * Returns 0, or a negative errno, already reported unless nobody is there.
 */
int channel_send(int fd, enum message_type type, const void *body, size_t size,
		 const int *fds, size_t fd_count)
{
	struct iovec parts[2] = {
		{ .iov_base = &type, .iov_len = sizeof(type) },
		{ .iov_base = (void *)body, .iov_len = size },
	};
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
	int flags = MSG_NOSIGNAL;
	union control control;

	if (type == MESSAGE_LINE && is_crowded(fd))
		return -EAGAIN;
	if (type == MESSAGE_LINE)
		flags |= MSG_DONTWAIT;
	if (fd_count)
		put_descriptors(&header, &control, fds, fd_count);
	while (sendmsg(fd, &header, flags) < 0) {
		int ret = -errno;

		if (ret == -EINTR)
			continue;
		if (type != MESSAGE_LINE)
			give_up(fd, -ret);
		return ret;
	}

	return 0;
}

/* Send a message that says all by its type. Returns 0 or -errno. */
int channel_tell(int fd, enum message_type type)
{
	return channel_send(fd, type, NULL, 0, NULL, 0);
}

static void take_descriptors(struct msghdr *header, struct message *message)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET ||
	    cmsg->cmsg_type != SCM_RIGHTS)
		return;
	message->fd_count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(message->fds, CMSG_DATA(cmsg), message->fd_count * sizeof(int));
}

/* Bytes of a message's body; who needs none may leave it out. */
static size_t body_size(enum message_type type)
{
	switch (type) {
	case MESSAGE_LINE:
		return sizeof(struct message_line);
	case MESSAGE_BUILT:
	case MESSAGE_STARTING:
		return sizeof(struct run);
	case MESSAGE_FREEZER:
		return sizeof(struct freezer);
	case MESSAGE_FILE:
		return sizeof(int);
	case MESSAGE_REPORT:
		return sizeof(struct message_report);
	case MESSAGE_SIGNAL:
		return sizeof(struct message_signal);
	case MESSAGE_LIVE:
		return sizeof(struct message_live);
	case MESSAGE_PROGRESS:
		return sizeof(struct message_progress);
	case MESSAGE_STOP:
		return sizeof(struct message_stop);
	case MESSAGE_DONE:
		return sizeof(struct tally);
	case MESSAGE_FINISHED:
		return sizeof(struct message_finished);
	case MESSAGE_LISTENERS:
	case MESSAGE_READY:
	case MESSAGE_GO:
	case MESSAGE_NEXT:
	case MESSAGE_WRITING:
	case MESSAGE_ENDED:
	case MESSAGE_CUT:
	case MESSAGE_TROUBLE:
		break;
	}

	return 0;
}

static bool is_ours(const struct message *message, size_t size, int flags)
{
	size_t body = size - sizeof(message->type);

	return size >= sizeof(message->type) &&
	       !(flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	       (!body || body == body_size(message->type));
}

#define END(text) ((text)[sizeof(text) - 1])

/* Any other byte than 0 and 1 in a bool means nothing, in C. */
static void settle_flag(bool *flag)
{
	unsigned char byte;

	memcpy(&byte, flag, sizeof(byte));
	*flag = byte != 0;
}

/* The kernel's own errors end here (Linux: MAX_ERRNO). */
#define ERRNO_MAX 4095

static void settle_error(int *error)
{
	if (*error > 0 || *error < -ERRNO_MAX)
		*error = -EPROTO;
}

/* Texts have an end, and values a meaning, whoever sent them. */
static void settle(struct message *message)
{
	if (message->type == MESSAGE_LINE)
		END(message->body.line.text) = '\0';
	if (message->type == MESSAGE_BUILT || message->type == MESSAGE_STARTING)
		END(message->body.run.name) = '\0';
	if (message->type == MESSAGE_FINISHED)
		END(message->body.finished.outfile) = '\0';
	if (message->type == MESSAGE_SIGNAL)
		settle_flag(&message->body.signal.cuts);
	if (message->type == MESSAGE_DONE) {
		settle_flag(&message->body.tally.comparable);
		settle_flag(&message->body.tally.unfinished);
		settle_error(&message->body.tally.error);
		settle_error(&message->body.tally.read_error);
	}
}

/*
 * Wait for one message. Returns 1, 0 if the other side is gone, or -errno:
 * -EPROTO if it is none of ours, as an other side that was taken over by what
 * it reads may send anything. Descriptors that came along are the caller's.
 */
int channel_receive(int fd, struct message *message)
{
	struct iovec parts[2] = {
		{ .iov_base = &message->type,
		  .iov_len = sizeof(message->type) },
		{ .iov_base = &message->body,
		  .iov_len = sizeof(message->body) },
	};
	union control control;
	struct msghdr header = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;

	memset(message, 0, sizeof(*message));
	/*
	 * A peer that died with unread messages resets the connection, which is
	 * told once, and before what it had sent itself.
	 */
	do {
		size = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size == 0)
		return 0;
	if (size < 0)
		return -errno;
	take_descriptors(&header, message);
	if (!is_ours(message, (size_t)size, header.msg_flags)) {
		while (message->fd_count)
			close(message->fds[--message->fd_count]);
		return -EPROTO;
	}
	settle(message);

	return 1;
}

static void send_line(enum log_level level, const char *line, void *context)
{
	const int *fd = context;
	struct message_line body = { .level = level };

	strncpy(body.text, line, sizeof(body.text) - 1);
	channel_send(*fd, MESSAGE_LINE, &body, sizeof(body), NULL, 0);
}

/*
 * Say everything over the channel *@fd from now on: only front writes to the
 * user's terminal. @fd must live as long as the process.
 */
void channel_log_to(int *fd)
{
	log_set_sink(send_line, fd);
}
