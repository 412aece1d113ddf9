/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the interfaces inside count by themselves: the counter with which the
 * capture's own is compared, as it knows nothing of packet sockets. What a
 * difference means is left to report.c.
 */
#include "counters.h"

static struct interface_counts read_link(const struct counters *counters,
					 unsigned interface)
{
	uint32_t index = counters->indices[interface];
	struct link link;

	/* The program may have deleted it. */
	if (rtnl_link_get(counters->inner, index, NULL, &link) < 0)
		return (struct interface_counts){ 0 };

	/* Each packet on lo is sent and received: one of the two. */
	return (struct interface_counts){
		.known = true,
		.received = index == PLAN_LO_INDEX
				    ? link.rx_packets
				    : link.rx_packets + link.tx_packets,
		.dropped = link.rx_dropped + link.tx_dropped,
	};
}

/*
 * Count from now on, over @inner, a socket in the namespace that must live as
 * long. Interfaces are numbered as in the capture: eth0 first.
 */
void counters_begin(struct counters *counters, const struct plan *plan,
		    struct rtnl *inner)
{
	*counters = (struct counters){ .inner = inner };
	if (plan->capture_device)
		counters->indices[counters->count++] = PLAN_INSIDE_INDEX;
	if (plan->capture_lo)
		counters->indices[counters->count++] = PLAN_LO_INDEX;
	for (unsigned i = 0; i < counters->count; i++)
		counters->start[i] = read_link(counters, i);
}

/*
 * What @interface has counted since the start. @context is the struct counters:
 * this is what a capture asks by.
 */
void counters_read(void *context, unsigned interface,
		   struct interface_counts *counts)
{
	const struct counters *counters = context;
	const struct interface_counts *start = &counters->start[interface];

	*counts = read_link(counters, interface);
	if (!counts->known || !start->known) {
		*counts = (struct interface_counts){ 0 };
		return;
	}
	counts->received -= start->received;
	counts->dropped -= start->dropped;
}

/* The sum of all interfaces, known only if that of each is. */
struct interface_counts counters_sum(struct counters *counters)
{
	struct interface_counts sum = { .known = true };

	for (unsigned i = 0; i < counters->count; i++) {
		struct interface_counts one;

		counters_read(counters, i, &one);
		sum.known &= one.known;
		sum.received += one.received;
		sum.dropped += one.dropped;
	}

	return sum;
}
