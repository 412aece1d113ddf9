# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing leaves the host with the address that the program has inside."""

import socket

import pytest

from captures import fields
from tracing import program, trace

PORT, MARK = 7007, "last"
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86dd
SEGMENTS = ["syn+fin", "rst", "fin", "fin+rst", "syn+rst"]
NOTRACK = "nft 'table inet exempt { chain raw { type filter hook prerouting" \
          " priority raw; notrack; }; }'"


@pytest.fixture
def wire(lab):
    """What arrives at the server, whatever it is."""
    with lab.server.here():
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                socket.htons(ETH_P_ALL))
    packets.settimeout(5)
    packets.bind(("eth0", ETH_P_ALL))
    with packets:
        yield packets


def sources(lab, wire):
    """Who sent what has arrived by now; the host itself sends the last."""
    lab.run([*program("send_udp.py"), lab.server.addresses[0], PORT, 1, MARK],
            check=True)
    found = []
    while True:
        packet, address = wire.recvfrom(65536)
        if address[1] == ETH_P_IP:
            found.append(socket.inet_ntop(socket.AF_INET, packet[12:16]))
        elif address[1] == ETH_P_IPV6:
            found.append(socket.inet_ntop(socket.AF_INET6, packet[8:24]))
        if MARK.encode() in packet:
            return found


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_invalid(lab, wire, v6):
    """What conntrack calls invalid is in the trace and goes no further."""
    done = trace(lab, *program("segments.py"), lab.server.addresses[v6], PORT,
                 *SEGMENTS)
    assert len(fields(done.path, f"tcp.dstport == {PORT}", "frame.number")
               ) == len(SEGMENTS)
    assert not set(sources(lab, wire)) & set(done.addresses)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_valid(lab, wire, v6):
    """The same program's proper segment arrives, under the host's address."""
    done = trace(lab, *program("segments.py"), lab.server.addresses[v6], PORT,
                 "syn")
    found = sources(lab, wire)
    assert lab.host.addresses[v6] in found[:-1]
    assert not set(found) & set(done.addresses)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_untracked(lab, wire, v6):
    """A host that exempts packets from conntrack lets none of ours out."""
    lab.sh(NOTRACK)
    done = trace(lab, *program("send_udp.py"), lab.server.addresses[v6], PORT,
                 10)
    assert done.packets >= 10
    assert not set(sources(lab, wire)) & set(done.addresses)
