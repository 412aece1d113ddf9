#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Trace a download and show the trace: demo.sh NSNTRACE FILE
#
# The machine stays out of it: host and server are network namespaces that end
# with this script, joined by a wire of their own. The host's /run is a private
# one.
set -eu

nsntrace=$1
file=$2
server=192.0.2.80

if [ -z "${NSNTRACE_DEMO-}" ]; then
	NSNTRACE_DEMO=1 exec unshare --net --mount --pid --fork --mount-proc \
		--kill-child "$0" "$@"
fi
unset NSNTRACE_DEMO

# Say a command as a user would type it, then run it.
show() {
	echo
	echo "\$ ${1##*/} ${*:2}"
	"$@"
}

mount -t tmpfs demo /run
site=$(mktemp -d /run/site-XXXXXX)
echo 'Hello from the other side of the wire.' >"$site/index.html"

ip netns add server
ip link add eth0 type veth peer name eth0 netns server
ip address add 192.0.2.1/24 dev eth0
ip link set lo up
ip link set eth0 up
ip -n server address add $server/24 dev eth0
ip -n server link set eth0 up
ip route add default via $server

ip netns exec server python3 -m http.server --directory "$site" 80 \
	>/dev/null 2>&1 &

deadline=$((SECONDS + 10))
until (exec 3<>/dev/tcp/$server/80) 2>/dev/null; do
	if [ $SECONDS -ge $deadline ]; then
		echo "demo: the server does not answer" >&2
		exit 1
	fi
done

show "$nsntrace" -o "$file" wget -nv -O - http://$server/
if command -v tshark >/dev/null; then
	# tshark warns root, who started this, on its standard error.
	show tshark -n -r "$file" 2>/dev/null
else
	show tcpdump -n -r "$file"
fi
