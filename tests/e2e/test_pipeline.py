# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies between the ring and the file: sinks that stall or crawl, traffic
that hardly comes, frames that are large."""

import os
import re
import subprocess
import threading
import time

import pytest

from captures import fields, packets
from runs import program, read_until
from waiting import wait_for

SINK = 4000
STALL = 5
# What comes fits in the ring, however late the reader is on a busy machine.
ALL = ["-B", 64]


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def sink(lab_module):
    made = lab_module.udp_sink(SINK)
    yield made
    made.close()


@pytest.fixture(scope="module")
def untouched(lab_module, sink):
    """With its server."""
    return lab_module.state()


def sender(lab, *options, size=1400, **more):
    return lab.popen_nsntrace(*options, "python3", program("sender.py"),
                              lab.server.addresses[0], SINK, size,
                              stdin=subprocess.PIPE, **more)


def send(run, count):
    run.stdin.write(f"{count}\n")
    run.stdin.flush()
    read_until(run.stderr, f"sent {count}")


def read_all(fd, path, rate=None):
    """Copy a pipe to a file until its end, at most @rate bytes per second."""
    start, size = time.monotonic(), 0
    with open(path, "wb") as copy:
        while data := os.read(fd, 65536):
            copy.write(data)
            size += len(data)
            if rate:
                ahead = size / rate - (time.monotonic() - start)
                time.sleep(max(ahead, 0))
    os.close(fd)


def queue_peak(err):
    """What -v says that the queue took, in MiB."""
    return int(re.search(r"the queue took (\d+) MiB at most", err)[1])


def test_stalled_pipe(lab, sink):
    """Who does not read for 5 s and then does has lost nothing."""
    reading, writing = os.pipe()
    run = sender(lab, "-v", *ALL, "-o", "-", stdout=writing)
    os.close(writing)
    read_until(run.stderr, "ready")
    start = time.monotonic()
    for _ in range(10):
        send(run, 3000)
    # It is the stall that is tested: the writer has long been stuck.
    time.sleep(max(0, start + STALL - time.monotonic()))
    run.stdin.close()
    read_all(reading, lab.dir / "copy")
    run.stdin = None
    _, err = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "Finished capturing 30000 packets." in err and "dropped by" not in err
    assert packets(lab.dir / "copy") == 30000
    assert 40 <= queue_peak(err) <= 80


def test_slow_pipe(lab, sink):
    """A sink of 20 MB/s only makes the run take as long as it needs."""
    reading, writing = os.pipe()
    run = sender(lab, "-v", *ALL, "-F", "pcapng", "-o", "-", stdout=writing)
    os.close(writing)
    copy = threading.Thread(target=read_all,
                            args=(reading, lab.dir / "copy", 20e6))
    copy.start()
    read_until(run.stderr, "ready")
    for _ in range(10):
        send(run, 3000)
    run.stdin.close()
    run.stdin = None
    _, err = run.communicate(timeout=60)
    copy.join()
    assert run.returncode == 0
    assert "Finished capturing 30000 packets." in err and "dropped by" not in err
    assert packets(lab.dir / "copy") == 30000


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_sparse_traffic(lab, sink, form):
    """Each packet is in the file before the next one, however long that is."""
    trace = lab.dir / "trace"
    run = sender(lab, "-F", form, "-o", trace)
    read_until(run.stdout, "ready")
    size = trace.stat().st_size
    for count in range(1, 6):
        run.stdin.write("1\n")
        run.stdin.flush()
        wait_for(lambda: trace.stat().st_size >= size + count * 1400)
        assert packets(trace) == count
    run.stdin.close()
    run.stdin = None
    run.communicate(timeout=10)
    assert run.returncode == 0 and packets(trace) == 5


def test_jumbo_frames(lab):
    """The uplink's MTU is the program's, and frames of that size are whole."""
    mtu = 9000
    for net in (lab, lab.server):
        net.run(["ip", "link", "set", "eth0", "mtu", str(mtu)], check=True)
    try:
        lab.nsntrace("ping", "-nqc", "3", "-M", "do", "-s", str(mtu - 28),
                     lab.server.addresses[0], check=True)
    finally:
        for net in (lab, lab.server):
            net.run(["ip", "link", "set", "eth0", "mtu", "1500"], check=True)
    seen = fields(lab.dir / "nsntrace.pcap", "icmp", "icmp.type", "frame.len",
                  "frame.cap_len")
    whole = str(mtu + 14)
    assert sorted(seen) == [("0", whole, whole)] * 3 + [("8", whole, whole)] * 3
