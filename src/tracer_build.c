/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tracer does as root: makes the namespace, builds the uplink's inner half
 * and opens the capture. What comes of these is left to tracer.c.
 */
#include "tracer_internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "netlink/sockdiag.h"
#include "relay/relay.h"

static int make_listeners(const struct plan *plan, int relay)
{
	int fds[RELAY_SERVICES_MAX];
	int ret = 0;
	size_t count = 0;

	for (; count < plan->service_count; count++) {
		fds[count] = relay_listen(&plan->services[count]);
		if (fds[count] < 0) {
			ret = fds[count];
			break;
		}
	}
	if (!ret)
		ret = channel_send(relay, MESSAGE_LISTENERS, NULL, 0, fds,
				   count);
	while (count--)
		close(fds[count]);

	return ret;
}

static unsigned fill_interfaces(const struct plan *plan,
				struct capture_interface *interfaces)
{
	unsigned count = 0;

	if (plan->capture_device) {
		interfaces[count] = (struct capture_interface){
			.name = PLAN_INSIDE_NAME,
		};
		memcpy(interfaces[count].mac, plan_inside_mac, 6);
		count++;
	}
	if (plan->capture_lo)
		interfaces[count++] = (struct capture_interface){
			.name = "lo",
		};

	return count;
}

static const struct source_ops *const sources[] = {
	[CAPTURE_LIBPCAP] = &source_libpcap,
	[CAPTURE_PACKET] = &source_packet,
};

/*
 * Have keeper open the next file. Called by the thread that writes: the channel
 * is its own, and what comes meanwhile waits in the queue.
 */
static int next_file(void *context)
{
	struct tracer *tracer = context;
	struct message message = { .fd_count = 0 };
	int ret = channel_tell(tracer->series, MESSAGE_NEXT);

	if (!ret)
		ret = channel_receive(tracer->series, &message);
	if (ret <= 0)
		return -EPIPE;

	return message.fd_count ? message.fds[0] : message.body.error;
}

static int open_capture(struct tracer *tracer)
{
	const struct plan *plan = tracer->plan;
	const struct facts *facts = plan->facts;
	struct capture_interface interfaces[INTERFACES_MAX];
	const struct capture_settings settings = {
		.source = sources[plan->options->source],
		.from = {
			.interfaces = interfaces,
			.interface_count = fill_interfaces(plan, interfaces),
			.ring_bytes = plan->ring_bytes,
			.snaplen = plan->options->snaplen,
			.filter = { facts->filter_count, facts->filter },
		},
		.format = plan->format == FORMAT_PCAPNG ? &writer_pcapng
							: &writer_pcap,
		.about = {
			.application = "nsntrace " PACKAGE_VERSION,
			.os = tracer->os,
			.hardware = facts->uts.machine,
			.filter = plan->options->filter,
			.snaplen = plan->options->snaplen,
			.nanoseconds = plan->options->nanoseconds,
		},
		.queue_bytes = plan->queue_bytes,
		.rotate = plan->options->rotate,
		.autostop = plan->options->autostop,
		.next_file = next_file,
		.next_context = tracer,
		.count = counters_read,
		.count_context = &tracer->counters,
		.freezer = tracer->freezer,
	};
	int ret;

	snprintf(tracer->os, sizeof(tracer->os), "%s %s", facts->uts.sysname,
		 facts->uts.release);

	ret = capture_open(&settings, &tracer->capture);
	if (!ret)
		debug("opened the source %s", settings.source->name);

	return ret;
}

static int open_counters(struct tracer *tracer)
{
	int ret = sockdiag_open(&tracer->sockdiag);

	if (ret < 0)
		return fail(-ret, "cannot open a socket diagnosis socket");
	counters_begin(&tracer->counters, tracer->plan, tracer->inner);

	return 0;
}

/* Make the namespace, with all that can be captured in it. */
static int make_namespace(struct tracer *tracer)
{
	int ret;

	if (unshare(CLONE_NEWNET) < 0) {
		ret = fail(errno, "cannot make a network namespace");
		if (ret == -EPERM)
			hint("root in a container needs CAP_SYS_ADMIN and "
			     "CAP_NET_ADMIN");
		return ret;
	}
	ret = rtnl_open(&tracer->inner);
	if (ret < 0)
		return fail(-ret, "cannot open a route netlink socket inside");

	return tracer->uplink.ops->create(&tracer->uplink, tracer->inner);
}

/* Complete the inner half of the uplink, and have keeper make the host's. */
static int complete_uplink(struct tracer *tracer)
{
	autoclose int netns = -1;
	int ret = tracer->uplink.ops->inside(&tracer->uplink, tracer->inner);

	if (ret < 0)
		return ret;
	debug("built the inner half of the uplink");
	netns = proc_netns_open(getpid());
	if (netns < 0)
		return fail(-netns, "cannot open the new network namespace");
	ret = channel_send(tracer->channel, MESSAGE_BUILT, &tracer->uplink.run,
			   sizeof(tracer->uplink.run), &netns, 1);
	if (!ret && tracer->plan->service_count)
		ret = make_listeners(tracer->plan, tracer->relay);

	return ret;
}

static void *build_uplink(void *argument)
{
	struct tracer *tracer = argument;

	tracer->built = complete_uplink(tracer);

	return NULL;
}

/*
 * As root: all that needs rights. Must not read a byte from the network, nor
 * start a thread that lives on. Opening the capture is mostly waiting for other
 * processors; everything that can be done meanwhile is. Returns 0, or a
 * negative errno already reported.
 */
int tracer_build(struct tracer *tracer)
{
	pthread_t builder;
	int ret = make_namespace(tracer);

	if (ret < 0)
		return ret;
	ret = pthread_create(&builder, NULL, build_uplink, tracer);
	if (ret)
		return fail(ret, "cannot start a thread");
	ret = open_capture(tracer);
	pthread_join(builder, NULL);
	if (!ret)
		ret = tracer->built;
	if (!ret)
		ret = open_counters(tracer);

	return ret;
}
