/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filter of a socket that hears every interface of a namespace: which of
 * them are captured, and that on lo, where each packet passes twice, only its
 * coming back counts. All before the instructions of the user's own filter, so
 * that what is unwanted never enters the ring or the kernel's counts.
 */
#include "capture/prologue.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* What the kernel knows of a packet, at a place where no packet has a byte. */
#define ANCILLARY(what) ((uint32_t)(SKF_AD_OFF + (what)))

/*
 * Write to @program, which has room for BPF_MAXINSNS instructions, @filter
 * behind what picks the packets of @interfaces (at most INTERFACES_MAX), or
 * what keeps @snaplen bytes of each if there is no filter.
 *
 * Returns the number of instructions, or -E2BIG.
 */
int prologue_prepend(const struct prologue_interface *interfaces,
		     unsigned count, const struct capture_filter *filter,
		     uint32_t snaplen, struct sock_filter *program)
{
	const struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, snaplen);
	const struct sock_filter begin =
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANCILLARY(SKF_AD_IFINDEX));
	const struct sock_filter end[] = {
		BPF_STMT(BPF_RET | BPF_K, 0),
		/* On lo. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ANCILLARY(SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		/* Wanted: as a filter that stands alone would find it. */
		BPF_STMT(BPF_LD | BPF_IMM, 0),
	};
	const unsigned on_loopback = 1, wanted = ARRAY_SIZE(end) - 1;
	const unsigned head = 1 + count + ARRAY_SIZE(end);
	const unsigned own = filter->count ? filter->count : 1;

	if (head + own > BPF_MAXINSNS)
		return -E2BIG;

	*program++ = begin;
	for (unsigned i = 0; i < count; i++) {
		unsigned to = interfaces[i].loopback ? on_loopback : wanted;

		/* Over the interfaces that follow. */
		*program++ = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, interfaces[i].index,
			(uint8_t)(count - i - 1 + to), 0);
	}
	memcpy(program, end, sizeof(end));
	memcpy(program + ARRAY_SIZE(end),
	       filter->count ? filter->instructions : &all,
	       own * sizeof(*program));

	return (int)(head + own);
}
