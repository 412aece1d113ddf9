# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts with fewer cgroups, and what --lossless freezes.

    mounts(controllers)          where a hierarchy of cgroups is mounted; "": v2
    without(lab, "", "freezer")  a host without cgroup v2 and the freezer of v1
    Switch(pid)                  that of the cgroup made for a run's program
    runs_on(pid)                 wait until a process does something
"""

import contextlib
import re
from pathlib import Path

from runs import status
from waiting import wait_for


class Switch:
    """The switch of the cgroup that a run has made for its program."""

    def __init__(self, pid):
        own = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        name, self.directory = next(
            (controllers, mount + path)
            for number, controllers, path in (one.split(":", 2) for one in own)
            if re.search(r"/nsntrace-\d+-\w+$", path)
            for mount in mounts(controllers))
        self.file = Path(self.directory) / (
            "freezer.state" if name else "cgroup.freeze")

    def thaw(self):
        with contextlib.suppress(FileNotFoundError):
            self.file.write_text("0" if self.file.suffix == ".freeze"
                                 else "THAWED")

    def is_on(self):
        return self.file.read_text().strip() not in ("0", "THAWED")


def mounts(controllers):
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        kind, options = right.split()[0], right.split()[-1].split(",")
        if kind == ("cgroup" if controllers else "cgroup2") and (
                not controllers or controllers in options):
            yield left.split()[4]


def runs_on(pid):
    """Whether a process does something."""
    def switches():
        return status(pid)["voluntary_ctxt_switches"]
    before = switches()
    wait_for(lambda: switches() != before, 5, f"life in {pid}")


def without(lab, *hierarchies):
    """Make a host that has fewer cgroups: no "" (v2), no "freezer"."""
    for name in hierarchies:
        lab.sh('umount -l "$1"', next(mounts(name)))
