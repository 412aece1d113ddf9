/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The brake of --lossless: freezes the program while the queue holds too much,
 * so that who cannot be written as fast as he sends has to wait. How much is in
 * the queue is the queue's to know; that nobody stays frozen when the capture
 * has ended is seen to by the capture, and where its process is killed, by
 * those that are left.
 */
#include "capture/brake.h"

#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/*
 * A brake for a queue of @limit bytes; @freezer's descriptor is borrowed.
 *
 * What comes in after the high mark must find room up to the limit. By the
 * default of 256 MiB that is 128 MiB, and the ring. Freezing takes up to 8 ms
 * (measured, two busy processors) and the ring 10 ms to tell of a packet: at
 * 2.5 GB/s that makes 45 MiB. Then the kernel goes on for the frozen: it sends
 * what is in their sockets (4 MiB each: tcp_wmem), and receives until they are
 * full (6 MiB each: tcp_rmem): that much is left for a dozen busy sockets, and
 * it takes a larger queue to hold more of them.
 *
 * The marks are far apart as each round costs both sides their pace: to the
 * slower one, which is the sink, a quarter of the limit always is at hand.
 */
void brake_init(struct brake *brake, const struct freezer *freezer,
		size_t limit)
{
	*brake = (struct brake){
		.freezer = *freezer,
		.high = limit / 2,
		.low = limit / 4,
		.wake_fd = -1,
	};
	pthread_mutex_init(&brake->lock, NULL);
}

/*
 * Hear of the bytes in the queue, under its lock, and whether a ring is @late:
 * it may overflow before the queue is half full, as the queue's memory has to
 * be had first, and on a virtual machine from its host. Returns whether a mark
 * was crossed: then brake_act() has to follow, which takes too long for that
 * lock.
 */
bool brake_weigh(struct brake *brake, size_t taken, bool late)
{
	bool wanted = brake->wanted;

	if (wanted ? late || taken > brake->low : !late && taken < brake->high)
		return false;
	brake->wanted = !wanted;

	return true;
}

static void set(struct brake *brake, bool on)
{
	uint64_t now;
	int ret;

	if (on == brake->on)
		return;

	ret = freezer_set(&brake->freezer, on);
	if (ret < 0) {
		brake->given_up = true;
		warn("cannot %s the program: %s", on ? "pause" : "continue",
		     strerror(-ret));
		return;
	}
	now = clock_monotonic_ns();
	if (on)
		brake->times++;
	else
		brake->total += now - brake->since;
	brake->since = now;
	brake->on = on;
}

/*
 * Do what is wanted by now, not what was wanted when somebody told: whoever
 * acts last has seen the last crossing, and so no freeze overtakes a later
 * thaw.
 */
static void act(struct brake *brake)
{
	pthread_mutex_lock(&brake->lock);
	if (!brake->given_up)
		set(brake, brake->wanted);
	pthread_mutex_unlock(&brake->lock);
}

static void *act_when_told(void *argument)
{
	struct brake *brake = argument;
	eventfd_t told;

	pthread_setname_np(pthread_self(), "brake");
	while (!brake->ended && eventfd_read(brake->wake_fd, &told) == 0)
		act(brake);

	return NULL;
}

/*
 * Act in a thread of its own from now on. The kernel freezes under a lock that
 * others, who move processes between cgroups, hold for 10 ms and longer: the
 * reader cannot wait for it, as the ring holds no more than that. Without a
 * thread, should there be none, whoever tells acts.
 */
void brake_start(struct brake *brake)
{
	brake->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (brake->wake_fd < 0)
		return;
	if (pthread_create(&brake->thread, NULL, act_when_told, brake) != 0)
		fd_close(&brake->wake_fd);
}

/* A mark was crossed. Does not wait for what comes of it. */
void brake_tell(struct brake *brake)
{
	if (brake->wake_fd < 0)
		act(brake);
	else
		eventfd_write(brake->wake_fd, 1);
}

/* Let the program go on, and never hold it again. */
void brake_give_up(struct brake *brake)
{
	pthread_mutex_lock(&brake->lock);
	brake->given_up = true;
	set(brake, false);
	pthread_mutex_unlock(&brake->lock);
}

/* Give up, and end the thread. */
void brake_stop(struct brake *brake)
{
	brake_give_up(brake);
	if (brake->wake_fd < 0)
		return;

	brake->ended = true;
	eventfd_write(brake->wake_fd, 1);
	pthread_join(brake->thread, NULL);
	fd_close(&brake->wake_fd);
}
