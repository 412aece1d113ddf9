/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The classic capture file, as draft-ietf-opsawg-pcap has it: one header, then
 * packets. It knows one link type, no interfaces and no counts. All integers
 * are in the machine's order, which readers tell from the magic number.
 */
#include "capture/writer.h"

#define PCAP_MAGIC_MICRO 0xa1b2c3d4
#define PCAP_MAGIC_NANO	 0xa1b23c4d
#define PCAP_MAJOR	 2
#define PCAP_MINOR	 4

#define NANOSECONDS 1000000000

struct pcap_packet {
	uint32_t seconds;
	uint32_t fraction; /* micro- or nanoseconds, as the magic says */
	uint32_t caplen;
	uint32_t len;
};

/*
 * The header names the link type, hence it waits for an interface. One is
 * enough: Linux shows lo as Ethernet too.
 */
static void pcap_interface(struct writer *writer,
			   const struct capture_interface *interface)
{
	struct buf *buf = &writer->buf;

	if (buf->used)
		return;

	buf_u32(buf,
		writer->about.nanoseconds ? PCAP_MAGIC_NANO : PCAP_MAGIC_MICRO);
	buf_u16(buf, PCAP_MAJOR);
	buf_u16(buf, PCAP_MINOR);
	buf_u32(buf, 0); /* once the time zone */
	buf_u32(buf, 0); /* once the accuracy of the times */
	buf_u32(buf, writer->about.snaplen);
	buf_u32(buf, interface->link_type);
}

/* Seconds have 32 bits here, and are read as unsigned: until the year 2106. */
static void pcap_packet(struct writer *writer, const struct frame *frame)
{
	uint32_t fraction = (uint32_t)(frame->time % NANOSECONDS);
	struct pcap_packet packet = {
		.seconds = (uint32_t)(frame->time / NANOSECONDS),
		.fraction =
			writer->about.nanoseconds ? fraction : fraction / 1000,
		.caplen = frame->caplen,
		.len = frame->len,
	};

	buf_append(&writer->buf, &packet, sizeof(packet));
	writer_frame_bytes(writer, frame);
}

const struct writer_ops writer_pcap = {
	.name = "pcap",
	.interface = pcap_interface,
	.packet = pcap_packet,
};
