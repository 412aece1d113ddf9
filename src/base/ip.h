/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_BASE_IP_H
#define NSNTRACE_BASE_IP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Room for the text of any address, with a scope and the NUL. */
#define IP_TEXT_SIZE 64

/* An address of either family; family AF_UNSPEC (0) means none. */
struct ip {
	sa_family_t family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
		uint8_t bytes[16];
	};
	uint32_t scope; /* interface index of a link-local IPv6 address */
};

bool ip_parse(const char *text, struct ip *ip);
const char *ip_format(const struct ip *ip, char text[IP_TEXT_SIZE]);
size_t ip_size(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
socklen_t ip_sockaddr(const struct ip *ip, uint16_t port,
		      struct sockaddr_storage *address);

#endif
