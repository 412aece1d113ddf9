/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * beacon ADDRESS PORT [daemon]: a datagram "beacon NUMBER" every 2 ms, until
 * killed. As "daemon" there are two: the other one has left session and parent.
 * A setuid beacon becomes its owner in every respect.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void daemonise(void)
{
	if (fork())
		return;
	setsid();
	if (fork())
		_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char text[32];
	int fd;

	if (argc < 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	if (geteuid() != getuid() && setresuid(geteuid(), geteuid(), geteuid()))
		return 3;
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	if (argc > 3)
		daemonise();
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0;; i++) {
		int length = snprintf(text, sizeof(text), "beacon %06d", i);

		/* Without a network it lives on, as a stubborn daemon would. */
		sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&to,
		       sizeof(to));
		usleep(2000);
	}
}
