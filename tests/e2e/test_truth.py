# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses: counted by whoever made them, told, and the same by every count."""

import os
import re
import shutil
import threading

import pytest

from captures import blocks, packets
from runs import alive
from waiting import wait_for

PYTHON = "/usr/bin/python3"
# Many times what ring and queue hold together.
COUNT, SIZE = 20000, 1400

FLOOD = f"""
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("127.0.0.1", 4242))
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range({COUNT}):
    to.sendto(bytes({SIZE}), ("127.0.0.1", 4242))
"""


@pytest.fixture
def lab(same_lab):
    return same_lab


def isb(text, counter):
    """The sum of a counter over all interfaces."""
    found = re.findall(rf"Number of {counter}: (\d+)", text)
    assert len(found) == 2, text[-3000:]
    return sum(map(int, found))


def stalled(lab, *options):
    """A run whose writer cannot write until the program has ended."""
    fifo = lab.dir / "fifo"
    os.mkfifo(fifo)
    stalls = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    front = lab.popen_nsntrace("-F", "pcapng", "-o", "fifo", "-B", "1",
                               "--queue-size", "1", *options, PYTHON, "-c", FLOOD)
    wait_for(lambda: alive(lab, PYTHON, "-c", FLOOD), what="program")
    wait_for(lambda: not alive(lab, PYTHON, "-c", FLOOD), 30, "its end")
    os.set_blocking(stalls, True)
    file = lab.dir / "got.pcapng"

    def read():
        with open(stalls, "rb") as source, open(file, "wb") as target:
            shutil.copyfileobj(source, target)

    reader = threading.Thread(target=read)
    reader.start()
    _, err = front.communicate(timeout=60)
    reader.join()
    assert front.returncode == 0, err
    return file, err


def test_stalled_writer(lab):
    """What the ring drops is interface minus file, and is told, with -q too."""
    file, err = stalled(lab, "-q")
    text = "\n".join(blocks(file))
    written = packets(file)
    dropped = isb(text, "Dropped Packets by OS")
    assert 0 < written < COUNT
    assert dropped > 0
    assert isb(text, "Received Packets") == COUNT
    assert dropped == COUNT - written
    assert isb(text, "Accepted by Filter Packets") == COUNT
    assert isb(text, "Delivered to the User Packets") == written
    told = re.findall(r"^nsntrace: warning: (\d+) packets dropped(.*)$", err,
                      re.M)
    assert sum(int(count) for count, _ in told) == dropped
    assert any("queue was full" in cause for _, cause in told), err
    assert re.search("^nsntrace: hint: --queue-size .* --lossless", err, re.M)
    # Nothing else: all counters agree.
    assert len(err.splitlines()) == 2 * len(told), err
