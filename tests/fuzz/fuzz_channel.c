/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any messages with any descriptors, from front, tracer and relays that were
 * taken over by what they read, into keeper's own loop: what is taken for a
 * message makes sense, no descriptor stays, and what is told of it in the end
 * can be shown by a terminal.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "keeper_loop.h"
#include "options.h"
#include "report.h"

#define PEERS	     4
#define MESSAGES_MAX 32
#define FDS_MAX	     (MESSAGE_FDS_MAX + 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __wrap_live_reset(unsigned rows);
void __wrap_live_repaint(void);

/* There is no terminal here that could be drawn on. */
void __wrap_live_reset(unsigned rows)
{
	(void)rows;
}

void __wrap_live_repaint(void)
{
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void look_at_line(enum log_level level, const char *line, void *context)
{
	size_t length = strlen(line);

	(void)level;
	(void)context;
	/* Who sends nothing has said nothing. */
	check(length == 0 || line[length - 1] == '\n');
	for (size_t i = 0; i + 1 < length; i++)
		check(!iscntrl((unsigned char)line[i]));
}

/* The lowest that is free: none below it was left open. */
static int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	check(fd >= 0);
	close(fd);

	return fd;
}

/* The head of a message in the input; its body follows. */
struct head {
	uint8_t peer;
	uint8_t type;
	uint8_t fds;
	uint8_t size[2];
};

static void send_any(int fd, const struct head *head, const uint8_t *body,
		     size_t size)
{
	/* The last of them are no messages at all. */
	uint32_t type = head->type < 0xf0 ? head->type : UINT32_MAX;
	struct iovec parts[] = {
		{ &type, sizeof(type) },
		{ (void *)body, size },
	};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { .room = { 0 } };
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
	size_t count = head->fds % (FDS_MAX + 1);
	int fds[FDS_MAX];

	for (size_t i = 0; i < count; i++)
		fds[i] = fd;
	if (count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What front would say and do with what keeper has taken from tracer. */
static void look_at_end(const struct keeper *keeper)
{
	const struct message_finished finished = {
		.executed = true,
		.counted = keeper->done,
		.tally = keeper->tally,
	};
	const struct tally *tally = &keeper->tally;

	check(tally->error <= 0 && tally->read_error <= 0);
	report_end(keeper->plan, &finished);
}

/* Have the loop hear what one peer says, until there is nothing more. */
static void play(struct keeper *keeper, const int *ends, const uint8_t *data,
		 size_t size)
{
	for (int i = 0; i < MESSAGES_MAX && size >= sizeof(struct head); i++) {
		struct head head;
		size_t length;

		memcpy(&head, data, sizeof(head));
		data += sizeof(head);
		size -= sizeof(head);
		length = (size_t)(head.size[0] | head.size[1] << 8);
		length = length < size ? length : size;
		send_any(ends[head.peer % PEERS], &head, data, length);
		data += length;
		size -= length;
		keeper_turn(keeper, 0);
	}
	for (int i = 0; i < PEERS; i++)
		close(ends[i]);
	for (int i = 0; i < PEERS; i++)
		keeper_turn(keeper, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options options = { .snaplen = 1, .outfile = "trace" };
	static struct facts facts;
	const struct plan plan = { .options = &options, .facts = &facts };
	struct keeper keeper = {
		.plan = &plan,
		.front = { .name = "front" },
		.tracer = { .name = "tracer" },
		.relay = { .name = "relay" },
		.publisher = { .name = "relay" },
		.signals = -1,
		.front_pidfd = -1,
		.netns = -1,
		.watch = -1,
		.mount_ns = -1,
		.series_channel = -1,
		.program = { .pidfd = -1, .door = -1 },
		.cgroup = CGROUP_NONE,
		.freezer = FREEZER_OFF,
	};
	struct peer *const peers[PEERS] = { &keeper.front, &keeper.tracer,
					    &keeper.relay, &keeper.publisher };
	const int first = next_descriptor();
	int ends[PEERS];

	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(look_at_line, NULL);
	for (int i = 0; i < PEERS; i++) {
		int pair[2];

		check(channel_pair(pair) == 0);
		peers[i]->channel = pair[0];
		ends[i] = pair[1];
	}
	play(&keeper, ends, data, size);
	look_at_end(&keeper);
	for (int i = 0; i < PEERS; i++)
		close(peers[i]->channel);
	/* The uplink's, which is kept. */
	if (keeper.netns >= 0)
		close(keeper.netns);
	check(next_descriptor() == first);
	log_set_sink(NULL, NULL);

	return 0;
}
