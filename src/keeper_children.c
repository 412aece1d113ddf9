/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of ours that keeper starts: tracer and the relays, each with
 * what it needs and nothing else. There are two relays, as a socket belongs to
 * the network namespace of who makes it: one on the host, for what the program
 * is to reach there, and one inside, the publisher, for what is to reach the
 * program. What they do is theirs.
 */
#include "keeper_children.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "relay/relay.h"
#include "services.h"
#include "tracer.h"

/*
 * A child of ours keeps what it needs and nothing else: not the way to front,
 * which would hide our death; no lock, which would outlive us; none of the
 * user's descriptors; and no duty of keeper's.
 */
static void detach_child(int *keep, size_t count)
{
	before_dying(NULL, NULL);
	fd_leave_standard_streams();
	fd_close_others(keep, count);
	/* Out of the user's job: it may outlive front for a moment. */
	setpgid(0, 0);
	if (chdir("/") < 0)
		debug("cannot leave the directory");
}

/*
 * Fork the process that @peer is to be, with a channel to it. Returns the
 * child's end of that in the child, 0 in keeper, or a negative errno already
 * reported.
 */
static int fork_peer(struct peer *peer)
{
	int pair[2];
	int ret = channel_pair(pair);

	if (ret < 0)
		return ret;
	peer->pid = fork();
	if (peer->pid < 0)
		ret = fail(errno, "cannot fork");
	if (!peer->pid)
		return pair[1];
	close(pair[1]);
	peer->channel = pair[0];
	peer->gone = false;

	return ret;
}

/* Start tracer, after the relay. Returns 0 or a negative errno, reported. */
int keeper_start_tracer(struct keeper *keeper)
{
	int channel = fork_peer(&keeper->tracer);
	int keep[4] = { channel, rtnl_fd(keeper->host) };
	size_t count = 2;

	if (channel <= 0)
		return channel;
	if (keeper->relay.channel >= 0)
		keep[count++] = keeper->relay.channel;
	if (keeper->freezer.fd >= 0)
		keep[count++] = keeper->freezer.fd;
	detach_child(keep, count);
	tracer_main(keeper->plan, channel, keeper->host, keeper->relay.channel,
		    &keeper->freezer);
}

/*
 * Start the relay for what the program is to reach on the host, if there is
 * something. Returns 0 or a negative errno, reported.
 */
int keeper_start_relay(struct keeper *keeper)
{
	const struct plan *plan = keeper->plan;
	int channel;

	if (!plan->service_count)
		return 0;
	channel = fork_peer(&keeper->relay);
	if (channel <= 0)
		return channel;
	detach_child(&channel, 1);
	relay_main(plan->services, plan->service_count, &plan->observer,
		   channel, -1);
}

/*
 * Take the ports of the host that are to lead inside, with keeper's rights, as
 * some may be below 1024. Returns 0 or a negative errno, reported.
 */
int keeper_take_ports(struct keeper *keeper)
{
	const struct plan *plan = keeper->plan;

	for (size_t i = 0; i < plan->published_count; i++) {
		int fd = relay_listen(&plan->published[i]);

		if (fd < 0)
			return fd;
		keeper->ports[keeper->port_count++] = fd;
	}

	return 0;
}

/* In the child: what tracer got is known now. */
static void be_publisher(struct keeper *keeper, int channel)
{
	const struct plan *plan = keeper->plan;
	struct relay_service services[RELAY_SERVICES_MAX];
	int keep[2] = { channel, keeper->netns };

	memcpy(services, plan->published, sizeof(services));
	services_settle(services, plan->published_count, &keeper->uplink.run);
	detach_child(keep, 2);
	relay_main(services, plan->published_count, &plan->observer, channel,
		   keeper->netns);
}

/*
 * Start the relay inside, if ports of the host lead there, and hand them over.
 * Returns 0 or a negative errno, reported.
 */
int keeper_start_publisher(struct keeper *keeper)
{
	int channel, ret;

	if (!keeper->port_count)
		return 0;
	channel = fork_peer(&keeper->publisher);
	if (channel > 0)
		be_publisher(keeper, channel);
	if (channel < 0)
		return channel;
	ret = channel_send(keeper->publisher.channel, MESSAGE_LISTENERS, NULL,
			   0, keeper->ports, keeper->port_count);
	while (keeper->port_count)
		close(keeper->ports[--keeper->port_count]);

	return ret;
}

/* The program has ended: have its last words passed on, but nothing more. */
void keeper_stop_relays(struct keeper *keeper)
{
	if (!keeper->relay.gone)
		channel_tell(keeper->relay.channel, MESSAGE_STOP);
	if (!keeper->publisher.gone)
		channel_tell(keeper->publisher.channel, MESSAGE_STOP);
}

/*
 * End the relays, which are to have done what they were stopped for if @wait;
 * where somebody goes on talking that might never be.
 */
void keeper_end_relays(struct keeper *keeper, bool wait)
{
	struct peer *const relays[] = { &keeper->relay, &keeper->publisher };

	for (size_t i = 0; i < 2; i++) {
		/* Who is left may have stopped it. */
		if (!wait && relays[i]->pid > 0)
			kill(relays[i]->pid, SIGKILL);
		if (relays[i]->pid > 0)
			waitpid(relays[i]->pid, NULL, 0);
		fd_close(&relays[i]->channel);
	}
}
