/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage that completes checksums. For a device with offloads, and veth and
 * lo pretend to have them all, the kernel leaves the checksum of a TCP or UDP
 * packet open: the field holds the folded sum of the pseudo-header, the rest is
 * added where the packet leaves the machine. Here it is added for the file.
 *
 * Whether it is open is read off the field itself, as not every source can tell
 * and as the mark of the kernel does not tell which one of a packet's headers
 * it means. A correct checksum of that very value comes out as it went in: both
 * make the same sum. So only of packets that are corrupt on their way, and only
 * of those that the source cannot tell apart, one in 65536 comes out correct.
 *
 * The bytes are foreign, so nothing is believed about lengths. Left as they
 * are: packets that are not whole (fragments, frames cut by the snaplen), and
 * what is within another packet, but for IP in IP.
 */
#include "capture/checksum.h"

#include <endian.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#include "capture/sum.h"

/* Link types, in the numbers of capture files. */
#define LINK_ETHERNET 1
#define LINK_RAW      101

#define ETHERTYPE_QINQ	   0x88a8
#define ETHERTYPE_OLD_QINQ 0x9100

/* Options of IPv4 that lead a packet over other addresses. */
#define OPTION_END  0
#define OPTION_NOP  1
#define OPTION_LSRR 131
#define OPTION_SSRR 137

/* The type of IPv6 routing header that has its last address first. */
#define ROUTING_SEGMENTS 4

/* What is left of a frame, from the outside in. */
struct packet {
	uint8_t *bytes;
	size_t size;
	uint8_t protocol; /* of what comes next */
	uint64_t source;  /* sums of the addresses */
	uint64_t destination;
};

/* A number as it is on the wire. */
static unsigned number(const uint8_t *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* sum_bytes() for what is as short and known as the size of an address. */
static inline uint64_t sum_address(const uint8_t *address, size_t size)
{
	uint64_t sum = 0;
	uint32_t word;

	for (size_t i = 0; i < size; i += sizeof(word)) {
		memcpy(&word, address + i, sizeof(word));
		sum += word;
	}

	return sum;
}

static bool skip(struct packet *packet, size_t size)
{
	if (size > packet->size)
		return false;

	packet->bytes += size;
	packet->size -= size;

	return true;
}

/*
 * Where the options lead the packet over other hosts, the last one of these is
 * the destination for TCP and UDP.
 */
static void follow_source_route(struct packet *packet, size_t header)
{
	size_t i = 20;

	while (i < header && packet->bytes[i] != OPTION_END) {
		const uint8_t *option = packet->bytes + i;
		size_t size;

		if (*option == OPTION_NOP) {
			i++;
			continue;
		}
		if (header - i < 2 || option[1] < 2 || option[1] > header - i)
			return;
		size = option[1];
		if ((*option == OPTION_LSRR || *option == OPTION_SSRR) &&
		    size >= 7 && option[2] < size)
			packet->destination = sum_address(option + size - 4, 4);
		i += size;
	}
}

static bool enter_ipv4(struct packet *packet)
{
	const uint8_t *ip = packet->bytes;
	size_t header, total;

	if (packet->size < 20 || *ip >> 4 != 4)
		return false;
	header = (*ip & 15UL) * 4;
	/* Beyond 64 KiB (BIG TCP) there is no length but the frame's. */
	total = number(ip + 2) ? number(ip + 2) : packet->size;
	if (header < 20 || header > total || total > packet->size)
		return false;
	/* More fragments follow, or came before. */
	if (number(ip + 6) & 0x3fff)
		return false;

	packet->size = total;
	packet->protocol = ip[9];
	packet->source = sum_address(ip + 12, 4);
	packet->destination = sum_address(ip + 16, 4);
	follow_source_route(packet, header);

	return skip(packet, header);
}

static bool enter_ipv6(struct packet *packet)
{
	const uint8_t *ip = packet->bytes;
	size_t payload;

	if (packet->size < 40 || *ip >> 4 != 6)
		return false;
	/* A jumbogram, or BIG TCP: there is no length but the frame's. */
	payload = number(ip + 4) ? number(ip + 4) : packet->size - 40;
	if (payload > packet->size - 40)
		return false;

	packet->size = 40 + payload;
	packet->protocol = ip[6];
	packet->source = sum_address(ip + 8, 16);
	packet->destination = sum_address(ip + 24, 16);

	return skip(packet, 40);
}

/* Any extension header that tells its length. */
static bool enter_options(struct packet *packet)
{
	if (packet->size < 8)
		return false;
	packet->protocol = packet->bytes[0];

	return skip(packet, (packet->bytes[1] + 1UL) * 8);
}

/* While there are segments left, the header holds the final destination. */
static bool enter_routing(struct packet *packet)
{
	const uint8_t *routing = packet->bytes;
	const uint8_t *final = routing + 8;

	if (!enter_options(packet))
		return false;
	if (!routing[3])
		return true;
	if (packet->bytes - routing < 24)
		return false;
	if (routing[2] != ROUTING_SEGMENTS)
		final = packet->bytes - 16;
	packet->destination = sum_address(final, 16);

	return true;
}

/* A packet that is the only fragment of itself is whole. */
static bool enter_fragment(struct packet *packet)
{
	if (packet->size < 8 || number(packet->bytes + 2) & 0xfff9)
		return false;
	packet->protocol = packet->bytes[0];

	return skip(packet, 8);
}

/*
 * Complete the checksum at @field, if it is open. A sum of 0 is written as its
 * twin for UDP, where 0 means that there is none (RFC 768). For TCP it stays 0:
 * the twin is no sum of anything (RFC 1624), and Wireshark takes it for wrong.
 */
static void complete(const struct packet *packet, size_t size, uint8_t *field)
{
	uint16_t open =
		sum_fold(packet->source + packet->destination +
			 htobe16(packet->protocol) + htobe32((uint32_t)size));
	uint16_t sum;

	if (memcmp(field, &open, sizeof(open)) != 0)
		return;

	sum = (uint16_t)~sum_fold(sum_bytes(packet->bytes, size));
	if (!sum && packet->protocol == IPPROTO_UDP)
		sum = UINT16_MAX;
	memcpy(field, &sum, sizeof(sum));
}

static bool complete_tcp(struct packet *packet)
{
	if (packet->size >= 20)
		complete(packet, packet->size, packet->bytes + 16);

	return false;
}

static bool complete_udp(struct packet *packet)
{
	size_t size;

	if (packet->size < 8)
		return false;
	size = number(packet->bytes + 4);
	if (size >= 8 && size <= packet->size)
		complete(packet, size, packet->bytes + 6);

	return false;
}

/* It has no pseudo-header: what is open is 0. */
static bool complete_sctp(struct packet *packet)
{
	static const uint8_t open[4];
	uint8_t *field = packet->bytes + 8;
	uint32_t crc;

	if (packet->size < 12 || memcmp(field, open, sizeof(open)) != 0)
		return false;

	crc = htole32(sum_crc32c(packet->bytes, packet->size));
	memcpy(field, &crc, sizeof(crc));

	return false;
}

/* What to do at each protocol; returns whether to go on with the next one. */
static bool (*const steps[UINT8_MAX + 1])(struct packet *packet) = {
	[IPPROTO_HOPOPTS] = enter_options,   [IPPROTO_IPIP] = enter_ipv4,
	[IPPROTO_TCP] = complete_tcp,	     [IPPROTO_UDP] = complete_udp,
	[IPPROTO_IPV6] = enter_ipv6,	     [IPPROTO_ROUTING] = enter_routing,
	[IPPROTO_FRAGMENT] = enter_fragment, [IPPROTO_DSTOPTS] = enter_options,
	[IPPROTO_SCTP] = complete_sctp,
};

static bool is_tag(unsigned type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ ||
	       type == ETHERTYPE_OLD_QINQ;
}

static bool enter_ethernet(struct packet *packet)
{
	unsigned type;

	if (!skip(packet, 12))
		return false;
	while (packet->size >= 2 && is_tag(number(packet->bytes)))
		if (!skip(packet, 4))
			return false;
	if (packet->size < 2)
		return false;
	type = number(packet->bytes);
	skip(packet, 2);

	return type == ETHERTYPE_IP || type == ETHERTYPE_IPV6;
}

static void complete_frame(struct packet *packet, uint16_t link_type)
{
	bool (*step)(struct packet * packet);

	if (link_type == LINK_ETHERNET && !enter_ethernet(packet))
		return;
	if (!packet->size)
		return;
	step = *packet->bytes >> 4 == 4 ? enter_ipv4 : enter_ipv6;
	while (step && step(packet))
		step = steps[packet->protocol];
}

static void checksum_frame(struct stage *stage, struct frame *frame)
{
	struct checksum_stage *checksum = (struct checksum_stage *)stage;
	struct packet packet = { .bytes = frame->bytes, .size = frame->len };
	uint16_t link_type = checksum->interfaces[frame->interface].link_type;

	if (frame->checksum != CHECKSUM_FILLED && frame->caplen == frame->len &&
	    (link_type == LINK_ETHERNET || link_type == LINK_RAW))
		complete_frame(&packet, link_type);

	stage_frame(stage->next, frame);
}

static const struct stage_ops checksum_ops = { .frame = checksum_frame };

/*
 * Hand on all frames to @next with their checksums complete. The @interfaces
 * are those that frames index; they stay the caller's, as @next does.
 */
void checksum_init(struct checksum_stage *checksum,
		   const struct capture_interface *interfaces,
		   struct stage *next)
{
	*checksum = (struct checksum_stage){
		.stage = { .ops = &checksum_ops, .next = next },
		.interfaces = interfaces,
	};
}
