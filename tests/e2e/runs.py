# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of nsntrace that is going on: its processes and its steps.

    wait_roles(front, names)  -> {"front": pid, "keeper": pid, ...}, when all
                                 of the names are there; "program" is there as
                                 soon as it has been executed
    status(pid)               -> dict of /proc/PID/status
    alive(lab, *args)         -> the host's processes with these arguments
    read_until(stream, *texts) -> all lines, until each text was in one
    held(pid)                 context manager: its main thread does not run
    settled(lab, before)      wait until the host is as it was
    program(name)             path of a helper under tests/e2e/programs
"""

import contextlib
import ctypes
import os
import select
import signal
from pathlib import Path

from lab import HERE
from waiting import wait_for

_PROGRAMS = HERE / "programs"
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def program(name):
    return str(_PROGRAMS / name)


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in
            (line.partition(":") for line in lines)}


def children(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def _role(pid):
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name.startswith("nsntrace-"):
        return name.removeprefix("nsntrace-")
    return "program"


def roles(front):
    """Who is there now, by role."""
    found = {"front": front}
    try:
        for child in children(front):
            found[_role(child)] = child
        for child in children(found.get("keeper", front)):
            # Between fork and exec a child still has keeper's name. They are
            # in the order in which they became keeper's: daemons come later.
            if _role(child) != "keeper":
                found.setdefault(_role(child), child)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def wait_roles(front, names=("keeper", "tracer", "program"), timeout=10):
    def all_there():
        found = roles(front)
        return found if set(names) <= set(found) else None
    return wait_for(all_there, timeout, f"{names} of {front}")


def alive(lab, *args):
    return [one for one in lab.processes()
            if one.args == list(args) and one.state not in "ZX"]


def read_line(stream, timeout=60):
    """One line and no byte more: what a stream buffers, communicate() misses."""
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([stream], [], [], timeout)[0], (
            f"no line in {timeout} s, but {line}")
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode(errors="replace")


def read_until(stream, *texts):
    """Several texts may come in any order, or in one line."""
    lines = []
    while not all(any(text in line for line in lines) for text in texts):
        line = read_line(stream)
        assert line, f"not all of {texts} in {lines}"
        lines.append(line)
    return lines


@contextlib.contextmanager
def held(pid):
    """As a debugger does it: who is just stopped, keeper has go on."""
    _ptrace(PTRACE_ATTACH, pid)
    os.waitpid(pid, WALL)
    try:
        yield
    finally:
        try:
            _ptrace(PTRACE_DETACH, pid)
        except ProcessLookupError:
            # Killed meanwhile: its parent hears of that when we have.
            os.waitpid(pid, WALL)


def _ptrace(request, pid):
    if _libc.ptrace(request, pid, None, None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def settled(lab, before):
    """Wait until the host is as before; what the test itself made is removed."""
    lab.hang_up()
    lab.sh('find "$1" -mindepth 1 -delete', lab.dir)
    try:
        lab.wait_state(before)
    finally:
        # One failure must not become that of all that follow.
        for one in lab.processes():
            if f"{one.inner} {' '.join(one.args)}\n" not in before["processes"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
