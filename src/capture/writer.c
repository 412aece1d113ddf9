/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A capture file on its way to a descriptor: records are gathered, without
 * copying what large frames hold, and go out in large writes; after a write
 * error the file still ends with a whole record. What a record looks like is
 * known by the formats (pcap.c, pcapng.c); telling the user of errors is left
 * to whoever knows the file's name.
 */
#include "capture/writer.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * Large writes: so much is gathered before one is made, both in the buffer and
 * in frames. More saves no time, as what was copied into the queue should still
 * be in the processor's cache.
 */
#define GATHER_BYTES (256UL * 1024)

/* Bytes of a frame that are cheaper copied than listed. */
#define COPY_BYTES 1024

/*
 * Write @count pieces. Returns the number of bytes written; writer->error tells
 * whether it was all. A descriptor handed to us may be non-blocking: it is
 * waited for like any other, and a reader that went away ends the wait.
 */
static size_t write_pieces(struct writer *writer, struct iovec *pieces,
			   unsigned count)
{
	size_t done = 0;

	while (count) {
		struct pollfd room = { .fd = writer->fd, .events = POLLOUT };
		ssize_t written = writev(writer->fd, pieces, (int)count);

		if (written < 0 && errno == EAGAIN) {
			poll(&room, 1, -1);
		} else if (written < 0 && errno != EINTR) {
			writer->error = -errno;
			break;
		}
		if (written < 0)
			continue;

		done += (size_t)written;
		for (; count && (size_t)written >= pieces->iov_len; count--)
			written -= (ssize_t)pieces++->iov_len;
		if (count) {
			pieces->iov_base =
				(uint8_t *)pieces->iov_base + written;
			pieces->iov_len -= (size_t)written;
		}
	}

	return done;
}

/* What the buffer has since the last piece becomes a piece. */
static void end_piece(struct writer *writer)
{
	size_t size = writer->buf.used - writer->piece_start;

	if (!size)
		return;
	writer->pieces[writer->piece_count++] = (struct iovec){
		.iov_len = size,
	};
	writer->piece_start = writer->buf.used;
}

/* Write all that is gathered; only now the buffer stays where it is. */
static size_t write_out(struct writer *writer)
{
	uint8_t *next = writer->buf.bytes;

	end_piece(writer);
	for (unsigned i = 0; i < writer->piece_count; i++) {
		struct iovec *piece = &writer->pieces[i];

		if (piece->iov_base)
			continue;
		piece->iov_base = next;
		next += piece->iov_len;
	}

	return write_pieces(writer, writer->pieces, writer->piece_count);
}

static size_t gathered_bytes(const struct writer *writer)
{
	return writer->buf.used + writer->referred;
}

static void clear(struct writer *writer)
{
	buf_clear(&writer->buf);
	buf_clear(&writer->records);
	writer->referred = 0;
	writer->piece_count = 0;
	writer->piece_start = 0;
	writer->gathered = (struct writer_count){ 0 };
}

/* Everything since @size bytes were gathered is one record. */
static void end_record(struct writer *writer, size_t size, bool packet,
		       bool truncated)
{
	const struct writer_record record = {
		.size = gathered_bytes(writer) - size,
		.packet = packet,
		.truncated = truncated,
	};

	buf_append(&writer->records, &record, sizeof(record));
	writer->gathered.packets += packet;
	writer->gathered.truncated += truncated;
}

/*
 * How much of the first @done bytes gathered are whole records; counts the
 * packets among them. A file's head goes out alone and is all or nothing: half
 * of it is of no use to a reader, and classic pcap's is not even a record.
 */
static size_t whole_records(const struct writer *writer, size_t done,
			    struct writer_count *count)
{
	const struct writer_record *records =
		(const struct writer_record *)writer->records.bytes;
	size_t total = writer->records.used / sizeof(*records);
	size_t whole = 0;

	*count = (struct writer_count){ 0 };
	for (size_t i = 0; i < total && records[i].size <= done - whole; i++) {
		whole += records[i].size;
		count->packets += records[i].packet;
		count->truncated += records[i].truncated;
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
 * Write everything that is gathered now: the frames are not needed any longer.
 * Returns 0, or -errno of this or an earlier failure; nothing is written any
 * more after the first one.
 */
int writer_flush(struct writer *writer)
{
	struct writer_count whole_packets = writer->gathered;
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
	writer->lost += writer->gathered.packets - whole_packets.packets;
	clear(writer);

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
 * For formats, in the midst of a packet: its bytes. Those of a large one stay
 * where they are until they are written.
 */
void writer_frame_bytes(struct writer *writer, const struct frame *frame)
{
	if (frame->caplen <= COPY_BYTES) {
		buf_append(&writer->buf, frame->bytes, frame->caplen);
		return;
	}

	end_piece(writer);
	writer->pieces[writer->piece_count++] = (struct iovec){
		.iov_base = (void *)frame->bytes,
		.iov_len = frame->caplen,
	};
	writer->referred += frame->caplen;
}

/* Another packet takes two pieces, and the end of the buffer one. */
static bool is_full(const struct writer *writer)
{
	return writer->buf.used >= GATHER_BYTES ||
	       writer->referred >= GATHER_BYTES ||
	       writer->piece_count + 3 > WRITER_PIECES_MAX;
}

/*
 * Add one packet, which has to live until the next flush and reaches the file
 * with it or with the next large write. Returns 0, or -errno of the first write
 * that failed; the packet is then one of those that are lost.
 */
int writer_packet(struct writer *writer, const struct frame *frame)
{
	size_t size = gathered_bytes(writer);

	if (writer->error) {
		writer->lost++;
		return writer->error;
	}

	writer->ops->packet(writer, frame);
	end_record(writer, size, true, frame->caplen < frame->len);
	writer->delivered[frame->interface]++;

	return is_full(writer) ? writer_flush(writer) : 0;
}

/* Bytes of the file, with those that are not yet written. */
uint64_t writer_size(const struct writer *writer)
{
	return writer->bytes + gathered_bytes(writer);
}

/*
 * Add what was counted on an interface, in formats that have a place for it.
 * Returns 0, or -errno of the first write that failed.
 */
int writer_statistics(struct writer *writer, unsigned interface,
		      const struct writer_statistics *statistics)
{
	size_t size = gathered_bytes(writer);

	if (!writer->error && writer->ops->statistics) {
		writer->ops->statistics(writer, interface, statistics);
		end_record(writer, size, false, false);
	}

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
	buf_free(&writer->records);

	return writer->error;
}
