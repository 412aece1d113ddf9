/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames from a capture file, as if they had been captured: drives the whole
 * pipeline where there is nothing to capture from. They come in the order of
 * the file and none is ever dropped.
 */
#include "capture/source.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

/* Frames pushed at a time. */
#define BATCH_FRAMES 1024

/* What files call raw IP, whatever its number is on this system. */
#define LINK_TYPE_RAW 101

struct savefile {
	struct source source;
	struct lane lane;
	struct queue *queue; /* of the batch under way */
	pcap_t *pcap;
	uint64_t received;
};

static void savefile_close(struct source *source)
{
	struct savefile *savefile = (struct savefile *)source;

	pcap_close(savefile->pcap);
	free(savefile);
}

static int savefile_open(const struct source_settings *settings,
			 struct source **source)
{
	char reason[PCAP_ERRBUF_SIZE];
	struct savefile *savefile;
	pcap_t *pcap = pcap_open_offline_with_tstamp_precision(
		settings->path, PCAP_TSTAMP_PRECISION_NANO, reason);
	int link_type;

	if (!pcap)
		return refuse("cannot read %s: %s", settings->path, reason);

	link_type = pcap_datalink(pcap);
	savefile = xcalloc(1, sizeof(*savefile));
	savefile->pcap = pcap;
	savefile->source = (struct source){
		.ops = &source_savefile,
		.interfaces[0] = {
			.name = settings->path,
			.link_type = link_type == DLT_RAW ?
					     LINK_TYPE_RAW :
					     (uint16_t)link_type,
		},
		.interface_count = 1,
		.lanes = 1,
		.in_order = true,
	};
	*source = &savefile->source;

	return 0;
}

static void take(u_char *user, const struct pcap_pkthdr *header,
		 const u_char *bytes)
{
	struct savefile *savefile = (struct savefile *)user;
	struct frame *frame =
		lane_frame(&savefile->lane, savefile->queue, header->caplen);

	/* tv_usec holds nanoseconds, as was asked for. */
	frame->time = (uint64_t)header->ts.tv_sec * 1000000000 +
		      (uint64_t)header->ts.tv_usec;
	frame->len = header->len;
	memcpy(frame->bytes, bytes, header->caplen);
	savefile->received++;
}

static int savefile_batch(struct source *source, struct queue *queue,
			  int wake_fd __attribute__((unused)))
{
	struct savefile *savefile = (struct savefile *)source;
	int ret;

	queue_wait_for_room(queue);
	savefile->queue = queue;
	ret = pcap_dispatch(savefile->pcap, BATCH_FRAMES, take,
			    (u_char *)savefile);
	lane_push(&savefile->lane, queue, UINT64_MAX);
	if (ret < 0)
		return -EIO;

	return ret > 0;
}

/* All that there is in the file had come in. */
static int savefile_stop(struct source *source, struct queue *queue)
{
	int ret;

	do
		ret = savefile_batch(source, queue, -1);
	while (ret > 0);

	return ret;
}

static void savefile_statistics(const struct source *source,
				unsigned interface __attribute__((unused)),
				struct capture_statistics *statistics)
{
	const struct savefile *savefile = (const struct savefile *)source;

	*statistics = (struct capture_statistics){
		.received = savefile->received,
	};
}

const struct source_ops source_savefile = {
	.name = "savefile",
	.open = savefile_open,
	.batch = savefile_batch,
	.stop = savefile_stop,
	.statistics = savefile_statistics,
	.close = savefile_close,
};
