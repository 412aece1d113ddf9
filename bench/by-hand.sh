#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What one does without nsntrace: a namespace, a veth pair, masquerade, perhaps a
# capture on the inner end, and everything taken away again.
#
#	by-hand.sh BEFORE AFTER [CAPTURE]... -- PROGRAM [ARGUMENT]...
#
# CAPTURE is given BEFORE seconds after it says it is ready, and AFTER seconds
# after the program's end: it knows of neither.
set -eu
before=$1 after=$2
shift 2
name=bench$$
net=10.$(($$ / 250 % 250)).$(($$ % 250))
log=/run/$name.log
capture=
while [ "$1" != -- ]; do
	capture="$capture $1"
	shift
done
shift

# "ip netns exec" would make a mount namespace as well. Two nft at once make each
# other begin again; a hundred take minutes.
inside="nsenter --net=/run/netns/$name"
nft="flock /run/bench.lock nft"

pause() {
	[ "$1" = 0 ] || sleep "$1"
}

echo 1 >/proc/sys/net/ipv4/ip_forward
ip netns add $name
ip -batch - <<END
link add $name type veth peer name eth0 netns $name
addr add $net.1/30 dev $name
link set $name addrgenmode none up
END
$inside ip -batch - <<END
link set lo up
addr add $net.2/30 dev eth0
link set eth0 addrgenmode none up
route add default via $net.1
END
$nft "add table ip $name; add chain ip $name post {
	type nat hook postrouting priority srcnat; }
add rule ip $name post ip saddr $net.2 masquerade"

if [ "$capture" ]; then
	# shellcheck disable=SC2086 # a command, none of its words has blanks
	$inside $capture 2>$log &
	until grep -q '^listening on\|, link-type\|^File: ' $log; do
		sleep 0.002
	done
	pause "$before"
fi

status=0
$inside "$@" || status=$?

if [ "$capture" ]; then
	pause "$after"
	kill $!
	wait $! || true
	cat $log >&2
	rm $log
fi
ip link del $name
$nft delete table ip $name
ip netns del $name
exit $status
