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

from lab import Lab  # pylint: disable=wrong-import-position

import savefile  # pylint: disable=wrong-import-position

PYTHON = "/usr/bin/python3"
SINK_PORT = 7000

# How often a tracer that did not even start the program is started again.
STARTS_MAX = 5

# What a program that captures is given before and after the program.
PAUSES = {"before": 0.3, "after": 1.2}

_ENTER_CGROUP = ["sh", "-c", 'echo 0 >"$0"; exec "$@"']


class World:
    """A host (lab), the names of things on it, and a place for captures."""

    def __init__(self, settings):
        os.environ["NSNTRACE"] = str(settings.program)
        self.settings = settings
        self.lab = Lab()
        self.server = self.lab.server.addresses[0]
        self.sockets = []
        bench = self.lab.dir / "bench"
        bench.mkdir()
        for path in (HERE / "by-hand.sh", HERE / "inside.py",
                     settings.build / "bench/udp-send"):
            shutil.copy(path, bench)
        self.names = {"bench": bench, "nsntrace": self.lab.nsntrace_path}
        if settings.other:
            self.names["other"] = shutil.copy(settings.other, bench / "other")
        if settings.deb:
            self.names["deb"] = shutil.copytree(settings.deb, bench / "deb",
                                                symlinks=True)
        if settings.disk:
            self.captures = Path(tempfile.mkdtemp(dir=settings.disk))
            self.inside = self.captures
        else:
            self.captures = self.lab.path("/dev/shm")
            self.inside = Path("/dev/shm")
        self.cgroup = self.lab.cgroup / "tracer" if self.lab.cgroup else None
        if self.cgroup:
            self.cgroup.mkdir()
        # Debian's version wants it on; ours and the script see to it.
        self.lab.sysctl("net.ipv4.ip_forward", 0)

    def close(self):
        for one in self.sockets:
            one.close()
        if self.settings.disk:
            shutil.rmtree(self.captures)
        self.lab.close()

    def sink(self):
        """Let datagrams be taken, and thrown away by the kernel."""
        with self.lab.server.here():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("", SINK_PORT))
        self.sockets.append(one)

    def _cpu(self):
        """CPU seconds of the tracer's cgroup, once it is empty."""
        deadline = time.monotonic() + 10
        while "populated 1" in (self.cgroup / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)
        lines = (self.cgroup / "cpu.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6

    def command(self, tracer, options=(), pauses=None, out="trace"):
        names = {**self.names, **(pauses or PAUSES), "out": self.inside / out}
        return tracer.command(names, options)

    def measure(self, tracer, program, **options):
        """Trace a program once. Returns what there is to say of it, a dict.

        Debian's version loses a race with itself at every other start.
        """
        for failed in range(STARTS_MAX):
            result = self._measure(tracer, program, **options)
            if "crossed" in result:
                break
        return {"failed_starts": failed, **result}

    def _measure(self, tracer, program, options=(), pauses=None, timeout=60):
        if tracer.label.startswith("nsntrace 4"):
            self.lab.sysctl("net.ipv4.ip_forward", 1)
        enter = ([*_ENTER_CGROUP, self.cgroup / "cgroup.procs"]
                 if self.cgroup else [])
        report = self.lab.dir / "crossed.json"
        began = time.monotonic()
        done = self.lab.run(
            [*enter, *self.command(tracer, options, pauses), PYTHON,
             self.names["bench"] / "inside.py", report, *program],
            timeout=timeout)
        result = {"wall": time.monotonic() - began, "status": done.returncode}
        if report.exists():
            inside = json.loads(report.read_text())
            result["crossed"] = [inside["packets"], inside["bytes"]]
            with contextlib.suppress(json.JSONDecodeError):
                result["program"] = json.loads(inside["printed"])
            cpu = self._cpu() if self.cgroup else None
            if cpu is not None:
                result["cpu"] = cpu - inside["cpu"]
        files = sorted(self.captures.glob("trace*"))
        if files:
            counted = savefile.count_all(files)
            result["kept"] = [counted.packets, counted.bytes]
            result["truncated"] = counted.truncated
            result["whole"] = counted.whole
            for path in files:
                path.unlink()
        result["drops"] = tracer.reported(done.stderr)
        if done.returncode:
            result["messages"] = done.stderr[-2000:]
        return result
