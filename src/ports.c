/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What --localhost and --publish take: ports, with an address or a protocol.
 * Whether a port is free, or an address the host's, is left to the kernel.
 */
#include "ports.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

static bool parse_port(const char *text, uint16_t *port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long value = strtoul(text, NULL, 10);

	if (!digits || digits > 5 || text[digits] || !value ||
	    value > UINT16_MAX)
		return false;
	*port = (uint16_t)value;

	return true;
}

/* Cut "/udp" off @text, if that is its end. */
static bool take_udp(char *text)
{
	char *slash = strchr(text, '/');

	if (!slash || strcmp(slash, "/udp") != 0)
		return false;
	*slash = '\0';

	return true;
}

static int add(const char *option, const struct port *port, struct ports *ports)
{
	if (ports->count == PORTS_MAX)
		return refuse("%s can be given %d times", option, PORTS_MAX);
	ports->port[ports->count++] = *port;

	return 0;
}

/* Add what --localhost takes, PORT[/udp]. Returns 0 or -EINVAL, reported. */
int ports_add_local(const char *value, struct ports *ports)
{
	autofree char *text = xstrdup(value);
	struct port port = { .tcp = !take_udp(text) };

	if (!parse_port(text, &port.host))
		return refuse("--localhost takes PORT[/udp], not '%s'", value);
	port.inside = port.host;

	return add("--localhost", &port, ports);
}

/*
 * Take the address off the beginning of @text, up to its colon, if there is
 * one: an IPv6 address is in brackets. Returns where the ports begin, or NULL
 * if what should be an address is none.
 */
static const char *take_address(char *text, struct ip *address)
{
	bool bracket = *text == '[';
	char *begin = bracket ? text + 1 : text;
	char *end = begin + strcspn(begin, bracket ? "]" : ":");
	char *ports = end + bracket;

	/* A port alone, or a port and another. */
	if (!bracket && begin[strspn(begin, "0123456789")] != '.')
		return text;
	if (!*end || *ports != ':')
		return NULL;
	*end = '\0';
	if (!ip_parse(begin, address) ||
	    bracket != (address->family == AF_INET6))
		return NULL;

	return ports + 1;
}

static bool parse_published(char *text, struct port *port)
{
	const char *ports;
	char *colon;

	port->tcp = !take_udp(text);
	ports = take_address(text, &port->address);
	if (!ports)
		return false;
	colon = strchr(ports, ':');
	if (colon)
		*colon++ = '\0';

	return parse_port(ports, &port->host) &&
	       parse_port(colon ? colon : ports, &port->inside);
}

/*
 * Add what --publish takes, [ADDR:]PORT[:PORT][/udp]. Returns 0 or -EINVAL,
 * reported.
 */
int ports_add_published(const char *value, struct ports *ports)
{
	autofree char *text = xstrdup(value);
	struct port port = { 0 };

	if (!parse_published(text, &port))
		return refuse("--publish takes [ADDR:]PORT[:PORT][/udp], "
			      "not '%s'",
			      value);

	return add("--publish", &port, ports);
}
