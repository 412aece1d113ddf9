# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that outlive the program: named, cut off, waited for, or ended."""

import os
import re
import signal
import socket

import pytest

from freezing import without
from lab import Lab
from runs import alive, read_until, wait_roles
from waiting import wait_for

PYTHON = "/usr/bin/python3"
# Leaves a child that has two connections, and tells what becomes of them.
CONNECTED = """
import os, socket, sys
address, port, told = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tcp = socket.create_connection((address, port))
mapped = socket.socket(socket.AF_INET6)
mapped.connect(("::ffff:" + address, port))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((address, port))
server = socket.create_server(("127.0.0.1", 0))
inner = socket.create_connection(server.getsockname())
other = server.accept()[0]
if os.fork():
    os._exit(0)
for fd in 0, 1, 2:
    os.close(fd)
text = []
for one in tcp, mapped, udp:
    try:
        text.append(str(one.recv(1)))
    except OSError as error:
        text.append(os.strerror(error.errno))
try:
    socket.create_connection((address, port))
except OSError as error:
    text.append(os.strerror(error.errno))
inner.send(b"x")
text.append(str(other.recv(1)))
with open(told + ".new", "w") as file:
    file.write("\\n".join(text))
os.rename(told + ".new", told)
"""
HOSTILE = r"""
import signal
open("/proc/self/comm", "wb").write(b"\x1b[31m(\xff\nx)")
open("/tmp/named", "a").write("x")
signal.pause()
"""
STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os._exit(4)
os.setsid()
for fd in 0, 1, 2:
    os.close(fd)
os.execvp("sleep", ["sleep", "993"])
"""


@pytest.fixture(params=["v2", "v1", "no cgroups"])
def host(request):
    """A host with cgroup v2, and such as have none."""
    made = Lab()
    try:
        if request.param != "v2":
            without(made, "")
        if request.param == "no cgroups":
            without(made, "freezer")
        yield made
    finally:
        made.close()


def end(lab, *argv):
    found = alive(lab, *argv)
    for one in found:
        os.kill(one.pid, signal.SIGKILL)
    return found


def test_named(host):
    """Who lives on is named, by pid and name."""
    before = host.state()
    done = host.nsntrace("sh", "-c", "sleep 991 >&- 2>&- & sleep 992 >&- 2>&- & "
                         "while ! pgrep -x sleep >/dev/null; do :; done; exit 3")
    left = end(host, "sleep", "991") + end(host, "sleep", "992")
    found = re.search(r"^2 processes of the program still run, without a network:"
                      r" (\d+) \((sleep|sh)\), (\d+) \((sleep|sh)\)\."
                      r" --wait waits for all\.$", done.stderr, re.M)
    assert done.returncode == 3 and found, done.stderr
    assert {int(found[1]), int(found[3])} == {one.inner for one in left}
    (host.dir / "nsntrace.pcap").unlink()
    host.wait_state(before)


def test_names_are_harmless(lab):
    """Five are named, whatever they call themselves, and the rest is counted."""
    done = lab.nsntrace("sh", "-c", f"""
        i=0
        while [ $i -lt 7 ]; do
            {PYTHON} -c "$1" >&- 2>&- & i=$((i + 1))
        done
        while [ "$(cat /tmp/named 2>/dev/null)" != xxxxxxx ]; do :; done""",
        "sh", HOSTILE)
    line, = [one for one in done.stderr.splitlines() if "still run" in one]
    assert re.fullmatch(
        r"7 processes of the program still run, without a network:"
        r"( \d+ \(\?\[31m\(\?\?x\)\),?){5} and 2 more\. --wait waits for all\.",
        line), line
    assert len(end(lab, PYTHON, "-c", HOSTILE)) == 7


def test_cut_off(lab):
    """Their connections end at once, with an error; those inside go on."""
    with lab.server.here():
        listener = socket.create_server(("", 4245))
    with listener:
        done = lab.nsntrace(PYTHON, "-c", CONNECTED, lab.server.addresses[0], 4245,
                            lab.dir / "told")
        assert "1 process of the program still runs" in done.stderr
        wait_for((lab.dir / "told").exists, 10, "end of connections")
    assert (lab.dir / "told").read_text().splitlines() == [
        *["Software caused connection abort"] * 3, "Network is unreachable",
        "b'x'"]


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_wait_is_ended(host, name):
    """With --wait a signal after the program's end ends all, the stubborn too."""
    front = host.popen_nsntrace("-v", "--wait", PYTHON, "-c", STUBBORN)
    wait_roles(front.pid, ["keeper"])
    wait_for(lambda: alive(host, "sleep", "993"))
    # Not before keeper knows: one that is just ending takes the signal along.
    read_until(front.stderr, "the program has ended")
    assert front.poll() is None
    front.send_signal(getattr(signal, "SIG" + name))
    _, err = front.communicate(timeout=10)
    assert front.returncode == 4
    assert "still run" not in err and "Finished" in err
    assert not alive(host, "sleep", "993")
