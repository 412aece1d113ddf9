# SPDX-License-Identifier: GPL-2.0-or-later
"""--lossless: nothing of the program's is lost, however slow the sink is.

The queue is small in most tests, so that little traffic fills it. Whether the
program is frozen is read from its cgroup's own switch.
"""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from captures import packets, tcpdump_reads
from freezing import Switch, mounts, runs_on, without
from killing import PORT, Host
from lab import INTERNET, Lab
from runs import alive, program, status, wait_roles
from shells import foreground_job, shell
from waiting import wait_for

PYTHON = "/usr/bin/python3"
SLOW = 20e6  # bytes per second
COUNT = 50000
ROLES = ("keeper", "tracer", "program")
# Others may keep the processors of this machine from the thread that reads.
LARGE_RING = ("-B", 256)

# COUNT datagrams; who gets those on loopback reads none of them.
FLOOD = """
import signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sink, to = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
sink.bind(("", 4243))
for i in range(int(sys.argv[2])):
    to.sendto(bytes(1400), (sys.argv[1], 4243))
"""
LOCAL_FLOOD = [PYTHON, "-c", FLOOD, "127.0.0.1", COUNT]
ENDLESS = [PYTHON, "-c", FLOOD, "127.0.0.1", str(10**12)]
LOCAL_TCP = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
if not os.fork():
    to = socket.create_connection(listener.getsockname())
    for i in range(int(sys.argv[1])):
        to.sendall(bytes(65536))
    os._exit(0)
connection = listener.accept()[0]
while connection.recv(1 << 20):
    pass
"""
# Lets another send to it, and then is frozen.
ASKING = """
import os, socket, sys
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
os.execv(sys.argv[3], sys.argv[3:])
"""
# Leaves a child with a connection that never ends, which becomes another.
LINGERING = """
import os, signal, socket, sys
if os.fork():
    signal.pause()
listener = socket.create_server(("127.0.0.1", 0))
to = socket.create_connection(listener.getsockname())
to.setblocking(False)
try:
    while True:
        to.send(bytes(1000))
except BlockingIOError:
    os.set_inheritable(listener.fileno(), True)
    os.set_inheritable(to.fileno(), True)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Sink(threading.Thread):
    """Reads a pipe into a file at a pace."""

    def __init__(self, stream, path, pace=SLOW):
        super().__init__()
        self.stream = stream
        self.path = path
        self.pace = pace
        self.start()

    def run(self):
        began, done = time.monotonic(), 0
        with open(self.path, "wb") as file:
            while chunk := self.stream.read1(1 << 16):
                file.write(chunk)
                done += len(chunk)
                early = done / self.pace - (time.monotonic() - began)
                time.sleep(max(early, 0))


frozen = []  # the switch of every run that was


def start(lab, *argv, options=(), queue=1):
    """A run whose trace goes into a pipe that nobody reads yet."""
    return lab.popen_nsntrace("-v", "--lossless", "--queue-size", queue, "-o",
                              "-", *options, *argv, text=False)


def wait_frozen(front):
    """Until a run's program is frozen: its roles, and the switch."""
    roles = wait_roles(front, ROLES)
    switch = wait_for(lambda: Switch(roles["program"]))
    frozen.append(switch)
    wait_for(switch.is_on, 20, "frozen program")
    return roles, switch


def finish(front):
    """Read all of the trace as fast as possible: the trace, what was told."""
    out, err = front.communicate(timeout=30)
    return out, err.decode()


def counts(stderr):
    """Packets counted by interface, ring and file; how often it was paused."""
    found = re.search(r"interface (\d+), ring (\d+), file (\d+) packets", stderr)
    paused = re.search(r"^The program was paused (\d+) times?, for \d+\.\d s",
                       stderr, re.M)
    return *map(int, found.groups()), int(paused[1]) if paused else 0


@pytest.fixture(scope="module", params=["v2", "v1"])
def host(request):
    """A host with cgroup v2, and one with the freezer of v1 only."""
    lab = Lab()
    try:
        if request.param == "v1":
            without(lab, "")
        made = Host(lab)
        made.kind = request.param
        yield made
        made.close()
    finally:
        # What a failed test has left frozen by v1 could not be ended.
        for switch in frozen:
            switch.thaw()
        lab.close()


# -- nothing is lost ---------------------------------------------------------

TRAFFIC = {
    "tcp-up": ["iperf3", "-c", INTERNET[0], "-n", "80M"],
    "tcp-down": ["iperf3", "-c", INTERNET[0], "-n", "80M", "-R"],
    "tcp-lo": [PYTHON, "-c", LOCAL_TCP, 1200],
    "udp-up": [PYTHON, "-c", FLOOD, INTERNET[0], COUNT],
    "udp-lo": LOCAL_FLOOD,
}


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_slow_sink(lab, traffic):
    """20 MB/s at the sink, as fast as it can at the program: all is there."""
    lab.iperf3()
    front = start(lab, *TRAFFIC[traffic], queue=16, options=LARGE_RING)
    # On a busy machine the program may be no faster than the sink.
    wait_frozen(front.pid)
    sink = Sink(front.stdout, lab.dir / "trace.pcap")
    stderr = front.stderr.read().decode()
    sink.join()
    assert front.wait() == 0, stderr
    interface, ring, file, paused = counts(stderr)
    assert "warning" not in stderr and paused > 0, stderr
    assert interface == ring == file == packets(sink.path) > 0
    if "udp" in traffic:
        assert len(tcpdump_reads(sink.path, "udp port 4243")) == COUNT


def test_others_do_not_wait(lab):
    """Datagrams pushed by others beyond ring and queue are counted and told."""
    with lab.server.here():
        pusher = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        pusher.bind(("", 4244))
    with pusher:
        front = start(lab, PYTHON, "-c", ASKING, lab.server.addresses[0], 4244,
                      *ENDLESS, options=["-B", 1])
        address = pusher.recvfrom(100)[1]
        wait_frozen(front.pid)
        for _ in range(20000):
            pusher.sendto(bytes(1400), address)
    front.send_signal(signal.SIGTERM)
    out, stderr = finish(front)
    _, ring, file, _ = counts(stderr)
    dropped = sum(map(int, re.findall(r"(\d+) packets dropped", stderr)))
    assert dropped > 0 and ring == file + dropped, stderr
    assert " counted " not in stderr and out


def test_refused(lab):
    """Without anything that freezes it is refused, and nothing is built."""
    without(lab, "", "freezer")
    before = lab.state()
    done = lab.nsntrace("--lossless", "-o", "x.pcap", "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert re.fullmatch("nsntrace: .*--lossless\n"
                        "nsntrace: hint: .*cgroup.*\n", done.stderr)
    assert lab.state() == before
    assert lab.nsntrace("true").returncode == 0


# -- the program notices nothing ---------------------------------------------

def test_timers(host):
    """A program that waits in many ways never wakes up early, nor fails."""
    front = start(host.lab, PYTHON, "-B", program("timers.py"))
    sink = Sink(front.stdout, host.lab.dir / "trace.pcap")
    stderr = front.stderr.read().decode()
    sink.join()
    assert front.wait() == 0 and "timers are right" in stderr, stderr
    assert counts(stderr)[-1] > 0


def test_stopped_meanwhile(host):
    """STOP and CONT that come while it is frozen do their work afterwards."""
    front = start(host.lab, *LOCAL_FLOOD)
    roles, _ = wait_frozen(front.pid)
    os.kill(roles["program"], signal.SIGSTOP)
    sink = Sink(front.stdout, host.lab.dir / "trace.pcap", 1e12)
    wait_for(lambda: status(front.pid)["State"].startswith("T"))
    front.send_signal(signal.SIGCONT)
    stderr = front.stderr.read().decode()
    sink.join()
    assert front.wait() == 0 and counts(stderr)[1] == COUNT, stderr


def test_terminal(host):
    """An interactive shell, its jobs and its keys, while it is paused often."""
    lab = host.lab
    os.mkfifo(lab.dir / "fifo")
    pty = lab.pty([lab.nsntrace_path, "-q", "--lossless", "--queue-size", 1,
                   "-o", "fifo", "bash", "--norc", "-i"],
                  env={"PS1": "ready> ", "HISTFILE": "/dev/null"})
    with open(lab.dir / "fifo", "rb") as fifo:
        sink = Sink(fifo, lab.dir / "trace.pcap")
        pty.expect("ready> ")
        pty.send(f"exec 3>&2 2>/dev/null; {PYTHON} -c '{ENDLESS[2]}'"
                 " 127.0.0.1 999999999 & exec 2>&3\n")
        pty.expect("ready> ")
        for i in range(10):
            pty.send(f"echo is-$(({i} + 100))\n")
            pty.expect(f"is-{i + 100}\r\n")
        pty.send("sleep 987\n")
        foreground_job(lab, pty, "sleep", "987")
        pty.send("\x1a")
        pty.expect("Stopped")
        pty.send("fg\n")
        foreground_job(lab, pty, "sleep", "987")
        pty.send("\x03")
        pty.expect("ready> ")
        pty.send("kill %1; exit 7\n")
        assert pty.wait(20) == 7
        sink.join()


def test_stopped_with_its_reader(host):
    """Ctrl-Z gives the prompt back though it stops the reader of the trace."""
    lab = host.lab
    pty = shell(lab)
    # sleep(1) is a reader that reads nothing.
    pty.send(f"$NSNTRACE -q --lossless --queue-size 1 -o - {PYTHON} -c '"
             f"{FLOOD}' 127.0.0.1 999999999 | sleep 986\n")
    wait_for(lambda: alive(lab, "sleep", "986"))
    front = wait_for(lambda: pty.foreground() != pty.pid and pty.foreground())
    _, switch = wait_frozen(front)
    for _ in range(2):
        pty.output = b""
        pty.send("\x1a")
        pty.expect("Stopped")
        pty.expect("ready> ")
        assert switch.is_on()
        pty.send("fg\n")
        wait_for(lambda: pty.foreground() == front, what="fg")
    # The reader's end is that of the trace, and what is left flows again.
    pty.send("\x03")
    pty.expect("ready> ")
    wait_for(lambda: not switch.file.exists(), 5, "end of the run")
    pty.send("exit\n")
    pty.wait()


def test_ignored_stop_key(lab):
    """Who is to ignore Ctrl-Z does so in a pause too."""
    os.mkfifo(lab.dir / "fifo")
    pty = lab.pty(["sh", "-c", "trap '' TSTP; exec \"$@\"", "sh",
                   lab.nsntrace_path, "-q", "--lossless", "--queue-size", 1,
                   "-o", "fifo", *ENDLESS])
    with open(lab.dir / "fifo", "rb") as fifo:
        wait_frozen(pty.pid)
        pty.send("\x1a")
        pty.send("\x03")
        sink = Sink(fifo, lab.dir / "trace.pcap", 1e12)
        assert pty.wait(20) == -signal.SIGINT
        sink.join()


def test_nested(lab):
    """A program that freezes a child of its own keeps it frozen."""
    script = """
    own=$1$(sed -n s/^0:://p /proc/self/cgroup)/inner
    mkdir $own
    sleep 985 & echo $! >$own/cgroup.procs
    echo 1 >$own/cgroup.freeze
    shift; "$@"
    grep -q 'frozen 1' $own/cgroup.events && echo still frozen >&2
    kill -KILL $!; wait $!; rmdir $own"""
    mount = next(mounts(""))
    front = start(lab, "sh", "-c", script, "sh", mount, *LOCAL_FLOOD)
    wait_frozen(front.pid)
    sink = Sink(front.stdout, lab.dir / "trace.pcap")
    stderr = front.stderr.read().decode()
    sink.join()
    assert front.wait() == 0 and "still frozen" in stderr, stderr
    assert counts(stderr)[-1] > 0


# -- and is thawed in the end ------------------------------------------------

def start_crowd(host):
    """A flood, frozen with a setuid daemon beside it; the pids of both."""
    beacon = [str(host.beacon(True)), INTERNET[0], str(PORT), "daemon"]
    # The shell becomes the flood when there are beacons, so that it ends it all.
    front = start(host.lab, "sh", "-c", f"{' '.join(beacon)} >/dev/null 2>&1 & " + 'exec "$@"',
                  "sh", *ENDLESS, options=["-u", "alice"])
    roles, switch = wait_frozen(front.pid)
    assert [one.pid for one in alive(host.lab, *ENDLESS)] == [roles["program"]]
    beacons = wait_for(lambda: alive(host.lab, *beacon))
    for one in beacons:
        assert Switch(one.pid).file == switch.file
    return front, roles, switch, [one.pid for one in beacons]


@pytest.mark.parametrize("victim,signo", [
    ("program", signal.SIGINT), ("front", signal.SIGTERM)])
def test_end(host, victim, signo):
    """After the program's end its daemons are there, and not frozen."""
    front, roles, switch, beacons = start_crowd(host)
    os.kill(roles[victim], signo)
    _, stderr = finish(front)
    assert front.returncode == -signo, stderr
    assert "warning" not in stderr, stderr
    for pid in beacons:
        runs_on(pid)
        os.kill(pid, signal.SIGKILL)
    assert not switch.file.exists()
    host.restored()


@pytest.mark.parametrize("victims", [
    ("front",), ("tracer",), ("keeper",), ("front", "tracer"),
    ("keeper", "front"), ("tracer", "keeper")], ids="+".join)
def test_killed(host, victims):
    """kill -9 while it is frozen and the reader stuck: all of them end."""
    front, roles, switch, beacons = start_crowd(host)
    for name in victims:
        os.kill(roles[name], signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{roles['program']}/exe").exists(), 2,
             "end of the program")
    for pid in beacons:
        if host.kind == "v1" and "keeper" in victims:
            # Without cgroup v2 nobody is left who could end them.
            runs_on(pid)
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), 2, "its end")
    front.communicate()
    host.restored(victims)
    assert not switch.file.exists()


def test_killed_while_lingering(lab):
    """After the program's end too: nobody of its descendants stays frozen."""
    front = start(lab, PYTHON, "-c", LINGERING, *ENDLESS,
                  options=["--linger", 1000])
    roles, _ = wait_frozen(front.pid)
    left = alive(lab, *map(str, ENDLESS))[0]
    os.kill(roles["program"], signal.SIGKILL)
    runs_on(roles["tracer"])  # it looks at the connection
    front.send_signal(signal.SIGSTOP)
    wait_for(lambda: status(front.pid)["State"].startswith("T"))
    os.kill(roles["keeper"], signal.SIGKILL)
    front.kill()
    wait_for(lambda: not Path(f"/proc/{left.pid}/exe").exists(), 5, "its end")
    front.communicate()


def test_reader_gone(host):
    """Without a reader the program runs on to its end."""
    front = start(host.lab, *LOCAL_FLOOD)
    _, switch = wait_frozen(front.pid)
    front.stdout.close()
    stderr = front.stderr.read().decode()
    assert front.wait() == 125 and "packets are missing" in stderr
    assert counts(stderr)[1] == COUNT
    assert not switch.file.exists()


def test_disk_full(lab):
    """A disk that is full thaws too."""
    lab.sh("mkdir /run/small; mount -t tmpfs -o size=4m small /run/small")
    done = lab.nsntrace("-v", "--lossless", "--queue-size", 1, "-o",
                        "/run/small/trace.pcap", *LOCAL_FLOOD)
    assert done.returncode == 125 and "packets are missing" in done.stderr
    assert counts(done.stderr)[1] == COUNT
    assert packets(lab.path("/run/small/trace.pcap")) > 0
