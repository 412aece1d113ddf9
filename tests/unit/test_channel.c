/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between two ends: what was sent before an end died is still read,
 * whatever that end itself had left unread, and lines are in nobody's way.
 */
#include "channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_in_order),
		cmocka_unit_test(test_last_words_of_a_deaf_peer),
		cmocka_unit_test(test_lines_leave_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
