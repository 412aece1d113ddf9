# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of processes in the run: program, file and host afterwards.

A run shows on the host in every way that is looked at: that is asserted before
each kill, so that "as it was" means something.
"""

import fcntl
import os
import signal
import struct
import termios

import pytest

from captures import packets
from killing import OURS, RECORDED, SECONDS, Host, assert_shows, errors
from lab import INTERNET
from runs import program, read_until, wait_roles
from waiting import wait_for

ONE = [("front",), ("tracer",), ("relay",), ("keeper",)]
TWO = [("front", "tracer"), ("keeper", "front"), ("tracer", "keeper")]
PYTHON = "/usr/bin/python3"
INTERFACE_STATISTICS = 5  # block type of pcapng
FLOOD = """
import socket, sys
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    to.sendto(bytes(1000), (sys.argv[1], 4243))
"""
KINDS = ["root", "nobody", "setuid", "daemon"]


@pytest.fixture(scope="module")
def host(lab_module):
    lab_module.add_uplink("eth1")
    made = Host(lab_module)
    yield made
    made.close()


def waiting_bytes(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


def check_ours(run, victims, stderr):
    """Who is left tells what has happened, in one line."""
    if "front" in victims and run.front.returncode == -signal.SIGKILL:
        return
    # Between two kills front may have seen the first one's victim go.
    assert victims[0] != "front"
    assert run.front.returncode == 125
    told = errors(stderr)
    assert len(told) == 1, stderr
    assert any(f"the {name} process" in told[0] for name in victims), told
    # Nobody knows how many packets a killed tracer has captured.
    assert ("Finished" in stderr) == (set(victims) == {"relay"})


@pytest.mark.parametrize("victims,kind", [
    *[(one, kind) for one in ONE if one != ("relay",) for kind in KINDS],
    (("relay",), "root"), (("relay",), "setuid"),
    *[(two, kind) for two in TWO for kind in ("setuid", "daemon")],
], ids=lambda value: value if isinstance(value, str) else "+".join(value))
def test_in_the_run(host, victims, kind):
    """The program ends, the file is whole, the host is as it was."""
    run = host.start(kind)
    assert_shows(host.before, host.lab.state(), "links", "nft", "sysctls",
                 "routes", "cgroups", "files", "processes")
    size = run.kill(*victims)
    check_ours(run, victims, run.wait_end())
    written = run.check_file(size)
    if "tracer" not in victims:
        # The drain is exact: all that has arrived is in the file.
        assert written >= host.arrived() > 0
    if "keeper" in victims:
        assert_shows(host.before, host.lab.state(), "sysctls", "files")
    host.restored(victims)


@pytest.mark.parametrize("victims", ONE + TWO[:1], ids="+".join)
def test_device(host, victims):
    """With -d the policy rules and their tables are gone too."""
    run = host.start("daemon", "-d", "eth1")
    assert host.sinks[1].count() > 0 and host.sinks[0].count() == 0
    assert_shows(host.before, host.lab.state(), "rules", "routes", "sysctls")
    size = run.kill(*victims)
    run.wait_end()
    run.check_file(size)
    host.restored(victims, (*RECORDED, "rules", "routes"))


@pytest.mark.parametrize("victims", ONE, ids="+".join)
def test_beside_another(host, victims):
    """Another run goes on, and the shared sysctl stays until its end."""
    lab = host.lab
    name = "net.ipv4.conf.eth0.forwarding"
    assert lab.sysctl(name) == "0"
    first = host.start("root", file="first.pcap")
    second = host.start("nobody", file="second.pcap")
    size = first.kill(*victims)
    first.wait_end(others=1)
    first.check_file(size)
    if "keeper" in victims:
        host.next_start()
    size = second.size()
    wait_for(lambda: second.size() > size, 5, "more packets of the other run")
    assert lab.sysctl(name) == "1"
    before_end = lab.state()
    assert_shows(host.before, before_end, "links", "nft", "sysctls")
    os.kill(second.roles["program"], signal.SIGTERM)
    second.front.communicate(timeout=5)
    assert second.front.returncode == -signal.SIGTERM
    second.check_file(size)
    assert lab.sysctl(name) == "0"
    host.restored()


@pytest.mark.parametrize("kind", KINDS)
def test_all_at_once(host, kind):
    """Only those of setuid or daemon programs live on, and no answer comes."""
    lab = host.lab
    run = host.start(kind)
    size = run.kill("keeper", "tracer", "relay", "front")
    wait_for(lambda: "nsn-" not in lab.state()["nft"], SECONDS, "end of NAT")
    if kind in ("root", "nobody"):
        run.wait_end()
    host.next_start()
    # Wherever it still sends to, there is no link any more.
    wait_for(lambda: "nsn-" not in lab.state()["links"], SECONDS, "end of link")
    arrived = host.arrived()
    for one in run.programs():
        assert one.state in "RS"
        os.kill(one.pid, signal.SIGKILL)
    run.wait_end()
    assert host.arrived() == arrived > 0
    run.check_file(size)
    host.restored(("keeper",))


def test_linger_ends_with_front(host):
    """Without front nobody waits: --linger is over within a second."""
    lab = host.lab
    server = lab.server.serve("deaf", [PYTHON, "-B", program("deaf.py"), 4243],
                              tcp=[4243])
    before = lab.state()
    front = lab.popen_nsntrace("-v", "-o", "end.pcapng", "--linger", 60, PYTHON,
                               "-B", program("talk.py"),
                               lab.server.addresses[0], 4243)
    read_until(front.stderr, "the program has ended")
    assert_shows(before, lab.state(), "links", "sysctls")
    front.kill()
    lab.wait_state(before, SECONDS)
    server.stop()
    # The drain was cut short, not the file: its last blocks are statistics.
    file = (lab.dir / "end.pcapng").read_bytes()
    length, = struct.unpack("<I", file[-4:])
    assert struct.unpack("<I", file[-length:][:4])[0] == INTERFACE_STATISTICS
    assert packets(lab.dir / "end.pcapng") > 0


@pytest.fixture
def stuck(host):
    """A run whose trace goes into a pipe that is full: roles of its processes."""
    lab = host.lab
    os.mkfifo(lab.dir / "fifo")
    reader = os.open(lab.dir / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    front = lab.popen_nsntrace("-u", "nobody", "-o", "fifo", PYTHON, "-c",
                               FLOOD, INTERNET[0])
    roles = wait_roles(front.pid, (*OURS, "program"))
    size = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
    wait_for(lambda: waiting_bytes(reader) > size - 4096, 10, "full pipe")
    yield roles
    os.close(reader)


@pytest.mark.parametrize("victims", ONE, ids="+".join)
def test_stuck_reader(host, stuck, victims):
    """A reader that does not read keeps nobody from putting the host back."""
    assert_shows(host.before, host.lab.state(), "links", "sysctls", "cgroups")
    for name in victims:
        os.kill(stuck[name], signal.SIGKILL)
    host.restored(victims)


def test_next_start_at_once(host, stuck):
    """The start after keeper's death need not wait until the rest has ended."""
    os.kill(stuck["keeper"], signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{stuck['program']}/exe"),
             SECONDS, "end of the program")
    host.next_start()
    assert os.path.exists(f"/proc/{stuck['tracer']}/exe"), "too late to tell"
    host.restored()
