# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 while a run is set up or put away, and without a writable cgroup.

At the steps that -v tells; test_kill_anywhere.py has all the others.
"""

import os
import signal

import pytest

from killing import PORT, SECONDS, Host, assert_shows, errors
from lab import INTERNET, Lab
from runs import alive, read_until, roles
from waiting import wait_for

STEPS = ["started the keeper", "built the inner half", "built the host's half",
         "capturing, all rights dropped", "writing to", "releasing the program"]
VICTIMS = [("front",), ("tracer",), ("relay",), ("keeper",),
           ("front", "tracer"), ("keeper", "front")]


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
