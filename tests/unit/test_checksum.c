/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksum stage on frames as Linux left them, and on what others may make
 * of them: completed where they are open, and else untouched to the last bit.
 * Every frame has memory of its own size, so that ASan sees a step beyond it.
 */
#include "capture/checksum.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/sum.h"
#include "frames.h"

static uint64_t handed_on;

static void count(struct stage *stage, struct frame *frame)
{
	(void)stage;
	(void)frame;
	handed_on++;
}

static const struct stage_ops count_ops = { .frame = count };
static struct stage counter = { .ops = &count_ops };

static const struct capture_interface interfaces[] = {
	{ .name = "eth0", .link_type = 1 },
	{ .name = "tun0", .link_type = 101 },
	{ .name = "any", .link_type = 113 },
};

static void push(struct frame *frame)
{
	struct checksum_stage checksum;
	uint64_t before = handed_on;

	checksum_init(&checksum, interfaces, &counter);
	stage_frame(&checksum.stage, frame);
	assert_int_equal(handed_on, before + 1);
}

/* Complete @frame: the field is right then, and nothing else has changed. */
static void assert_completed(struct frame *frame, size_t field, uint16_t right)
{
	struct frame *expected = frame_of(frame->bytes, frame->caplen);

	put(expected, field, right);
	push(frame);
	assert_int_equal(get(frame, field), right);
	assert_memory_equal(frame->bytes, expected->bytes, frame->caplen);
	push(frame); /* what is right stays so */
	assert_memory_equal(frame->bytes, expected->bytes, frame->caplen);
	free(expected);
	free(frame);
}

static void assert_untouched(struct frame *frame)
{
	struct frame *expected = frame_of(frame->bytes, frame->caplen);

	push(frame);
	assert_memory_equal(frame->bytes, expected->bytes, frame->caplen);
	free(expected);
	free(frame);
}

static void test_frames_of_linux(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = samples[i];
		struct frame *frame = frame_from(sample);

		assert_completed(frame, sample->field, sample->right);
		frame = frame_from(sample);
		frame->checksum = CHECKSUM_OPEN;
		assert_completed(frame, sample->field, sample->right);
		frame = frame_from(sample);
		frame->checksum = CHECKSUM_FILLED;
		assert_untouched(frame);
	}
}

/* Of all values of the field only one is changed, and that to the right one. */
static void test_corrupt_checksum_stays(void **state)
{
	struct frame *frame = frame_from(&udp4);
	uint16_t open = get(frame, udp4.field);
	unsigned changed = 0;

	(void)state;
	for (unsigned value = 0; value <= UINT16_MAX; value++) {
		put(frame, udp4.field, value);
		push(frame);
		changed += get(frame, udp4.field) != value;
	}
	assert_int_equal(changed, 1);
	put(frame, udp4.field, open);
	assert_completed(frame, udp4.field, udp4.right);
}

/* Of a packet that had been complete, any bit may have toppled. */
static void test_corrupt_bytes_stay(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame *whole = frame_from(samples[i]);

		put(whole, samples[i]->field, samples[i]->right);
		for (size_t bit = 0; bit < 8UL * whole->len; bit++) {
			struct frame *frame =
				frame_of(whole->bytes, whole->len);

			frame->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_untouched(frame);
		}
		free(whole);
	}
}

static void test_cut_frames_stay(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame *whole = frame_from(samples[i]);

		for (uint32_t size = 0; size < whole->len; size++) {
			struct frame *frame = frame_of(whole->bytes, size);

			assert_untouched(frame); /* it says that it is whole */
			frame = frame_of(whole->bytes, size);
			frame->len = whole->len;
			assert_untouched(frame);
		}
		free(whole);
	}
}

/* Ethernet fills short frames up to 60 bytes, with anything. */
static void test_padding_does_not_count(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame *frame = frame_from(samples[i]);

		frame = insert(frame, frame->len, "padding", 7);
		assert_completed(frame, samples[i]->field, samples[i]->right);
	}
}

static void test_tags(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = samples[i];
		struct frame *frame =
			insert(frame_from(sample), 12, "\x81\x00\x00\x05", 4);

		frame = insert(frame, 12, "\x88\xa8\x00\x06", 4);
		assert_completed(frame, sample->field + 8, sample->right);
		frame = insert(frame_from(sample), 12, "\x91\x00\x00\x05", 4);
		assert_completed(frame, sample->field + 4, sample->right);
		frame = insert(frame_from(sample), 12, "\x88\x47\x00\x05", 4);
		assert_untouched(frame);
	}
}

static void test_link_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct frame *whole = frame_from(samples[i]);
		struct frame *frame = frame_of(whole->bytes + ETHERNET,
					       whole->len - ETHERNET);

		frame->interface = 1;
		assert_completed(frame, samples[i]->field - ETHERNET,
				 samples[i]->right);
		whole->interface = 2;
		assert_untouched(whole);
	}
	assert_untouched(frame_of(NULL, 0));
}

static void test_fragments(void **state)
{
	static const uint16_t parts[] = { 0x2000, 0x2001, 0x0001, 0x1fff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct frame *frame = frame_from(&udp4);

		put(frame, IPV4_FRAGMENT, parts[i]);
		assert_untouched(frame);
	}
}

/* Whole datagrams can have a fragment header, see RFC 6946. */
static void test_fragments6(void **state)
{
	static const uint16_t parts[] = { 0x0000, 0x0001, 0x0008, 0xfff9 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct frame *frame = insert(frame_from(&udp6), ETHERNET + IPV6,
					     "\x11\0\0\0\0\0\0\1", 8);

		put(frame, IPV6_PAYLOAD, 11 + 8);
		frame->bytes[IPV6_NEXT] = 44;
		put(frame, ETHERNET + IPV6 + 2, parts[i]);
		if (parts[i])
			assert_untouched(frame);
		else
			assert_completed(frame, udp6.field + 8, udp6.right);
	}
}

/* At the last of the addresses the header's own one is the final one. */
static void test_end_of_route(void **state)
{
	struct frame *frame = frame_from(&segments6);

	(void)state;
	frame->bytes[ETHERNET + IPV6 + 3] = 0;
	assert_untouched(frame);
	frame = frame_from(&segments6);
	frame->bytes[ETHERNET + IPV6 + 3] = 0;
	frame->bytes[IPV6_TO + 15] = 0x77;
	assert_completed(frame, segments6.field, segments6.right);

	frame = frame_from(&source_route);
	frame->bytes[ETHERNET + IPV4 + 2] = 8;
	assert_untouched(frame);
}

/* The other routing headers have the final address at their end. */
static void test_routing_headers(void **state)
{
	(void)state;
	for (uint8_t type = 0; type <= 2; type += 2) {
		struct frame *frame = frame_from(&segments6);
		uint8_t first[16];
		uint8_t *address = frame->bytes + ETHERNET + IPV6 + 8;

		memcpy(first, address, sizeof(first));
		memcpy(address, address + 16, sizeof(first));
		memcpy(address + 16, first, sizeof(first));
		frame->bytes[ETHERNET + IPV6 + 2] = type;
		assert_completed(frame, segments6.field, segments6.right);
	}
}

/*
 * @sample with @size bytes of payload more, as segmentation offload makes it.
 * The lengths of IP and UDP are set, or 0 beyond 64 KiB; the open sum follows.
 */
static struct frame *enlarge(const struct sample *sample, size_t size)
{
	struct frame *frame = frame_from(sample);
	bool v4 = get(frame, 12) == 0x0800;
	size_t start = ETHERNET + (v4 ? IPV4 : IPV6);
	bool udp = sample->field == start + 6;
	uint8_t *more = xcalloc(1, size);
	uint32_t sum = get(frame, sample->field);
	size_t length, field;

	sum += UINT16_MAX - (uint16_t)(frame->len - start);
	for (size_t i = 0; i < size; i++)
		more[i] = (uint8_t)(i * 7 + i / 256);
	frame = insert(frame, frame->len, more, size);
	free(more);

	length = frame->len - start;
	field = v4 ? length + IPV4 : length;
	put(frame, v4 ? IPV4_TOTAL : IPV6_PAYLOAD,
	    field <= UINT16_MAX ? field : 0);
	if (udp)
		put(frame, start + 4, length);
	sum += (uint32_t)(length >> 16) + (uint16_t)length;
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	put(frame, sample->field, sum);

	return frame;
}

static void assert_large(const struct sample *sample, size_t size)
{
	struct frame *frame = enlarge(sample, size);
	size_t start =
		get(frame, 12) == 0x0800 ? ETHERNET + IPV4 : ETHERNET + IPV6;
	uint16_t right =
		(uint16_t)~plain_sum(frame->bytes + start, frame->len - start);

	assert_completed(frame, sample->field, right);
}

static void test_large_segments(void **state)
{
	(void)state;
	for (size_t odd = 0; odd < 2; odd++) {
		assert_large(&tcp4, 65000 + odd);
		assert_large(&tcp6, 65000 + odd);
		assert_large(&udp4, 65000 + odd);
		assert_large(&udp6, 65000 + odd);
		assert_large(&tcp4, 190000 + odd);
		assert_large(&tcp6, 190000 + odd);
	}
}

static void test_udp_without(void **state)
{
	struct frame *frame = frame_from(&udp4);

	(void)state;
	put(frame, udp4.field, 0);
	assert_untouched(frame);
	frame = frame_from(&udp6);
	put(frame, udp6.field, 0);
	assert_untouched(frame);
}

/* With this payload the sum is 0, which would say that there is none. */
static void test_udp_of_zero(void **state)
{
	struct frame *frame = frame_from(&udp4);

	(void)state;
	put(frame, udp4.field + 2, 0x6f64 + udp4.right);
	assert_completed(frame, udp4.field, UINT16_MAX);
}

/* For TCP there is nothing that 0 could say, and its twin is wrong. */
static void test_tcp_of_zero(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		const struct sample *sample = v6 ? &tcp6 : &tcp4;
		struct frame *frame = frame_from(sample);

		put(frame, sample->field + 2, sample->right);
		assert_completed(frame, sample->field, 0);
	}
}

/* Not all of the packet needs to be the datagram; its length is its own. */
static void test_udp_length(void **state)
{
	struct frame *frame = frame_from(&udp4);

	(void)state;
	frame = insert(frame, frame->len, "!", 1);
	put(frame, IPV4_TOTAL, get(frame, IPV4_TOTAL) + 1U);
	assert_completed(frame, udp4.field, udp4.right);

	for (unsigned length = 0; length <= UINT16_MAX; length++) {
		uint32_t sum = get(frame = frame_from(&udp4), udp4.field);

		if (length >= 8 && length <= 11) {
			free(frame);
			continue;
		}
		put(frame, udp4.field - 2, length);
		sum += UINT16_MAX - 11 + length;
		put(frame, udp4.field, (sum & 0xffff) + (sum >> 16));
		assert_untouched(frame);
	}
}

static void test_ip_in_ip(void **state)
{
	struct frame *frame = frame_from(&tcp4);
	struct frame *outer = frame_from(&tcp6);

	(void)state;
	frame = insert(frame, ETHERNET, outer->bytes + ETHERNET, IPV6);
	put(frame, 12, 0x86dd);
	put(frame, IPV6_PAYLOAD, 60);
	frame->bytes[IPV6_NEXT] = 4;
	assert_completed(frame, tcp4.field + IPV6, tcp4.right);

	frame = insert(frame_from(&tcp6), ETHERNET,
		       "\x45\0\0\x64\0\0\0\0\x40\x29\0\0\x0a\0\0\1\x0a\0\0\2",
		       IPV4);
	put(frame, 12, 0x0800);
	assert_completed(frame, tcp6.field + IPV4, tcp6.right);
	free(outer);
}

/* A packet of one chunk of 3 bytes; what is not 0 is not open. */
static void test_sctp(void **state)
{
	struct frame *frame = insert(frame_from(&udp4), 34,
				     "\x12\x34\0\x50\0\0\0\1\0\0\0\0", 12);
	uint32_t crc;

	(void)state;
	put(frame, IPV4_TOTAL, IPV4 + 12 + 11);
	frame->bytes[IPV4_PROTOCOL] = 132;
	crc = sum_crc32c(frame->bytes + 34, 23);
	push(frame);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(frame->bytes[42 + i], (uint8_t)(crc >> 8 * i));
	frame->bytes[42] ^= 1;
	assert_untouched(frame);
}

/* ICMP, and whatever else there is, is always complete. */
static void test_other_protocols(void **state)
{
	(void)state;
	for (unsigned protocol = 0; protocol <= UINT8_MAX; protocol++) {
		struct frame *frame = frame_from(&tcp4);

		frame->bytes[IPV4_PROTOCOL] = (uint8_t)protocol;
		if (protocol == IPPROTO_TCP)
			assert_completed(frame, tcp4.field, tcp4.right);
		else if (protocol == IPPROTO_SCTP)
			free(frame); /* has a test of its own */
		else
			assert_untouched(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_of_linux),
		cmocka_unit_test(test_corrupt_checksum_stays),
		cmocka_unit_test(test_corrupt_bytes_stay),
		cmocka_unit_test(test_cut_frames_stay),
		cmocka_unit_test(test_padding_does_not_count),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_link_types),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragments6),
		cmocka_unit_test(test_end_of_route),
		cmocka_unit_test(test_routing_headers),
		cmocka_unit_test(test_large_segments),
		cmocka_unit_test(test_udp_without),
		cmocka_unit_test(test_udp_of_zero),
		cmocka_unit_test(test_tcp_of_zero),
		cmocka_unit_test(test_udp_length),
		cmocka_unit_test(test_ip_in_ip),
		cmocka_unit_test(test_sctp),
		cmocka_unit_test(test_other_protocols),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
