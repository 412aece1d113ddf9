# SPDX-License-Identifier: GPL-2.0-or-later
"""Firewalls of the host that drop what is forwarded: runs work beside each of
them, also when it is loaded anew in between, and leave it as it was."""

import os
import re
import signal

import pytest

from firewalls import FIREWALLS, our_rules, rules
from lab import INTERNET, Lab
from runs import read_until, wait_roles
from tracing import settled, trace
from waiting import wait_for

URLS = [f"http://{INTERNET[0]}/small", f"http://[{INTERNET[1]}]/small"]

# Fetches what it is told to, and says how that went.
FETCH = 'while read -r url; do curl -sS -m10 -o got "$url"; echo "status $?"; done'


# Nobody tells when iptables-legacy changes its rules.
TELLING = [name for name in FIREWALLS if name != "iptables-legacy"]


@pytest.fixture(scope="module", params=FIREWALLS)
def guarded(request):
    """A host with the firewall, `lab.firewall`."""
    lab = Lab()
    try:
        lab.http()
        lab.dnsmasq()
        lab.resolv_conf("nameserver 127.0.0.53\n")
        lab.firewall = FIREWALLS[request.param]
        lab.firewall.start(lab)
        yield lab
    finally:
        lab.close()


class Fetcher:
    """A run that lasts, whose program fetches when it is told to."""

    def __init__(self, lab):
        self.run = lab.popen_nsntrace("-o", "fetch.pcap", "sh", "-c", FETCH,
                                      stdin=-1)
        self.roles = wait_roles(self.run.pid, ("keeper", "tracer", "program"))

    def fetch(self, url):
        self.run.stdin.write(url + "\n")
        self.run.stdin.flush()
        return read_until(self.run.stdout, "status")[-1] == "status 0\n"

    def end(self):
        _, err = self.run.communicate(timeout=10)
        assert self.run.returncode == 0, err
        return err


def another(lab):
    """A namespace beside the program's, from which packets are forwarded."""
    lab.sysctl("net.ipv4.ip_forward", 1)
    other = lab.add_uplink("eth7", gateway=False)
    other.run(["ip", "route", "add", "default", "via", "198.51.100.2"],
              check=True)
    lab.server.run(["ip", "route", "add", "198.51.100.0/24", "via",
                    "192.0.2.2"], check=True)
    return other


@pytest.mark.parametrize("name", FIREWALLS)
def test_drops(lab, name):
    """What others forward is dropped: the firewalls are what they seem."""
    other = another(lab)
    lab.http()
    # Not the address that all servers have, so that it is not its own.
    fetch = ["curl", "-s", "-m1", f"http://{lab.server.addresses[0]}/empty"]
    assert other.run(fetch).returncode == 0
    FIREWALLS[name].start(lab)
    # An answer that does not come, or one that says no.
    assert other.run(fetch).returncode in (7, 28)


def test_lets_through(guarded):
    before = settled(guarded)
    for url in URLS:
        done = trace(guarded, "curl", "-sSm10", "-o", "got", url)
        assert done.packets > 8
        assert "warning" not in done.stderr
    # The resolver is the host's own, asked by way of the relay.
    trace(guarded, "curl", "-sSm10", "-o", "got",
          "http://www.example.test/small")
    for name in "got", "trace.pcap":
        (guarded.dir / name).unlink()
    guarded.wait_state(before)


def test_dry_run(guarded):
    """--dry-run names each chain, and puts nothing in; a run does just that."""
    before = settled(guarded)
    planned = re.findall("^accept: nsn-[0-9]+ both ways .* during the run$",
                         guarded.nsntrace("--dry-run", "true").stdout, re.M)
    assert guarded.state() == before
    fetcher = Fetcher(guarded)
    assert len(our_rules(guarded)) == 2 * len(planned) > 0
    fetcher.end()
    (guarded.dir / "fetch.pcap").unlink()
    guarded.wait_state(before)


@pytest.mark.parametrize("guarded", TELLING, indirect=True, scope="module")
def test_reload(guarded):
    """Loaded anew during the run: it goes on, and the owner's rules survive."""
    # As a reload leaves it, which with ufw is not quite as it was enabled.
    guarded.firewall.reload(guarded)
    before = rules(guarded)
    fetcher = Fetcher(guarded)
    inserted = our_rules(guarded)
    assert len(inserted) >= 2 and len(inserted) % 2 == 0
    assert all(fetcher.fetch(url) for url in URLS)
    guarded.firewall.reload(guarded)
    wait_for(lambda: len(our_rules(guarded)) == len(inserted), 10, "accepts")
    assert all(fetcher.fetch(url) for url in URLS)
    fetcher.end()
    assert our_rules(guarded) == []
    wait_for(lambda: rules(guarded) == before, 5, "rules as they were")


def test_several(guarded):
    """Each run takes out its own accepts and no others."""
    before = settled(guarded)
    runs = [Fetcher(guarded) for _ in range(3)]
    one = len(our_rules(guarded)) // 3
    for left in 2, 1, 0:
        runs.pop(0).end()
        assert len(our_rules(guarded)) == left * one
        assert all(run.fetch(url) for run in runs for url in URLS)
    for name in guarded.dir.iterdir():
        name.unlink()
    guarded.wait_state(before)


@pytest.mark.parametrize("victims", [("front",), ("tracer",), ("keeper",),
                                     ("keeper", "tracer", "front")],
                         ids="+".join)
def test_kill(guarded, victims):
    """kill -9: nothing stays, at the latest after the next start."""
    before = settled(guarded)
    fetcher = Fetcher(guarded)
    assert our_rules(guarded)
    for name in victims:
        os.kill(fetcher.roles[name], signal.SIGKILL)
    fetcher.run.communicate(timeout=10)
    if "keeper" in victims:
        assert our_rules(guarded)
        trace(guarded, "true", options=["--sync"])
    for name in guarded.dir.iterdir():
        name.unlink()
    guarded.wait_state(before)


BLOCKED = "leaves this host: let the interfaces nsn-* through its firewall"


def blocked(stderr):
    """The families of which a run tells that they do not get through."""
    return re.findall(r"warning: nothing that the program sends by (\S+) "
                      + re.escape(BLOCKED) + "(.*)\n", stderr)


@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_closed_table(lab, verdict):
    """A table that is another process' own cannot be changed: told, in time."""
    lab.http()
    owner = lab.popen(["nft", "-i"], stdin=-1)
    owner.stdin.write(f"""\
add table inet own {{ flags owner; }}
add chain inet own f {{ type filter hook forward priority 0; }}
add rule inet own f {verdict}
""")
    owner.stdin.flush()
    wait_for(lambda: verdict in lab.sh("nft list ruleset"), 5, "the table")
    for url, family in zip(URLS, ("IPv4", "IPv6")):
        done = lab.nsntrace("-o", "x.pcap", "curl", "-sm1", url)
        assert done.returncode in (7, 28)
        assert blocked(done.stderr) == [(family, ", table inet own")]
    # Each family is told of once, while the program runs on.
    done = lab.nsntrace("-o", "x.pcap", "sh", "-c",
                        'for url; do curl -sm1 "$url"; done', "sh", *URLS * 2)
    assert [family for family, _ in blocked(done.stderr)] == ["IPv4", "IPv6"]
    owner.communicate()


def test_blocked_elsewhere(lab):
    """Something that no accept helps against: told without a table."""
    lab.http()
    lab.sh("iptables-legacy -t mangle -A FORWARD -j DROP")
    done = lab.nsntrace("-o", "x.pcap", "curl", "-sm1", URLS[0])
    assert blocked(done.stderr) == [("IPv4", "")]
    # Neither what goes through nor what only the host itself gets is told of.
    for argv in (["curl", "-sSm5", "-o", "got", URLS[1]],
                 ["ping", "-nc1", lab.host.addresses[0]]):
        done = lab.nsntrace("-o", "x.pcap", *argv)
        assert (done.returncode, blocked(done.stderr)) == (0, []), done


def test_nobody_counts_for_long(lab):
    """Once a family is seen to get through, the chain that counts is gone."""
    lab.http()
    fetcher = Fetcher(lab)
    assert "chain asked" in lab.sh("nft list ruleset")
    assert all(fetcher.fetch(url) for url in URLS)
    wait_for(lambda: "chain asked" not in lab.sh("nft list ruleset"), 5, "end")
    assert all(fetcher.fetch(url) for url in URLS)
    assert "warning" not in fetcher.end()
