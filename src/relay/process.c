/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A relay as a process: on the upstreams' side of the wall, with no right at
 * all, it waits for the sockets that were made on the other, and serves them
 * until keeper says that the program has ended, or ends itself.
 */
#include "relay/relay.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/rights.h"
#include "base/sandbox.h"
#include "channel.h"

static void tell_ready(int channel)
{
	channel_tell(channel, MESSAGE_READY);
}

/*
 * Be the relay: never returns. @channel leads to keeper and is all that the
 * process holds, but for @netns: the upstreams' network namespace, or -1 for
 * the one that the process is in.
 */
void relay_main(const struct relay_service *services, size_t count,
		const struct identity *as, int channel, int netns)
{
	struct message message;
	int ret;

	prctl(PR_SET_NAME, "nsntrace-relay");
	channel_log_to(&channel);
	if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0) {
		fail(errno, "cannot enter the program's network namespace");
		_exit(1);
	}
	fd_close(&netns);
	if (rights_drop_all(as) < 0 || sandbox_enter(SANDBOX_RELAY) < 0)
		_exit(1);

	ret = channel_receive(channel, &message);
	if (ret < 0)
		fail(-ret, "cannot hear the keeper process");
	if (ret <= 0)
		_exit(ret < 0 ? 1 : 0);
	if (message.type != MESSAGE_LISTENERS || message.fd_count != count) {
		fail(EPROTO, "cannot relay %zu addresses", count);
		_exit(1);
	}
	debug("relaying %zu addresses, all rights dropped", count);
	ret = relay_serve(services, message.fds, count, channel, tell_ready);
	_exit(ret < 0 ? 1 : 0);
}
