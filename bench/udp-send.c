/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends small datagrams as fast as the kernel takes them, for a time or a
 * number of them, and prints what it did. As a program under measurement it
 * must cost next to nothing beside the packets themselves.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	  64
#define BYTES_MAX 1472

struct wish {
	struct sockaddr_in to;
	size_t bytes;
	unsigned long count;
	double seconds;
	bool hold;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);

	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void parse(struct wish *wish, int argc, char **argv)
{
	static const char usage[] = "usage: udp-send [-n COUNT] [-t SECONDS] "
				    "[-w] ADDRESS PORT BYTES\n";
	int option;

	while ((option = getopt(argc, argv, "n:t:w")) != -1) {
		switch (option) {
		case 'n':
			wish->count = strtoul(optarg, NULL, 10);
			break;
		case 't':
			wish->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			wish->hold = true;
			break;
		default:
			errx(2, usage);
		}
	}
	if (argc - optind != 3 ||
	    inet_pton(AF_INET, argv[optind], &wish->to.sin_addr) != 1)
		errx(2, usage);
	wish->to.sin_family = AF_INET;
	wish->to.sin_port =
		htons((uint16_t)strtoul(argv[optind + 1], NULL, 10));
	wish->bytes = strtoul(argv[optind + 2], NULL, 10);
	if (wish->bytes > BYTES_MAX)
		errx(2, "at most %d bytes", BYTES_MAX);
}

/* Returns how many were sent. */
static unsigned long send_all(int fd, const struct wish *wish)
{
	static char payload[BYTES_MAX];
	struct iovec piece = { payload, wish->bytes };
	struct mmsghdr batch[BATCH];
	const double end = now() + wish->seconds;
	unsigned long sent = 0;

	memset(batch, 0, sizeof(batch));
	for (unsigned i = 0; i < BATCH; i++) {
		batch[i].msg_hdr.msg_iov = &piece;
		batch[i].msg_hdr.msg_iovlen = 1;
	}

	while (sent < wish->count && now() < end) {
		unsigned long left = wish->count - sent;
		int done = sendmmsg(fd, batch,
				    left < BATCH ? (unsigned)left : BATCH, 0);

		if (done < 0)
			err(1, "sendmmsg");
		sent += (unsigned long)done;
	}

	return sent;
}

int main(int argc, char **argv)
{
	struct wish wish = { .count = (unsigned long)-1, .seconds = 3600 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned long sent;
	double began;

	parse(&wish, argc, argv);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&wish.to, sizeof(wish.to)) < 0)
		err(1, "connect");
	began = now();
	sent = send_all(fd, &wish);
	printf("{\"sent\": %lu, \"seconds\": %.6f}\n", sent, now() - began);
	if (wish.hold) {
		char byte;

		/* Whoever counts what a run costs while it lasts ends it. */
		fflush(stdout);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
	}

	return 0;
}
