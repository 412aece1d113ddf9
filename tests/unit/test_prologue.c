/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes before a filter on a socket of all interfaces, run through just as
 * much of an interpreter as its instructions need.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/prologue.h"

#include <cmocka.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define SNAPLEN 4711
#define ETH0	1000
#define LO	1

static const struct prologue_interface both[] = {
	{ .index = ETH0 },
	{ .index = LO, .loopback = true },
};

/* What the kernel tells the filter of a packet, and what it has to say. */
struct packet_case {
	uint32_t index;
	uint32_t type;
	uint32_t expected;
};

static uint32_t load(const struct packet_case *packet, uint32_t place)
{
	if (place == (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX))
		return packet->index;
	assert_int_equal(place, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));

	return packet->type;
}

static uint32_t run(const struct sock_filter *program, unsigned count,
		    const struct packet_case *packet)
{
	uint32_t accumulator = 0;

	for (unsigned at = 0; at < count; at++) {
		const struct sock_filter *now = &program[at];

		switch (now->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			accumulator = load(packet, now->k);
			break;
		case BPF_LD | BPF_IMM:
			accumulator = now->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += accumulator == now->k ? now->jt : now->jf;
			break;
		case BPF_RET | BPF_A:
			return accumulator;
		case BPF_RET | BPF_K:
			return now->k;
		default:
			fail_msg("instruction %u: %#x", at, now->code);
		}
	}
	fail_msg("the program does not end");

	return 0;
}

static void expect(const struct prologue_interface *interfaces, unsigned count,
		   const struct capture_filter *filter,
		   const struct packet_case *cases, size_t case_count)
{
	static struct sock_filter program[BPF_MAXINSNS];
	int length =
		prologue_prepend(interfaces, count, filter, SNAPLEN, program);

	assert_true(length > 0);
	for (size_t i = 0; i < case_count; i++)
		assert_int_equal(run(program, (unsigned)length, &cases[i]),
				 cases[i].expected);
}

static void test_both_interfaces(void **state)
{
	static const struct packet_case cases[] = {
		{ ETH0, PACKET_HOST, SNAPLEN },
		{ ETH0, PACKET_OUTGOING, SNAPLEN },
		{ ETH0, PACKET_BROADCAST, SNAPLEN },
		{ LO, PACKET_HOST, SNAPLEN },
		{ LO, PACKET_OUTGOING, 0 },
		{ 7, PACKET_HOST, 0 },
		{ 7, PACKET_OUTGOING, 0 },
	};
	const struct capture_filter none = { 0 };

	(void)state;
	expect(both, 2, &none, cases, ARRAY_SIZE(cases));
}

static void test_one_interface(void **state)
{
	static const struct packet_case only_eth0[] = {
		{ ETH0, PACKET_OUTGOING, SNAPLEN },
		{ LO, PACKET_HOST, 0 },
		{ LO, PACKET_OUTGOING, 0 },
	};
	static const struct packet_case only_lo[] = {
		{ ETH0, PACKET_OUTGOING, 0 },
		{ LO, PACKET_HOST, SNAPLEN },
		{ LO, PACKET_OUTGOING, 0 },
	};
	const struct capture_filter none = { 0 };

	(void)state;
	expect(&both[0], 1, &none, only_eth0, ARRAY_SIZE(only_eth0));
	expect(&both[1], 1, &none, only_lo, ARRAY_SIZE(only_lo));
}

/* As many as there can be, lo in the middle. */
static void test_all_interfaces(void **state)
{
	static const struct prologue_interface interfaces[INTERFACES_MAX] = {
		{ .index = 5 },
		{ .index = LO, .loopback = true },
		{ .index = 6 },
		{ .index = 7 },
	};
	static const struct packet_case cases[] = {
		{ 5, PACKET_HOST, SNAPLEN },	 { LO, PACKET_HOST, SNAPLEN },
		{ 6, PACKET_HOST, SNAPLEN },	 { 7, PACKET_HOST, SNAPLEN },
		{ 7, PACKET_OUTGOING, SNAPLEN }, { LO, PACKET_OUTGOING, 0 },
		{ 8, PACKET_HOST, 0 },
	};
	const struct capture_filter none = { 0 };

	(void)state;
	expect(interfaces, INTERFACES_MAX, &none, cases, ARRAY_SIZE(cases));
}

/* It runs behind, and finds the accumulator as if it ran alone. */
static void test_filter(void **state)
{
	static const struct sock_filter instructions[] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 96),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	static const struct packet_case cases[] = {
		{ ETH0, PACKET_OUTGOING, 96 },
		{ LO, PACKET_HOST, 96 },
		{ LO, PACKET_OUTGOING, 0 },
		{ 7, PACKET_HOST, 0 },
	};
	const struct capture_filter filter = {
		.count = ARRAY_SIZE(instructions),
		.instructions = instructions,
	};

	(void)state;
	expect(both, 2, &filter, cases, ARRAY_SIZE(cases));
}

static void test_too_long(void **state)
{
	static struct sock_filter instructions[BPF_MAXINSNS];
	static struct sock_filter program[BPF_MAXINSNS];
	struct capture_filter filter = { .instructions = instructions };
	const struct capture_filter none = { 0 };
	int head = prologue_prepend(both, 2, &none, SNAPLEN, program) - 1;

	(void)state;
	filter.count = BPF_MAXINSNS - (unsigned)head;
	assert_int_equal(prologue_prepend(both, 2, &filter, SNAPLEN, program),
			 BPF_MAXINSNS);
	filter.count++;
	assert_int_equal(prologue_prepend(both, 2, &filter, SNAPLEN, program),
			 -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_interfaces),
		cmocka_unit_test(test_one_interface),
		cmocka_unit_test(test_all_interfaces),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
