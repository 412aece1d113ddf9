/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the relays serve: the name servers that the program cannot reach, the
 * ports of the host that it is to find inside, and the other way round. Like
 * all of the plan it asks nothing of the host and changes nothing there.
 */
#include "services.h"

#include <errno.h>
#include <string.h>

#define DNS_PORT    53
#define SERVERS_MAX RESOLV_SERVERS_MAX

_Static_assert(OPTIONS_DNS_MAX <= SERVERS_MAX, "room for --dns");
/* Two families or two protocols of each, and two servers that nobody names. */
_Static_assert(2 * (PORTS_MAX + SERVERS_MAX + 2) <= RELAY_SERVICES_MAX,
	       "room for all services");

static const char *protocol_of(const struct relay_service *service)
{
	return service->tcp ? "tcp" : "udp";
}

/* The service that is at the same address and port as @wanted, or NULL. */
static const struct relay_service *
find_service(const struct plan *plan, const struct relay_service *wanted)
{
	for (size_t i = 0; i < plan->service_count; i++) {
		const struct relay_service *service = &plan->services[i];

		if (service->tcp == wanted->tcp &&
		    service->port == wanted->port &&
		    ip_equal(&service->listen, &wanted->listen))
			return service;
	}

	return NULL;
}

static void add_dns(struct plan *plan, bool tcp, const struct ip *listen,
		    const struct ip *upstream)
{
	struct relay_service service = {
		.tcp = tcp,
		.port = DNS_PORT,
		.upstream_port = DNS_PORT,
		.listen = *listen,
		.upstream = *upstream,
	};

	/* What leaves the host leaves by the device that was asked for. */
	if (plan->options->device && !ip_is_loopback(upstream))
		snprintf(service.device, sizeof(service.device), "%s",
			 plan->options->device);
	if (!find_service(plan, &service))
		plan->services[plan->service_count++] = service;
}

static void relay_dns(struct plan *plan, const struct ip *listen,
		      const struct ip *upstream)
{
	if (listen->family == AF_INET6 && !plan->facts->ip6)
		return;
	add_dns(plan, false, listen, upstream);
	add_dns(plan, true, listen, upstream);
}

/* Whether only one link leads to @server: "fe80::1%eth0". */
static bool is_on_link(const struct ip *server)
{
	return server->family == AF_INET6 && server->scope &&
	       IN6_IS_ADDR_LINKLOCAL(&server->v6);
}

static bool is_among(const struct ip *servers, size_t count,
		     const struct ip *server)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_equal(&servers[i], server))
			return true;
	}

	return false;
}

/*
 * The program is told another address in place of each of @servers that it
 * cannot reach because the link is the host's: one of the loopback that stands
 * for none of the others. Returns whether there is any.
 */
static bool stand_in(struct ip *servers, size_t count)
{
	bool any = false;
	struct ip local;

	ip_parse("127.53.0.1", &local);
	for (size_t i = 0; i < count; i++) {
		if (!is_on_link(&servers[i]))
			continue;
		while (is_among(servers, count, &local))
			local.bytes[3]++;
		servers[i] = local;
		any = true;
	}

	return any;
}

/* What resolv.conf says instead, where it must: @told in place of @servers. */
static void plan_resolv_conf(struct plan *plan, const struct ip *servers,
			     const struct ip *told, size_t count)
{
	const char *text = plan->facts->resolv.text;

	plan->resolv_conf =
		plan->options->dns_count
			? resolv_with_servers(text, told, count)
			: resolv_with_replaced(text, servers, told, count);
	plan->mounts.resolv_conf = plan->resolv_conf;
}

/*
 * The relay answers at every loopback address at which the program will look
 * for a name server. Without a resolv.conf that is 127.0.0.1 (resolv.conf(5)).
 */
static void plan_dns(struct plan *plan)
{
	const struct options *options = plan->options;
	const struct resolv *resolv = &plan->facts->resolv;
	const struct ip *servers =
		options->dns_count ? options->dns : resolv->servers;
	size_t count = options->dns_count ? options->dns_count : resolv->count;
	struct ip told[SERVERS_MAX];
	struct ip local;

	if (plan->engine == ENGINE_NONE)
		return;

	memcpy(told, servers, count * sizeof(*told));
	if (stand_in(told, count) || options->dns_count)
		plan_resolv_conf(plan, servers, told, count);
	for (size_t i = 0; i < count; i++) {
		if (ip_is_loopback(&told[i]))
			relay_dns(plan, &told[i], &servers[i]);
	}
	ip_parse("127.0.0.1", &local);
	if (!resolv->present || !resolv->count)
		relay_dns(plan, &local,
			  options->dns_count ? &options->dns[0] : &local);
	/* The host's resolv.conf may lead there at any time. */
	ip_parse("127.0.0.53", &local);
	if (plan->facts->resolved && !options->dns_count)
		relay_dns(plan, &local, &local);
}

static const char *const loopbacks[] = { "127.0.0.1", "::1" };

/* No IPv6 where the host has none. */
static size_t family_count(const struct plan *plan)
{
	return plan->facts->ip6 ? 2 : 1;
}

/*
 * A port of the host, at the same addresses inside. Where a name server is
 * relayed to the same place, that does it; it must not be elsewhere.
 */
static int plan_local(struct plan *plan, const struct port *port)
{
	for (size_t i = 0; i < family_count(plan); i++) {
		struct relay_service service = {
			.tcp = port->tcp,
			.follow = true,
			.port = port->inside,
			.upstream_port = port->host,
		};
		const struct relay_service *other;

		ip_parse(loopbacks[i], &service.listen);
		service.upstream = service.listen;
		other = find_service(plan, &service);
		if (!other)
			plan->services[plan->service_count++] = service;
		else if (!ip_equal(&other->upstream, &service.upstream))
			return refuse("--localhost %u/%s: the name server of "
				      "--dns is at %s inside",
				      port->host, protocol_of(&service),
				      loopbacks[i]);
	}

	return 0;
}

/*
 * A port of the host at @listen leads inside: first to the loopback address of
 * the same family, as a program rarely listens anywhere else only.
 */
static void publish_at(struct plan *plan, const struct port *port,
		       const struct ip *listen)
{
	struct relay_service *service =
		&plan->published[plan->published_count++];
	bool ip6 = listen->family == AF_INET6;

	*service = (struct relay_service){
		.tcp = port->tcp,
		.inward = true,
		.follow = true,
		.port = port->host,
		.upstream_port = port->inside,
		.listen = *listen,
	};
	ip_parse(loopbacks[ip6], &service->upstream);
	if (plan->facts->ip6)
		ip_parse(loopbacks[!ip6], &service->fallbacks[0]);
}

static void plan_published(struct plan *plan, const struct port *port)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	if (port->address.family) {
		publish_at(plan, port, &port->address);
		return;
	}
	for (size_t i = 0; i < family_count(plan); i++)
		publish_at(plan, port, &(struct ip){ .family = families[i] });
}

/*
 * Choose all that is to be relayed. Returns 0, or a negative errno already
 * reported.
 */
int services_plan(struct plan *plan)
{
	const struct options *options = plan->options;

	plan_dns(plan);
	for (size_t i = 0; i < options->published.count; i++)
		plan_published(plan, &options->published.port[i]);
	for (size_t i = 0; i < options->local.count; i++) {
		int ret = plan_local(plan, &options->local.port[i]);

		if (ret < 0)
			return ret;
	}

	return 0;
}

/*
 * The program may listen on the namespace's own addresses only: add these to
 * where the @count @services that lead inside look for it.
 */
void services_settle(struct relay_service *services, size_t count,
		     const struct run *run)
{
	const struct ip *own[] = { &run->ip4, &run->ip6 };

	for (size_t i = 0; i < count; i++) {
		struct ip *fallbacks = services[i].fallbacks;
		bool ip6 = services[i].listen.family == AF_INET6;

		fallbacks[1] = *own[ip6];
		fallbacks[2] = *own[!ip6];
	}
}

/* Say on @stream what is relayed, one address a line. */
void services_print(const struct plan *plan, FILE *stream)
{
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < plan->service_count; i++) {
		const struct relay_service *service = &plan->services[i];

		fprintf(stream, "relay: %s port %u inside",
			protocol_of(service), service->port);
		fprintf(stream, " at %s", ip_format(&service->listen, text));
		fprintf(stream, " to %s\n",
			ip_format(&service->upstream, text));
	}
	for (size_t i = 0; i < plan->published_count; i++) {
		const struct relay_service *service = &plan->published[i];

		fprintf(stream, "publish: %s port %u at %s to port %u inside\n",
			protocol_of(service), service->port,
			ip_format(&service->listen, text),
			service->upstream_port);
	}
}
