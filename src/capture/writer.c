/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A capture file on its way to a descriptor: records are gathered and go out in
 * large writes, and after a write error the file still ends with a whole
 * record. What a record looks like is known by the formats (pcap.c, pcapng.c);
 * telling the user of errors is left to whoever knows the file's name.
 */
#include "capture/writer.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* Large writes: this much is gathered before one is made on its own account. */
#define WRITE_BYTES (256UL * 1024)

/*
 * Write as much of the buffer as the descriptor takes, however often that takes
 * asking. Returns the number of bytes written; writer->error tells whether it
 * was all. A descriptor handed to us may be non-blocking: it is waited for like
 * any other, and a reader that went away ends the wait.
 */
static size_t write_out(struct writer *writer)
{
	const struct buf *buf = &writer->buf;
	size_t done = 0;

	while (done < buf->used) {
		struct pollfd room = { .fd = writer->fd, .events = POLLOUT };
		ssize_t written =
			write(writer->fd, buf->bytes + done, buf->used - done);

		if (written >= 0) {
			done += (size_t)written;
		} else if (errno == EAGAIN) {
			poll(&room, 1, -1);
		} else if (errno != EINTR) {
			writer->error = -errno;
			break;
		}
	}

	return done;
}

static void count_packet(struct writer_count *count, bool truncated)
{
	count->packets++;
	count->truncated += truncated;
}

/*
 * How much of the first @done bytes of the buffer are whole records; counts the
 * packets among them. A file's head goes out alone and is all or nothing: half
 * of it is of no use to a reader, and classic pcap's is not even a record.
 */
static size_t whole_records(const struct writer *writer, size_t done,
			    struct writer_count *count)
{
	const struct buf *buf = &writer->buf;
	size_t whole = 0;

	*count = (struct writer_count){ 0 };
	if (!writer->bytes)
		return 0;

	while (whole < done) {
		const struct writer_record record =
			writer->ops->record(buf->bytes + whole);

		if (record.size > done - whole)
			break;
		whole += record.size;
		if (record.packet)
			count_packet(count, record.truncated);
	}

	return whole;
}

/*
 * Take the last @size bytes written back out of a regular file. Its offset says
 * where they end, whatever was in the file before us (">>") and whether or not
 * it is opened for appending. If that is not the end of the file, then somebody
 * else writes to it too, and his bytes are not ours to cut.
 */
static void cut_back(const struct writer *writer, size_t size)
{
	off_t end = lseek(writer->fd, 0, SEEK_CUR);
	struct stat status;

	if (end < (off_t)size || fstat(writer->fd, &status) < 0 ||
	    status.st_size != end)
		return;

	/* Whoever shares the descriptor goes on here and leaves no hole. */
	if (ftruncate(writer->fd, end - (off_t)size) == 0)
		lseek(writer->fd, end - (off_t)size, SEEK_SET);
}

/*
 * Write everything that is buffered now. Returns 0, or -errno of this or an
 * earlier failure; nothing is written any more after the first one.
 */
int writer_flush(struct writer *writer)
{
	struct writer_count whole_packets = writer->buffered;
	size_t done, whole;

	if (writer->error)
		return writer->error;

	whole = done = write_out(writer);
	if (writer->error) {
		whole = whole_records(writer, done, &whole_packets);
		if (writer->regular && whole < done)
			cut_back(writer, done - whole);
	}

	writer->bytes += whole;
	writer->written += whole_packets.packets;
	writer->truncated += whole_packets.truncated;
	writer->lost += writer->buffered.packets - whole_packets.packets;
	writer->buffered = (struct writer_count){ 0 };
	buf_clear(&writer->buf);

	return writer->error;
}

/*
 * Begin a capture file at the present offset of @fd, which is the writer's from
 * now on, and write its head at once: a reader at the other end of a pipe waits
 * for it. The strings of @about must live as long as @writer, and the @count
 * @interfaces, one at least, are those that frames refer to by number.
 *
 * Returns 0 or -errno. In either case @writer may be used, counts what is lost
 * and has to be closed.
 */
int writer_open(struct writer *writer, const struct writer_ops *ops, int fd,
		const struct writer_about *about,
		const struct capture_interface *interfaces, unsigned count)
{
	struct stat status;

	*writer = (struct writer){ .ops = ops, .about = *about, .fd = fd };
	writer->regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);

	if (ops->open)
		ops->open(writer);
	for (unsigned i = 0; i < count; i++)
		ops->interface(writer, &interfaces[i]);

	return writer_flush(writer);
}

/*
 * Add one packet. It reaches the file with the next large write or flush.
 * Returns 0, or -errno of the first write that failed; the packet is then one
 * of those that are lost.
 */
int writer_packet(struct writer *writer, const struct frame *frame)
{
	if (writer->error) {
		writer->lost++;
		return writer->error;
	}

	writer->ops->packet(writer, frame);
	count_packet(&writer->buffered, frame->caplen < frame->len);
	writer->delivered[frame->interface]++;
	if (writer->buf.used < WRITE_BYTES)
		return 0;

	return writer_flush(writer);
}

/*
 * Add what was counted on an interface, in formats that have a place for it.
 * Returns 0, or -errno of the first write that failed.
 */
int writer_statistics(struct writer *writer, unsigned interface,
		      const struct writer_statistics *statistics)
{
	if (!writer->error && writer->ops->statistics)
		writer->ops->statistics(writer, interface, statistics);

	return writer->error;
}

/*
 * Write what is left and close the descriptor: some file systems tell only then
 * that there was no room. The counts stay. Returns 0, or -errno of the first
 * failure of all.
 */
int writer_close(struct writer *writer)
{
	writer_flush(writer);
	if (close(take_fd(&writer->fd)) < 0 && !writer->error)
		writer->error = -errno;
	buf_free(&writer->buf);

	return writer->error;
}
