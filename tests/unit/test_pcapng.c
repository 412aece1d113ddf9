/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pcapng files, byte by byte as draft-ietf-opsawg-pcapng has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_bytes.h"

#define TIME 1700000000123456789U
#define HIGH ((uint32_t)(TIME >> 32))
#define LOW  ((uint32_t)TIME)

#define END_OF_OPTIONS N16(0), N16(0)

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .link_type = 1 },
	{ .name = "lo", .link_type = 1 },
};

static const struct writer_about bare = { .snaplen = 0x40000 };

static size_t open_bare(struct writer *writer, int fd, unsigned count)
{
	assert_int_equal(writer_open(writer, &writer_pcapng, dup(fd), &bare,
				     interfaces, count),
			 0);

	return (size_t)writer->bytes;
}

/* What follows the first @head bytes of a file. */
static void assert_tail(int fd, size_t head, const uint8_t *expected,
			size_t size)
{
	size_t got;
	uint8_t *bytes = file_bytes(fd, &got);

	assert_int_equal(got, head + size);
	assert_memory_equal(bytes + head, expected, size);
	free(bytes);
}

static void test_head(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		/* section header: 12 + 16 of its own + 12 + 12 + 16 + 4 */
		N32(0x0a0d0d0a), N32(72), N32(0x1a2b3c4d), N16(1), N16(0),
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		N16(2), N16(6), 'x', '8', '6', '_', '6', '4', 0, 0,
		N16(3), N16(7), 'L', 'i', 'n', 'u', 'x', ' ', '6', 0,
		N16(4), N16(12),
		'n', 's', 'n', 't', 'r', 'a', 'c', 'e', ' ', '0', '.', '1',
		END_OF_OPTIONS,
		N32(72),
		/* eth0: with a MAC */
		N32(1), N32(60), N16(1), N16(0), N32(0x40000),
		N16(2), N16(4), 'e', 't', 'h', '0',
		N16(6), N16(6), 2, 0, 0, 0, 0, 1, 0, 0,
		N16(9), N16(1), 9, 0, 0, 0,
		N16(11), N16(4), 0, 't', 'c', 'p',
		END_OF_OPTIONS,
		N32(60),
		/* lo: without */
		N32(1), N32(48), N16(1), N16(0), N32(0x40000),
		N16(2), N16(2), 'l', 'o', 0, 0,
		N16(9), N16(1), 9, 0, 0, 0,
		N16(11), N16(4), 0, 't', 'c', 'p',
		END_OF_OPTIONS,
		N32(48),
	};
	/* clang-format on */
	const struct writer_about about = {
		.application = "nsntrace 0.1",
		.os = "Linux 6",
		.hardware = "x86_64",
		.filter = "tcp",
		.snaplen = 0x40000,
	};
	autoclose int fd = memory_file();
	struct writer writer;

	(void)state;
	assert_int_equal(writer_open(&writer, &writer_pcapng, dup(fd), &about,
				     interfaces, 2),
			 0);
	/* It is there before any packet. */
	assert_file(fd, expected, sizeof(expected));
	assert_int_equal(writer_close(&writer), 0);
	assert_file(fd, expected, sizeof(expected));
	assert_int_equal(writer.written, 0);
}

static void test_head_without_words(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(0x0a0d0d0a), N32(32), N32(0x1a2b3c4d), N16(1), N16(0),
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		END_OF_OPTIONS,
		N32(32),
		N32(1), N32(52), N16(1), N16(0), N32(0x40000),
		N16(2), N16(4), 'e', 't', 'h', '0',
		N16(6), N16(6), 2, 0, 0, 0, 0, 1, 0, 0,
		N16(9), N16(1), 9, 0, 0, 0,
		END_OF_OPTIONS,
		N32(52),
	};
	/* clang-format on */
	autoclose int fd = memory_file();
	struct writer writer;

	(void)state;
	open_bare(&writer, fd, 1);
	assert_int_equal(writer_close(&writer), 0);
	assert_file(fd, expected, sizeof(expected));
}

static void test_packets(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		/* nothing to pad */
		N32(6), N32(48), N32(0), N32(HIGH), N32(LOW), N32(4), N32(4),
		0xa0, 0xa1, 0xa2, 0xa3,
		N16(2), N16(4), N32(1),
		END_OF_OPTIONS,
		N32(48),
		/* padded by three, truncated, of the other interface */
		N32(6), N32(52), N32(1), N32(HIGH), N32(LOW), N32(5),
		N32(70000),
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0, 0, 0,
		N16(2), N16(4), N32(2),
		END_OF_OPTIONS,
		N32(52),
		/* empty, of unknown direction, at the last time there is */
		N32(6), N32(44), N32(0), N32(0xffffffff), N32(0xffffffff),
		N32(0), N32(60),
		N16(2), N16(4), N32(0),
		END_OF_OPTIONS,
		N32(44),
	};
	/* clang-format on */
	struct frame *in = frame_new(TIME, 4, 4);
	struct frame *out = frame_new(TIME, 5, 70000);
	struct frame *empty = frame_new(UINT64_MAX, 0, 60);
	autoclose int fd = memory_file();
	struct writer writer;
	size_t head;

	(void)state;
	in->direction = DIRECTION_INBOUND;
	out->direction = DIRECTION_OUTBOUND;
	out->interface = 1;
	head = open_bare(&writer, fd, 2);
	writer_packet(&writer, in);
	writer_packet(&writer, out);
	writer_packet(&writer, empty);
	assert_int_equal(writer_close(&writer), 0);
	assert_int_equal(writer.written, 3);
	assert_tail(fd, head, expected, sizeof(expected));
	free(in);
	free(out);
	free(empty);
}

static const struct writer_statistics counted = {
	.start = TIME,
	.end = TIME + 1,
	.interface = { true, 0x100000002, 5 },
	.received = 0x100000001,
	.dropped = 3,
};

/* What is delivered is what is in the file, of that interface. */
static void test_statistics(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(5), N32(112), N32(1), N32(HIGH), N32(LOW + 1),
		N16(2), N16(8), N32(HIGH), N32(LOW),
		N16(3), N16(8), N32(HIGH), N32(LOW + 1),
		N16(4), N16(8), N64(0x100000002),
		N16(5), N16(8), N64(5),
		N16(6), N16(8), N64(0x100000001),
		N16(7), N16(8), N64(3),
		N16(8), N16(8), N64(2),
		END_OF_OPTIONS,
		N32(112),
	};
	/* clang-format on */
	struct frame *frame = frame_new(TIME, 4, 4);
	autoclose int fd = memory_file();
	struct writer writer;
	size_t head;

	(void)state;
	open_bare(&writer, fd, 2);
	writer_packet(&writer, frame);
	frame->interface = 1;
	writer_packet(&writer, frame);
	writer_packet(&writer, frame);
	assert_int_equal(writer_flush(&writer), 0);
	head = (size_t)writer.bytes;
	assert_int_equal(writer_statistics(&writer, 1, &counted), 0);
	assert_int_equal(writer_close(&writer), 0);
	assert_int_equal(writer.bytes, head + sizeof(expected));
	assert_tail(fd, head, expected, sizeof(expected));
	free(frame);
}

/* The bytes of a large frame are not in the buffer that the block goes to. */
static void test_statistics_behind_large_frame(void **state)
{
	struct frame *frame = frame_new(TIME, 4097, 4097);
	autoclose int fd = memory_file();
	struct writer writer;
	size_t before;

	(void)state;
	open_bare(&writer, fd, 2);
	writer_packet(&writer, frame);
	before = writer_size(&writer);
	assert_int_equal(writer_statistics(&writer, 1, &counted), 0);
	assert_int_equal(writer_size(&writer), before + 112);
	assert_int_equal(writer_close(&writer), 0);
	free(frame);
}

/* Where nobody knows what the interface counted, nothing is said of it. */
static void test_statistics_without_interface(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(5), N32(88), N32(0), N32(HIGH), N32(LOW + 1),
		N16(2), N16(8), N32(HIGH), N32(LOW),
		N16(3), N16(8), N32(HIGH), N32(LOW + 1),
		N16(6), N16(8), N64(0x100000001),
		N16(7), N16(8), N64(3),
		N16(8), N16(8), N64(0),
		END_OF_OPTIONS,
		N32(88),
	};
	/* clang-format on */
	struct writer_statistics statistics = counted;
	autoclose int fd = memory_file();
	struct writer writer;
	size_t head;

	(void)state;
	statistics.interface.known = false;
	head = open_bare(&writer, fd, 1);
	assert_int_equal(writer_statistics(&writer, 0, &statistics), 0);
	assert_int_equal(writer_close(&writer), 0);
	assert_tail(fd, head, expected, sizeof(expected));
}

/* All but the last one of several files tell what is in them, and no more. */
static void test_statistics_of_one_of_many(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(5), N32(64), N32(0), N32(HIGH), N32(LOW + 1),
		N16(2), N16(8), N32(HIGH), N32(LOW),
		N16(3), N16(8), N32(HIGH), N32(LOW + 1),
		N16(8), N16(8), N64(0),
		END_OF_OPTIONS,
		N32(64),
	};
	/* clang-format on */
	const struct writer_statistics statistics = {
		.start = TIME,
		.end = TIME + 1,
		.partial = true,
	};
	autoclose int fd = memory_file();
	struct writer writer;
	size_t head;

	(void)state;
	head = open_bare(&writer, fd, 1);
	assert_int_equal(writer_statistics(&writer, 0, &statistics), 0);
	assert_int_equal(writer_close(&writer), 0);
	assert_tail(fd, head, expected, sizeof(expected));
}

/* What the head of a file with a filter of @length bytes takes. */
static size_t head_with_filter(size_t length)
{
	char *filter = xcalloc(1, length + 1);
	struct writer_about about = { .filter = filter };
	autoclose int fd = memory_file();
	struct writer writer;

	memset(filter, ' ', length);
	assert_int_equal(writer_open(&writer, &writer_pcapng, dup(fd), &about,
				     interfaces, 1),
			 0);
	assert_int_equal(writer_close(&writer), 0);
	free(filter);

	return file_size(fd);
}

static void test_option_too_long(void **state)
{
	const size_t without = 32 + 52;

	(void)state;
	/* The longest has 65535 bytes with its code, padded by one. */
	assert_int_equal(head_with_filter(65534), without + 4 + 65536);
	assert_int_equal(head_with_filter(65535), without);
	assert_int_equal(head_with_filter(100000), without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_without_words),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_statistics_behind_large_frame),
		cmocka_unit_test(test_statistics_without_interface),
		cmocka_unit_test(test_statistics_of_one_of_many),
		cmocka_unit_test(test_option_too_long),
	};

	return cmocka_run_group_tests_name("pcapng", tests, NULL, NULL);
}
