/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pcapng capture file, as draft-ietf-opsawg-pcapng has it: one section with
 * its interfaces, packets with direction and nanoseconds, counts at the end.
 * All integers are in the machine's order, which readers tell from the section
 * header. Names in capitals are the draft's.
 */
#include "capture/writer.h"

#include <string.h>

enum block_type {
	INTERFACE_DESCRIPTION_BLOCK = 0x00000001,
	INTERFACE_STATISTICS_BLOCK = 0x00000005,
	ENHANCED_PACKET_BLOCK = 0x00000006,
	SECTION_HEADER_BLOCK = 0x0a0d0d0a,
};

/* Each kind of block numbers its options for itself. */
enum option_code {
	OPT_ENDOFOPT = 0,

	SHB_HARDWARE = 2,
	SHB_OS = 3,
	SHB_USERAPPL = 4,

	IF_NAME = 2,
	IF_MACADDR = 6,
	IF_TSRESOL = 9,
	IF_FILTER = 11,

	EPB_FLAGS = 2,

	ISB_STARTTIME = 2,
	ISB_ENDTIME = 3,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5,
	ISB_FILTERACCEPT = 6,
	ISB_OSDROP = 7,
	ISB_USRDELIV = 8,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define SECTION_MAJOR	 1
#define SECTION_MINOR	 0

/* The section ends with the file; its length is not known when it begins. */
#define SECTION_LENGTH_UNKNOWN UINT64_MAX

#define TSRESOL_NANOSECONDS 9 /* the tenth power, negated */
#define FILTER_STRING	    0 /* an expression, not instructions */

/* A block or an option, from where it begins to where its length belongs. */
#define BLOCK_LENGTH_OFFSET  4
#define OPTION_LENGTH_OFFSET 2
#define OPTION_VALUE_OFFSET  4

#define ALIGNMENT 4

static const uint8_t zeros[ALIGNMENT];

/* An enhanced packet block, but for the packet and its padding. */
struct epb_head {
	uint32_t type;
	uint32_t length; /* of the block; once more at its end */
	uint32_t interface;
	uint32_t time_high;
	uint32_t time_low;
	uint32_t caplen;
	uint32_t len;
};

struct epb_tail {
	uint16_t flags_code;
	uint16_t flags_length;
	uint32_t flags;
	uint16_t end_code;
	uint16_t end_length;
	uint32_t length;
};

/*
 * Begin a block; all that is appended up to block_end() belongs to it. Returns
 * where it begins.
 */
static size_t block_begin(struct buf *buf, enum block_type type)
{
	size_t start = buf->used;

	buf_u32(buf, type);
	buf_u32(buf, 0); /* the length: block_end() knows it */

	return start;
}

/* End the block that begins at @start: its length goes to both ends of it. */
static void block_end(struct buf *buf, size_t start)
{
	uint32_t length = (uint32_t)(buf->used - start + sizeof(length));

	buf_u32(buf, length);
	memcpy(buf->bytes + start + BLOCK_LENGTH_OFFSET, &length,
	       sizeof(length));
}

/* As block_begin(), for an option. */
static size_t option_begin(struct buf *buf, enum option_code code)
{
	size_t start = buf->used;

	buf_u16(buf, (uint16_t)code);
	buf_u16(buf, 0);

	return start;
}

/*
 * End the option that begins at @start. One that is longer than its length can
 * say is left out: half of a filter would be another filter.
 */
static void option_end(struct buf *buf, size_t start)
{
	size_t size = buf->used - start - OPTION_VALUE_OFFSET;
	uint16_t length = (uint16_t)size;

	if (size > UINT16_MAX) {
		buf->used = start;
		return;
	}

	memcpy(buf->bytes + start + OPTION_LENGTH_OFFSET, &length,
	       sizeof(length));
	/* By its own size: not all that precedes it in the file is in @buf. */
	buf_append(buf, zeros, -size % ALIGNMENT);
}

static void option(struct buf *buf, enum option_code code, const void *value,
		   size_t size)
{
	size_t start = option_begin(buf, code);

	buf_append(buf, value, size);
	option_end(buf, start);
}

static void option_string(struct buf *buf, enum option_code code,
			  const char *string)
{
	if (string)
		option(buf, code, string, strlen(string));
}

static void option_count(struct buf *buf, enum option_code code, uint64_t count)
{
	option(buf, code, &count, sizeof(count));
}

/* Times have their upper half first, whatever the order of bytes. */
static void timestamp(struct buf *buf, uint64_t time)
{
	buf_u32(buf, (uint32_t)(time >> 32));
	buf_u32(buf, (uint32_t)time);
}

static void option_time(struct buf *buf, enum option_code code, uint64_t time)
{
	size_t start = option_begin(buf, code);

	timestamp(buf, time);
	option_end(buf, start);
}

static void option_filter(struct buf *buf, const char *expression)
{
	size_t start = option_begin(buf, IF_FILTER);

	buf_u8(buf, FILTER_STRING);
	buf_string(buf, expression);
	option_end(buf, start);
}

static void pcapng_open(struct writer *writer)
{
	struct buf *buf = &writer->buf;
	size_t shb = block_begin(buf, SECTION_HEADER_BLOCK);

	buf_u32(buf, BYTE_ORDER_MAGIC);
	buf_u16(buf, SECTION_MAJOR);
	buf_u16(buf, SECTION_MINOR);
	buf_u64(buf, SECTION_LENGTH_UNKNOWN);
	option_string(buf, SHB_HARDWARE, writer->about.hardware);
	option_string(buf, SHB_OS, writer->about.os);
	option_string(buf, SHB_USERAPPL, writer->about.application);
	option(buf, OPT_ENDOFOPT, NULL, 0);
	block_end(buf, shb);
}

/*
 * The snaplen is that of the section, not of the interface: libpcap refuses a
 * file whose interfaces differ in it.
 */
static void pcapng_interface(struct writer *writer,
			     const struct capture_interface *interface)
{
	static const uint8_t mac_unknown[sizeof(interface->mac)];
	static const uint8_t resolution = TSRESOL_NANOSECONDS;
	struct buf *buf = &writer->buf;
	size_t idb = block_begin(buf, INTERFACE_DESCRIPTION_BLOCK);

	buf_u16(buf, interface->link_type);
	buf_u16(buf, 0); /* reserved */
	buf_u32(buf, writer->about.snaplen);
	option_string(buf, IF_NAME, interface->name);
	if (memcmp(interface->mac, mac_unknown, sizeof(mac_unknown)) != 0)
		option(buf, IF_MACADDR, interface->mac, sizeof(interface->mac));
	option(buf, IF_TSRESOL, &resolution, sizeof(resolution));
	if (writer->about.filter)
		option_filter(buf, writer->about.filter);
	option(buf, OPT_ENDOFOPT, NULL, 0);
	block_end(buf, idb);
}

/* A packet is written so often that its block is made in two strokes. */
static void pcapng_packet(struct writer *writer, const struct frame *frame)
{
	size_t padding = -frame->caplen % ALIGNMENT;
	const struct epb_head head = {
		.type = ENHANCED_PACKET_BLOCK,
		.length = (uint32_t)(sizeof(struct epb_head) + frame->caplen +
				     padding + sizeof(struct epb_tail)),
		.interface = frame->interface,
		.time_high = (uint32_t)(frame->time >> 32),
		.time_low = (uint32_t)frame->time,
		.caplen = frame->caplen,
		.len = frame->len,
	};
	const struct epb_tail tail = {
		.flags_code = EPB_FLAGS,
		.flags_length = sizeof(tail.flags),
		.flags = frame->direction, /* bits 0 and 1; no others are set */
		.end_code = OPT_ENDOFOPT,
		.length = head.length,
	};

	buf_append(&writer->buf, &head, sizeof(head));
	writer_frame_bytes(writer, frame);
	buf_append(&writer->buf, zeros, padding);
	buf_append(&writer->buf, &tail, sizeof(tail));
}

/*
 * Three counters that know nothing of each other: of the interface (unknown
 * where there is none), of the kernel's ring, whose drops are the operating
 * system's, and of the packets in this file. Of several files only the last
 * tells the first two, which are of the whole run.
 */
static void pcapng_statistics(struct writer *writer, unsigned interface,
			      const struct writer_statistics *statistics)
{
	struct buf *buf = &writer->buf;
	size_t isb = block_begin(buf, INTERFACE_STATISTICS_BLOCK);

	buf_u32(buf, interface);
	timestamp(buf, statistics->end);
	option_time(buf, ISB_STARTTIME, statistics->start);
	option_time(buf, ISB_ENDTIME, statistics->end);
	if (statistics->interface.known) {
		option_count(buf, ISB_IFRECV, statistics->interface.received);
		option_count(buf, ISB_IFDROP, statistics->interface.dropped);
	}
	if (!statistics->partial) {
		option_count(buf, ISB_FILTERACCEPT, statistics->received);
		option_count(buf, ISB_OSDROP, statistics->dropped);
	}
	option_count(buf, ISB_USRDELIV, writer->delivered[interface]);
	option(buf, OPT_ENDOFOPT, NULL, 0);
	block_end(buf, isb);
}

const struct writer_ops writer_pcapng = {
	.name = "pcapng",
	.open = pcapng_open,
	.interface = pcapng_interface,
	.packet = pcapng_packet,
	.statistics = pcapng_statistics,
};
