# SPDX-License-Identifier: GPL-2.0-or-later
"""A fresh pretend host for one measurement, and running a tracer on it.

It is the one of the end-to-end tests (tests/e2e/lab.py): host, uplink and
server are namespaces, which die with it. The programs of the benchmark are at
names["bench"] on it.
"""

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/e2e"))

from lab import Lab, diff  # pylint: disable=wrong-import-position

import savefile  # pylint: disable=wrong-import-position

PYTHON = "/usr/bin/python3"
SINK_PORT = 7000

# How often a tracer that did not even start the program is started again.
STARTS_MAX = 5

# Seconds that a capture is given before and after the program.
PAUSES = {"before": 0.3, "after": 1.2}
NO_PAUSES = {"before": 0, "after": 0}

_ENTER_CGROUP = ["sh", "-c", 'echo 0 >"$0"; exec "$@"']
_PROGRAMS = ("by-hand.sh", "crowd.py", "inside.py", "timer.py")


class World:
    """A host (lab), the names of things on it, and a place for captures."""

    def __init__(self, settings):
        os.environ["NSNTRACE"] = str(settings.program)
        self.disk = settings.disk
        self.sockets = []
        self.lab = Lab()
        self.server = self.lab.server.addresses[0]
        self.programs = self.lab.dir / "bench"
        self._install(settings)
        if self.disk:
            self.captures = Path(tempfile.mkdtemp(dir=self.disk))
            self.inside = self.captures
        else:
            self.captures = self.lab.path("/dev/shm")
            self.inside = Path("/dev/shm")
        self.cgroup = self.lab.cgroup / "tracer" if self.lab.cgroup else None
        if self.cgroup:
            self.cgroup.mkdir()

    def _install(self, settings):
        self.programs.mkdir()
        for path in (*(HERE / name for name in _PROGRAMS),
                     settings.build / "bench/udp-send"):
            shutil.copy(path, self.programs)
        self.names = {"bench": self.programs,
                      "nsntrace": self.lab.nsntrace_path}
        if settings.other:
            self.names["other"] = shutil.copy(settings.other,
                                              self.programs / "other")
        if settings.deb:
            self.names["deb"] = shutil.copytree(
                settings.deb, self.programs / "deb", symlinks=True)

    def close(self):
        for one in self.sockets:
            one.close()
        if self.disk:
            shutil.rmtree(self.captures)
        self.lab.close()

    def sink(self):
        """Let datagrams be taken, and thrown away by the kernel."""
        with self.lab.server.here():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("", SINK_PORT))
        self.sockets.append(one)

    def datagrams(self, *options):
        """The program that sends some to the sink."""
        return [self.programs / "udp-send", *options, self.server, SINK_PORT, 64]

    def command(self, tracer, options=(), pauses=NO_PAUSES, out="trace"):
        """The words in front of a program that make a tracer run it."""
        if tracer.needs_forwarding:
            self.lab.sysctl("net.ipv4.ip_forward", 1)
        return tracer.command(
            {**self.names, **pauses, "out": self.inside / out}, options)

    def kept(self, length=None, pattern="trace*"):
        """What is in the capture files, which are then removed; or None."""
        files = sorted(self.captures.glob(pattern))
        counted = savefile.count_all(files, length) if files else None
        for path in files:
            path.unlink()
        return counted

    def _cpu(self):
        """CPU seconds of the tracer's cgroup, once it is empty; or None."""
        deadline = time.monotonic() + 10
        while "populated 1" in (self.cgroup / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)
        lines = (self.cgroup / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6

    def measure(self, tracer, program, **options):
        """Trace a program once. Returns what there is to say of it, a dict.

        Debian's version loses a race with itself at every other start.
        """
        for failed in range(STARTS_MAX):
            result = self._measure(tracer, program, **options)
            if "crossed" in result:
                break
        return {"failed_starts": failed, **result}

    def _measure(self, tracer, program, options=(), timeout=60):
        enter = ([*_ENTER_CGROUP, self.cgroup / "cgroup.procs"]
                 if self.cgroup else [])
        report = self.lab.dir / "crossed.json"
        cpu = -self._cpu() if self.cgroup else None
        done = self.lab.run(
            [*enter, *self.command(tracer, options, PAUSES), PYTHON,
             self.programs / "inside.py", report, *program], timeout=timeout)
        result = {"status": done.returncode,
                  "drops": tracer.reported(done.stderr)}
        if report.exists():
            inside = json.loads(report.read_text())
            result["crossed"] = [inside["packets"], inside["bytes"]]
            with contextlib.suppress(json.JSONDecodeError):
                result["program"] = json.loads(inside["printed"])
            if self.cgroup:
                result["cpu"] = cpu + self._cpu() - inside["cpu"]
        counted = self.kept()
        if counted:
            result["kept"] = [counted.packets, counted.bytes]
            result["truncated"] = counted.truncated
            result["whole"] = counted.whole
            result["files"] = counted.files
        if done.returncode:
            result["messages"] = done.stderr[-2000:]
        return result
