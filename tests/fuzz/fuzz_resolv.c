/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A resolver configuration of any bytes: what is found in it is found again in
 * the text that is made of it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* A file, because what it does with NUL bytes is part of the reading. */
static void read_bytes(const uint8_t *bytes, size_t size, struct resolv *resolv)
{
	char path[] = "/tmp/fuzz_resolv.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	check(fd >= 0);
	check(write(fd, bytes, size) == (ssize_t)size);
	check(resolv_read(path, resolv) == 0);
	close(fd);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct resolv first;
	struct resolv second;
	char *text;

	read_bytes(bytes, size, &first);
	check(first.present && first.count <= RESOLV_SERVERS_MAX);

	text = resolv_with_servers(first.text, first.servers, first.count);
	resolv_parse(text, &second);
	check(second.count == first.count);
	for (size_t i = 0; i < first.count; i++)
		check(ip_equal(&first.servers[i], &second.servers[i]));

	free(text);
	resolv_free(&first);

	return 0;
}
