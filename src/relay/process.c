/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay as a process: on the host's side, with no right at all, it waits
 * for the sockets that were made inside, and serves them until keeper ends.
 */
#include "relay/relay.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rights.h"
#include "channel.h"

/*
 * Be the relay: never returns. @channel leads to keeper and is all that the
 * process holds.
 */
void relay_main(const struct relay_service *services, size_t count,
		const struct identity *as, int channel)
{
	struct message message;
	int ret;

	prctl(PR_SET_NAME, "nsntrace-relay");
	channel_log_to(&channel);
	if (rights_drop_all(as) < 0)
		_exit(1);

	ret = channel_receive(channel, &message);
	if (ret <= 0)
		_exit(0);
	if (message.type != MESSAGE_LISTENERS || message.fd_count != count) {
		fail(EPROTO, "cannot relay %zu addresses", count);
		_exit(1);
	}
	debug("relaying %zu addresses, all rights dropped", count);
	ret = relay_serve(services, message.fds, count, channel);
	_exit(ret < 0 ? 1 : 0);
}
