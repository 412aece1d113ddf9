# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts whose routes are many, unusual, or change during a run."""

import os
import select
import signal

import pytest

from lab import INTERNET
from runs import read_until, wait_roles
from tracing import settled, trace
from waiting import wait_for

EGRESS = 70  # more than 64
ROUTES = 700  # more than 512


@pytest.fixture
def two(lab):
    """A host with two uplinks, of which eth0 has the default route."""
    lab.add_uplink("eth1", metric=2000)
    return lab


def open_run(lab, *options):
    """A run that executes each line it reads and says how that ended."""
    run = lab.popen_nsntrace("-o", "open.pcap", *options, "sh", "-c",
                             "while read -r line; do"
                             " $line >/dev/null 2>&1; echo $?; done", stdin=-1)
    assert ask(run, "true")
    return run


def ask(run, command):
    run.stdin.write(command + "\n")
    run.stdin.flush()
    return run.stdout.readline() == "0\n"


def ping(run, address):
    return ask(run, f"ping -nc1 -W1 {address}")


def close_run(run):
    _, err = run.communicate(timeout=20)
    assert run.returncode == 0, err
    return err


def batch(lab, lines):
    lab.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", check=True)


def add_link(lab, name, *addresses):
    """An interface that is up, and has no IPv6 address but those given."""
    batch(lab, [f"link add {name} type veth peer name {name}-far",
                f"link set {name} addrgenmode none",
                f"link set {name}-far addrgenmode none",
                f"link set {name}-far up", f"link set {name} up",
                *(f"addr add {address} dev {name}" for address in addresses)])


def forwards(lab, name):
    return lab.sysctl(f"net.ipv4.conf.{name}.forwarding") == "1"


def private_table(lab, family):
    """The routes of the run's own table."""
    words = lab.sh(f"ip -{family} rule show").split()
    table = words[words.index("lookup", words.index("iif")) + 1]
    return lab.sh(f"ip -{family} route show table {table}").splitlines()


def gateways(lab, family):
    return [line.split()[2] for line in private_table(lab, family)
            if line.startswith("default via")]


@pytest.mark.parametrize("by", ["eth0", "eth1"])
def test_pinned_address(two, by):
    """A route of its own for a well-known address says nothing of others."""
    gateway = two.uplinks[by].addresses[0]
    two.sh(f"ip route add 8.8.8.8 via {gateway} dev {by}")
    done = trace(two, "ping", "-nc1", "-W5", INTERNET[0])
    assert "on interface eth0.\n" in done.stderr
    assert len(done.addresses) == 2


def test_all_pinned(two):
    """Where every address has a better route there is still a default one."""
    batch(two, [f"route add {net}.0.0.0/8 via 198.51.100.1 dev eth1"
                for net in range(1, 224) if net not in (10, 127)])
    done = trace(two, "ping", "-nc1", "-W5", INTERNET[0])
    assert "on interface eth0.\n" in done.stderr


def test_only_ip4_neighbours(lab):
    """An IPv6 way out does not take the IPv4 network away."""
    lab.sh("ip -4 route del default")
    done = trace(lab, "sh", "-c", f"""ping -nc1 -W5 {lab.server.addresses[0]} &&
ping -nc1 -W5 {INTERNET[1]}""")
    assert len(done.addresses) == 2


def test_only_ip6_neighbours(lab):
    """Who has but an IPv6 network reaches that."""
    lab.sh("ip -6 route del default; ip -4 addr flush dev eth0")
    trace(lab, "ping", "-nc1", "-W5", lab.server.addresses[1])


def test_many_interfaces(lab):
    """Answers may come in by any of them, however many there are."""
    for n in range(EGRESS):
        add_link(lab, f"way{n}", f"10.9.{n}.1/24")
    before = settled(lab)
    planned = lab.nsntrace("--dry-run", "true").stdout
    run = open_run(lab)
    on = [name for name in ("eth0", *(f"way{n}" for n in range(EGRESS)))
          if forwards(lab, name)]
    lab.sh("ip route add 198.18.7.0/24 via 192.0.2.1 dev eth0")
    assert ping(run, INTERNET[0])
    assert not [line for line in close_run(run).splitlines()
                if line.startswith("nsntrace: ")]
    assert len(on) == EGRESS + 1
    assert planned.count("/forwarding=1") == EGRESS + 1
    lab.sh("ip route del 198.18.7.0/24")
    (lab.dir / "open.pcap").unlink()
    lab.wait_state(before)


def test_many_routes(two):
    """All of DEV's routes are followed, and none of the copies stays."""
    batch(two, [f"route add 10.{n // 200}.{n % 200}.0/24 via 198.51.100.1"
                f" dev eth1" for n in range(ROUTES)])
    before = settled(two)
    run = open_run(two, "-d", "eth1")
    copied = sum("via" in line and line.startswith("10.")
                 for line in private_table(two, 4))
    close_run(run)
    assert copied == ROUTES
    (two.dir / "open.pcap").unlink()
    two.wait_state(before)


def test_made_anew(lab):
    """An interface that comes back during a run forwards again."""
    add_link(lab, "way0", "10.9.0.1/24")
    run = open_run(lab)
    assert forwards(lab, "way0")
    lab.sh("ip link del way0")
    add_link(lab, "way0", "10.9.0.1/24")
    wait_for(lambda: forwards(lab, "way0"), what="forwarding")
    close_run(run)
    assert not forwards(lab, "way0")


def test_tables_without_owner(lab):
    """What a kernel without owners leaves after a kill, the next start takes."""
    before = settled(lab)
    run = open_run(lab)
    keeper = wait_roles(run.pid, ("keeper",))["keeper"]
    names = lab.sh("nft list tables").splitlines()
    os.kill(keeper, signal.SIGKILL)
    run.communicate(timeout=10)
    settled(lab)
    # Ours have an owner, and are gone: make them again as they would be left.
    batches = "".join(name.replace("table", "add table") + "\n"
                      for name in names)
    lab.run(["nft", "-f", "-"], input=batches, check=True)
    assert lab.sh("nft list tables").splitlines() == names != []
    trace(lab, "true")
    for name in ("open.pcap", "trace.pcap"):
        (lab.dir / name).unlink()
    lab.wait_state(before)


def remake(lab, name):
    """Another interface under the old name, with the old addresses."""
    server = lab.uplinks[name]
    lab.sh(f"ip link del {name}")
    lab.run(["ip", "-batch", "-"], check=True, pass_fds=[server.fd], input=f"""
link add {name} type veth peer name eth0 netns /proc/self/fd/{server.fd}
link set {name} addrgenmode none
""")
    server.run(["sh", "-euc", f"""ip link set eth0 addrgenmode none
ip link set eth0 up
ip addr add {server.addresses[0]}/24 dev eth0
ip addr add {server.addresses[1]}/64 dev eth0 nodad"""], check=True)
    batch(lab, [f"link set {name} up",
                f"addr add {server.addresses[0][:-1]}2/24 dev {name}",
                f"addr add {server.addresses[1][:-1]}2/64 dev {name} nodad",
                *(f"route add default via {gateway} dev {name} metric 2000"
                  for gateway in server.addresses)])


@pytest.mark.parametrize("strict", [0, 1], ids=["loose", "strict"])
def test_device_made_anew(two, strict):
    """-d DEV: a VPN that connects again is DEV again, with its settings."""
    run = open_run(two, "-d", "eth1")
    for address in INTERNET:
        assert ping(run, address)
    two.sysctl("net.ipv4.conf.default.rp_filter", strict)
    for _ in range(2):
        remake(two, "eth1")
        for address in INTERNET:
            wait_for(lambda: ping(run, address), timeout=10, what="answer")
        assert forwards(two, "eth1")
    assert ping(run, two.uplinks["eth1"].addresses[0])
    assert not ping(run, two.server.addresses[0])
    close_run(run)
    assert not forwards(two, "eth1")


GATEWAYS = {4: ("198.51.100.1", "198.51.100.9"),
            6: ("2001:db8:2::1", "2001:db8:2::9")}


@pytest.mark.parametrize("family", [4, 6])
def test_gateway_changes(two, family):
    """-d DEV follows the host to another gateway, and back."""
    old, new = GATEWAYS[family]
    before = settled(two)
    run = open_run(two, "-d", "eth1")
    assert ping(run, INTERNET[family == 6])
    for gateway, works in (new, False), (old, True):
        two.sh(f"ip -{family} route replace default via {gateway} dev eth1"
               " metric 2000")
        wait_for(lambda: gateways(two, family) == [gateway], what=gateway)
        assert ping(run, INTERNET[family == 6]) == works
    close_run(run)
    (two.dir / "open.pcap").unlink()
    two.wait_state(before)


@pytest.mark.parametrize("family", [4, 6])
def test_always_some_gateway(two, family):
    """The program's route is replaced: there is no moment without one."""
    _, new = GATEWAYS[family]
    run = open_run(two, "-d", "eth1")
    words = two.sh(f"ip -{family} rule show").split()
    table = words[words.index("lookup", words.index("iif")) + 1]
    monitor = two.popen(["ip", f"-{family}", "monitor", "route"])
    wait_for(lambda: two.sh(f"ip -{family} route replace blackhole default"
                            " table 77") or select.select(
                                [monitor.stdout], [], [], 0.01)[0],
             what="news")
    two.sh(f"ip -{family} route replace default via {new} dev eth1 metric 2000")
    wait_for(lambda: gateways(two, family) == [new], what=new)
    two.sh(f"ip -{family} route del default table 77")
    told = read_until(monitor.stdout, "Deleted blackhole")
    monitor.terminate()
    monitor.communicate()
    close_run(run)
    ours = [line for line in told if f"table {table}" in line]
    assert len(ours) == 1 and ours[0].startswith(f"default via {new}"), told


@pytest.mark.parametrize("family", [4, 6])
def test_route_goes(two, family):
    """A route that the host gives up is none for -d DEV either."""
    gateway = GATEWAYS[family][0]
    run = open_run(two, "-d", "eth1")
    assert ping(run, INTERNET[family == 6])
    two.sh(f"ip -{family} route del default dev eth1")
    wait_for(lambda: not gateways(two, family), what="end of the route")
    assert any(line.startswith("unreachable default")
               for line in private_table(two, family))
    assert not ping(run, INTERNET[family == 6])
    two.sh(f"ip -{family} route add default via {gateway} dev eth1 metric 2000")
    wait_for(lambda: gateways(two, family) == [gateway], what="the route")
    assert ping(run, INTERNET[family == 6])
    close_run(run)


def test_main_table_first(two):
    """Of two routes to one place the main table's is copied."""
    two.sh("""ip route add default via 198.51.100.9 dev eth1 table 100 metric 2000
ip -6 route add default via 2001:db8:2::9 dev eth1 table 100 metric 2000""")
    run = open_run(two, "-d", "eth1")
    found = [gateways(two, 4), gateways(two, 6)]
    close_run(run)
    assert found == [["198.51.100.1"], ["2001:db8:2::1"]]


BEFORE_MAIN = """ip route add default via 192.0.2.1 dev eth0 table 100
ip rule add pref 100 lookup 100
ip -6 route add default via 2001:db8:1::1 dev eth0 table 100
ip -6 rule add pref 100 lookup 100"""


@pytest.mark.parametrize("options", [(), ("-d", "eth0")], ids=["any", "device"])
def test_default_before_main(lab, options):
    """Answers find back where a rule leads all away from the main table."""
    lab.sh(BEFORE_MAIN)
    before = settled(lab)
    for address in INTERNET:
        trace(lab, "ping", "-nc1", "-W5", address, options=options)
    (lab.dir / "trace.pcap").unlink()
    lab.wait_state(before)


@pytest.mark.parametrize("options", [(), ("-d", "eth0")], ids=["any", "device"])
def test_default_before_main_later(lab, options):
    """Also if somebody makes the rule, or takes ours away, during a run."""
    lab.sh(BEFORE_MAIN)
    before = settled(lab)
    lab.sh("ip rule del pref 100; ip -6 rule del pref 100")
    run = open_run(lab, *options)
    lab.sh("ip rule add pref 100 lookup 100; ip -6 rule add pref 100 lookup 100")
    for family, address in zip((4, 6), INTERNET):
        wait_for(lambda: ping(run, address), timeout=10, what="an answer")
        ours = lab.sh(f"ip -{family} rule").splitlines()
        ours, = [line for line in ours if " to " in line]
        lab.sh(f"ip -{family} rule del pref {ours.split(':')[0]} "
               + ours.split("from all")[1])
        wait_for(lambda: ping(run, address), timeout=10, what="an answer")
    close_run(run)
    (lab.dir / "open.pcap").unlink()
    lab.wait_state(before)


def test_no_rule_without_need(lab):
    """Where the main table is asked anyway, the host's rules stay as they are."""
    before = settled(lab)
    run = open_run(lab)
    during = lab.state()
    close_run(run)
    assert during["routes"] != before["routes"]
    assert during["rules"] == before["rules"]


@pytest.mark.parametrize("table", [100, 1836018789])
def test_other_table(lab, table):
    """DEV's routes count in whatever table somebody keeps them."""
    lab.add_uplink("eth1", gateway=False)
    lab.sh(f"""ip route add default via 198.51.100.1 dev eth1 table {table}
ip -6 route add default via 2001:db8:2::1 dev eth1 table {table}""")
    for address in INTERNET:
        trace(lab, "ping", "-nc1", "-W5", address, options=["-d", "eth1"])


def test_only_groups(lab):
    """What leads to groups and to the link alone is no way out."""
    add_link(lab, "way0", "fe80::9/64 nodad")
    lab.sh("ip route add 224.0.0.0/4 dev way0")
    run = open_run(lab)
    first = forwards(lab, "way0")
    add_link(lab, "way1", "10.9.1.1/24")
    wait_for(lambda: forwards(lab, "way1"), what="forwarding")
    then = forwards(lab, "way0")
    close_run(run)
    assert not first and not then


def test_nexthop_objects(lab):
    """The default route's interface counts even if no route names it."""
    lab.sysctl("net.ipv4.nexthop_compat_mode", 0)
    lab.sh("""ip -6 route del default
ip addr flush dev eth0
ip addr add 192.0.2.2/32 dev eth0
ip addr add 2001:db8:1::2/128 dev eth0 nodad
ip addr add fe80::2/64 dev eth0 nodad
ip nexthop add id 4 via 192.0.2.1 dev eth0 onlink
ip nexthop add id 6 via fe80::1 dev eth0
ip route add default nhid 4
ip -6 route add default nhid 6""")
    assert "eth0" not in lab.sh("ip -4 route; ip -6 route show default")
    for address in INTERNET:
        done = trace(lab, "ping", "-nc1", "-W5", address)
        assert "on interface eth0.\n" in done.stderr
