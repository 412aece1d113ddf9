/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole pipeline, from a capture file to a capture file: what goes in comes
 * out, is counted, and a failing write is told.
 */
#include "base/log.h" /* before cmocka, which has a fail() too */
#include "capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#define FRAMES		  5000
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static char input[] = "/tmp/test-capture-in.XXXXXX";
static char output[] = "/tmp/test-capture-out.XXXXXX";

/* The frame of number @i: its header, and what all its bytes are. */
static struct pcap_pkthdr header_of(unsigned i)
{
	return (struct pcap_pkthdr){
		.ts = { .tv_sec = 1700000000 + i, .tv_usec = i * 1001 },
		.caplen = 14 + i % 1500,
		.len = 14 + i % 1500 + (i % 10 == 0),
	};
}

static int write_input(void **state)
{
	pcap_t *dead = pcap_open_dead_with_tstamp_precision(
		DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);
	int fd = mkstemp(input);
	pcap_dumper_t *dumper = pcap_dump_fopen(dead, fdopen(fd, "w"));

	(void)state;
	assert_non_null(dumper);
	for (unsigned i = 0; i < FRAMES; i++) {
		struct pcap_pkthdr header = header_of(i);
		uint8_t bytes[14 + 1500];

		memset(bytes, (int)i, sizeof(bytes));
		pcap_dump((u_char *)dumper, &header, bytes);
	}
	pcap_dump_close(dumper);
	pcap_close(dead);
	close(mkstemp(output));

	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(input);
	unlink(output);

	return 0;
}

static struct capture_settings settings_for(const struct writer_ops *format)
{
	return (struct capture_settings){
		.source = &source_savefile,
		.from = { .path = input },
		.format = format,
		.about = {
			.application = "test",
			.snaplen = 65535,
			.nanoseconds = true,
		},
		.queue_bytes = 16 * 1024 * 1024,
	};
}

static void assert_output(void)
{
	char reason[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline_with_tstamp_precision(
		output, PCAP_TSTAMP_PRECISION_NANO, reason);
	struct pcap_pkthdr *header;
	const u_char *bytes;

	assert_non_null(pcap);
	assert_int_equal(pcap_datalink(pcap), DLT_EN10MB);
	for (unsigned i = 0; i < FRAMES; i++) {
		struct pcap_pkthdr expect = header_of(i);

		assert_int_equal(pcap_next_ex(pcap, &header, &bytes), 1);
		assert_memory_equal(header, &expect, sizeof(expect));
		assert_int_equal(bytes[0], (uint8_t)i);
		assert_int_equal(bytes[header->caplen - 1], (uint8_t)i);
	}
	assert_int_equal(pcap_next_ex(pcap, &header, &bytes), PCAP_ERROR_BREAK);
	pcap_close(pcap);
}

static void copy_through(const struct capture_settings *settings)
{
	struct capture_result result;
	struct capture *capture;

	assert_int_equal(capture_open(settings, &capture), 0);
	assert_int_equal(
		capture_start(capture,
			      open(output, O_WRONLY | O_TRUNC | O_CLOEXEC)),
		0);
	assert_int_equal(capture_stop(capture, &result), 0);
	capture_free(capture);

	assert_int_equal(result.written, FRAMES);
	assert_int_equal(result.truncated, FRAMES / 10);
	assert_int_equal(result.dropped_ring, 0);
	assert_int_equal(result.dropped_queue, 0);
	assert_int_equal(result.lost, 0);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.interface_count, 1);
	assert_int_equal(result.interfaces[0].received, FRAMES);
	assert_output();
}

static void test_file_to_file(void **state)
{
	static const struct writer_ops *const formats[] = {
		&writer_pcap,
		&writer_pcapng,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct capture_settings settings = settings_for(formats[i]);

		copy_through(&settings);
	}
}

/* A queue smaller than the file makes the source wait, not lose. */
static void test_small_queue(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);

	(void)state;
	settings.queue_bytes = 32 * 1024;
	copy_through(&settings);
}

/* The program is held while the queue is full, but not any more by autostop. */
static void test_autostop_lets_go(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);
	struct capture_result result;
	struct capture *capture;
	struct pollfd enough;
	char told[65536];
	int ends[2];
	ssize_t size;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	settings.queue_bytes = 32 * 1024;
	settings.autostop.packets = 100;
	settings.freezer = (struct freezer){ FREEZER_CGROUP2, ends[1] };
	assert_int_equal(capture_open(&settings, &capture), 0);
	enough = (struct pollfd){ capture_enough_fd(capture), POLLIN, 0 };
	assert_int_equal(
		capture_start(capture,
			      open(output, O_WRONLY | O_TRUNC | O_CLOEXEC)),
		0);
	assert_int_equal(poll(&enough, 1, 5000), 1);
	size = read(ends[0], told, sizeof(told));
	assert_true(size < 0 || told[size - 1] == '0');
	assert_int_equal(capture_stop(capture, &result), 0);
	capture_free(capture);
	assert_true(read(ends[0], told, sizeof(told)) < 0);
	close(ends[0]);
	close(ends[1]);

	assert_int_equal(result.written, 100);
	assert_int_equal(result.left_out, FRAMES - 100);
}

static void test_write_error(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);
	struct capture_result result;
	struct capture *capture;
	struct pollfd told;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(capture_open(&settings, &capture), 0);
	told = (struct pollfd){ capture_error_fd(capture), POLLIN, 0 };
	assert_int_equal(capture_start(capture, ends[1]), 0);
	/* It cannot have written everything: a pipe takes 64 KiB. */
	close(ends[0]);
	assert_int_equal(poll(&told, 1, 5000), 1);
	assert_int_equal(capture_stop(capture, &result), -EPIPE);
	capture_free(capture);

	assert_int_equal(result.error, -EPIPE);
	assert_int_not_equal(result.lost, 0);
	assert_int_equal(result.written + result.lost, FRAMES);
}

/* A file that cannot even be begun. */
static void test_no_room_for_the_head(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);
	struct capture *capture;

	(void)state;
	assert_int_equal(capture_open(&settings, &capture), 0);
	assert_int_equal(
		capture_start(capture, open("/dev/full", O_WRONLY | O_CLOEXEC)),
		-ENOSPC);
	capture_free(capture);
}

/* What can still be read of a file that was cut is not lost. */
static void test_broken_input(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);
	struct capture_result result;
	struct capture *capture;

	(void)state;
	assert_int_equal(truncate(input, 24 + 16 + 14 + 16 + 3), 0);
	assert_int_equal(capture_open(&settings, &capture), 0);
	assert_int_equal(
		capture_start(capture, open(output, O_WRONLY | O_CLOEXEC)), 0);
	assert_int_equal(capture_stop(capture, &result), -EIO);
	capture_free(capture);
	assert_int_equal(result.written, 1);
}

static char said[1024];

static void hear(enum log_level level, const char *line, void *context)
{
	(void)level;
	(void)context;
	snprintf(said, sizeof(said), "%s", line);
}

static void test_no_such_file(void **state)
{
	struct capture_settings settings = settings_for(&writer_pcap);
	struct capture *capture;

	(void)state;
	settings.from.path = "/no/such/file";
	log_set_sink(hear, NULL);
	assert_true(capture_open(&settings, &capture) < 0);
	log_set_sink(NULL, NULL);
	assert_non_null(strstr(said, "nsntrace: cannot read /no/such/file: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_to_file),
		cmocka_unit_test(test_small_queue),
		cmocka_unit_test(test_autostop_lets_go),
		cmocka_unit_test(test_write_error),
		cmocka_unit_test(test_no_room_for_the_head),
		cmocka_unit_test(test_broken_input),
		cmocka_unit_test(test_no_such_file),
	};

	signal(SIGPIPE, SIG_IGN);

	return cmocka_run_group_tests(tests, write_input, remove_files);
}
