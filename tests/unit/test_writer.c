/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How capture files reach their descriptor: gathering, flushing, pipes, and
 * what stays in the file when a write fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <cmocka.h>

#include "capture_bytes.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const struct writer_ops *const formats[] = {
	&writer_pcap,
	&writer_pcapng,
};

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .link_type = 1 },
	{ .name = "lo", .link_type = 1 },
};

static const struct writer_about about = {
	.application = "nsntrace",
	.snaplen = 262144,
};

#define PACKETS 5
#define RECORDS (1 + PACKETS + 2) /* the head, packets, counts */

/*
 * A small capture with every length of padding, and with counts at the end.
 * If @ends are wanted, they tell where in the file each record ends.
 */
static void write_capture(struct writer *writer, const struct writer_ops *ops,
			  int fd, bool flush, size_t *ends)
{
	static const struct writer_statistics statistics = { .received = 5 };

	writer_open(writer, ops, fd, &about, interfaces, 2);
	for (unsigned i = 0; i < RECORDS; i++) {
		struct frame *frame = frame_new(i, 14 + i, 14 + i + i % 2);

		if (i > PACKETS)
			writer_statistics(writer, i - PACKETS - 1, &statistics);
		else if (i > 0)
			writer_packet(writer, frame);
		if (flush)
			writer_flush(writer);
		if (ends)
			ends[i] = file_size(fd);
		free(frame);
	}
}

/* The same capture with nothing in its way. */
struct reference {
	uint8_t *bytes;
	size_t size;
	size_t ends[RECORDS];
};

static void reference_new(struct reference *reference,
			  const struct writer_ops *ops)
{
	autoclose int fd = memory_file();
	struct writer writer;

	write_capture(&writer, ops, dup(fd), true, reference->ends);
	assert_int_equal(writer_close(&writer), 0);
	reference->bytes = file_bytes(fd, &reference->size);
	assert_int_equal(reference->ends[RECORDS - 1], reference->size);
}

/* What of a capture fits into @limit bytes, in whole records. */
static size_t reference_fits(const struct reference *reference, size_t limit,
			     unsigned *packets)
{
	size_t size = 0;

	*packets = 0;
	for (unsigned i = 0; i < RECORDS && reference->ends[i] <= limit; i++) {
		size = reference->ends[i];
		*packets = i < PACKETS ? i : PACKETS;
	}

	return size;
}

/* Let no file grow over @size bytes: writes are cut short there, then fail. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void unlimit_files(void)
{
	limit_files(RLIM_INFINITY);
}

/* How a file comes to us: what is in it already, and how it is open. */
struct beginning {
	size_t before;
	int flags;
};

static void cut_at(const struct reference *reference,
		   const struct writer_ops *ops, size_t limit, bool flush,
		   const struct beginning *beginning)
{
	static const char before[64] = "what the user had in this file";
	autoclose int fd = memory_file();
	struct writer writer;
	unsigned packets;
	size_t size, fits;
	uint8_t *bytes;
	int ret;

	assert_int_equal(write(fd, before, beginning->before),
			 beginning->before);
	assert_int_equal(fcntl(fd, F_SETFL, beginning->flags), 0);
	if (beginning->flags & O_APPEND)
		lseek(fd, 0, SEEK_SET);

	limit_files(beginning->before + limit);
	write_capture(&writer, ops, dup(fd), flush, NULL);
	ret = writer_close(&writer);
	unlimit_files();

	fits = reference_fits(reference, limit, &packets);
	assert_int_equal(ret, limit < reference->size ? -EFBIG : 0);
	assert_int_equal(writer.error, ret);
	assert_int_equal(writer.written, packets);
	assert_int_equal(writer.lost, PACKETS - packets);
	/* Every other one, beginning with the first. */
	assert_int_equal(writer.truncated, (packets + 1) / 2);
	assert_int_equal(writer.bytes, fits);

	bytes = file_bytes(fd, &size);
	assert_int_equal(size, beginning->before + fits);
	assert_memory_equal(bytes, before, beginning->before);
	assert_memory_equal(bytes + beginning->before, reference->bytes, fits);
	free(bytes);

	/* Whoever shares the offset, once moved, goes on right behind it. */
	if (limit)
		assert_int_equal(lseek(fd, 0, SEEK_CUR), size);
}

/* Wherever the room ends, the file ends with the last record that fits. */
static void test_cut_at_every_byte(void **state)
{
	static const struct beginning beginnings[] = {
		{ 0, 0 },
		{ 37, 0 },
		{ 37, O_APPEND },
	};

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		struct reference reference;

		reference_new(&reference, formats[f]);
		for (size_t b = 0; b < ARRAY_SIZE(beginnings); b++)
			for (size_t limit = 0; limit <= reference.size;
			     limit++) {
				cut_at(&reference, formats[f], limit, false,
				       &beginnings[b]);
				cut_at(&reference, formats[f], limit, true,
				       &beginnings[b]);
			}
		free(reference.bytes);
	}
}

/* Room again after a failure does not make the file go on with a gap. */
static void test_nothing_after_error(void **state)
{
	struct frame *frame = frame_new(0, 100, 100);

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		autoclose int fd = memory_file();
		struct writer writer;
		size_t size;

		writer_open(&writer, formats[f], dup(fd), &about, interfaces,
			    1);
		writer_packet(&writer, frame);
		assert_int_equal(writer_flush(&writer), 0);
		size = file_size(fd);

		limit_files(size + 50);
		assert_int_equal(writer_packet(&writer, frame), 0);
		assert_int_equal(writer_flush(&writer), -EFBIG);
		unlimit_files();

		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(writer_packet(&writer, frame), -EFBIG);
		assert_int_equal(writer_flush(&writer), -EFBIG);
		assert_int_equal(writer_close(&writer), -EFBIG);
		assert_int_equal(writer.written, 1);
		assert_int_equal(writer.lost, 5);
		assert_int_equal(writer.bytes, size);
		assert_int_equal(file_size(fd), size);
	}
	free(frame);
}

/* In a file that others write to, the end may not be ours: it is not cut. */
static void test_bytes_of_others_stay(void **state)
{
	struct frame *frame = frame_new(0, 100, 100);
	autoclose int fd = memory_file();
	struct writer writer;

	(void)state;
	assert_int_equal(ftruncate(fd, 1000), 0);
	writer_open(&writer, &writer_pcap, dup(fd), &about, interfaces, 1);
	writer_packet(&writer, frame);
	limit_files(50);
	assert_int_equal(writer_close(&writer), -EFBIG);
	unlimit_files();
	assert_int_equal(file_size(fd), 1000);
	free(frame);
}

/* Only large writes, unless they are asked for; none of a flush of nothing. */
static void test_gathers(void **state)
{
	struct frame *frame = frame_new(0, 1000, 1000);
	autoclose int fd = memory_file();
	struct writer writer;
	size_t size, writes = 0;

	(void)state;
	writer_open(&writer, &writer_pcapng, dup(fd), &about, interfaces, 1);
	size = file_size(fd);
	for (unsigned i = 0; i < 2000; i++) {
		size_t now;

		assert_int_equal(writer_packet(&writer, frame), 0);
		now = file_size(fd);
		assert_true(now == size || now - size >= 256 * 1024);
		writes += now != size;
		size = now;
	}
	assert_in_range(writes, 6, 8);
	assert_true(writer.written < 2000);

	assert_int_equal(writer_flush(&writer), 0);
	assert_int_equal(writer.written, 2000);
	assert_int_equal(writer.bytes, file_size(fd));
	assert_true(file_size(fd) > size);
	size = file_size(fd);
	assert_int_equal(writer_flush(&writer), 0);
	assert_int_equal(file_size(fd), size);
	assert_int_equal(writer_close(&writer), 0);
	free(frame);
}

/* A failure in the middle of a large write, after others that went well. */
static void test_large_write_fails(void **state)
{
	struct frame *frame = frame_new(0, 65535, 65535);

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		autoclose int fd = memory_file();
		struct writer writer;
		size_t head, record, fits;

		writer_open(&writer, formats[f], dup(fd), &about, interfaces,
			    1);
		head = file_size(fd);
		writer_packet(&writer, frame);
		writer_flush(&writer);
		record = file_size(fd) - head;
		fits = (1000000 - head) / record;

		limit_files(1000000);
		for (unsigned i = 1; i < 40; i++)
			writer_packet(&writer, frame);
		assert_int_equal(writer_close(&writer), -EFBIG);
		unlimit_files();
		assert_int_equal(writer.written, fits);
		assert_int_equal(writer.lost, 40 - fits);
		assert_int_equal(file_size(fd), head + fits * record);
	}
	free(frame);
}

/* A device without room: the very head fails, and everything is counted. */
static void test_no_room(void **state)
{
	struct frame *frame = frame_new(0, 60, 60);

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
		struct writer writer;

		assert_true(fd >= 0);
		assert_int_equal(writer_open(&writer, formats[f], fd, &about,
					     interfaces, 1),
				 -ENOSPC);
		assert_int_equal(writer_packet(&writer, frame), -ENOSPC);
		assert_int_equal(writer_close(&writer), -ENOSPC);
		assert_int_equal(writer.lost, 1);
		assert_int_equal(writer.written, 0);
		assert_int_equal(writer.bytes, 0);
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	}
	free(frame);
}

/* The error that only close() tells is told, too. */
static void test_close_fails(void **state)
{
	struct writer writer;
	int fd = memory_file();

	(void)state;
	writer_open(&writer, &writer_pcap, fd, &about, interfaces, 1);
	close(fd);
	assert_int_equal(writer_close(&writer), -EBADF);
	assert_int_equal(writer.error, -EBADF);
}

static void test_reader_leaves(void **state)
{
	struct frame *frame = frame_new(0, 60, 60);
	struct writer writer;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(writer_open(&writer, &writer_pcap, ends[1], &about,
				     interfaces, 1),
			 0);
	writer_packet(&writer, frame);
	assert_int_equal(writer_flush(&writer), 0);
	close(ends[0]);

	assert_int_equal(writer_packet(&writer, frame), 0);
	assert_int_equal(writer_flush(&writer), -EPIPE);
	assert_int_equal(writer_packet(&writer, frame), -EPIPE);
	assert_int_equal(writer_close(&writer), -EPIPE);
	assert_int_equal(writer.written, 1);
	assert_int_equal(writer.lost, 2);
	free(frame);
}

static atomic_uint alarms;

static void count_alarm(int signal)
{
	(void)signal;
	atomic_fetch_add(&alarms, 1);
}

#define DEADLINE_MS 10000

/* Reads a pipe to its end, but not before the writer had to wait for it. */
struct slow_reader {
	int ends[2];
	bool alarmed; /* wait for alarms, too */
	bool waited;
	struct buf got;
};

static bool pipe_full(int end)
{
	struct pollfd room = { .fd = end, .events = POLLOUT };

	return poll(&room, 1, 0) == 0;
}

static void *read_slowly(void *argument)
{
	struct slow_reader *reader = argument;
	unsigned before = 0;
	uint8_t bytes[4096];
	ssize_t size;

	for (int i = 0; i < DEADLINE_MS && !reader->waited; i++) {
		if (!pipe_full(reader->ends[1]))
			before = atomic_load(&alarms);
		else
			reader->waited = !reader->alarmed ||
					 atomic_load(&alarms) >= before + 3;
		poll(NULL, 0, 1);
	}
	while ((size = read(reader->ends[0], bytes, sizeof(bytes))) > 0)
		buf_append(&reader->got, bytes, (size_t)size);

	return NULL;
}

static void write_to_slow_reader(const struct writer_ops *ops, int flags,
				 bool alarmed)
{
	struct frame *frame = frame_new(0, 65535, 65535);
	autoclose int fd = memory_file();
	struct slow_reader reader = { .alarmed = alarmed };
	struct writer writer, same;
	pthread_t thread;
	sigset_t set, saved;

	assert_int_equal(pipe2(reader.ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(reader.ends[1], F_SETFL, flags), 0);
	/* Alarms are for the writing thread. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, &saved);
	pthread_create(&thread, NULL, read_slowly, &reader);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);

	writer_open(&writer, ops, reader.ends[1], &about, interfaces, 1);
	writer_open(&same, ops, dup(fd), &about, interfaces, 1);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(writer_packet(&writer, frame), 0);
		assert_int_equal(writer_packet(&same, frame), 0);
	}
	assert_int_equal(writer_close(&writer), 0);
	assert_int_equal(writer_close(&same), 0);
	assert_int_equal(writer.written, 20);

	pthread_join(thread, NULL);
	assert_true(reader.waited);
	assert_file(fd, reader.got.bytes, reader.got.used);
	buf_free(&reader.got);
	close(reader.ends[0]);
	free(frame);
}

/* O_NONBLOCK of a pipe that was handed to us is not an error of writing. */
static void test_pipe_nonblocking(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
		write_to_slow_reader(formats[f], O_NONBLOCK, false);
}

/* Writes that a signal cuts short, or interrupts before their first byte. */
static void test_pipe_interrupted(void **state)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = count_alarm };

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
		write_to_slow_reader(formats[f], 0, true);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_nothing_after_error),
		cmocka_unit_test(test_bytes_of_others_stay),
		cmocka_unit_test(test_gathers),
		cmocka_unit_test(test_large_write_fails),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_close_fails),
		cmocka_unit_test(test_reader_leaves),
		cmocka_unit_test(test_pipe_nonblocking),
		cmocka_unit_test(test_pipe_interrupted),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
