/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_OPTIONS_H
#define NSNTRACE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ip.h"
#include "base/log.h"
#include "capture/rotate.h"
#include "ports.h"

enum engine {
	ENGINE_AUTO,
	ENGINE_NAT,
	ENGINE_NONE,
};

enum format {
	FORMAT_AUTO, /* by the name of the file */
	FORMAT_PCAP,
	FORMAT_PCAPNG,
};

/* What reads packets from the kernel. */
enum capture_source {
	CAPTURE_LIBPCAP,
	CAPTURE_PACKET, /* one packet socket of all interfaces */
};

/* What to do instead of a run, if anything. */
enum action {
	ACTION_RUN,
	ACTION_DRY_RUN,
	ACTION_CLEANUP, /* put back what killed runs left */
	ACTION_DOCTOR,	/* check what a run needs */
	ACTION_DOCTOR_JSON,
	ACTION_KNOCK, /* the program of doctor's own trial run */
	ACTION_HELP,
	ACTION_VERSION,
	ACTION_COMPLETION, /* print a completion script; for the build */
};

#define OPTIONS_DNS_MAX	    8
#define OPTIONS_SNAPLEN_MAX 262144 /* as in tcpdump and Wireshark */

/* The command line, checked; nothing of the host was looked at yet. */
struct options {
	enum action action;
	const char *outfile;
	const char *device; /* NULL: the host's own routing */
	const char *filter; /* NULL: all */
	const char *user;   /* NULL: who invoked us */
	struct ip dns[OPTIONS_DNS_MAX];
	size_t dns_count;
	bool public_dns;	/* @dns holds the well-known public resolvers */
	struct ports local;	/* -L */
	struct ports published; /* -P */
	enum format format;
	enum capture_source source;
	uint32_t snaplen;     /* bytes */
	uint32_t buffer_size; /* MiB, all rings together */
	uint32_t queue_size;  /* MiB */
	bool lossless;	      /* rather slow the program down */
	bool nanoseconds;     /* classic pcap only */
	bool loopback;	      /* capture the namespace's lo */
	bool wait;	      /* for the last descendant */
	uint32_t linger_ms;   /* for TCP to finish, after the end */
	bool sync;	      /* return when all is gone */
	enum engine engine;
	struct rotate_limits rotate;   /* -b; of @files the last are kept */
	struct rotate_limits autostop; /* -a */
	enum log_level log_level;      /* -q, -v */
	const char *completion;	       /* shell, for ACTION_COMPLETION */
	char **argv;		       /* the program and its arguments */
};

int options_parse(int argc, char **argv, struct options *options);
bool options_doctor(const struct options *options);
bool options_rotate(const struct options *options);
void options_help(FILE *stream);
int options_completion(const char *shell, FILE *stream);

#endif
