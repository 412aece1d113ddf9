/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * send_udp ADDRESS PORT COUNT: datagrams "static NUMBER" from a program that
 * uses no shared library.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char text[32];

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((in_port_t)atoi(argv[2]));
	for (int i = 0; i < atoi(argv[3]); i++) {
		int length = snprintf(text, sizeof(text), "static %06d", i);

		if (sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&to,
			   sizeof(to)) != length)
			return 1;
	}

	return 0;
}
