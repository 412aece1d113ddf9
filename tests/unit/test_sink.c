/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last stage: which packet goes into which file, and when it is enough.
 * Every file is read back with libpcap, alone.
 */
#include "capture/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "capture_bytes.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define FILES_MAX	  20
#define FRAMES_MAX	  100
#define CAPLEN		  60
#define SECOND		  1000000000ULL

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .link_type = 1 },
};

static const struct writer_about about = {
	.application = "nsntrace",
	.snaplen = 262144,
};

/* The files as they are asked for; what is negative is given as it is. */
static int files[FILES_MAX];
static unsigned asked;

/* They must live until the sink has written them. */
static struct frame *frames[FRAMES_MAX];
static unsigned sent;

static int set_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FILES_MAX; i++)
		files[i] = memory_file();
	asked = sent = 0;

	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FILES_MAX; i++)
		if (files[i] >= 0)
			close(files[i]);
	while (sent)
		free(frames[--sent]);

	return 0;
}

static int next_file(void *context)
{
	int fd = files[++asked];

	(void)context;

	return fd < 0 ? fd : dup(fd);
}

static void open_sink(struct sink *sink, const struct writer_ops *format,
		      struct rotate_limits rotate,
		      struct rotate_limits autostop)
{
	const struct sink_settings settings = {
		.format = format,
		.about = &about,
		.rotate = rotate,
		.autostop = autostop,
		.next_file = next_file,
	};

	*sink = (struct sink){ 0 };
	assert_int_equal(
		sink_open(sink, &settings, dup(files[0]), interfaces, 1), 0);
}

/* The number of a frame is its time, in seconds. */
static void send_frames(struct sink *sink, unsigned count)
{
	while (count--) {
		struct frame *frame = frame_new(sent * SECOND, CAPLEN, CAPLEN);

		frames[sent++] = frame;
		stage_frame(&sink->stage, frame);
	}
}

/* The file has @count packets, of which the first is number @first. */
static void assert_packets(unsigned file, unsigned first, unsigned count)
{
	char reason[PCAP_ERRBUF_SIZE];
	FILE *stream = fdopen(dup(files[file]), "r");
	struct pcap_pkthdr *header;
	const u_char *bytes;
	pcap_t *pcap;

	rewind(stream);
	pcap = pcap_fopen_offline(stream, reason);
	assert_non_null(pcap);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(pcap_next_ex(pcap, &header, &bytes), 1);
		assert_int_equal(header->ts.tv_sec, first + i);
		assert_int_equal(header->caplen, CAPLEN);
	}
	assert_int_equal(pcap_next_ex(pcap, &header, &bytes), PCAP_ERROR_BREAK);
	pcap_close(pcap);
}

static const struct writer_ops *const formats[] = {
	&writer_pcap,
	&writer_pcapng,
};

static void test_packets(void **state)
{
	const struct rotate_limits three = { .packets = 3 };
	const struct rotate_limits never = { 0 };
	struct sink sink;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		open_sink(&sink, formats[i], three, never);
		send_frames(&sink, 10);
		sink_close(&sink, NULL);
		assert_int_equal(sink.result.written, 10);
		assert_int_equal(sink.result.files, 4);
		assert_int_equal(sink.result.lost, 0);
		assert_int_equal(sink.result.error, 0);
		assert_packets(0, 0, 3);
		assert_packets(1, 3, 3);
		assert_packets(2, 6, 3);
		assert_packets(3, 9, 1);
		assert_int_equal(sink.result.bytes,
				 file_size(files[0]) + file_size(files[1]) +
					 file_size(files[2]) +
					 file_size(files[3]));
		tear_down(state);
		set_up(state);
	}
}

/* No file is begun for packets that never come. */
static void test_no_empty_file(void **state)
{
	const struct rotate_limits three = { .packets = 3 };
	const struct rotate_limits never = { 0 };
	struct sink sink;

	(void)state;
	open_sink(&sink, &writer_pcapng, three, never);
	send_frames(&sink, 9);
	sink_close(&sink, NULL);
	assert_int_equal(sink.result.files, 3);
	assert_int_equal(asked, 2);
	assert_packets(2, 6, 3);
}

/* Full is the file that has reached its size, by its last packet. */
static void test_bytes(void **state)
{
	const struct rotate_limits kilobyte = { .bytes = 1000 };
	const struct rotate_limits never = { 0 };
	const uint64_t packet = 16 + CAPLEN;
	const unsigned fits = (1000 - 24 + packet - 1) / packet;
	struct sink sink;

	(void)state;
	open_sink(&sink, &writer_pcap, kilobyte, never);
	send_frames(&sink, 2 * fits + 1);
	sink_close(&sink, NULL);
	assert_packets(0, 0, fits);
	assert_packets(1, fits, fits);
	assert_packets(2, 2 * fits, 1);
	assert_in_range(file_size(files[0]), 1000, 1000 + packet - 1);
}

/* A head that is larger than the limit: each file has a packet all the same. */
static void test_head_beyond_limit(void **state)
{
	const struct rotate_limits byte = { .bytes = 1 };
	const struct rotate_limits two = { .files = 2 };
	struct sink sink;

	(void)state;
	open_sink(&sink, &writer_pcapng, byte, two);
	sink_tick(&sink, sink.start);
	assert_false(sink.stopped);
	send_frames(&sink, 3);
	sink_close(&sink, NULL);
	assert_packets(0, 0, 1);
	assert_packets(1, 1, 1);
	assert_int_equal(sink.result.written, 2);
	assert_int_equal(sink.result.left_out, 1);
}

/* By the time that is told, not by one that is looked at. */
static void test_duration(void **state)
{
	const struct rotate_limits minute = { .duration = 60 * SECOND };
	const struct rotate_limits never = { 0 };
	struct sink sink;
	uint64_t start;

	(void)state;
	open_sink(&sink, &writer_pcap, minute, never);
	/* The time of an empty file stands still. */
	sink_tick(&sink, sink.start + 90 * SECOND);
	send_frames(&sink, 2);
	start = sink.file_start;
	assert_int_equal(sink_tick(&sink, start + 59 * SECOND), 1001);
	send_frames(&sink, 1);
	assert_int_equal(sink_tick(&sink, start + 60 * SECOND), -1);
	assert_int_equal(asked, 0);
	send_frames(&sink, 2);
	sink_close(&sink, NULL);
	assert_packets(0, 0, 3);
	assert_packets(1, 3, 2);
}

/* The first limit of several; the other counts from the new file's start. */
static void test_combined(void **state)
{
	const struct rotate_limits both = {
		.packets = 3,
		.duration = 60 * SECOND,
	};
	const struct rotate_limits never = { 0 };
	struct sink sink;

	(void)state;
	open_sink(&sink, &writer_pcap, both, never);
	send_frames(&sink, 2);
	sink_tick(&sink, sink.file_start + 60 * SECOND);
	send_frames(&sink, 4);
	sink_close(&sink, NULL);
	assert_packets(0, 0, 2);
	assert_packets(1, 2, 3);
	assert_packets(2, 5, 1);
}

static void test_autostop(void **state)
{
	static const struct {
		struct rotate_limits rotate;
		struct rotate_limits autostop;
		unsigned written;
		unsigned files;
	} cases[] = {
		{ { 0 }, { .packets = 1 }, 1, 1 },
		{ { 0 }, { .packets = 7 }, 7, 1 },
		{ { .packets = 3 }, { .packets = 7 }, 7, 3 },
		/* On the boundary there is no fourth file. */
		{ { .packets = 3 }, { .packets = 9 }, 9, 3 },
		{ { .packets = 3 }, { .files = 1 }, 3, 1 },
		{ { .packets = 3 }, { .files = 3 }, 9, 3 },
		{ { .packets = 3 }, { .files = 3, .packets = 2 }, 2, 1 },
		{ { 0 }, { .bytes = 24 + 2 * (16 + CAPLEN) - 1 }, 2, 1 },
		{ { 0 }, { .bytes = 24 + 2 * (16 + CAPLEN) }, 2, 1 },
		{ { 0 }, { .bytes = 24 + 2 * (16 + CAPLEN) + 1 }, 3, 1 },
	};
	struct sink sink;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_sink(&sink, &writer_pcap, cases[i].rotate,
			  cases[i].autostop);
		send_frames(&sink, 20);
		assert_true(sink.stopped);
		assert_int_equal(sink_tick(&sink, sink.start), -1);
		sink_close(&sink, NULL);
		assert_int_equal(sink.result.written, cases[i].written);
		assert_int_equal(sink.result.left_out, 20 - cases[i].written);
		assert_int_equal(sink.result.lost, 0);
		assert_int_equal(sink.result.files, cases[i].files);
		tear_down(state);
		set_up(state);
	}
}

static void test_autostop_by_time(void **state)
{
	const struct rotate_limits three = { .packets = 3 };
	const struct rotate_limits minute = { .duration = 60 * SECOND };
	struct sink sink;

	(void)state;
	open_sink(&sink, &writer_pcap, three, minute);
	assert_int_equal(sink_tick(&sink, sink.start + 59 * SECOND), 1001);
	/* A new file does not begin it anew. */
	send_frames(&sink, 4);
	assert_false(sink.stopped);
	sink_tick(&sink, sink.start + 60 * SECOND);
	assert_true(sink.stopped);
	send_frames(&sink, 1);
	sink_close(&sink, NULL);
	assert_int_equal(sink.result.written, 4);
	assert_int_equal(sink.result.left_out, 1);
}

/* What was written before stays as it is, and what is missing is counted. */
static void test_no_next_file(void **state)
{
	const struct rotate_limits three = { .packets = 3 };
	const struct rotate_limits never = { 0 };
	struct sink sink;

	(void)state;
	close(files[2]);
	files[2] = -EACCES;
	open_sink(&sink, &writer_pcapng, three, never);
	send_frames(&sink, 6);
	assert_int_equal(sink_flush(&sink), 0);
	send_frames(&sink, 4);
	assert_int_equal(sink_flush(&sink), -EACCES);
	assert_int_equal(sink_tick(&sink, sink.start), -1);
	sink_close(&sink, NULL);
	assert_int_equal(asked, 2);
	assert_packets(0, 0, 3);
	assert_packets(1, 3, 3);
	assert_int_equal(sink.result.error, -EACCES);
	assert_int_equal(sink.result.written, 6);
	assert_int_equal(sink.result.lost, 4);
	assert_int_equal(sink.result.files, 2);
}

/* Where there is no room for a new file, none is asked for after it. */
static void test_full_disk(void **state)
{
	const struct rotate_limits three = { .packets = 3 };
	const struct rotate_limits never = { 0 };
	struct sink sink;

	(void)state;
	close(files[1]);
	files[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
	open_sink(&sink, &writer_pcapng, three, never);
	send_frames(&sink, 10);
	assert_int_equal(sink_flush(&sink), -ENOSPC);
	sink_close(&sink, NULL);
	assert_int_equal(asked, 1);
	assert_packets(0, 0, 3);
	assert_int_equal(sink.result.error, -ENOSPC);
	assert_int_equal(sink.result.written, 3);
	assert_int_equal(sink.result.lost, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_packets),	 TEST(test_no_empty_file),
		TEST(test_bytes),	 TEST(test_head_beyond_limit),
		TEST(test_duration),	 TEST(test_combined),
		TEST(test_autostop),	 TEST(test_autostop_by_time),
		TEST(test_no_next_file), TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
