/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between two ends: what was sent before an end died is still read,
 * whatever that end itself had left unread.
 */
#include "channel.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_in_order),
		cmocka_unit_test(test_last_words_of_a_deaf_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
