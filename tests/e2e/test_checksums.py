# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums that the kernel leaves to hardware are right in the file.

What is wrong on its way stays wrong. tshark is the judge, and is shown to see
what is left open: in a capture that the program makes of itself.
"""

import pytest

from captures import tshark
from tracing import over_both_sources, program, trace

pytestmark = over_both_sources

PORT = 7100
GOOD, BAD = "1", "0"
NAMES = ("tcp", "udp", "ip")

FAMILIES = pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
BOTH_WAYS = pytest.mark.parametrize("way", [[], ["-R"]], ids=["up", "down"])


def verdicts(path, display_filter=""):
    """What tshark thinks of the checksums of all packets, by protocol."""
    checks = [word for name in NAMES for word in (
        "-o", f"{name}.check_checksum:TRUE")]
    lines = tshark(path, *checks, "-Y", display_filter, "-T", "fields",
                   "-E", "separator=/t", *[
                       word for name in NAMES for word in (
                           "-e", f"{name}.checksum.status")])
    columns = zip(*(line.split("\t") for line in lines))
    return {name: [one for one in column if one]
            for name, column in zip(NAMES, columns)}


def assert_good(path, name, at_least, display_filter=""):
    """All that are there are good, and so many there are of one protocol."""
    found = verdicts(path, display_filter)
    assert len(found[name]) >= at_least
    assert {one for column in found.values() for one in column} == {GOOD}


@pytest.fixture(scope="module")
def served(lab_module):
    lab_module.page = lab_module.http()
    lab_module.iperf3()
    lab_module.sink = lab_module.udp_sink(PORT)
    yield lab_module
    lab_module.sink.close()


@FAMILIES
@pytest.mark.parametrize("client", [["wget", "-q", "-O"], ["curl", "-s", "-o"]],
                         ids=["wget", "curl"])
def test_download(served, client, v6):
    done = trace(served, *client, "got", served.page.url("large", v6))
    assert_good(done.path, "tcp", done.packets)


@FAMILIES
@BOTH_WAYS
def test_large_segments(served, v6, way):
    """What the device is to cut, both on its way out and on its way in."""
    done = trace(served, "iperf3", "-c", served.server.addresses[v6],
                 "-n", "8M", *way, options=["-B", "64"])
    assert_good(done.path, "tcp", done.packets)
    assert_good(done.path, "tcp", 10, f"tcp.len > 20000 and "
                f"tcp.{'src' if way else 'dst'}port == 5201")


@FAMILIES
def test_loopback(served, v6):
    host = "::1" if v6 else "127.0.0.1"
    done = trace(served, "sh", "-c", f"""
rm -f ready
iperf3 -s -1 -B {host} --forceflush >ready &
until grep -q listening ready; do sleep 0.01; done
iperf3 -c {host} -n 8M
wait""", options=["-B", "64"])
    assert_good(done.path, "tcp", done.packets)
    assert_good(done.path, "tcp", 10, "tcp.len > 30000")


def test_jumbograms(served):
    """A program with rights can have segments beyond 64 KiB (BIG TCP)."""
    done = trace(served, "sh", "-c", """
ip link set lo gso_max_size 200000 gro_max_size 200000
rm -f ready
iperf3 -s -1 -B ::1 --forceflush >ready &
until grep -q listening ready; do sleep 0.01; done
iperf3 -c ::1 -n 8M -l 1M
wait""", options=["-B", "64"])
    assert_good(done.path, "tcp", done.packets)
    assert_good(done.path, "tcp", 10, "tcp.len > 100000")


@FAMILIES
@pytest.mark.parametrize("loopback", [False, True], ids=["eth0", "lo"])
def test_datagrams(served, v6, loopback):
    """Small, large and in fragments; the reassembled one is verified too."""
    here = "::1" if v6 else "127.0.0.1"
    there = served.server.addresses[v6]
    done = trace(served, *program("datagrams.py"), here if loopback else there,
                 PORT, options=["-f", "not icmp and not icmp6"])
    assert_good(done.path, "udp", 6)
    assert_good(done.path, "udp", 1, "udp.length == 60008")
    assert_good(done.path, "udp", 1, "udp.length == 25611")
    if not loopback:
        assert done.packets > 40


def test_tags(served):
    """In frames with one VLAN tag and with two, as the program sends them."""
    done = trace(served, *program("tagged.py"), *served.server.addresses)
    assert done.packets == 4
    assert_good(done.path, "udp", 4, "vlan.id == 5")
    assert_good(done.path, "udp", 2, "ieee8021ad.id == 7")


@FAMILIES
@pytest.mark.parametrize("loopback", [False, True], ids=["eth0", "lo"])
def test_corrupt_stays_corrupt(served, v6, loopback):
    here = "::1" if v6 else "127.0.0.1"
    there = served.server.addresses[v6]
    done = trace(served, *program("corrupt.py"), here if loopback else there,
                 PORT)
    lines = tshark(done.path, "-T", "fields", "-e", "tcp.checksum",
                   "-e", "udp.checksum")
    assert [line.split() for line in lines] == [["0xbad1"], ["0xbad1"]]
    found = verdicts(done.path)
    assert found["tcp"] == found["udp"] == [BAD]
    assert set(found["ip"]) <= {GOOD}


@pytest.mark.parametrize("device", ["eth0", "lo"])
def test_judge_sees_open_ones(served, device):
    """tcpdump inside sees what we see, and leaves it as it is."""
    here, there = "127.0.0.1", served.server.addresses[0]
    own = served.dir / "own.pcap"
    done = trace(served, "sh", "-c", f"""
rm -f told {own}
tcpdump -Z root -U -i {device} -w {own} udp 2>told &
until grep -q listening told; do sleep 0.01; done
{' '.join(map(str, program('datagrams.py')))} {here if device == 'lo' else there} {PORT}
until [ "$(tcpdump -r {own} 2>/dev/null | grep -c 'length 25603')" = 1 ]; do
	sleep 0.01
done
kill $!; wait""", options=["-f", "udp"])
    assert verdicts(own)["udp"].count(BAD) >= 5
    assert_good(done.path, "udp", 6, "udp")
