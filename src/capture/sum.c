/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arithmetic of checksums: the one's complement sum of the Internet, at the
 * speed of memory, and the CRC of SCTP. Knows no packets.
 */
#include "capture/sum.h"

#include <string.h>

/* Every processor of ours has vectors of 16 bytes. */
typedef uint64_t vector __attribute__((vector_size(16)));

/*
 * The sum of @bytes as words of 32 bits in the machine's order, an odd end
 * filled up with zeros. The order of a sum's bytes is that of its words, and
 * words may be wider than 16 bits, see RFC 1071 section 2; sums of pieces can
 * be added if all but the last are of even size. Never overflows below 2^32
 * words.
 */
uint64_t sum_bytes(const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	vector low = { 0 };
	vector high = { 0 };
	vector rest = { 0 };

	/* Written so that it is five instructions, without carries. */
	for (; size >= sizeof(vector); size -= sizeof(vector)) {
		vector words;

		memcpy(&words, next, sizeof(words));
		low += words & UINT32_MAX;
		high += words >> 32;
		next += sizeof(words);
	}
	memcpy(&rest, next, size);
	low += rest & UINT32_MAX;
	high += rest >> 32;
	low += high;

	return low[0] + low[1];
}

/*
 * Fold a sum to 16 bits, carries added in at the low end: 0 if all that was
 * summed is 0, else 1 to 0xffff. Still in the machine's order: stored as it is,
 * it is right on the wire.
 */
uint16_t sum_fold(uint64_t sum)
{
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);

	return (uint16_t)sum;
}

/* CRC32c of each half byte, for the polynomial 0x82f63b78. */
static const uint32_t crc32c[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

/* The CRC of RFC 9260, appendix A; on the wire its low byte comes first. */
uint32_t sum_crc32c(const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	uint32_t crc = UINT32_MAX;

	while (size--) {
		crc ^= *next++;
		crc = crc >> 4 ^ crc32c[crc & 15];
		crc = crc >> 4 ^ crc32c[crc & 15];
	}

	return ~crc;
}
