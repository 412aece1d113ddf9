/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random frames through both writers into a file in memory, read back by
 * libpcap: every packet must come out as it went in. Built for libFuzzer it
 * needs -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION; without, it replays the
 * files that are its arguments.
 */
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
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

static void take(struct input *input, void *value, size_t size)
{
	size_t there = size < input->size ? size : input->size;

	memset(value, 0, size);
	if (there)
		memcpy(value, input->bytes, there);
	input->bytes += there;
	input->size -= there;
}

static struct frame *take_frame(struct input *input)
{
	struct frame *frame;
	uint16_t caplen, more;
	uint8_t where;
	uint64_t time;

	take(input, &caplen, sizeof(caplen));
	caplen %= SNAPLEN + 1;
	frame = xcalloc(1, sizeof(*frame) + caplen);
	take(input, &time, sizeof(time));
	take(input, &more, sizeof(more));
	take(input, &where, sizeof(where));
	take(input, frame->bytes, caplen);
	frame->time = time;
	frame->caplen = caplen;
	frame->len = caplen + (uint32_t)more;
	frame->interface = where & 1;
	frame->direction = (where >> 1) % (DIRECTION_OUTBOUND + 1);

	return frame;
}

/* Write all frames and return the file, which is open for reading. */
static FILE *write_file(const struct writer_ops *ops, bool nanoseconds,
			bool flush, struct frame *const *frames, unsigned count)
{
	const struct writer_about about = {
		.application = "fuzz",
		.snaplen = SNAPLEN,
		.nanoseconds = nanoseconds,
	};
	const struct writer_statistics statistics = { .received = count };
	int fd = memfd_create("capture", MFD_CLOEXEC);
	struct writer writer;
	FILE *file;

	CHECK(writer_open(&writer, ops, dup(fd), &about, interfaces, 2) == 0);
	for (unsigned i = 0; i < count; i++) {
		CHECK(writer_packet(&writer, frames[i]) == 0);
		if (flush)
			CHECK(writer_flush(&writer) == 0);
	}
	CHECK(writer_statistics(&writer, 0, &statistics) == 0);
	CHECK(writer_close(&writer) == 0);
	CHECK(writer.written == count && writer.lost == 0);
	CHECK(writer.bytes == (uint64_t)lseek(fd, 0, SEEK_END));

	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	file = fdopen(fd, "r");
	CHECK(file);

	return file;
}

/* Only pcapng has more than 32 bits of seconds, only nano all the rest. */
static void check_time(const struct timeval *got, uint64_t time, bool pcapng,
		       bool nanoseconds)
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

static void check_file(const struct writer_ops *ops, bool nanoseconds,
		       bool flush, struct frame *const *frames, unsigned count)
{
	bool pcapng = ops == &writer_pcapng;
	FILE *file = write_file(ops, nanoseconds, flush, frames, count);
	char error[PCAP_ERRBUF_SIZE] = "";
	struct pcap_pkthdr *header;
	const u_char *bytes;
	pcap_t *pcap;

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { .bytes = bytes, .size = size };
	struct frame *frames[FRAMES_MAX] = { NULL };
	unsigned count = 0;
	uint8_t how;

	take(&input, &how, sizeof(how));
	while (input.size && count < FRAMES_MAX)
		frames[count++] = take_frame(&input);

	check_file(&writer_pcap, how & 1, how & 2, frames, count);
	check_file(&writer_pcapng, how & 1, how & 2, frames, count);
	while (count)
		free(frames[--count]);

	return 0;
}

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
