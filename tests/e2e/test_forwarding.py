# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that does not forward: runs work, and it does not forward after."""

import pytest

from lab import INTERNET
from tracing import settled, trace
from waiting import wait_for


@pytest.fixture(scope="module")
def plain(lab_module):
    lab_module.http()
    lab_module.add_uplink("eth1", metric=2000)
    return lab_module


def open_run(lab, *options):
    """A run that goes on until its standard input is closed."""
    run = lab.popen_nsntrace("-o", "open%p.pcap", *options, "cat", stdin=-1)
    run.stdin.write("running\n")
    run.stdin.flush()
    assert run.stdout.readline() == "running\n"
    return run


def close_run(run):
    _, err = run.communicate(timeout=10)
    assert run.returncode == 0, err


def clean(lab):
    for file in lab.dir.iterdir():
        file.unlink()


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_works_without_forwarding(plain, v6):
    """ip_forward=0 before: works, stays 0 during the run, is 0 after."""
    assert plain.sysctl("net.ipv4.ip_forward") == "0"
    before = settled(plain)
    host = f"[{INTERNET[1]}]" if v6 else INTERNET[0]
    done = trace(plain, "curl", "-sfo", "got", f"http://{host}/small")
    assert done.packets > 8
    run = open_run(plain)
    assert plain.sysctl("net.ipv4.ip_forward") == "0"
    assert plain.sysctl("net.ipv6.conf.all.forwarding") == "0"
    assert plain.sysctl("net.ipv4.conf.eth0.forwarding") == "1"
    close_run(run)
    clean(plain)
    plain.wait_state(before)


@pytest.mark.parametrize("first", [0, 1], ids=["older-first", "younger-first"])
def test_overlapping(plain, first):
    """Of two runs only the last one puts the settings back."""
    before = settled(plain)
    runs = [open_run(plain), open_run(plain, "-d", "eth0")]
    close_run(runs[first])
    assert plain.sysctl("net.ipv4.conf.eth0.forwarding") == "1"
    trace(plain, "ping", "-nc1", INTERNET[0])
    assert plain.sysctl("net.ipv4.conf.eth0.forwarding") == "1"
    close_run(runs[1 - first])
    assert plain.sysctl("net.ipv4.conf.eth0.forwarding") == "0"
    clean(plain)
    plain.wait_state(before)


def test_forwards_already(plain):
    """On a host that forwards nothing is changed, during the run or after."""
    plain.sysctl("net.ipv4.ip_forward", 1)
    plain.sysctl("net.ipv6.conf.all.forwarding", 1)
    before = settled(plain)
    run = open_run(plain)
    during = plain.state()["sysctls"]
    assert [line for line in during.splitlines() if "/nsn-" not in line] == (
        before["sysctls"].splitlines())
    close_run(run)
    clean(plain)
    plain.wait_state(before)
    plain.sysctl("net.ipv4.ip_forward", 0)
    plain.sysctl("net.ipv6.conf.all.forwarding", 0)


def test_admin_changes_a_value(plain):
    """What the administrator sets during a run is not overwritten."""
    name = "net.ipv4.conf.eth1.rp_filter"
    plain.sysctl(name, 1)
    before = settled(plain)
    run = open_run(plain, "-d", "eth1")
    assert plain.sysctl(name) == "2"
    plain.sysctl(name, 0)
    close_run(run)
    assert plain.sysctl(name) == "0"
    plain.sysctl(name, 1)
    run = open_run(plain, "-d", "eth1")
    close_run(run)
    clean(plain)
    plain.wait_state(before)
    plain.sysctl(name, 0)


def test_admin_starts_forwarding(plain):
    """A host that becomes a router during a run is one after it."""
    before = settled(plain)
    run = open_run(plain)
    plain.sysctl("net.ipv4.ip_forward", 1)
    plain.sysctl("net.ipv6.conf.all.forwarding", 1)
    close_run(run)
    after = {name: plain.sysctl(name) for name in (
        "net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding",
        "net.ipv4.conf.eth1.forwarding", "net.ipv6.conf.all.forwarding",
        "net.ipv6.conf.eth0.forwarding")}
    plain.sysctl("net.ipv4.ip_forward", 0)
    plain.sysctl("net.ipv6.conf.all.forwarding", 0)
    assert set(after.values()) == {"1"}, after
    clean(plain)
    plain.wait_state(before)


def test_new_way_during_the_run(lab):
    """A route that comes up during a run by another interface works too."""
    lab.add_uplink("eth1", metric=2000)
    before = settled(lab)
    run = lab.popen_nsntrace("-o", "way.pcap", "sh", "-c",
                             f"""while read _; do
ping -nc1 -W1 {INTERNET[0]} >/dev/null; echo $?; done""", stdin=-1)

    def ping():
        run.stdin.write("\n")
        run.stdin.flush()
        return run.stdout.readline().strip()

    assert ping() == "0"
    lab.sh("ip link set eth0 down")
    wait_for(lambda: ping() == "0", timeout=10, what="the other way")
    run.communicate(timeout=10)
    lab.sh("""ip link set eth0 up
ip addr replace 2001:db8:1::2/64 dev eth0 nodad
ip addr replace fe80::2/64 dev eth0 nodad
ip route add default via 192.0.2.1 dev eth0
ip route add default via 2001:db8:1::1 dev eth0""")
    clean(lab)
    after = settled(lab)
    for name in ("nft", "rules", "sysctls", "files", "cgroups", "mounts"):
        assert after[name] == before[name], name
