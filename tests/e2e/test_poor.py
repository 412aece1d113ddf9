# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that lack what most have: a run works, and tells what it costs."""

import re

import pytest

from captures import packets
from lab import INTERNET
from runs import program
from waiting import wait_for

PORT = 4242
# Root's directories without /run, in a mount namespace of the command's own.
NO_RUN = """
mkdir -p /tmp/root
mount -t tmpfs root /tmp/root
cd /
for one in *; do
    if [ -L "$one" ]; then cp -P "$one" /tmp/root; continue; fi
    [ -d "$one" ] && [ "$one" != run ] || continue
    mkdir "/tmp/root/$one"
    mount --rbind "$one" "/tmp/root/$one"
done
dir=$1
shift
exec chroot /tmp/root sh -c 'cd "$0"; exec "$@"' "$dir" "$@"
"""


def traced(lab, *options):
    """A run that sends; it works, and its trace shows it."""
    sink = lab.server.udp_sink(PORT)
    done = lab.run([*options, lab.nsntrace_path, "-o", "trace.pcap", "-d", "eth0",
                    "/usr/bin/python3", "-B", program("send_udp.py"), INTERNET[0],
                    PORT, 5])
    assert done.returncode == 0, done
    assert packets(lab.dir / "trace.pcap") == 5
    wait_for(lambda: sink.count() == 5)
    sink.close()
    (lab.dir / "trace.pcap").unlink()
    return done


def warnings(done):
    return [line for line in done.stderr.splitlines() if "warning: " in line]


@pytest.mark.parametrize("how", ["read-only", "absent"])
def test_no_place_for_records(lab, how):
    """Settings that others may need stay, and are told; all else goes."""
    before = lab.state()
    if how == "absent":
        command = ["unshare", "-m", "sh", "-euc", NO_RUN, "sh", lab.dir]
    else:
        lab.sh("mount -o remount,ro /run")
        command = []
    reason = {"absent": "No such file or directory",
              "read-only": "Read-only file system"}[how]
    for turn in range(2):
        done = traced(lab, *command)
        told = warnings(done)
        if turn:
            assert told == []
            continue
        assert re.fullmatch(
            "nsntrace: warning: net/ipv4/conf/eth0/forwarding=1 will stay: "
            "which runs need it cannot be recorded in /run/nsntrace: "
            + reason, told[0]), told
    assert lab.sysctl("net.ipv4.conf.eth0.forwarding") == "1"
    if how == "read-only":
        lab.sh("mount -o remount,rw /run")
    else:
        lab.sh("rmdir /tmp/root")
    for name in "ipv4/conf/eth0/forwarding", "ipv6/conf/eth0/force_forwarding":
        if f"/net/{name}:0" in before["sysctls"]:
            lab.sysctl(f"net/{name}", 0)
    lab.wait_state(before)
