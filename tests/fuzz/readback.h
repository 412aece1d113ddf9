/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the fuzzers of the capture: their input, and capture files in memory read
 * back by libpcap. Built for libFuzzer they need
 * -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION; without, they replay the files
 * that are their arguments.
 */
#ifndef NSNTRACE_TESTS_READBACK_H
#define NSNTRACE_TESTS_READBACK_H

#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture/writer.h"

#define SNAPLEN	    4096
#define FRAMES_MAX  256
#define NANOSECONDS 1000000000U

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .link_type = 1 },
	{ .name = "lo", .link_type = 1 },
};

#define CHECK(condition)                                                 \
	do {                                                             \
		if (!(condition)) {                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				__LINE__, #condition);                   \
			abort();                                         \
		}                                                        \
	} while (0)

/* The fuzzer's bytes; zeros follow. */
struct input {
	const uint8_t *bytes;
	size_t size;
};

static inline void take(struct input *input, void *value, size_t size)
{
	size_t there = size < input->size ? size : input->size;

	memset(value, 0, size);
	if (there)
		memcpy(value, input->bytes, there);
	input->bytes += there;
	input->size -= there;
}

/* Only pcapng has more than 32 bits of seconds, only nano all the rest. */
static inline void check_time(const struct timeval *got, uint64_t time,
			      bool pcapng, bool nanoseconds)
{
	uint64_t seconds = time / NANOSECONDS;
	uint64_t rest = time % NANOSECONDS;

	if (pcapng)
		CHECK((uint64_t)got->tv_sec == seconds);
	else
		CHECK((uint32_t)got->tv_sec == (uint32_t)seconds);
	CHECK((uint64_t)got->tv_usec ==
	      (nanoseconds ? rest : rest / 1000 * 1000));
}

/* The file @fd, which is closed, holds these packets and no more. */
static inline void check_file(int fd, bool pcapng, bool nanoseconds,
			      struct frame *const *frames, unsigned count)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	struct pcap_pkthdr *header;
	const u_char *bytes;
	FILE *file;
	pcap_t *pcap;

	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	file = fdopen(fd, "r");
	CHECK(file);
	pcap = pcap_fopen_offline_with_tstamp_precision(
		file, PCAP_TSTAMP_PRECISION_NANO, error);
	CHECK(pcap);
	CHECK(pcap_datalink(pcap) == DLT_EN10MB);
	CHECK(pcap_snapshot(pcap) == SNAPLEN);
	CHECK(!pcap_is_swapped(pcap));
	for (unsigned i = 0; i < count; i++) {
		const struct frame *frame = frames[i];

		CHECK(pcap_next_ex(pcap, &header, &bytes) == 1);
		CHECK(header->caplen == frame->caplen);
		CHECK(header->len == frame->len);
		CHECK(memcmp(bytes, frame->bytes, frame->caplen) == 0);
		check_time(&header->ts, frame->time, pcapng,
			   nanoseconds || pcapng);
	}
	CHECK(pcap_next_ex(pcap, &header, &bytes) == PCAP_ERROR_BREAK);
	pcap_close(pcap); /* and the file */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "re");
		struct buf input = { 0 };
		size_t size = 65536;

		CHECK(file);
		while (fread(buf_reserve(&input, size), 1, size, file) == size)
			;
		input.used = (size_t)ftell(file);
		CHECK(!ferror(file));
		fclose(file);
		LLVMFuzzerTestOneInput(input.bytes, input.used);
		buf_free(&input);
	}

	return argc > 1 ? 0 : 2;
}
#endif

#endif
