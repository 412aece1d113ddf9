# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that has its IPv6 by router advertisement keeps it.

The kernel forgets such a default route, and takes no new one, on a host that is
made a router: what the program needs must not do that.
"""

import re
import subprocess

import pytest

from captures import fields
from lab import INTERNET, diff
from lacking import lacking
from runs import read_until
from waiting import wait_for

RADVD = """
interface eth0 {
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 600;
    prefix 2001:db8:1::/64 { };
};
"""
WAIT = 20  # seconds: several advertisements
# Asks, waits to be told, and asks again.
CLIENT = """
import socket, sys
for line in (None, sys.stdin):
    line and line.readline()
    with socket.create_connection((sys.argv[1], 80)) as to:
        to.sendall(b"GET /small HTTP/1.0\\r\\n\\r\\n")
        while to.recv(65536):
            pass
    print("asked", flush=True)
"""


class Advertised:
    """A host whose only default route of IPv6 is its router's."""

    def __init__(self, lab):
        self.lab = lab
        lab.http()
        lab.sh("ip -6 route del default")
        for key in ("accept_ra", "accept_ra_defrtr", "accept_ra_rtr_pref"):
            lab.sysctl(f"net.ipv6.conf.eth0.{key}", 1)
        (lab.dir / "radvd.conf").write_text(RADVD)
        lab.server.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"],
                       check=True)
        self.router = lab.server.popen(
            ["radvd", "-n", "-C", lab.dir / "radvd.conf", "-p",
             lab.dir / "radvd.pid", "-m", "stderr"], stderr=subprocess.STDOUT)
        wait_for(self.expires, WAIT, "advertised route")
        wait_for(lambda: "tentative" not in lab.sh("ip -6 addr"), WAIT,
                 "advertised address")

    def expires(self):
        """For how many seconds the advertised route is good; None: there is none.
        """
        found = re.search(r"^default via fe80::1 dev eth0 proto ra .*"
                          r"\bexpires (\d+)sec", self.lab.sh("ip -6 route"), re.M)
        return int(found[1]) if found else None

    def hears(self):
        """The route is there, and the next advertisement makes it last longer."""
        last = self.expires()
        assert last

        def renewed():
            nonlocal last
            before, last = last, self.expires()
            assert last, "the route is gone"
            return last > before

        wait_for(renewed, WAIT, "another advertisement")

    def settings(self):
        """All but what an advertisement changes."""
        state = self.lab.state()
        return {name: re.sub(r"\b\d+sec\b", "", state[name])
                for name in ("routes", "addresses", "sysctls", "nft", "links")}


@pytest.fixture
def advertised(lab):
    host = Advertised(lab)
    yield host
    host.router.terminate()
    host.router.communicate(timeout=10)


def overlap(advertised, version):
    """Three runs that overlap can ask by that family, and the host by IPv6."""
    lab = advertised.lab
    before = advertised.settings()
    runs = [lab.popen_nsntrace("-o", f"{i}.pcap", "python3", "-c", CLIENT,
                               INTERNET[version == 6], stdin=subprocess.PIPE)
            for i in range(3)]
    for run in runs:
        read_until(run.stdout, "asked")
    advertised.hears()

    # The others go on, as does the host.
    told = []
    for i, run in enumerate(runs):
        _, err = run.communicate("\n", timeout=20)
        assert run.returncode == 0, err
        assert len(fields(lab.dir / f"{i}.pcap", "http.response.code == 200",
                          f"ip{'v6' if version == 6 else ''}.src")) == 2
        advertised.hears()
        told.append(err)
    after = advertised.settings()
    assert after == before, diff(before, after)
    return told


def test_kept(advertised):
    """Before, during and after the runs, which have IPv6 by it."""
    overlap(advertised, 6)


def test_kept_without_a_way_to_forward(advertised):
    """On an older kernel runs have no IPv6, and say so: the host keeps it."""
    lacking(advertised.lab, "force_forwarding")
    for err in overlap(advertised, 4):
        assert err.count("IPv6") == 1
        assert ("There is no IPv6 in this trace: this kernel cannot forward it "
                "for one interface only.\n") in err


def test_kept_by_a_router(advertised):
    """One that forwards, and accepts advertisements all the same: runs have it."""
    lab = advertised.lab
    lacking(lab, "force_forwarding")
    lab.sysctl("net.ipv6.conf.eth0.accept_ra", 2)
    lab.sysctl("net.ipv6.conf.all.forwarding", 1)
    wait_for(advertised.expires, WAIT, "advertised route")
    overlap(advertised, 6)


def test_control(advertised):
    """What would happen otherwise: a router forgets, and hears no more."""
    advertised.lab.sysctl("net.ipv6.conf.all.forwarding", 1)
    wait_for(lambda: not advertised.expires(), WAIT, "loss of the route")
