/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our capture files as tshark, capinfos and tcpdump read them, which must be
 * installed. What they say is compared whole, with what they say on standard
 * error, so a warning of theirs is a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_bytes.h"

/* What the tools say of themselves rather than of the file. */
#define QUIETLY                                          \
	" 2>&1 | grep -v -e '^Running as user \"root\"'" \
	" -e '^reading from file .*, snapshot length 262144$'"

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .link_type = 1 },
	{ .name = "lo", .link_type = 1 },
};

/* Four packets a second and a nanosecond apart; the last one is truncated. */
static void write_packets(struct writer *writer)
{
	static const uint8_t ethernet[] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 's', 'a', 'y',
	};

	for (unsigned i = 0; i < 4; i++) {
		uint32_t len = 60 + i;
		struct frame *frame = frame_new(0, i < 3 ? len : 17, len);

		frame->time = 1700000000123456789 + i * 1000000001;
		frame->interface = (uint16_t)(i / 2);
		frame->direction = (uint8_t)(i < 3 ? i : 0);
		memcpy(frame->bytes, ethernet, sizeof(ethernet));
		assert_int_equal(writer_packet(writer, frame), 0);
		free(frame);
	}
}

/* The path of a file that stays until forget(). */
static char *write_file(const struct writer_ops *ops, bool nanoseconds,
			const char *filter)
{
	const struct writer_about about = {
		.application = "nsntrace 0.1",
		.os = "Linux 6.18.0",
		.hardware = "x86_64",
		.filter = filter,
		.snaplen = 262144,
		.nanoseconds = nanoseconds,
	};
	const struct writer_statistics statistics = {
		.start = 1700000000000000000,
		.end = 1700000004000000001,
		.interface = { .known = true, .received = 11, .dropped = 5 },
		.received = 9,
		.dropped = 7,
	};
	const char *dir = getenv("TMPDIR");
	char *path = xasprintf("%s/readback-XXXXXX", dir ? dir : "/tmp");
	struct writer writer;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(writer_open(&writer, ops, fd, &about, interfaces, 2),
			 0);
	write_packets(&writer);
	writer_statistics(&writer, 0, &statistics);
	writer_statistics(&writer, 1, &statistics);
	assert_int_equal(writer_close(&writer), 0);

	return path;
}

static void forget(char *path)
{
	unlink(path);
	free(path);
}

/* Everything that a command with the file's name in it says. */
static void assert_says(const char *path, const char *before, const char *after,
			const char *expected)
{
	char *command = xasprintf("{ LC_ALL=C TZ=UTC %s %s %s; }" QUIETLY,
				  before, path, after);
	char said[8192];
	size_t size;
	FILE *pipe = popen(command, "re");

	assert_non_null(pipe);
	size = fread(said, 1, sizeof(said) - 1, pipe);
	said[size] = '\0';
	pclose(pipe);
	assert_string_equal(said, expected);
	free(command);
}

static void assert_tshark(const char *path, const char *expected)
{
	assert_says(path, "tshark -r",
		    "-T fields -E separator=, -e frame.time_epoch -e frame.len"
		    " -e frame.cap_len -e frame.interface_name"
		    " -e frame.packet_flags_direction -e eth.type",
		    expected);
}

static void assert_tcpdump(const char *path, const char *expected)
{
	assert_says(path, "tcpdump -r", "-e -q -nn -tt --nano", expected);
}

/* File type, packets, first time, last time, order. */
static void assert_capinfos(const char *path, const char *expected)
{
	assert_says(path, "capinfos -T -r -m -tcaeSo", "| cut -d, -f2-",
		    expected);
}

static void test_pcap_micro(void **state)
{
	char *path = write_file(&writer_pcap, false, NULL);

	(void)state;
	assert_tshark(path, "1700000000.123456000,60,60,,,0x88b5\n"
			    "1700000001.123456000,61,61,,,0x88b5\n"
			    "1700000002.123456000,62,62,,,0x88b5\n"
			    "1700000003.123456000,63,17,,,0x88b5\n");
	assert_capinfos(path, "pcap,4,1700000000.123456,1700000003.123456,"
			      "True\n");
	forget(path);
}

#define TCPDUMP_LINE(time, length)                      \
	time " 02:00:00:00:00:02 > 02:00:00:00:00:01, " \
	     "Unknown Ethertype (0x88b5), length " length ": \n"

/* The packets, where nanoseconds are kept. */
#define TCPDUMP_LINES                              \
	TCPDUMP_LINE("1700000000.123456789", "60") \
	TCPDUMP_LINE("1700000001.123456790", "61") \
	TCPDUMP_LINE("1700000002.123456791", "62") \
	TCPDUMP_LINE("1700000003.123456792", "63")

static void test_pcap_nano(void **state)
{
	char *path = write_file(&writer_pcap, true, NULL);

	(void)state;
	assert_tshark(path, "1700000000.123456789,60,60,,,0x88b5\n"
			    "1700000001.123456790,61,61,,,0x88b5\n"
			    "1700000002.123456791,62,62,,,0x88b5\n"
			    "1700000003.123456792,63,17,,,0x88b5\n");
	assert_tcpdump(path, TCPDUMP_LINES);
	assert_capinfos(path, "nsecpcap,4,1700000000.123456789,"
			      "1700000003.123456792,True\n");
	forget(path);
}

static void test_pcapng(void **state)
{
	char *path = write_file(&writer_pcapng, false, NULL);

	(void)state;
	assert_tshark(path,
		      "1700000000.123456789,60,60,eth0,0x00000000,0x88b5\n"
		      "1700000001.123456790,61,61,eth0,0x00000001,0x88b5\n"
		      "1700000002.123456791,62,62,lo,0x00000002,0x88b5\n"
		      "1700000003.123456792,63,17,lo,0x00000000,0x88b5\n");
	assert_tcpdump(path, TCPDUMP_LINES);
	assert_capinfos(path, "pcapng,4,1700000000.123456789,"
			      "1700000003.123456792,True\n");
	forget(path);
}

/* tshark can also take a pcapng file itself apart, instead of its packets. */
#define AS_FILE "-X 'read_format:MIME Files Format'"
#define OPTION	" -e pcapng.options.option.data."

static void assert_options(const char *path, const char *expected)
{
	assert_says(
		path, "tshark " AS_FILE " -r",
		"-T fields -E separator='|'" OPTION "hardware" OPTION
		"os" OPTION "user_application" OPTION "interface.name" OPTION
		"mac" OPTION "interface.filter.string" OPTION
		"interface.received" OPTION "interface.dropped" OPTION
		"interface.accepted_by_filter" OPTION
		"interface.dropped_by_os" OPTION "interface.delivered_to_user",
		expected);
	/* Nothing that it finds fault with. */
	assert_says(path, "tshark " AS_FILE " -r",
		    "-Y '_ws.expert || _ws.malformed'", "");
}

static void test_pcapng_blocks(void **state)
{
	char *path = write_file(&writer_pcapng, false, NULL);

	(void)state;
	assert_options(path, "x86_64|Linux 6.18.0|nsntrace 0.1|eth0,lo|"
			     "02:00:00:00:00:01||11,11|5,5|9,9|7,7|2,2\n");
	forget(path);
}

static void test_pcapng_blocks_with_filter(void **state)
{
	char *path = write_file(&writer_pcapng, false, "tcp or udp");

	(void)state;
	assert_options(path, "x86_64|Linux 6.18.0|nsntrace 0.1|eth0,lo|"
			     "02:00:00:00:00:01|tcp or udp,tcp or udp|"
			     "11,11|5,5|9,9|7,7|2,2\n");
	forget(path);
}

/* The last bytes are missing: the tools must say so, or they tell nothing. */
static void test_tools_complain(void **state)
{
	char *path = write_file(&writer_pcapng, false, NULL);
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(truncate(path, status.st_size - 3), 0);
	assert_says(path, "tshark -r", "2>&1 | grep -o 'cut short'",
		    "cut short\n");
	forget(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcap_micro),
		cmocka_unit_test(test_pcap_nano),
		cmocka_unit_test(test_pcapng),
		cmocka_unit_test(test_pcapng_blocks),
		cmocka_unit_test(test_pcapng_blocks_with_filter),
		cmocka_unit_test(test_tools_complain),
	};

	return cmocka_run_group_tests_name("readback", tests, NULL, NULL);
}
