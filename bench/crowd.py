# SPDX-License-Identifier: GPL-2.0-or-later
"""Start many runs at once, hold them, let go, and tell how it went.

    crowd.py COUNT BYSTANDER... <COMMAND, a JSON list of words

"{n}" in a word is the run's number. The traced programs print a line that
begins with "{" when they are done, and end when their standard input does.
BYSTANDER is the name of a program that is not to be counted as the tracer's.
"""

import json
import os
import select
import sys
import time
from pathlib import Path

DEADLINE = 120


class Crowd:
    """All runs of one command; started and ended are seconds since `began`."""

    def __init__(self, command, count):
        self.inputs, self.outputs = os.pipe(), os.pipe()
        sink = os.open("/dev/null", os.O_WRONLY)
        actions = [(os.POSIX_SPAWN_DUP2, self.inputs[0], 0),
                   (os.POSIX_SPAWN_DUP2, self.outputs[1], 1),
                   (os.POSIX_SPAWN_DUP2, sink, 2)]
        self.statuses = []
        self.running = count
        self.began = time.monotonic()
        for number in range(count):
            argv = [word.replace("{n}", str(number)) for word in command]
            os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        for fd in (self.inputs[0], self.outputs[1]):
            os.close(fd)

    def _reap(self):
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self.running -= 1
            self.statuses.append(os.waitstatus_to_exitcode(status))

    def wait_ready(self, count):
        """Until each program is done or its run has failed."""
        ready, rest = 0, b""
        while ready + len(self.statuses) < count and self.seconds() < DEADLINE:
            if select.select([self.outputs[0]], [], [], 0.01)[0]:
                *lines, rest = (rest + os.read(self.outputs[0], 65536)
                                ).split(b"\n")
                ready += sum(line.startswith(b"{") for line in lines)
            self._reap()
        return ready

    def release(self):
        os.close(self.inputs[1])
        while self.running and self.seconds() < 2 * DEADLINE:
            self._reap()
            time.sleep(0.002)

    def seconds(self):
        return time.monotonic() - self.began


def memory(bystanders):
    """KiB that the runs' own processes use, their rings, how many there are.

    A page that several processes share counts in parts. Rings are mapped
    sockets.
    """
    total = rings = count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if int(pid) in (1, os.getpid()) or name in bystanders:
                continue
            lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        count += 1
        is_ring = False
        for line in lines:
            if line.startswith("Pss:"):
                pss = int(line.split()[1])
                rings += pss * is_ring
                total += pss * (not is_ring)
            elif not line.split()[0].endswith(":"):
                is_ring = "socket:[" in line
    return {"pss": total, "rings": rings, "processes": count}


def available():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    return 0


def main():
    count = int(sys.argv[1])
    command = json.load(sys.stdin)
    before = available()
    crowd = Crowd(command, count)
    ready = crowd.wait_ready(count)
    started = crowd.seconds()
    found = {"ready": ready, "started": started, "all": before - available(),
             **memory(sys.argv[2:])}
    held = crowd.seconds()
    crowd.release()
    print(json.dumps({**found, "ended": crowd.seconds() - held,
                      "succeeded": crowd.statuses.count(0),
                      "hanging": crowd.running}))


if __name__ == "__main__":
    main()
