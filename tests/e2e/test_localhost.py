# SPDX-License-Identifier: GPL-2.0-or-later
"""-L: ports of the host's loopback addresses, at the same addresses inside."""

import pytest

from captures import fields
from tracing import complaints, finish, program, settled, trace
from waiting import wait_for

PORT = 7000
ADDRESSES = ["127.0.0.1", "::1"]


def serve(net, address, how="echo", port=PORT, **options):
    """A server that is ready; it may get a directory that is new."""
    return net.serve(net._name("echo"),
                     [*program("echo.py"), address, port, how],
                     tcp=[port], udp=[port], **options)


def dial(lab, *lines, address="127.0.0.1", port=PORT, options=("-L", str(PORT)),
         **popen):
    """What dial.py answers to each of the lines, and its trace."""
    done = trace(lab, *program("dial.py"), address, port, options=options,
                 input="".join(f"{line}\n" for line in lines), **popen)
    return done.stdout.splitlines(), done


@pytest.fixture(scope="module")
def echo(lab_module):
    """A host with services on both loopback addresses, and nowhere else."""
    lab_module.resolv_conf("nameserver 192.0.2.1\n")
    for address in ADDRESSES:
        serve(lab_module.host, address)
    return lab_module


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_reached(echo, address, protocol):
    """The service answers, after the program's half of the talk has ended."""
    state = settled(echo)
    value = f"{PORT}/udp" if protocol == "udp" else f"{PORT}"
    answers, done = dial(echo, f"{protocol} hello", address=address,
                         options=["-L", value])
    assert answers == ["hello"]
    seen = fields(done.path, f"{protocol}.port == {PORT}", "ip.dst", "ipv6.dst")
    assert len(seen) >= 2 and all(address in one for one in seen), seen
    done.path.unlink()
    echo.wait_state(state)


def test_not_reached_without(echo):
    """Nor is another port, or the other protocol."""
    answers, _ = dial(echo, "tcp hello", "udp hello", options=[])
    assert answers == ["ECONNREFUSED"] * 2
    answers, _ = dial(echo, "tcp hello", "udp hello",
                      options=["-L", f"{PORT}/udp"])
    assert answers == ["ECONNREFUSED", "hello"]


def test_without_a_way_out(echo):
    answers, _ = dial(echo, "tcp hello", options=["-d", "lo", "-L", str(PORT)])
    assert answers == ["hello"]


def test_as_user(echo):
    """A privileged port, for a user, in a directory of his."""
    serve(echo.host, "127.0.0.1", port=7)
    answers, _ = dial(echo, "tcp hello", "udp hello", port=7,
                      options=["-u", "alice", "-L", "7", "-L", "7/udp"])
    assert answers == ["hello", "hello"]


class Open:
    """A run of dial.py that does a line at a time."""

    def __init__(self, lab, address, *options, port=PORT):
        self.path = lab.dir / "open.pcap"
        self.run = lab.popen_nsntrace("-o", "open.pcap", *options,
                                      *program("dial.py"), address, port,
                                      stdin=-1)

    def ask(self, line):
        self.run.stdin.write(line + "\n")
        self.run.stdin.flush()
        return self.run.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, err = self.run.communicate(timeout=20)
        assert self.run.returncode == 0, err


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_refused(lab_module, address, protocol):
    """Refused while there is no service, as often as it comes and goes."""
    port = PORT + 1
    value = f"{port}/udp" if protocol == "udp" else f"{port}"
    with Open(lab_module, address, "-L", value, port=port) as run:
        assert run.ask(f"{protocol} a") == "ECONNREFUSED"
        for _ in range(2):
            server = serve(lab_module.host, address, port=port)
            wait_for(lambda: run.ask(f"{protocol} b") == "b", what="service")
            server.stop()
            wait_for(lambda: run.ask(f"{protocol} c") == "ECONNREFUSED",
                     what="refusal")
    # Refused by the kernel itself: no connection was begun and taken back.
    if protocol == "tcp":
        first = fields(run.path, "tcp", "tcp.flags.syn", "tcp.flags.reset")[:2]
        assert [one.count("1") for one in first] == [1, 1], first


def test_a_thousand(echo):
    """As many connections at once, each with what is its own."""
    answers, done = dial(echo, "crowd 1000", "tcp after")
    assert answers == ["1000", "after"]
    assert len(fields(done.path, "tcp.flags.syn == 1 && tcp.flags.ack == 1",
                      "frame.number")) == 1001


def test_a_gigabyte(echo):
    """All of it, and no more of our memory than there is for one connection."""
    serve(echo.host, "127.0.0.1", "sum", port=7002)
    answers, _ = dial(echo, "pour 1024", port=7002, timeout=120,
                      options=["-L", "7002", "-f", "not port 7002"])
    assert answers == ["same"]


def test_back_pressure(lab_module):
    """A service that does not read stops the program, within bounds."""
    lab_module.host.serve("deaf", [*program("deaf.py"), "7003"], tcp=[7003])
    answers, _ = dial(lab_module, "stall", port=7003,
                      options=["-L", "7003", "-s", "64"])
    assert 65536 <= int(answers[0]) < 64 << 20


def test_last_words(lab_module):
    """The program ends, and what it sent still gets to a service that is slow."""
    server = serve(lab_module.host, "127.0.0.1", "slow", port=7004)
    done = trace(lab_module, "bash", "-c",
                 "head -c 3000000 /dev/zero >/dev/tcp/127.0.0.1/7004",
                 options=["-L", "7004", "-s", "64"])
    assert done.packets > 3
    wait_for(lambda: server.log().startswith("3000000 "), timeout=20,
             what="the last byte")


def test_beside_a_resolver(lab_module):
    """Port 53, where a relay of the resolver is already."""
    lab = lab_module
    lab.dnsmasq(["127.0.0.1"], device=None)
    lab.resolv_conf("nameserver 127.0.0.1\n")
    done = trace(lab, "getent", "ahostsv4", "www.example.test",
                 options=["-L", "53", "-L", "53/udp"])
    assert done.stdout.startswith("192.0.2.1")
    lab.resolv_conf(None)
    done = lab.nsntrace("--dns", "192.0.2.1", "-L", "53", "-o", "x.pcap", "true")
    assert done.returncode == 125
    assert complaints(done.stderr) == ([
        "nsntrace: --localhost 53/tcp: the name server of --dns is at"
        " 127.0.0.1 inside"], [])
