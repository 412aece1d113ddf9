/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Classic capture files, byte by byte as draft-ietf-opsawg-pcap has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "capture_bytes.h"

#define TIME 1700000000123456789U

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .link_type = 1 },
	{ .name = "lo", .link_type = 1 },
};

/* Two packets, the second one truncated, and counts that have no place. */
static int write_file(bool nanoseconds)
{
	const struct writer_about about = {
		.application = "nsntrace",
		.filter = "tcp",
		.snaplen = 0x40000,
		.nanoseconds = nanoseconds,
	};
	const struct writer_statistics statistics = { .received = 2 };
	struct frame *whole = frame_new(TIME, 3, 3);
	struct frame *cut = frame_new(TIME + 2000000000, 5, 70000);
	struct writer writer;
	int fd = memory_file();

	cut->interface = 1;
	cut->direction = DIRECTION_OUTBOUND;
	assert_int_equal(writer_open(&writer, &writer_pcap, dup(fd), &about,
				     interfaces, 2),
			 0);
	assert_int_equal(writer_packet(&writer, whole), 0);
	assert_int_equal(writer_packet(&writer, cut), 0);
	assert_int_equal(writer_statistics(&writer, 0, &statistics), 0);
	assert_int_equal(writer_close(&writer), 0);
	assert_int_equal(writer.written, 2);
	assert_int_equal(writer.lost, 0);
	assert_int_equal(writer.bytes, file_size(fd));
	free(whole);
	free(cut);

	return fd;
}

static void test_microseconds(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(0xa1b2c3d4), N16(2), N16(4), N32(0), N32(0), N32(0x40000),
		N32(1),
		N32(1700000000), N32(123456), N32(3), N32(3),
		0xa0, 0xa1, 0xa2,
		N32(1700000002), N32(123456), N32(5), N32(70000),
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
	};
	/* clang-format on */
	autoclose int fd = write_file(false);

	(void)state;
	assert_file(fd, expected, sizeof(expected));
}

static void test_nanoseconds(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(0xa1b23c4d), N16(2), N16(4), N32(0), N32(0), N32(0x40000),
		N32(1),
		N32(1700000000), N32(123456789), N32(3), N32(3),
		0xa0, 0xa1, 0xa2,
		N32(1700000002), N32(123456789), N32(5), N32(70000),
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
	};
	/* clang-format on */
	autoclose int fd = write_file(true);

	(void)state;
	assert_file(fd, expected, sizeof(expected));
}

/* After 2038 seconds need the 32nd bit; the last nanosecond does not carry. */
static void test_late_time(void **state)
{
	/* clang-format off */
	static const uint8_t expected[] = {
		N32(4294967295), N32(999999), N32(0), N32(60),
	};
	/* clang-format on */
	const struct writer_about about = { .snaplen = 96 };
	struct frame *frame = frame_new(4294967295999999999U, 0, 60);
	autoclose int fd = memory_file();
	struct writer writer;
	uint8_t *bytes;
	size_t size;

	(void)state;
	writer_open(&writer, &writer_pcap, dup(fd), &about, interfaces, 1);
	writer_packet(&writer, frame);
	assert_int_equal(writer_close(&writer), 0);

	bytes = file_bytes(fd, &size);
	assert_int_equal(size, 24 + 16);
	assert_memory_equal(bytes + 24, expected, sizeof(expected));
	free(bytes);
	free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_microseconds),
		cmocka_unit_test(test_nanoseconds),
		cmocka_unit_test(test_late_time),
	};

	return cmocka_run_group_tests_name("pcap", tests, NULL, NULL);
}
