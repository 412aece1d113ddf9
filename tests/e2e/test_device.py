# SPDX-License-Identifier: GPL-2.0-or-later
"""-d DEV: the program's traffic leaves by DEV, or not at all."""

import pytest

from captures import fields, tcpdump_reads
from lab import INTERNET
from tracing import complaints, program, settled, trace
from waiting import wait_for

SINK = 7000


@pytest.fixture(scope="module")
def two(lab_module):
    """A host with two uplinks, of which eth0 has the default route."""
    lab_module.add_uplink("eth1", metric=2000)
    for server in lab_module.uplinks.values():
        server.http()
    return lab_module


@pytest.fixture
def sinks(two):
    sinks = {name: net.udp_sink(SINK) for name, net in two.uplinks.items()}
    yield sinks
    for sink in sinks.values():
        sink.close()


@pytest.fixture(params=[0, 1], ids=["loose", "strict"])
def rp_filter(request, two):
    """Both settings of the check that replies to another way would fail."""
    for name in ("all", "eth0", "eth1"):
        two.sysctl(f"net.ipv4.conf.{name}.rp_filter", request.param)
    yield request.param
    for name in ("all", "eth0", "eth1"):
        two.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_leaves_by_device(two, sinks, rp_filter, v6):
    """All leaves by DEV, also beyond its gateway, and answers come back."""
    before = settled(two)
    host = f"[{INTERNET[1]}]" if v6 else INTERNET[0]
    done = trace(two, "sh", "-c", f"curl -sf -o small http://{host}/small && exec"
                 f" {' '.join(map(str, program('send_udp.py')))}"
                 f" {INTERNET[v6]} {SINK} 20", options=["-d", "eth1"])
    assert "on interface eth1.\n" in done.stderr
    wait_for(lambda: sinks["eth1"].count() == 20, what="datagrams by eth1")
    assert sinks["eth0"].count() == 0
    (two.dir / "small").unlink()
    two.wait_state(before)


def test_beside_another(two):
    """What one run has loosened stays so for another that goes on."""
    two.sysctl("net.ipv4.conf.eth1.rp_filter", 1)
    before = settled(two)
    runs = []

    def answered(run):
        run.stdin.write("try\n")
        run.stdin.flush()
        return run.stdout.readline() == "0\n"

    for n in range(2):
        runs.append(two.popen_nsntrace(
            "-d", "eth1", "-o", f"{n}.pcap", "sh", "-c", f"""while read -r _; do
ping -nc1 -W1 {INTERNET[0]} >/dev/null; echo $?; done""", stdin=-1))
        assert answered(runs[n])
    runs[0].communicate(timeout=10)
    assert two.sysctl("net.ipv4.conf.eth1.rp_filter") == "2"
    assert answered(runs[1])
    runs[1].communicate(timeout=10)
    for n in range(2):
        (two.dir / f"{n}.pcap").unlink()
    two.wait_state(before)
    two.sysctl("net.ipv4.conf.eth1.rp_filter", 0)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_default_route(two, sinks, v6):
    """Without -d the host's own routing decides."""
    done = trace(two, *program("send_udp.py"), INTERNET[v6], SINK, 20)
    assert "on interface eth0.\n" in done.stderr
    wait_for(lambda: sinks["eth0"].count() == 20, what="datagrams by eth0")
    assert sinks["eth1"].count() == 0


def test_subnet_of_the_other(two, sinks):
    """Not even to a subnet of another interface does it leave there."""
    done = trace(two, *program("send_udp.py"), two.server.addresses[0], SINK,
                 20, options=["-d", "eth1"])
    assert done.packets >= 20
    assert sinks["eth0"].count() == 0


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_device_goes_down(two, sinks, v6):
    """DEV down: the program gets an error, nothing leaves elsewhere; up: on."""
    before = settled(two)
    run = two.popen_nsntrace("-d", "eth1", "-o", "down.pcap",
                             *program("connect.py"), INTERNET[v6], stdin=-1)

    def attempt():
        run.stdin.write("try\n")
        run.stdin.flush()
        return run.stdout.readline().strip()

    assert attempt() == "connected"
    assert sinks["eth1"].count() == 1
    routes = two.sh("ip -4 route show dev eth1; ip -6 route show dev eth1")
    two.sh("ip link set eth1 down")
    assert attempt() in ("ENETUNREACH", "EHOSTUNREACH")
    assert sinks["eth0"].count() == 0

    two.sh("""ip link set eth1 up
ip addr replace 2001:db8:2::2/64 dev eth1 nodad
ip addr replace fe80::2/64 dev eth1 nodad
ip route replace default via 198.51.100.1 dev eth1 metric 2000
ip route replace default via 2001:db8:2::1 dev eth1 metric 2000""")
    wait_for(lambda: two.sh("ip -4 route show dev eth1;"
                            " ip -6 route show dev eth1") == routes,
             what="the routes again")
    wait_for(lambda: attempt() == "connected", what="connection by eth1")
    assert sinks["eth1"].count() > 1
    assert sinks["eth0"].count() == 0
    run.communicate(timeout=10)
    assert run.returncode == 0
    (two.dir / "down.pcap").unlink()
    two.wait_state(before)


BAD = {
    "missing": "",
    "down": "ip link add bad0 type veth peer bad1;"
            "ip link set bad0 addrgenmode none;"
            "ip addr add 10.99.0.1/24 dev bad0",
    "no-address": "ip link add bad0 type veth peer bad1;"
                  "ip link set bad0 addrgenmode none;"
                  "ip link set bad1 up; ip link set bad0 up",
}


@pytest.mark.parametrize("why", BAD)
def test_bad_device(two, why):
    """DEV missing, down or without an address: one clear line, and 125."""
    two.sh(BAD[why])
    before = settled(two)
    done = two.nsntrace("-d", "bad0", "-o", "bad.pcap", "touch",
                        two.dir / "ran")
    assert done.returncode == 125
    (error,), _ = complaints(done.stderr)
    assert "bad0" in error
    assert not (two.dir / "ran").exists()
    assert not (two.dir / "bad.pcap").exists()
    two.wait_state(before)
    two.sh("ip link del bad0 2>/dev/null || true")


def test_no_gateway(lab):
    """DEV without a gateway reaches its subnet, which is said in one line."""
    server = lab.add_uplink("eth1", gateway=False)
    before = lab.state()
    for address in server.addresses:
        done = trace(lab, "ping", "-nc1", "-W5", address,
                     options=["-d", "eth1"])
        assert done.packets == 2
        assert [line for line in done.stderr.splitlines()
                if "gateway" in line and "eth1" in line]
    done = trace(lab, "ping", "-nc1", "-W5", INTERNET[0],
                 options=["-d", "eth1"], status=1)
    assert "nreachable" in done.stdout
    (lab.dir / "trace.pcap").unlink()
    lab.wait_state(before)


def test_lo(two, sinks):
    """-d lo: loopback works, there is no way out, and nothing on the host."""
    before = settled(two)
    done = trace(two, "sh", "-c", f"""
ping -nc2 -i0.01 127.0.0.1 && ping -nc1 ::1
echo try | {' '.join(map(str, program('connect.py')))} {INTERNET[0]}
ip -o link | wc -l""", options=["-d", "lo"])
    assert "on interface lo.\n" in done.stderr
    assert "IP address" not in done.stderr
    assert "ENETUNREACH\n" in done.stdout
    assert done.stdout.endswith("\n1\n")
    assert fields(done.path, "", "icmp.type", "icmpv6.type") == [
        ("8", ""), ("0", "")] * 2 + [("", "128"), ("", "129")]
    assert not any(sink.count() for sink in sinks.values())
    done.path.unlink()
    two.wait_state(before)


def test_no_ipv6(lab):
    """IPv6 switched off on the host: IPv4 works, and -v says why."""
    lab.http()
    lab.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    before = lab.state()
    done = trace(lab, "curl", "-sf", "-o", "small",
                 f"http://{INTERNET[0]}/small", options=["-v"])
    assert len(done.addresses) == 1 and "." in done.addresses[0]
    assert [line for line in done.stderr.splitlines() if "no IPv6" in line]
    assert not tcpdump_reads(done.path, "ip6")
    for name in ("small", "trace.pcap"):
        (lab.dir / name).unlink()
    lab.wait_state(before)


def test_no_route(lab):
    """A host without any route: one line, a hint, 125; -d lo still works."""
    lab.sh("ip link set eth0 down")
    done = lab.nsntrace("true")
    assert done.returncode == 125
    errors, hints = complaints(done.stderr)
    assert len(errors) == len(hints) == 1
    assert trace(lab, "true", options=["-d", "lo"]).packets == 0
