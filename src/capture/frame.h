/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_FRAME_H
#define NSNTRACE_CAPTURE_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum direction {
	DIRECTION_UNKNOWN, /* values of the epb_flags field of pcapng */
	DIRECTION_INBOUND,
	DIRECTION_OUTBOUND,
};

/* What the source knows of the checksum of TCP or UDP. */
enum checksum {
	CHECKSUM_UNKNOWN, /* nothing: the frame itself has to tell */
	CHECKSUM_OPEN,	  /* the kernel left it to hardware */
	CHECKSUM_FILLED,  /* it is as it was sent or received */
};

/* One captured packet, followed by its bytes. */
struct frame {
	uint64_t time;	    /* nanoseconds since the epoch */
	uint32_t caplen;    /* bytes kept */
	uint32_t len;	    /* bytes it had */
	uint16_t interface; /* index into the capture's interfaces */
	uint8_t direction;  /* enum direction */
	uint8_t checksum;   /* enum checksum */
	uint8_t bytes[] __attribute__((aligned(8)));
};

/* What a frame takes in a batch: the next one is aligned for its fields. */
static inline size_t frame_size(const struct frame *frame)
{
	return (sizeof(*frame) + frame->caplen + 7) & ~(size_t)7;
}

#endif
