/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last stage: it has every packet written, begins the next file when one
 * is full, and stops when there is enough. A file is full with the packet that
 * reaches its limit, but completed only when there is a packet for the next
 * one: no file is empty, and the last one always has the counts of the end.
 */
#include "capture/sink.h"

#include "base/clock.h"

static void begin_file(struct sink *sink, int fd)
{
	const struct sink_settings *settings = &sink->settings;

	writer_open(&sink->writer, settings->format, fd, settings->about,
		    sink->interfaces, sink->interface_count);
	sink->open = true;
	sink->began = clock_realtime_ns();
	sink->file_packets = 0;
	sink->result.files++;
}

static void end_file(struct sink *sink)
{
	struct sink_result *result = &sink->result;
	const struct writer *writer = &sink->writer;

	result->error = writer_close(&sink->writer);
	result->written += writer->written;
	result->truncated += writer->truncated;
	result->lost += writer->lost;
	result->bytes += writer->bytes;
	sink->open = false;
}

/* After a failure there is no next file: what is there stays as it is. */
static void change_file(struct sink *sink)
{
	const struct writer_statistics statistics = {
		.start = sink->began,
		.end = clock_realtime_ns(),
		.partial = true,
	};
	int fd;

	for (unsigned i = 0; i < sink->interface_count; i++)
		writer_statistics(&sink->writer, i, &statistics);
	end_file(sink);
	sink->full = false;
	if (sink->result.error)
		return;

	fd = sink->settings.next_file(sink->settings.next_context);
	if (fd < 0)
		sink->result.error = fd;
	else
		begin_file(sink, fd);
}

/* How long the file has had packets: nobody waits for an empty one's end. */
static uint64_t file_time(const struct sink *sink)
{
	return sink->file_packets ? sink->now - sink->file_start : 0;
}

/* Note which limits are reached; the time is that of the last tick. */
static void measure(struct sink *sink)
{
	const struct rotate_limits file = {
		.bytes = writer_size(&sink->writer),
		.packets = sink->file_packets,
		.duration = file_time(sink),
	};
	struct rotate_limits all = {
		.bytes = sink_size(sink),
		.packets = sink->packets,
		.duration = sink->now - sink->start,
	};

	/* The head alone may be larger than the limit: of a long filter. */
	if (sink->file_packets && rotate_reached(&sink->settings.rotate, &file))
		sink->full = true;
	all.files = sink->full ? sink->result.files : 0;
	sink->stopped = rotate_reached(&sink->settings.autostop, &all);
}

static void sink_frame(struct stage *stage, struct frame *frame)
{
	struct sink *sink = (struct sink *)stage;

	if (sink->stopped) {
		sink->result.left_out++;
		return;
	}
	if (sink->full)
		change_file(sink);
	if (!sink->open) {
		sink->result.lost++;
		return;
	}
	if (writer_packet(&sink->writer, frame) < 0)
		return;
	if (!sink->file_packets++)
		sink->file_start = sink->now;
	sink->packets++;
	measure(sink);
}

static const struct stage_ops sink_ops = { .frame = sink_frame };

/*
 * Begin the first file on @fd, which is the sink's from now on. The strings
 * in @settings and the @count @interfaces must live as long as @sink.
 *
 * Returns 0, or -errno; it has to be closed in either case.
 */
int sink_open(struct sink *sink, const struct sink_settings *settings, int fd,
	      const struct capture_interface *interfaces, unsigned count)
{
	sink->stage.ops = &sink_ops;
	sink->settings = *settings;
	sink->interfaces = interfaces;
	sink->interface_count = count;
	begin_file(sink, fd);
	sink->start = sink->now = clock_monotonic_ns();

	return sink->writer.error;
}

/* Write all that is gathered. Returns 0, or -errno of the first failure. */
int sink_flush(struct sink *sink)
{
	return sink->open ? writer_flush(&sink->writer) : sink->result.error;
}

/* Bytes of all files so far, with those that are gathered. */
uint64_t sink_size(const struct sink *sink)
{
	return sink->result.bytes +
	       (sink->open ? writer_size(&sink->writer) : 0);
}

/*
 * Look at the time, @now in ns of CLOCK_MONOTONIC: a clock that is set must not
 * end a file. Returns the milliseconds until it wants to be asked again, or -1.
 */
int sink_tick(struct sink *sink, uint64_t now)
{
	const struct sink_settings *settings = &sink->settings;

	if (!sink->open || sink->stopped)
		return -1;
	if (now > sink->now)
		sink->now = now;
	measure(sink);

	return clock_sooner(
		rotate_wait(&settings->rotate, file_time(sink)),
		rotate_wait(&settings->autostop, sink->now - sink->start));
}

/*
 * Complete the last file, with the @statistics of each interface unless that
 * is NULL, and close it. The result tells what came of all files.
 */
void sink_close(struct sink *sink, const struct writer_statistics *statistics)
{
	if (!sink->open)
		return;

	for (unsigned i = 0; statistics && i < sink->interface_count; i++)
		writer_statistics(&sink->writer, i, &statistics[i]);
	end_file(sink);
}
