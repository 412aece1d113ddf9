# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 while a run is set up or put away, and without a writable cgroup.

strace makes exact kills, at the entry of a system call; the steps that -v tells
give the others.
"""

import os
import re
import signal

import pytest

from killing import PORT, RECORDED, SECONDS, Host, assert_shows, errors, strace
from lab import INTERNET, Lab
from runs import alive, read_until, roles
from waiting import wait_for

STEPS = ["started the keeper", "built the inner half", "built the host's half",
         "capturing, all rights dropped", "writing to", "releasing the program"]
VICTIMS = [("front",), ("tracer",), ("relay",), ("keeper",),
           ("front", "tracer"), ("keeper", "front")]
# Whoever is the first to make so many of these calls is killed at the last.
CALLS = [("mkdir", 1), ("mkdir", 2), ("mkdir", 3), ("flock", 1), ("flock", 4),
         ("unshare", 1), ("clone3", 1), ("setsockopt", 6), ("setresuid", 1),
         ("setns", 1), ("unlink", 1), ("unlink", 3), ("rmdir", 1), ("rmdir", 2),
         ("exit_group", 1)]


@pytest.fixture(scope="module")
def host(lab_module):
    made = Host(lab_module)
    yield made
    made.close()


@pytest.mark.parametrize("victims", VICTIMS, ids="+".join)
def test_at_a_step(host, victims):
    """At each step of set-up: no program lives on, the host is as it was."""
    argv = [host.beacon(False), INTERNET[0], PORT]
    killed = 0
    for step in STEPS:
        front = host.lab.popen_nsntrace("-v", "-u", "nobody", *argv)
        read_until(front.stderr, step)
        run = roles(front.pid)
        if not set(victims) <= set(run):
            front.terminate()  # not there yet: a plain end instead
        else:
            killed += 1
            for name in victims:
                os.kill(run[name], signal.SIGKILL)
        _, err = front.communicate(timeout=10)
        if "front" not in victims and set(victims) <= set(run):
            assert front.returncode == 125, (step, err)
        wait_for(lambda: not alive(host.lab, *map(str, argv)), SECONDS,
                 "end of the program")
        # keeper's leavings would be the next start's, not the next kill's.
        host.restored(victims)
    assert killed >= 3


def who_died(log):
    """strace's log tells the names that the processes gave themselves."""
    names = dict(re.findall(r'^(\d+) .*PR_SET_NAME, "nsntrace-(\w+)"', log, re.M))
    return {names.get(pid, "front or program") for pid in
            re.findall(r"^(\d+) +\+\+\+ killed by SIGKILL", log, re.M)}


@pytest.mark.parametrize("call,nth", CALLS, ids=lambda value: str(value))
def test_at_a_call(host, call, nth):
    """Killed between any two steps, a run leaves nothing that stays."""
    strace(host.lab, "-e", f"trace=prctl,{call}",
           "-e", f"inject={call}:signal=KILL:when={nth}",
           host.lab.nsntrace_path, "-q", "-u", "nobody", "-d", "eth0", "true")
    died = who_died((host.lab.dir / "strace.log").read_text())
    assert died, f"nobody makes {nth} {call} calls"
    host.restored(died, (*RECORDED, "rules", "routes"))


@pytest.fixture(scope="module", params=["read-only", "unmounted"])
def plain_host(request):
    """A host with no cgroup v2, or none that can be written."""
    lab = Lab()
    try:
        if lab.cgroup:
            mount = lab.sh('findmnt -n -o TARGET -t cgroup2').split()[0]
            lab.sh('mount -o remount,bind,ro "$1"' if request.param == "read-only"
                   else 'umount -l "$1"', mount)
        made = Host(lab)
        yield made
        made.close()
    finally:
        lab.close()


@pytest.mark.parametrize("victims,kind", [
    *[(victims, kind) for victims in (("front",), ("tracer",), ("front", "tracer"))
      for kind in ("setuid", "daemon")],
    (("relay",), "root"), (("keeper",), "root"), (("keeper",), "nobody"),
], ids=lambda value: value if isinstance(value, str) else "+".join(value))
def test_without_cgroup(plain_host, victims, kind):
    """Without a cgroup the descendants are found by their namespace."""
    run = plain_host.start(kind)
    now = plain_host.lab.state()
    assert_shows(plain_host.before, now, "links", "nft", "sysctls", "processes")
    assert now["cgroups"] == plain_host.before["cgroups"]
    size = run.kill(*victims)
    err = run.wait_end()
    if "front" not in victims:
        assert run.front.returncode == 125 and len(errors(err)) == 1, err
    run.check_file(size)
    plain_host.restored(victims)
