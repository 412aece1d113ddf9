/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast, and for how much CPU, frames get into a file by the ways that there
 * are: what the writer of the capture should do was decided by this. Frames lie
 * in memory as the queue has them and become pcapng records on the way.
 *
 *	write-methods [-r ROUNDS] [-m MEGABYTES] DIRECTORY...
 *
 * prints a Markdown table of medians. The ways take turns; each writes a file
 *of its own, which is then removed. What the kernel does with a file's pages
 *later is nobody's CPU time here.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#define KIB	   1024UL
#define MIB	   (1024 * KIB)
#define QUEUE	   (64 * MIB) /* more than caches hold, as a queue is */
#define RECORD_MAX (80 * KIB)
#define PIECES	   1000 /* of a writev */
#define IN_FLIGHT  4	/* buffers of io_uring */
#define ROUNDS_MAX 99

/* Enhanced packet block: all before the frame, and all after its padding. */
struct head {
	uint32_t type, length, interface, time[2], caplen, len;
};

struct tail {
	uint16_t flags, size;
	uint32_t value, end, length;
};

struct work {
	int fd;
	const uint8_t *frames; /* the queue */
	size_t frame_size;
	size_t frame_at;
	size_t total; /* bytes of the file */
	size_t buffer_size;
};

struct figures {
	double rate; /* GB/s */
	double cpu;  /* s/GB */
};

struct method {
	const char *name;
	size_t buffer_size;
	int flags; /* of open() */
	int (*run)(struct work *work);
	bool allocate; /* the file's room, beforehand */
};

static const uint8_t *next_frame(struct work *work)
{
	const uint8_t *frame = work->frames + work->frame_at;

	work->frame_at += work->frame_size;
	if (work->frame_at + work->frame_size > QUEUE)
		work->frame_at = 0;

	return frame;
}

static size_t padded(const struct work *work)
{
	return (work->frame_size + 3) & ~3UL;
}

static uint32_t record_size(const struct work *work)
{
	return (uint32_t)(sizeof(struct head) + padded(work) +
			  sizeof(struct tail));
}

static struct head make_head(const struct work *work)
{
	return (struct head){
		.type = 6,
		.length = record_size(work),
		.caplen = (uint32_t)work->frame_size,
		.len = (uint32_t)work->frame_size,
	};
}

static struct tail make_tail(const struct work *work)
{
	return (struct tail){
		.flags = 2, .size = 4, .value = 1, .length = record_size(work)
	};
}

/* Fill a buffer with records until it holds its size, or a little more. */
static size_t fill(struct work *work, uint8_t *buffer, size_t used)
{
	while (used < work->buffer_size) {
		const struct head head = make_head(work);
		const struct tail tail = make_tail(work);

		memcpy(buffer + used, &head, sizeof(head));
		used += sizeof(head);
		memcpy(buffer + used, next_frame(work), work->frame_size);
		used += padded(work);
		memcpy(buffer + used, &tail, sizeof(tail));
		used += sizeof(tail);
	}

	return used;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0)
			return -errno;
		bytes += done;
		size -= (size_t)done;
	}

	return 0;
}

/* Aligned and touched: page faults are not what is measured. */
static uint8_t *make_buffer(size_t size)
{
	uint8_t *buffer = aligned_alloc(2 * MIB, (size | (2 * MIB - 1)) + 1);

	if (!buffer)
		errx(1, "out of memory");
	memset(buffer, 1, size);

	return buffer;
}

/* Large aligned writes; what is more than one begins the next. */
static int run_write(struct work *work)
{
	uint8_t *buffer = make_buffer(work->buffer_size + RECORD_MAX);
	size_t used = 0, done = 0;
	int ret = 0;

	while (!ret && done < work->total) {
		used = fill(work, buffer, used);
		ret = write_all(work->fd, buffer, work->buffer_size);
		used -= work->buffer_size;
		memcpy(buffer, buffer + work->buffer_size, used);
		done += work->buffer_size;
	}
	free(buffer);

	return ret;
}

/* Frames from where they lie, between heads and tails. */
static int run_writev(struct work *work)
{
	static const uint8_t padding[4];
	const struct head head = make_head(work);
	const struct tail tail = make_tail(work);
	const size_t pad = padded(work) - work->frame_size;
	struct iovec pieces[PIECES];
	size_t done = 0;

	while (done < work->total) {
		size_t batch = 0;
		int count = 0;

		while (count + 4 <= PIECES && batch < work->buffer_size) {
			pieces[count++] =
				(struct iovec){ (void *)&head, sizeof(head) };
			pieces[count++] =
				(struct iovec){ (void *)next_frame(work),
						work->frame_size };
			if (pad)
				pieces[count++] =
					(struct iovec){ (void *)padding, pad };
			pieces[count++] =
				(struct iovec){ (void *)&tail, sizeof(tail) };
			batch += head.length;
		}
		/* A regular file takes all, or there is no room. */
		if (writev(work->fd, pieces, count) != (ssize_t)batch)
			return errno ? -errno : -ENOSPC;
		done += batch;
	}

	return 0;
}

#ifdef HAVE_LIBURING
/* Take note of one write that has ended. */
static int reap(struct io_uring *ring, const struct work *work, bool *busy)
{
	struct io_uring_cqe *done;
	int ret = io_uring_wait_cqe(ring, &done);

	if (ret < 0)
		return ret;
	ret = done->res;
	busy[io_uring_cqe_get_data64(done)] = false;
	io_uring_cqe_seen(ring, done);
	if (ret < 0)
		return ret;

	return ret == (int)work->buffer_size ? 0 : -ENOSPC;
}

/* Several buffers on their way at once, while the next one is filled. */
static int uring_loop(struct work *work, struct io_uring *ring,
		      uint8_t *const *buffers)
{
	bool busy[IN_FLIGHT] = { false };
	size_t used = 0, done = 0;
	unsigned now = 0;
	int ret = 0;

	while (!ret && done < work->total) {
		const unsigned next = (now + 1) % IN_FLIGHT;
		struct io_uring_sqe *entry;

		used = fill(work, buffers[now], used);
		entry = io_uring_get_sqe(ring);
		io_uring_prep_write(entry, work->fd, buffers[now],
				    (unsigned)work->buffer_size, done);
		io_uring_sqe_set_data64(entry, now);
		busy[now] = true;
		io_uring_submit(ring);
		while (!ret && busy[next])
			ret = reap(ring, work, busy);
		used -= work->buffer_size;
		memcpy(buffers[next], buffers[now] + work->buffer_size, used);
		done += work->buffer_size;
		now = next;
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		while (!ret && busy[i])
			ret = reap(ring, work, busy);
	}

	return ret;
}

static int run_uring(struct work *work)
{
	uint8_t *buffers[IN_FLIGHT];
	struct io_uring ring;
	int ret = io_uring_queue_init(IN_FLIGHT, &ring, 0);

	if (ret < 0)
		return ret;
	for (int i = 0; i < IN_FLIGHT; i++)
		buffers[i] = make_buffer(work->buffer_size + RECORD_MAX);
	ret = uring_loop(work, &ring, buffers);
	for (int i = 0; i < IN_FLIGHT; i++)
		free(buffers[i]);
	io_uring_queue_exit(&ring);

	return ret;
}
#endif

static const struct method methods[] = {
	{ "write, 64 KiB", 64 * KIB, 0, run_write, false },
	{ "write, 256 KiB", 256 * KIB, 0, run_write, false },
	{ "write, 1 MiB", MIB, 0, run_write, false },
	{ "write, 4 MiB", 4 * MIB, 0, run_write, false },
	{ "write, 1 MiB, fallocate", MIB, 0, run_write, true },
	{ "writev, up to 1 MiB", MIB, 0, run_writev, false },
	{ "O_DIRECT, 1 MiB", MIB, O_DIRECT, run_write, false },
	{ "O_DIRECT, 4 MiB", 4 * MIB, O_DIRECT, run_write, false },
#ifdef HAVE_LIBURING
	{ "io_uring, 4 of 1 MiB", MIB, 0, run_uring, false },
	{ "io_uring, 4 of 1 MiB, O_DIRECT", MIB, O_DIRECT, run_uring, false },
#endif
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static double wall(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);

	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Of all threads, those that io_uring lets work included. */
static double cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);

	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Write one file. Returns 0 or -errno, where a file system cannot do it. */
static int measure(const struct method *method, struct work *work,
		   const char *directory, struct figures *figures)
{
	double wall_began, cpu_began, gigabytes = (double)work->total / 1e9;
	char path[4096];
	int ret = 0;

	snprintf(path, sizeof(path), "%s/write-methods.tmp", directory);
	work->fd = open(path,
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | method->flags,
			0600);
	/* Where the flags are refused there may be a file all the same. */
	unlink(path);
	if (work->fd < 0)
		return -errno;
	work->frame_at = 0;
	work->buffer_size = method->buffer_size;
	wall_began = wall();
	cpu_began = cpu();
	if (method->allocate &&
	    fallocate(work->fd, 0, 0, (off_t)(work->total + MIB)) < 0)
		ret = -errno;
	if (!ret)
		ret = method->run(work);
	figures->rate = gigabytes / (wall() - wall_began);
	figures->cpu = (cpu() - cpu_began) / gigabytes;
	close(work->fd);

	return ret;
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);

	return values[count / 2];
}

static void measure_all(const char *directory, struct work *work,
			unsigned rounds)
{
	static double rates[METHODS][ROUNDS_MAX], cpus[METHODS][ROUNDS_MAX];
	int results[METHODS] = { 0 };

	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < METHODS; i++) {
			struct figures figures;

			results[i] =
				measure(&methods[i], work, directory, &figures);
			rates[i][round] = figures.rate;
			cpus[i][round] = figures.cpu;
		}
	}
	for (size_t i = 0; i < METHODS; i++) {
		printf("| %s | %zu | %s | ", directory, work->frame_size,
		       methods[i].name);
		if (results[i])
			printf("%s | |\n", strerror(-results[i]));
		else
			printf("%.2f | %.3f |\n", median(rates[i], rounds),
			       median(cpus[i], rounds));
	}
}

int main(int argc, char **argv)
{
	static const size_t frame_sizes[] = { 65535, 100 };
	size_t total = 512 * MIB;
	unsigned rounds = 5;
	uint8_t *frames;
	int option;

	while ((option = getopt(argc, argv, "r:m:")) != -1) {
		if (option == 'r')
			rounds = (unsigned)atoi(optarg);
		else if (option == 'm')
			total = strtoul(optarg, NULL, 10) * MIB;
		else
			errx(2, "bad option");
	}
	if (optind == argc || !rounds || rounds > ROUNDS_MAX)
		errx(2, "usage: write-methods [-r ROUNDS] [-m MEGABYTES] "
			"DIRECTORY...");
	frames = make_buffer(QUEUE);
	for (size_t i = 0; i < QUEUE; i++)
		frames[i] = (uint8_t)rand();

	printf("| directory | frame | way | GB/s | CPU s/GB |\n"
	       "| --- | --- | --- | --- | --- |\n");
	for (; optind < argc; optind++) {
		for (size_t i = 0; i < 2; i++) {
			struct work work = {
				.frames = frames,
				.frame_size = frame_sizes[i],
				.total = total,
			};

			measure_all(argv[optind], &work, rounds);
		}
	}
	free(frames);

	return 0;
}
