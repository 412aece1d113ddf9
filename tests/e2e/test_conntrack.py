# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host remembers of connections that it has translated: where it sees
their end two minutes at most, and where it does not, days, but for us."""

import ipaddress
import os
import re
import signal
import socket

import pytest

from lab import INTERNET
from runs import alive, read_until, wait_roles
from tracing import program
from waiting import wait_for

PYTHON = "/usr/bin/python3"
PORT = 7007
# Connects, waits for a line, and ends; as "leave" there is one who does not.
CONNECT = f"""
import os, signal, socket, sys
server = socket.create_server(("", {PORT}))
held = [socket.create_connection((one, {PORT} + i))
        for i, one in enumerate(sys.argv[2:])]
print("connected", flush=True)
sys.stdin.readline()
if sys.argv[1] == "leave" and not os.fork():
    os.setsid()
    for fd in 0, 1, 2:
        os.close(fd)
    signal.pause()
"""
# The kernel's own limits for connections whose end it has seen (tcp_timeouts).
ENDED = 120


class Connected:
    """A run whose program has a connection of each family, and one that the
    host has made to it."""

    def __init__(self, lab, how):
        self.lab = lab
        self.argv = [PYTHON, "-c", CONNECT, how, *INTERNET]
        self.run = lab.popen_nsntrace("-o", f"{how}.pcap", *self.argv, stdin=-1)
        self.roles = wait_roles(self.run.pid)
        banner = read_until(self.run.stderr, "Your IPv6 address")
        self.addresses = re.findall(r"in this trace is (\S+)\.\n", "".join(banner))
        read_until(self.run.stdout, "connected")
        with lab.host.here():
            self.outside = socket.create_connection((self.addresses[0], PORT))
        wait_for(self.is_held, 20, "connections")

    def known(self):
        """Seconds and state of each connection that the host knows of."""
        ours = [f"src={ipaddress.ip_address(one).exploded} "
                for one in self.addresses]
        return [(int(line.split()[4]), line.split()[5]) for line in
                self.lab.sh("cat /proc/net/nf_conntrack").splitlines()
                if line.split()[2] == "tcp"
                and any(one in line for one in ours)]

    def is_held(self):
        return [state for _, state in self.known()] == ["ESTABLISHED"] * 3

    def end(self):
        _, err = self.run.communicate("\n", timeout=20)
        self.outside.close()
        assert self.run.returncode == 0, err
        return err


@pytest.fixture
def served(lab):
    for i, one in enumerate(INTERNET):
        lab.server.serve(f"server {i}", [*program("echo.py"), one, PORT + i],
                         tcp=[PORT + i])
    return lab


def test_left_behind(served):
    """Of who lives on nothing is kept; of others what they need, as usual."""
    first, beside = Connected(served, "leave"), Connected(served, "stay")
    assert "1 process of the program still runs" in first.end()
    wait_for(lambda: not first.known(), 20, "end of what the host knows")
    assert alive(served, *first.argv)
    assert beside.is_held()
    beside.end()
    for seconds, state in beside.known():
        assert state != "ESTABLISHED" and seconds <= ENDED


def test_killed(served):
    """What a killed run has left is forgotten by who cleans up."""
    run = Connected(served, "stay")
    os.kill(run.roles["keeper"], signal.SIGKILL)
    run.run.communicate(timeout=20)
    run.outside.close()
    assert run.known()
    told = served.nsntrace("--cleanup", check=True).stderr
    for one in run.addresses:
        assert re.search(rf"^Forgot \d+ connections? of {re.escape(one)}\.$", told,
                         re.M), told
    assert run.known() == []
