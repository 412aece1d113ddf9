#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Pid 1 of the lab's pretend host, inside its new namespaces. $1 is the directory
# shared with the test process, $2 the one with the program under test, $3 the
# one with the tests. `cat` lives on a pipe from that process: however the test
# ends, the host goes too.
set -eu
hostname lab
mount --bind "$2" "$1/bin"
mount --bind "$3" /mnt
mount -t tmpfs -o mode=755 run /run
mkdir /run/new
fresh() { # DIRECTORY OPTIONS
	mount -t tmpfs -o "$2" lab /run/new
}

if mountpoint -q /sys/fs/cgroup; then
	mount --rbind /sys/fs/cgroup /run/new
	mount -t sysfs sysfs /sys
	mount --move /run/new /sys/fs/cgroup
else
	mount -t sysfs sysfs /sys
fi

fresh /tmp mode=1777
mkdir "/run/new/${1##*/}"
mount --rbind "$1" "/run/new/${1##*/}"
mount --move /run/new /tmp

fresh /dev mode=755
for node in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "/run/new/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 /run/new/tty c 5 0
mkdir /run/new/pts /run/new/shm /run/new/net
mknod -m 666 /run/new/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /run/new/pts
chmod 1777 /run/new/shm
ln -s pts/ptmx /run/new/ptmx
ln -s /proc/self/fd /run/new/fd
for n in 0:stdin 1:stdout 2:stderr; do
	ln -s "/proc/self/fd/${n%:*}" "/run/new/${n#*:}"
done
mount --move /run/new /dev

fresh /etc mode=755
cp -a /etc/. /run/new
rm -f /run/new/resolv.conf
echo 'nameserver 192.0.2.1' >/run/new/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 lab\n' >/run/new/hosts
echo lab >/run/new/hostname
sed -i '/^alice:/d; s/^\(staff:.*\)/\1,alice/; s/:,alice/:alice/' \
	/run/new/passwd /run/new/group
echo 'alice:x:1234:1234:Alice:/home/alice:/bin/bash' >>/run/new/passwd
echo 'alice:x:1234:' >>/run/new/group
mount --move /run/new /etc

fresh /root mode=700
mount --move /run/new /root
fresh /home mode=755
mkdir /run/new/alice
chown 1234:1234 /run/new/alice
mount --move /run/new /home

rmdir /run/new
mkdir -m 1777 /run/lock
mkdir /run/sshd
# New namespaces inherit the machine's own IPv4 settings.
echo 0 >/proc/sys/net/ipv4/ip_forward
for knob in rp_filter forwarding; do
	for conf in all default; do
		echo 0 >/proc/sys/net/ipv4/conf/$conf/$knob
	done
done
ip link set lo up
echo ready
# Orphans are reaped by the kernel if their new parent ignores SIGCHLD.
exec env --ignore-signal=CHLD cat >/dev/null
