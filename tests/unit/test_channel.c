/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between two ends: what was sent before an end died is still read,
 * whatever that end itself had left unread, and lines are in nobody's way.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_messages_in_order(void **state)
{
	const struct message_signal sent = { .signo = 15, .cuts = true };
	struct message message;
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(channel_send(pair[0], MESSAGE_SIGNAL, &sent,
				      sizeof(sent), NULL, 0),
			 0);
	channel_tell(pair[0], MESSAGE_CUT);
	close(pair[0]);

	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.type, MESSAGE_SIGNAL);
	assert_int_equal(message.body.signal.signo, sent.signo);
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.type, MESSAGE_CUT);
	assert_int_equal(channel_receive(pair[1], &message), 0);
	close(pair[1]);
}

/* The kernel tells that end's death first, as a reset. */
static void test_last_words_of_a_deaf_peer(void **state)
{
	struct message message;
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	channel_tell(pair[1], MESSAGE_CUT);
	channel_tell(pair[0], MESSAGE_DONE);
	close(pair[0]);

	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.type, MESSAGE_DONE);
	assert_int_equal(channel_receive(pair[1], &message), 0);
	close(pair[1]);
}

/* However much there is to say, what somebody waits for gets through. */
static void test_lines_leave_room(void **state)
{
	const struct message_line line = { .text = "line" };
	struct message message;
	unsigned lines = 0;
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	while (channel_send(pair[0], MESSAGE_LINE, &line, sizeof(line), NULL,
			    0) == 0)
		lines++;
	assert_in_range(lines, 10, 10000);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(channel_tell(pair[0], MESSAGE_ENDED), 0);

	while (lines--) {
		assert_int_equal(channel_receive(pair[1], &message), 1);
		assert_int_equal(message.type, MESSAGE_LINE);
	}
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.type, MESSAGE_ENDED);
	assert_int_equal(channel_send(pair[0], MESSAGE_LINE, &line,
				      sizeof(line), NULL, 0),
			 0);
	close(pair[0]);
	close(pair[1]);
}

/* What no side of ours would send ends the channel, and leaks nothing. */
static void test_not_ours(void **state)
{
	static const struct {
		uint32_t type;
		size_t size;
	} wrong[] = {
		{ MESSAGE_LINE, 1 },
		{ MESSAGE_LINE, sizeof(struct message_line) + 1 },
		{ MESSAGE_DONE, sizeof(struct tally) - 1 },
		{ MESSAGE_GO, 1 },
		{ MESSAGE_FINISHED, sizeof(struct message_finished) + 4096 },
		{ MESSAGE_FINISHED + 1, 8 },
		{ UINT32_MAX, 8 },
	};
	static const char zeros[sizeof(struct message) + 4096];
	struct message message;
	int pair[2];
	int next, last;

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	next = dup(0);
	close(next);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(channel_send(pair[0],
					      (enum message_type)wrong[i].type,
					      zeros, wrong[i].size, pair, 2),
				 0);
		assert_int_equal(channel_receive(pair[1], &message), -EPROTO);
		assert_int_equal(message.fd_count, 0);
	}
	assert_int_equal(write(pair[0], "x", 1), 1);
	assert_int_equal(channel_receive(pair[1], &message), -EPROTO);
	last = dup(0);
	assert_int_equal(last, next);
	close(last);
	close(pair[0]);
	close(pair[1]);
}

static void test_texts_end(void **state)
{
	struct message_line line;
	struct message message;
	struct run run;
	int pair[2];

	(void)state;
	memset(&line, 'x', sizeof(line));
	memset(&run, 'x', sizeof(run));
	assert_int_equal(channel_pair(pair), 0);
	channel_send(pair[0], MESSAGE_LINE, &line, sizeof(line), NULL, 0);
	channel_send(pair[0], MESSAGE_BUILT, &run, sizeof(run), NULL, 0);
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(strlen(message.body.line.text), LINE_TEXT_SIZE - 1);
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(strlen(message.body.run.name), IFNAMSIZ - 1);
	close(pair[0]);
	close(pair[1]);
}

/* Whoever was taken over may send values that no compiler expects. */
static void test_values_mean_something(void **state)
{
	struct message message;
	struct tally tally;
	int pair[2];

	(void)state;
	memset(&tally, 0xee, sizeof(tally));
	tally.error = INT_MIN;
	tally.read_error = 1;
	assert_int_equal(channel_pair(pair), 0);
	channel_send(pair[0], MESSAGE_DONE, &tally, sizeof(tally), NULL, 0);
	tally.error = -ENOSPC;
	tally.read_error = 0;
	channel_send(pair[0], MESSAGE_DONE, &tally, sizeof(tally), NULL, 0);
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.body.tally.comparable, true);
	assert_int_equal(message.body.tally.unfinished, true);
	assert_int_equal(message.body.tally.error, -EPROTO);
	assert_int_equal(message.body.tally.read_error, -EPROTO);
	assert_int_equal(channel_receive(pair[1], &message), 1);
	assert_int_equal(message.body.tally.error, -ENOSPC);
	assert_int_equal(message.body.tally.read_error, 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_in_order),
		cmocka_unit_test(test_last_words_of_a_deaf_peer),
		cmocka_unit_test(test_lines_leave_room),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_texts_end),
		cmocka_unit_test(test_values_mean_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
