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
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "capture/brake.h"
#include "capture/checksum.h"
#include "capture/merge.h"
#include "capture/queue.h"
#include "capture/sink.h"

/* Frames that are written hold up to this much of the queue. */
#define RECYCLE_BYTES (1024UL * 1024)

/* Memory that was not needed for so long is given back. */
#define SHRINK_MS 1000

struct capture {
	struct capture_settings settings;
	struct source *source;
	struct queue *queue;
	struct brake brake;
	struct merge *merge;
	struct checksum_stage checksum;
	struct sink sink;
	pthread_t reader;
	pthread_t writer;
	int wake_fd;	/* the reader is to stop */
	int error_fd;	/* writing failed, for the caller */
	int enough_fd;	/* autostop, likewise */
	bool told;	/* that writing failed */
	bool enough;	/* was told */
	int read_error; /* of the reader thread */
	uint64_t started;
	uint64_t next_shrink; /* ns of CLOCK_MONOTONIC, or 0: nothing to do */

	/* Told to other threads after each batch. */
	atomic_uint_least64_t packets;
	atomic_uint_least64_t bytes;
	atomic_uint_least64_t dropped;
};

/*
 * The reader is to run whenever the ring has something for it, however busy the
 * others are: it works for microseconds at a time and only moves memory. This
 * takes rights that it will not have when it starts, so whoever opens the
 * capture gets the priority and the reader inherits it. Not every container
 * allows that; a capture is possible all the same.
 */
static void raise_priority(void)
{
	const struct sched_param first = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		debug("cannot run the reader before others: %s",
		      strerror(errno));
}

static void lower_priority(void)
{
	const struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_OTHER, &none);
}

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
	new->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	new->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	new->enough_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (new->wake_fd < 0 || new->error_fd < 0 || new->enough_fd < 0)
		ret = fail(errno, "cannot create an eventfd");
	if (!ret)
		ret = settings->source->open(&settings->from, &new->source);
	if (ret < 0) {
		capture_free(new);
		return ret;
	}

	raise_priority();
	new->queue = queue_new(settings->queue_bytes);
	brake_init(&new->brake, &settings->freezer, settings->queue_bytes);
	if (settings->freezer.kind)
		queue_set_brake(new->queue, &new->brake);
	checksum_init(&new->checksum, new->source->interfaces,
		      &new->sink.stage);
	new->merge = merge_new(new->source->lanes, new->source->in_order,
			       &new->checksum.stage);
	*capture = new;

	return 0;
}

static void tell_dropped(struct capture *capture)
{
	const struct source *source = capture->source;
	struct capture_statistics statistics;
	uint64_t dropped = 0;

	for (unsigned i = 0; i < source->interface_count; i++) {
		source->ops->statistics(source, i, &statistics);
		dropped += statistics.dropped;
	}
	atomic_store_explicit(&capture->dropped, dropped, memory_order_relaxed);
}

static void *read_frames(void *argument)
{
	struct capture *capture = argument;
	struct source *source = capture->source;
	int ret, stopped;

	pthread_setname_np(pthread_self(), "reader");
	do {
		ret = source->ops->batch(source, capture->queue,
					 capture->wake_fd);
		tell_dropped(capture);
	} while (ret > 0);
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

/* Autostop: what comes from now on is not wanted, and nobody waits for it. */
static void look_for_enough(struct capture *capture)
{
	if (!capture->sink.stopped || capture->enough)
		return;
	brake_give_up(&capture->brake);
	ring(capture->enough_fd);
	capture->enough = true;
}

/*
 * Let the sink see the time, and the caller that it wants no more. Returns the
 * milliseconds until it wants to see it again, or -1.
 */
static int tick(struct capture *capture, uint64_t now)
{
	int wait = sink_tick(&capture->sink, now);

	look_for_enough(capture);

	return wait;
}

/* All that was handed on so far is in the file, and its room free. */
static void flush(struct capture *capture)
{
	/* Not after it, as a reader may take his time. */
	look_for_enough(capture);
	if (sink_flush(&capture->sink) < 0 && !capture->told) {
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
 * then wait for more. Nothing wakes this thread while no frame is held, no
 * memory is to be given back and no file's time runs.
 */
static struct batch *wait_for_batch(struct capture *capture, bool *ended)
{
	uint64_t now = clock_monotonic_ns();
	int wait = merge_tick(capture->merge, now);

	/* The reader waits for room that is taken by what the merge holds. */
	if (wait >= 0 && queue_is_full(capture->queue)) {
		merge_flush(capture->merge);
		wait = -1;
	}
	flush(capture);
	if (wait < 0 && capture->next_shrink)
		wait = SHRINK_MS;

	return queue_pop(capture->queue, clock_sooner(wait, tick(capture, now)),
			 ended);
}

static void tell_written(struct capture *capture)
{
	atomic_store_explicit(&capture->packets, capture->sink.packets,
			      memory_order_relaxed);
	atomic_store_explicit(&capture->bytes, sink_size(&capture->sink),
			      memory_order_relaxed);
}

static void *write_frames(void *argument)
{
	struct capture *capture = argument;
	bool ended = false;
	uint64_t now;

	pthread_setname_np(pthread_self(), "writer");
	while (!ended) {
		struct batch *batch = queue_pop(capture->queue, 0, &ended);

		if (!batch && !ended)
			batch = wait_for_batch(capture, &ended);
		now = clock_monotonic_ns();
		/* A file that stalls does not make late what waited for it. */
		tick(capture, batch ? batch->arrived : now);
		if (batch)
			merge_push(capture->merge, batch);
		if (merge_passed(capture->merge) >= RECYCLE_BYTES)
			flush(capture);
		shrink(capture, now);
		tell_written(capture);
	}
	merge_flush(capture->merge);
	flush(capture);

	return NULL;
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
	const struct sink_settings to = {
		.format = settings->format,
		.about = &settings->about,
		.rotate = settings->rotate,
		.autostop = settings->autostop,
		.next_file = settings->next_file,
		.next_context = settings->next_context,
	};
	int ret;

	capture->started = clock_realtime_ns();
	ret = sink_open(&capture->sink, &to, fd, capture->source->interfaces,
			capture->source->interface_count);
	if (ret < 0)
		goto out;
	/* Before the first packet, whose reader may have to tell it. */
	if (settings->freezer.kind)
		brake_start(&capture->brake);
	ret = -pthread_create(&capture->reader, NULL, read_frames, capture);
	lower_priority();
	if (ret < 0)
		goto out;
	ret = -pthread_create(&capture->writer, NULL, write_frames, capture);
	if (ret < 0)
		stop_reader(capture);
out:
	if (ret < 0) {
		brake_stop(&capture->brake);
		sink_close(&capture->sink, NULL);
	}

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

/*
 * Becomes readable when autostop says that there is enough: capture_stop() then
 * completes the file. Stays the capture's.
 */
int capture_enough_fd(const struct capture *capture)
{
	return capture->enough_fd;
}

/* How far the capture is: what was last told, from any thread. */
void capture_progress(struct capture *capture,
		      struct capture_progress *progress)
{
	*progress = (struct capture_progress){
		.packets = atomic_load_explicit(&capture->packets,
						memory_order_relaxed),
		.bytes = atomic_load_explicit(&capture->bytes,
					      memory_order_relaxed),
		.dropped = atomic_load_explicit(&capture->dropped,
						memory_order_relaxed),
	};
}

/*
 * Never hold the program again, whatever is lost by that: nobody who could end
 * it may be left. At any time.
 */
void capture_go_on(struct capture *capture)
{
	brake_give_up(&capture->brake);
}

static void add_statistics(struct capture *capture,
			   struct capture_result *result,
			   struct writer_statistics *blocks)
{
	const struct capture_settings *settings = &capture->settings;
	const struct source *source = capture->source;
	uint64_t end = clock_realtime_ns();

	result->interface_count = source->interface_count;
	for (unsigned i = 0; i < source->interface_count; i++) {
		struct capture_statistics *statistics = &result->interfaces[i];
		struct writer_statistics *block = &blocks[i];

		source->ops->statistics(source, i, statistics);
		*block = (struct writer_statistics){
			.start = capture->started,
			.end = end,
			.received = statistics->received,
			.dropped = statistics->dropped,
		};
		if (settings->count)
			settings->count(settings->count_context, i,
					&block->interface);
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
	struct writer_statistics blocks[INTERFACES_MAX];
	const struct sink_result *to = &capture->sink.result;

	stop_reader(capture);
	pthread_join(capture->writer, NULL);
	brake_stop(&capture->brake);

	*result = (struct capture_result){ 0 };
	add_statistics(capture, result, blocks);
	sink_close(&capture->sink, blocks);
	result->written = to->written;
	result->truncated = to->truncated;
	result->lost = to->lost;
	result->left_out = to->left_out;
	result->bytes = to->bytes;
	result->queue_peak = queue_peak(capture->queue);
	result->paused = capture->brake.times;
	result->paused_ns = capture->brake.total;
	result->error = to->error;
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
	fd_close(&capture->enough_fd);
	free(capture);
}
