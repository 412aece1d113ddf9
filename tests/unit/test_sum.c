/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sums and CRCs, by the examples of their RFCs and by the plainest of loops.
 */
#include "capture/sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"

static uint16_t wire_sum(const void *bytes, size_t size)
{
	uint16_t sum = sum_fold(sum_bytes(bytes, size));
	uint8_t wire[2];

	memcpy(wire, &sum, sizeof(sum));

	return (uint16_t)(wire[0] << 8 | wire[1]);
}

static void test_rfc_1071(void **state)
{
	static const uint8_t bytes[] = {
		0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7,
	};

	(void)state;
	assert_int_equal(wire_sum(bytes, sizeof(bytes)), 0xddf2);
	assert_int_equal(wire_sum(bytes, 0), 0);
	assert_int_equal(wire_sum(bytes, 3), 0x0001 + 0xf200);
	assert_int_equal(
		sum_fold(sum_bytes(bytes, 2) + sum_bytes(bytes + 2, 6)),
		sum_fold(sum_bytes(bytes, 8)));
}

static void test_sums_of_all_sizes(void **state)
{
	size_t size = 200000;
	uint8_t *bytes = malloc(size);

	(void)state;
	assert_non_null(bytes);
	srand(1);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)rand();
	for (size_t at = 0; at < 16; at++)
		for (size_t i = 0; i < 200; i++)
			assert_int_equal(wire_sum(bytes + at, i),
					 plain_sum(bytes + at, i));
	assert_int_equal(wire_sum(bytes, size), plain_sum(bytes, size));
	memset(bytes, 0xff, size);
	assert_int_equal(wire_sum(bytes, size), 0xffff);
	free(bytes);
}

/* RFC 3720, section B.4. */
static void test_crc32c(void **state)
{
	uint8_t bytes[32] = { 0 };

	(void)state;
	assert_int_equal(sum_crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(sum_crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_int_equal(sum_crc32c(bytes, sizeof(bytes)), 0x46dd794e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_1071),
		cmocka_unit_test(test_sums_of_all_sizes),
		cmocka_unit_test(test_crc32c),
	};

	return cmocka_run_group_tests_name("sum", tests, NULL, NULL);
}
