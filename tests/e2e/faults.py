# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in which one system call fails, or somebody is killed at one.

    built(lab)              -> lab.base / "fault", which programs/fault.c becomes
    run(lab, faults, *args) -> Faulty: a run of nsntrace with these arguments
                               returncode, stdout, stderr, calls; hits, for
                               each of the faults that there were the number of
                               calls before it; roles, a dict of keys to names
                               ("front", "keeper", ...), and keys, the reverse
    run(..., known=roles)   as the roles of a recording tell
    Fault(key, call, nth, what)   what is an errno's name or a list of keys
    recorded(lab, *args)    -> Faulty without faults
    spread(list, count)     -> so many of them, from everywhere; all if None
    part_of(call, count)    -> in which of so many parts it is tested, whatever
                               else differs in somebody else's recording

A call has a phase: "set-up" until the program is executed, then "run", and
"tear-down" from its end on; None before main().

A key names a thread by its descent (see programs/fault.c), which is the same in
every run with the same arguments; a name and a number, not the mere number of
a call, find the same one again where others come and go.
"""

import errno
import os
import re
import subprocess
import zlib
from collections import namedtuple
from functools import lru_cache

from runs import program

Call = namedtuple("Call", "key role name nth args operand phase")
Fault = namedtuple("Fault", "key call nth what")
Faulty = namedtuple("Faulty",
                    "returncode stdout stderr calls hits keys roles")
# By the names that processes give themselves.
_ROLES = {"nsntrace": "filter", "nsntrace-keeper": "keeper",
          "nsntrace-tracer": "tracer", "nsntrace-relay": "relay"}


@lru_cache(maxsize=None)
def numbers():
    """The numbers of this machine's system calls, by name."""
    text = subprocess.run(["gcc", "-E", "-dM", "-xc", "-"], check=True, text=True,
                          input="#include <sys/syscall.h>\n",
                          stdout=subprocess.PIPE).stdout
    return {name: int(number) for name, number in
            re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}


def built(lab):
    path = lab.base / "fault"
    if not path.exists():
        lab.run(["gcc", "-D_GNU_SOURCE", "-O", "-Wall", "-o", path,
                 program("fault.c")], check=True)
    return path


def environment():
    """What sanitizers are told: leaks are looked for where nothing fails."""
    return {"ASAN_OPTIONS":
            os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def _argument(fault):
    if isinstance(fault.what, str):
        what = f"e{getattr(errno, fault.what)}"
    else:
        what = "k" + ",".join(fault.what)
    return fault.key, numbers()[fault.call], fault.nth, what


def _read(log):
    """The calls, the roles of processes and the faults in a log."""
    names = {number: name for name, number in numbers().items()}
    calls, roles, hits = [], {}, []
    for line in log.read_text(errors="replace").splitlines():
        key, _, rest = line.partition(" ")
        if key == "=":
            key, _, name = rest.partition(" ")
            roles[key] = _ROLES.get(name, "program")
        elif key == "!":
            hits.append(len(calls) - 1)
        else:
            number, nth, *args, operand = rest.split(" ", 5)
            calls.append((key, names[int(number)], int(nth), args, operand))
    roles["0"] = "front"
    return calls, roles, hits


def _placed(calls, roles):
    """Each call with whose it is and when it was."""
    # ld.so is before all that could fail for reasons of ours.
    begun = executed = ended = False
    for key, name, nth, args, operand in calls:
        role = roles.get(key.partition("+")[0], "?")
        begun |= role == "front" and name == "fcntl"
        phase = "run" if begun else None
        if begun and not executed:
            phase = "set-up"
        elif role == "program":
            ended |= name == "exit_group"
        elif ended:
            phase = "tear-down"
        executed |= role == "program" and name == "execve"
        yield Call(key, role, name, nth, args, operand, phase)


def run(lab, faults, *args, known=None, timeout=30, env=None, **options):
    argv = [built(lab), "fault.log"]
    for fault in faults:
        argv += _argument(fault)
    done = lab.run([*argv, "--", lab.nsntrace_path, *args], timeout=timeout,
                   env={**environment(), **(env or {})}, **options)
    log = lab.dir / "fault.log"
    calls, roles, hits = _read(log)
    log.unlink()
    # Who was killed has not said how it calls itself.
    roles = {**(known or {}), **roles}
    return Faulty(done.returncode, done.stdout, done.stderr,
                  list(_placed(calls, roles)), hits,
                  {role: key for key, role in sorted(roles.items(), reverse=True)},
                  roles)


def recorded(lab, *args):
    done = run(lab, [], *args)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done


def part_of(call, count):
    return zlib.crc32(f"{call.key} {call.name} {call.nth}".encode()) % count


def spread(things, count):
    if not count or len(things) <= count:
        return things
    return [things[i * len(things) // count] for i in range(count)]
