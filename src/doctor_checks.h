/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_DOCTOR_CHECKS_H
#define NSNTRACE_DOCTOR_CHECKS_H

#include "options.h"

/*
 * Each does one thing that a run with these options does, in a process of its
 * own that takes with it what it has made. It says what it found as everything
 * else does: by note() what is well, by warn() what a run can do without, by
 * fail() or refuse() what it cannot, and by hint() what can be done. Returns 0,
 * or a negative errno already reported.
 */
typedef int doctor_check(const struct options *options);

/* doctor_kernel.c */
doctor_check check_netns;
doctor_check check_veth;
doctor_check check_nftables;
doctor_check check_owner;
doctor_check check_silence;
doctor_check check_counters;
doctor_check check_capture;
doctor_check check_sockets;

/* doctor_process.c */
doctor_check check_rights;
doctor_check check_pidfd;
doctor_check check_cgroup;
doctor_check check_freezer;
doctor_check check_sandbox;
doctor_check check_priority;
doctor_check check_descriptors;
doctor_check check_threads;
doctor_check check_memory;

/* doctor_host.c */
doctor_check check_route;
doctor_check check_ipv6;
doctor_check check_forwarding;
doctor_check check_addresses;
doctor_check check_firewall;
doctor_check check_mounts;
doctor_check check_ports;
doctor_check check_records;
doctor_check check_leftovers;
doctor_check check_output;
char *doctor_records(void);

/* doctor_names.c */
doctor_check check_names;

/* doctor_trial.c */
doctor_check check_run;

#endif
