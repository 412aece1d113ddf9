#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# All that a run of nsntrace could leave behind on the host, in sections. $1 is
# the cgroup of the lab, if it has one. What changes by itself is left out. Often
# run: users as numbers and the plainest order take half as long.
export LC_ALL=C
section() { echo "== $1"; }
section nft; nft -s list ruleset
if [ -s /proc/net/ip_tables_names ]; then
	section iptables; iptables-legacy-save | grep -v '^#'
fi
if [ -s /proc/net/ip6_tables_names ]; then
	section ip6tables; ip6tables-legacy-save | grep -v '^#'
fi
section links; ip -d link | sed 's/_timer *[0-9.]*//g'
section addresses; ip addr
section routes; ip -4 route show table all; ip -6 route show table all
section rules; ip -4 rule; ip -6 rule
section neighbours; ip neigh show nud permanent; ip neigh show proxy
section sysctls
grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 |
	grep -v -e congestion_control: -e stable_secret: | sort
section mounts; cat /proc/1/mountinfo
section files
find /run /etc /tmp /dev /root /home -xdev \
	\( -type f -printf '%p %M %U:%G %s %T@\n' \) -o \
	-printf '%p %M %U:%G %l\n' | sort
section cgroups; [ -z "$1" ] || find "$1" -type d | sort
