/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of Linux, their checksums open, and what tests make of them. Include
 * it after <cmocka.h> and what that needs.
 */
#ifndef NSNTRACE_TESTS_FRAMES_H
#define NSNTRACE_TESTS_FRAMES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "capture/frame.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define ETHERNET 14
#define IPV4	 20
#define IPV6	 40

/* Offsets of fields from the start of the frame, where it has no tags. */
#define IPV4_TOTAL    (ETHERNET + 2)
#define IPV4_FRAGMENT (ETHERNET + 6)
#define IPV4_PROTOCOL (ETHERNET + 9)
#define IPV6_PAYLOAD  (ETHERNET + 4)
#define IPV6_NEXT     (ETHERNET + 6)
#define IPV6_TO	      (ETHERNET + 24)

/* Frames of Linux 6.18 on veth and lo, and the checksums that they want. */
struct sample {
	const char *hex;
	size_t field;
	uint16_t right;
};

/* clang-format off */
static const struct sample tcp4 = {
	"02000000000b7225c1eae2210800"
	"4500003c20f64000400605b20a0900010a090002"
	"c03c0050fed132ce00000000a002faf014430000"
	"020405b40402080aafb5bab1000000000103030a", 50, 0xdc63 };
static const struct sample tcp6 = {
	"02000000000b7225c1eae22186dd"
	"6000a68c00280640"
	"20010db800090000000000000000000120010db8000900000000000000000002"
	"a0de00507699c4ea00000000a002fd205bb50000"
	"020405a00402080aacb09671000000000103030a", 70, 0xcf94 };
static const struct sample tcp4_odd = {
	"0000000000000000000000000800"
	"45000039ce2c400040066e907f0000017f000001"
	"b992a9b7772512d1973f5d8e80180040fe2d0000"
	"0101080ab8bcf955b214cedd68656c6c6f", 50, 0x1f88 };
static const struct sample udp4 = {
	"02000000000b7225c1eae2210800"
	"4500001fae014000401178b80a0900010a090002"
	"c4ba0009000b14316f6464", 40, 0x539b };
static const struct sample udp6 = {
	"02000000000b7225c1eae22186dd"
	"600e925a000b1140"
	"20010db800090000000000000000000120010db8000900000000000000000002"
	"8c030009000b5ba36f6464", 60, 0x44e0 };
static const struct sample record_route = {
	"02000000000b7225c1eae2210800"
	"4700004434db40004006d6b30a0900010a0900020707080a09000100"
	"c03e0050f8a7fe7f00000000a002faf014430000"
	"020405b40402080ad284080e000000000103030a", 58, 0xa6ae };
static const struct sample source_route = {
	"02000000000b7225c1eae2210800"
	"47000044ed1a400040065a730a0900010a0900028307040a09004d00"
	"b8b20050be8da32f00000000a002faf0148e0000"
	"020405b40402080a2f202ece000000000103030a", 58, 0xbffe };
static const struct sample options6 = {
	"02000000000b7225c1eae22186dd"
	"6005d1c200380040"
	"20010db800090000000000000000000120010db8000900000000000000000002"
	"3c000104000000000600010400000000"
	"a0ec00506b11932000000000a002fd205bb50000"
	"020405a00402080a38c7a414000000000103030a", 86, 0x731f };
static const struct sample segments6 = {
	"02000000000b7225c1eae22186dd"
	"600c967300502b40"
	"20010db800090000000000000000000120010db8000900000000000000000002"
	"0604040101000000"
	"20010db800090000000000000000007720010db8000900000000000000000002"
	"e28600508488522700000000a002fd205c2a0000"
	"020405a00402080a00269f0a000000000103030a", 110, 0x963d };
/* clang-format on */

static const struct sample *const samples[] = {
	&tcp4,	       &tcp6,	      &tcp4_odd, &udp4,	     &udp6,
	&record_route, &source_route, &options6, &segments6,
};

static inline struct frame *frame_of(const void *bytes, size_t size)
{
	struct frame *frame = xcalloc(1, sizeof(*frame) + size);

	frame->caplen = (uint32_t)size;
	frame->len = (uint32_t)size;
	if (bytes)
		memcpy(frame->bytes, bytes, size);

	return frame;
}

static inline struct frame *frame_from(const struct sample *sample)
{
	struct frame *frame = frame_of(NULL, strlen(sample->hex) / 2);

	for (size_t i = 0; i < frame->len; i++) {
		char digits[3] = { sample->hex[2 * i], sample->hex[2 * i + 1] };

		frame->bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
	}

	return frame;
}

/* What becomes of @frame with @size bytes put in at @at. */
static inline struct frame *insert(struct frame *frame, size_t at,
				   const void *bytes, size_t size)
{
	struct frame *longer = frame_of(NULL, frame->len + size);

	memcpy(longer->bytes, frame->bytes, at);
	memcpy(longer->bytes + at, bytes, size);
	memcpy(longer->bytes + at + size, frame->bytes + at, frame->len - at);
	free(frame);

	return longer;
}

static inline uint16_t get(const struct frame *frame, size_t at)
{
	return (uint16_t)(frame->bytes[at] << 8 | frame->bytes[at + 1]);
}

static inline void put(struct frame *frame, size_t at, size_t value)
{
	frame->bytes[at] = (uint8_t)(value >> 8);
	frame->bytes[at + 1] = (uint8_t)value;
}

/* The sum as one would do it by hand. */
static inline uint16_t plain_sum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}

	return (uint16_t)sum;
}

#endif
