/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A capture from its source to its file: a thread that empties the source into
 * the queue and never writes, and a thread that takes from the queue, puts the
 * frames in order and writes them. The source knows when all has been read, the
 * writer what a file looks like; the sum of what happened is made here.
 */
#include "capture/capture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "capture/merge.h"
#include "capture/queue.h"
#include "capture/stage.h"

/* Frames that are written hold up to this much of the queue. */
#define RECYCLE_BYTES (1024UL * 1024)

/* Memory that was not needed for so long is given back. */
#define SHRINK_MS 1000

/* The last stage: what reaches it is written. */
struct sink {
	struct stage stage;
	struct writer writer;
};

struct capture {
	struct capture_settings settings;
	struct source *source;
	struct queue *queue;
	struct merge *merge;
	struct sink sink;
	pthread_t reader;
	pthread_t writer;
	int wake_fd;	/* the reader is to stop */
	int error_fd;	/* writing failed, for the caller */
	bool told;	/* that writing failed */
	int read_error; /* of the reader thread */
	uint64_t started;
	uint64_t next_shrink; /* ns of CLOCK_MONOTONIC, or 0: nothing to do */
};

static void sink_frame(struct stage *stage, struct frame *frame)
{
	struct sink *sink = (struct sink *)stage;

	writer_packet(&sink->writer, frame);
}

static const struct stage_ops sink_ops = { .frame = sink_frame };

/*
 * Open the source, with the rights that this takes; it captures from now on.
 * No thread is left when this returns. The pointers in @settings must live as
 * long as the capture does.
 *
 * Returns 0, or a negative errno already reported.
 */
int capture_open(const struct capture_settings *settings,
		 struct capture **capture)
{
	struct capture *new = xcalloc(1, sizeof(*new));
	int ret = 0;

	new->settings = *settings;
	new->sink.stage.ops = &sink_ops;
	new->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	new->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (new->wake_fd < 0 || new->error_fd < 0)
		ret = fail(errno, "cannot create an eventfd");
	if (!ret)
		ret = settings->source->open(&settings->from, &new->source);
	if (ret < 0) {
		capture_free(new);
		return ret;
	}

	new->queue = queue_new(settings->queue_bytes);
	new->merge = merge_new(new->source->lanes, new->source->in_order,
			       &new->sink.stage);
	*capture = new;

	return 0;
}

static void *read_frames(void *argument)
{
	struct capture *capture = argument;
	struct source *source = capture->source;
	int ret, stopped;

	do
		ret = source->ops->batch(source, capture->queue,
					 capture->wake_fd);
	while (ret > 0);
	stopped = source->ops->stop(source, capture->queue);

	capture->read_error = ret < 0 ? ret : stopped;
	queue_end(capture->queue);

	return NULL;
}

static void ring(int fd)
{
	/* Fails only where it has been rung 2^64 - 2 times before. */
	eventfd_write(fd, 1);
}

/* All frames that were handed on so far are in the file, and their room free.
 */
static void flush(struct capture *capture)
{
	if (writer_flush(&capture->sink.writer) < 0 && !capture->told) {
		ring(capture->error_fd);
		capture->told = true;
	}
	merge_recycle(capture->merge);
}

/* What a burst took is given back, a second after it was needed last. */
static void shrink(struct capture *capture, uint64_t now)
{
	if (!capture->next_shrink)
		capture->next_shrink = now + SHRINK_MS * 1000000ULL;
	else if (now >= capture->next_shrink)
		capture->next_shrink = queue_shrink(capture->queue)
					       ? now + SHRINK_MS * 1000000ULL
					       : 0;
}

/*
 * Nothing more waits: let whoever reads the file as it grows have all of it,
 * then wait for more. Nothing wakes this thread while no frame is held and no
 * memory is to be given back.
 */
static struct batch *wait_for_batch(struct capture *capture, bool *ended)
{
	int wait = merge_tick(capture->merge, clock_monotonic_ns());

	flush(capture);
	if (wait < 0 && capture->next_shrink)
		wait = SHRINK_MS;

	return queue_pop(capture->queue, wait, ended);
}

static void *write_frames(void *argument)
{
	struct capture *capture = argument;
	bool ended = false;

	while (!ended) {
		struct batch *batch = queue_pop(capture->queue, 0, &ended);

		if (!batch && !ended)
			batch = wait_for_batch(capture, &ended);
		if (batch)
			merge_push(capture->merge, batch);
		if (merge_passed(capture->merge) >= RECYCLE_BYTES)
			flush(capture);
		shrink(capture, clock_monotonic_ns());
	}
	merge_flush(capture->merge);
	flush(capture);

	return NULL;
}

static int start_thread(pthread_t *thread, const char *name,
			void *(*function)(void *), struct capture *capture)
{
	int ret = pthread_create(thread, NULL, function, capture);

	if (ret)
		return -ret;
	pthread_setname_np(*thread, name);

	return 0;
}

static void stop_reader(struct capture *capture)
{
	ring(capture->wake_fd);
	pthread_join(capture->reader, NULL);
}

/*
 * Write the head of the file to @fd, which is the capture's from now on, and
 * let the packets flow. Needs no rights; the threads inherit the signal mask.
 *
 * Returns 0, or -errno, which is not reported as the caller knows the name of
 * the file; the capture can then only be freed.
 */
int capture_start(struct capture *capture, int fd)
{
	const struct capture_settings *settings = &capture->settings;
	struct writer *writer = &capture->sink.writer;
	int ret;

	capture->started = clock_realtime_ns();
	ret = writer_open(writer, settings->format, fd, &settings->about,
			  capture->source->interfaces,
			  capture->source->interface_count);
	if (ret < 0)
		goto out;
	ret = start_thread(&capture->reader, "reader", read_frames, capture);
	if (ret < 0)
		goto out;
	ret = start_thread(&capture->writer, "writer", write_frames, capture);
	if (ret < 0)
		stop_reader(capture);
out:
	if (ret < 0)
		writer_close(writer);

	return ret;
}

/*
 * Becomes readable when writing fails for the first time, so that the user can
 * be told while the program still runs. Stays the capture's.
 */
int capture_error_fd(const struct capture *capture)
{
	return capture->error_fd;
}

static void add_statistics(struct capture *capture,
			   struct capture_result *result)
{
	const struct capture_settings *settings = &capture->settings;
	const struct source *source = capture->source;
	uint64_t end = clock_realtime_ns();

	result->interface_count = source->interface_count;
	for (unsigned i = 0; i < source->interface_count; i++) {
		struct capture_statistics *statistics = &result->interfaces[i];
		struct writer_statistics block = {
			.start = capture->started,
			.end = end,
		};

		source->ops->statistics(source, i, statistics);
		block.received = statistics->received;
		block.dropped = statistics->dropped;
		if (settings->count)
			settings->count(settings->count_context, i,
					&block.interface);
		writer_statistics(&capture->sink.writer, i, &block);
		result->dropped_ring +=
			statistics->dropped - statistics->dropped_queue;
		result->dropped_queue += statistics->dropped_queue;
	}
}

/*
 * End a capture that was started: every packet that had come in by now is
 * written, and the file is complete and closed.
 *
 * Returns 0, or -errno of what failed since the start, which is not reported;
 * @result is filled in either way.
 */
int capture_stop(struct capture *capture, struct capture_result *result)
{
	struct writer *writer = &capture->sink.writer;

	stop_reader(capture);
	pthread_join(capture->writer, NULL);

	*result = (struct capture_result){ 0 };
	add_statistics(capture, result);
	writer_close(writer);
	result->written = writer->written;
	result->truncated = writer->truncated;
	result->lost = writer->lost;
	result->bytes = writer->bytes;
	result->error = writer->error;
	result->read_error = capture->read_error;

	return result->error ? result->error : result->read_error;
}

/*
 * Close what is open. The kernel takes its time (tens of milliseconds) over a
 * ring, so this belongs after everything that somebody waits for. A capture
 * that was started must have been stopped.
 */
void capture_free(struct capture *capture)
{
	if (!capture)
		return;

	if (capture->source)
		capture->source->ops->close(capture->source);
	merge_free(capture->merge);
	queue_free(capture->queue);
	fd_close(&capture->wake_fd);
	fd_close(&capture->error_fd);
	free(capture);
}
