# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that sends nothing has an empty trace; one in a hurry a full one."""

import pytest

from captures import packets
from tracing import over_both_sources, program, trace
from waiting import wait_for

pytestmark = over_both_sources

SINK = 7000

AVAHI = """
[server]
enable-dbus=no
use-ipv4=yes
use-ipv6=yes
"""


def make_empty(lab, path):
    """A capture file without packets, as tcpdump writes it."""
    empty = lab.dir / "empty.pcap"
    lab.run(["tcpdump", "-r", path, "-w", empty, "host 255.1.2.3"], check=True)
    return empty.stat().st_size


@pytest.mark.parametrize("file", ["true.pcap", "true.pcapng"])
def test_true(lab_module, file):
    """A trace of /bin/true holds zero packets, and the host is as it was."""
    before = lab_module.state()
    done = trace(lab_module, "/bin/true", file=file)
    assert done.packets == 0
    if file == "true.pcap":
        assert done.path.stat().st_size == make_empty(lab_module, done.path)
    lab_module.wait_state(before)


def start_chatter(lab):
    """Everything that speaks unasked on the interfaces of a host."""
    lab.path("/etc/avahi").mkdir(exist_ok=True)
    lab.path("/etc/avahi/quiet.conf").write_text(AVAHI)
    lab.path("/etc/lldpd-often.conf").write_text(
        "configure lldp tx-interval 1\n")
    servers = {
        "chatter": lab.host.serve("chatter", program("chatter.py")),
        "avahi": lab.host.serve("avahi", [
            "avahi-daemon", "--no-drop-root", "--no-chroot", "-f",
            "/etc/avahi/quiet.conf"], udp=[5353]),
        "lldpd": lab.host.serve("lldpd", ["lldpd", "-d", "-O",
                                          "/etc/lldpd-often.conf"])}
    wait_for(lambda: lldp_sent(lab).get("eth0", 0) > 1, what="lldpd")
    return servers


def lldp_sent(lab):
    """How many LLDP frames the daemon has sent by each interface."""
    sent = {}
    shown = lab.run(["lldpcli", "-f", "keyvalue", "show", "statistics"])
    for line in shown.stdout.splitlines():
        name, _, value = line.partition("=")
        if name.endswith(".tx.tx"):
            sent[name.split(".")[1]] = int(value)
    return sent


def test_idle_and_hurried(lab):
    """Idle for 10 s among multicast daemons on a host that forwards: zero
    packets, while 50 programs that send and exit have all of their 500."""
    lab.sysctl("net.ipv4.conf.all.forwarding", 1)
    lab.sysctl("net.ipv6.conf.all.forwarding", 1)
    servers = start_chatter(lab)
    # None of them is mute.
    heard = [lab.server.popen(["tcpdump", "-c1", "-nni", "eth0", what])
             for what in ("ether proto 0x88cc", "udp port 5353")]
    idle = lab.popen_nsntrace("-o", "idle.pcap", "sleep", "10")

    # What is not to be in the trace is on its way into it.
    def links():
        return [one for one in lldp_sent(lab) if one.startswith("nsn-")]

    link, = wait_for(links, what="the run's link, seen by LLDP")
    wait_for(lambda: servers["chatter"].log().split().count(link) > 20,
             what="multicast")
    wait_for(lambda: f"multicast group on interface {link}" in
             servers["avahi"].log(), what="mDNS")
    # It may have been told that its frame was not sent, and has tried.
    wait_for(lambda: lldp_sent(lab)[link] or link in servers["lldpd"].log(),
             what="LLDP")
    assert idle.poll() is None
    for listener in heard:
        listener.communicate(timeout=30)

    sink = lab.udp_sink(SINK)
    for number in range(50):
        done = trace(lab, *program("send_udp.py"), lab.server.addresses[0],
                     SINK, 500, file="500.pcap")
        assert done.packets == 500, f"run {number}"
        wait_for(lambda: sink.count() == 500 * (number + 1), what="datagrams")
    sink.close()

    _, err = idle.communicate(timeout=30)
    assert idle.returncode == 0, err
    path = lab.dir / "idle.pcap"
    assert packets(path) == 0
    assert path.stat().st_size == make_empty(lab, path)
