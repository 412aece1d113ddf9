# SPDX-License-Identifier: GPL-2.0-or-later
"""--wait: until the last descendant has ended, wherever it has gone."""

import errno
import os
import select
import signal

import pytest

from captures import tcpdump_reads
from freezing import without
from lab import INTERNET, Lab
from runs import read_until, settled
from waiting import wait_for

PORT = 4246
PYTHON = "/usr/bin/python3"
# Leaves somebody behind, who sends a datagram for each line from a FIFO.
LEAVE = """
import ctypes, os, socket, sys, threading, time
how, address, port, fifo, cgroup = sys.argv[1:]
libc = ctypes.CDLL(None)
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to.connect((address, int(port)))

def live():
    os.write(ready[1], b"!")
    for line in open(fifo):
        to.send(line.encode())
    os._exit(0)

if how == "user":
    os.setresuid(0, 0, 0)
ready = os.pipe()
if os.fork():
    os.read(ready[0], 1)
    os._exit(5)
if how == "group":
    os.setpgid(0, 0)
if how in ("session", "user", "away"):
    os.setsid()
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
if how == "away":
    assert libc.unshare(0x40000000) == 0
    if cgroup:
        with open(cgroup, "w") as procs:
            procs.write("0")
if how == "thread":
    threading.Thread(target=live).start()
    libc.syscall(93 if os.uname().machine == "aarch64" else 60, 0)
live()
"""
# To another process group, another session, other rights, no first thread, and
# another session, network namespace and cgroup.
HOWS = ["group", "session", "user", "thread", "away"]


@pytest.fixture(scope="module", params=["v2", "no cgroups"])
def host(request):
    made = Lab()
    try:
        made.common = ""
        if request.param == "v2":
            made.common = made.cgroup / "cgroup.procs"
        else:
            without(made, "", "freezer")
        made.setuid = made.base / "setuid-python"
        made.sh('cp "$1" "$2"; chmod 4755 "$2"', PYTHON, made.setuid)
        made.before = made.state()
        yield made
    finally:
        made.close()


def start(lab, how, *options):
    """A run whose program has left somebody -> front, what he reads from."""
    fifo = lab.dir / "fifo"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    fifo.chmod(0o644)
    program = [PYTHON]
    if how == "user":
        program = ["-u", "alice", lab.setuid]
    front = lab.popen_nsntrace("-v", "-o", "wait.pcap", *options, *program, "-c",
                               LEAVE, how, INTERNET[0], PORT, fifo, lab.common)

    def left():
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
        return None

    return front, left


@pytest.mark.parametrize("how", HOWS)
def test_waits(host, how):
    """He goes on as long as he likes, all in the trace, and then it is over."""
    sink = host.server.udp_sink(PORT)
    front, left = start(host, how, "--wait")
    read_until(front.stderr, "the program has ended")
    lines = wait_for(left, 20, "somebody who was left")
    for n in range(1, 4):
        os.write(lines, b"x\n")
        wait_for(lambda: sink.count() == n, 20, "datagram")
        assert front.poll() is None
    os.close(lines)
    _, err = front.communicate(timeout=10)
    assert front.returncode == 5
    assert "still run" not in err
    sink.close()
    assert len(tcpdump_reads(host.dir / "wait.pcap")) == 3
    settled(host, host.before)


@pytest.mark.parametrize("how", HOWS)
def test_is_named(host, how):
    """Without it he is told of, and has no way out from then on."""
    front, left = start(host, how)
    lines = wait_for(left, 20, "somebody who was left")
    assert front.wait(20) == 5
    # He holds the pipe that it wrote to.
    os.close(lines)
    _, err = front.communicate(timeout=20)
    assert "1 process of the program still runs, without a network: " in err
    settled(host, host.before)


@pytest.mark.parametrize("by", ["INT", "KILL"])
@pytest.mark.parametrize("how", ["thread", "away"])
def test_is_ended(host, how, by):
    """He ends when the user has had enough, and when the run breaks."""
    front, left = start(host, how, "--wait")
    lines = wait_for(left, 20, "somebody who was left")
    read_until(front.stderr, "the program has ended")
    front.send_signal(getattr(signal, "SIG" + by))
    # Nobody reads any more.
    gone = select.poll()
    gone.register(lines, 0)
    assert gone.poll(20_000) == [(lines, select.POLLERR)]
    os.close(lines)
    front.communicate(timeout=20)
    settled(host, host.before)
