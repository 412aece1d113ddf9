/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run says of itself when the program starts and when it has ended. The
 * numbers come from counters that know nothing of each other: those of the
 * interfaces, of the ring, and of the file.
 */
#include "report.h"

#include <inttypes.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

/* The banner, before the program's first line. */
void report_start(const struct plan *plan, const struct run *run)
{
	const struct facts *facts = plan->facts;
	char text[IP_TEXT_SIZE];

	if (plan->engine == ENGINE_NAT && plan->options->device &&
	    !facts->ip4_gateway && !facts->ip6_gateway)
		note("Interface %s has no gateway: only its own subnets can "
		     "be reached.",
		     facts->device.name);
	note("Starting network trace of '%s' on interface %s.",
	     plan->options->argv[0],
	     plan->engine == ENGINE_NAT ? facts->device.name : "lo");
	if (run->ip4.family)
		note("Your IP address in this trace is %s.",
		     ip_format(&run->ip4, text));
	if (run->ip6.family)
		note("Your IPv6 address in this trace is %s.",
		     ip_format(&run->ip6, text));
	else if (facts->ip6_way)
		note("There is no IPv6 in this trace: %s.", plan->ip6_reason);
	else if (*plan->ip6_reason)
		debug("no IPv6: %s", plan->ip6_reason);
	note("Use ctrl-c to end at any time.");
	note("%s", "");
}

/*
 * Whether the interfaces and the capture counted the same. An interface counts
 * what it receives a moment before the capture does, and what it drops when
 * sending only among its drops, which the capture has seen; and while the
 * capture ends, what crosses is counted by one of them or by both. On a link
 * that is quiet at the end there is nothing of that, and they must be equal.
 */
static bool is_consistent(const struct tally *tally)
{
	uint64_t moving = tally->interface - tally->interface_before;

	return tally->ring + moving >= tally->interface_before &&
	       tally->ring <= tally->interface + tally->interface_dropped;
}

/* Counters that can be compared, and are not equal, are told. */
static void report_truth(const struct tally *tally)
{
	uint64_t seen = tally->written + tally->lost + tally->dropped_ring +
			tally->dropped_queue + tally->left_out;

	debug("interface %" PRIu64 ", ring %" PRIu64 ", file %" PRIu64
	      " packets (%" PRIu64 " bytes); dropped: interface %" PRIu64
	      ", ring %" PRIu64,
	      tally->interface, tally->ring, tally->written, tally->bytes,
	      tally->interface_dropped,
	      tally->dropped_ring + tally->dropped_queue);
	if (tally->comparable && !is_consistent(tally))
		warn("the interfaces counted %" PRIu64 " packets, the capture "
		     "%" PRIu64,
		     tally->interface, tally->ring);
	if (seen != tally->ring)
		warn("the capture counted %" PRIu64 " packets, %" PRIu64
		     " of them are accounted for",
		     tally->ring, seen);
}

/* What --lossless has cost. */
static void report_pauses(const struct tally *tally)
{
	if (tally->paused)
		note("The program was paused %" PRIu64 " %s, for %.1f seconds.",
		     tally->paused, tally->paused == 1 ? "time" : "times",
		     (double)tally->paused_ns / 1e9);
}

/* A trace that lacks packets is worth a word with -q too. */
static void report_losses(const struct plan *plan, const struct tally *tally)
{
	if (tally->dropped_ring) {
		warn("%" PRIu64 " packets dropped by the kernel ring",
		     tally->dropped_ring);
		hint("-B makes the ring larger, -s keeps less of a packet");
	}
	if (tally->dropped_queue) {
		warn("%" PRIu64 " packets dropped: the queue was full, as the "
		     "trace could not be written as fast as they came",
		     tally->dropped_queue);
		hint("--queue-size makes the queue larger, -s keeps less of a "
		     "packet, --lossless pauses the program instead");
	}
	if (tally->truncated)
		note("%" PRIu64 " packets truncated to %u bytes.",
		     tally->truncated, plan->options->snaplen);
}

/* Who lives on, by name: the user may want to look after them. */
static void report_left(const struct left *left)
{
	uint32_t more = left->count - left->named;
	autofree char *names = xstrdup("");

	if (!left->count)
		return;
	for (uint32_t i = 0; i < left->named; i++) {
		autofree char *before = names;

		names = xasprintf("%s%s %d (%s)", before, i ? "," : ":",
				  (int)left->process[i].pid,
				  left->process[i].name);
	}
	if (left->named && more) {
		autofree char *before = names;

		names = xasprintf("%s and %u more", before, more);
	}
	note("%u %s of the program still %s, without a network%s. "
	     "--wait waits for all.",
	     left->count, left->count == 1 ? "process" : "processes",
	     left->count == 1 ? "runs" : "run", names);
}

/* The summary, after the program's last line. */
void report_end(const struct plan *plan,
		const struct message_finished *finished)
{
	const struct tally *tally = &finished->tally;

	if (!finished->executed || !finished->counted)
		return;
	note("Finished capturing %" PRIu64 " packets.", tally->written);
	report_pauses(tally);
	report_losses(plan, tally);
	if (tally->error)
		fail(-tally->error,
		     "cannot write to '%s': %" PRIu64 " packets are missing",
		     *finished->outfile ? finished->outfile : "standard output",
		     tally->lost);
	if (tally->read_error)
		warn("an interface of the program's went away: %s",
		     strerror(-tally->read_error));
	report_left(&finished->left);
	report_truth(tally);
}
