/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses of both families as one value.
 */
#include "base/ip.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of an interface that need not be there any more. */
static uint32_t parse_scope(const char *text)
{
	char *end;
	unsigned long scope;

	if (!isdigit((unsigned char)*text))
		return 0;
	errno = 0;
	scope = strtoul(text, &end, 10);

	return *end || errno || scope > UINT32_MAX ? 0 : (uint32_t)scope;
}

/*
 * Read an IPv4 or IPv6 address in its usual notation; a link-local IPv6 one may
 * carry a scope, "fe80::1%eth0" or "fe80::1%2". Returns false for anything
 * else.
 */
bool ip_parse(const char *text, struct ip *ip)
{
	char address[IP_TEXT_SIZE];
	const char *percent = strchr(text, '%');
	size_t length = percent ? (size_t)(percent - text) : strlen(text);

	*ip = (struct ip){ 0 };
	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';

	if (!percent && inet_pton(AF_INET, address, &ip->v4) == 1) {
		ip->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, address, &ip->v6) != 1)
		return false;
	if (percent) {
		ip->scope = if_nametoindex(percent + 1);
		if (!ip->scope)
			ip->scope = parse_scope(percent + 1);
		if (!ip->scope)
			return false;
	}
	ip->family = AF_INET6;

	return true;
}

/* Write the usual notation of @ip into @text, which is returned. */
const char *ip_format(const struct ip *ip, char text[IP_TEXT_SIZE])
{
	if (!inet_ntop(ip->family, ip->bytes, text, IP_TEXT_SIZE))
		snprintf(text, IP_TEXT_SIZE, "none");

	return text;
}

/* Bytes of the address itself: 4, 16, or 0 for none. */
size_t ip_size(const struct ip *ip)
{
	if (ip->family == AF_INET)
		return sizeof(ip->v4);
	if (ip->family == AF_INET6)
		return sizeof(ip->v6);

	return 0;
}

/* Whether the address lies in 127.0.0.0/8, or is ::1 (mapped ones included). */
bool ip_is_loopback(const struct ip *ip)
{
	if (ip->family == AF_INET)
		return ip->bytes[0] == 127;
	if (ip->family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&ip->v6))
		return ip->bytes[12] == 127;

	return IN6_IS_ADDR_LOOPBACK(&ip->v6);
}

/* Whether both are the same address. */
bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, ip_size(a)) == 0 &&
	       a->scope == b->scope;
}

/* Fill in a socket address; returns its length. */
socklen_t ip_sockaddr(const struct ip *ip, uint16_t port,
		      struct sockaddr_storage *address)
{
	memset(address, 0, sizeof(*address));
	if (ip->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)address;

		in->sin_family = AF_INET;
		in->sin_addr = ip->v4;
		in->sin_port = htons(port);
		return sizeof(*in);
	}

	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

	in6->sin6_family = AF_INET6;
	in6->sin6_addr = ip->v6;
	in6->sin6_port = htons(port);
	in6->sin6_scope_id = ip->scope;

	return sizeof(*in6);
}
