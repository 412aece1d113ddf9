/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_WRITER_H
#define NSNTRACE_CAPTURE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "capture/frame.h"
#include "capture/source.h"

/* What a section says of itself. */
struct writer_about {
	const char *application; /* "nsntrace 0.1" */
	const char *os;		 /* "Linux 6.18.0" */
	const char *hardware;	 /* of the machine, or NULL */
	const char *filter;	 /* pcap-filter expression, or NULL */
	uint32_t snaplen;
	bool nanoseconds; /* classic pcap; pcapng always has them */
};

/* What an interface itself has counted since the capture began. */
struct interface_counts {
	bool known;
	uint64_t received; /* packets that crossed it, in either direction */
	uint64_t dropped;  /* those that did not get across */
};

/* Counts of one interface, for its statistics block. */
struct writer_statistics {
	uint64_t start; /* nanoseconds since the epoch */
	uint64_t end;
	struct interface_counts interface;
	uint64_t received; /* by the capture: the filter let them through */
	uint64_t dropped;  /* of those, by the kernel */
	bool partial;	   /* all of these are not known: more files follow */
};

/* Packets, and those of them that the snaplen cut. */
struct writer_count {
	uint64_t packets;
	uint64_t truncated;
};

/* What is gathered, in order, before it is written: at most so many pieces. */
#define WRITER_PIECES_MAX 512

/* A record that is gathered. */
struct writer_record {
	size_t size; /* bytes of all of it */
	bool packet;
	bool truncated;
};

struct writer {
	const struct writer_ops *ops;
	struct writer_about about;
	int fd;
	bool regular;	    /* a failed write can be cut back */
	int error;	    /* -errno of the first failed write, or 0 */
	uint64_t written;   /* packets that are whole in the file */
	uint64_t truncated; /* of those, cut by the snaplen */
	uint64_t lost;	    /* packets that a write error kept out */
	uint64_t bytes;	    /* bytes of the file */
	/* Packets of each interface, in the file or gathered. */
	uint64_t delivered[INTERFACES_MAX];

	/* Whole records, not yet written. */
	struct buf buf;	 /* of their bytes, all but those in frames */
	size_t referred; /* bytes in frames */
	/* Frames' bytes, and those of @buf between them with a NULL base. */
	struct iovec pieces[WRITER_PIECES_MAX];
	unsigned piece_count;
	size_t piece_start; /* in @buf: what follows is in no piece yet */
	struct buf records; /* struct writer_record of each */
	struct writer_count gathered;
};

/*
 * One file format. Each call appends a whole record to writer->buf, the bytes
 * of a frame by writer_frame_bytes(); none of them can fail, as writing is
 * writer.c's business. A format that has nothing to say leaves open and
 * statistics NULL.
 */
struct writer_ops {
	const char *name;
	void (*open)(struct writer *writer);
	void (*interface)(struct writer *writer,
			  const struct capture_interface *interface);
	void (*packet)(struct writer *writer, const struct frame *frame);
	void (*statistics)(struct writer *writer, unsigned interface,
			   const struct writer_statistics *statistics);
};

extern const struct writer_ops writer_pcap;
extern const struct writer_ops writer_pcapng;

int writer_open(struct writer *writer, const struct writer_ops *ops, int fd,
		const struct writer_about *about,
		const struct capture_interface *interfaces, unsigned count);
void writer_frame_bytes(struct writer *writer, const struct frame *frame);
int writer_packet(struct writer *writer, const struct frame *frame);
uint64_t writer_size(const struct writer *writer);
int writer_flush(struct writer *writer);
int writer_statistics(struct writer *writer, unsigned interface,
		      const struct writer_statistics *statistics);
int writer_close(struct writer *writer);

#endif
