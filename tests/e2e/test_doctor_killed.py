# SPDX-License-Identifier: GPL-2.0-or-later
"""--doctor is killed while it does things: whatever it has begun goes."""

import contextlib
import os
import time

import pytest

from waiting import wait_for


@pytest.mark.parametrize("where", ["front", "group"])
def test_killed(same_lab, untouched, where):
    """Killed at any moment it leaves nothing that --cleanup does not find."""
    for turn in range(6):
        doctor = same_lab.popen_nsntrace("--doctor")
        # After some more lines each time.
        for _ in range(5 * turn):
            doctor.stdout.readline()
        if where == "front":
            doctor.kill()
        else:
            os.killpg(doctor.pid, 9)
        doctor.communicate(timeout=30)
        same_lab.nsntrace("--cleanup", check=True)
        same_lab.wait_state(untouched, 20)


def ended(cage):
    return "populated 0" in (cage / "cgroup.events").read_text()


@pytest.fixture
def cage(same_lab):
    """A cgroup whose processes are killed all at once."""
    path = same_lab.cgroup / "cage"
    path.mkdir()
    yield path
    (path / "cgroup.kill").write_text("1")
    wait_for(lambda: ended(path), 20, "empty cgroup")
    path.rmdir()


def kill_in_trial(lab, cage):
    """Whether all processes of --doctor were killed while it did its trial."""
    def recorded():
        with contextlib.suppress(FileNotFoundError):
            return any("cgroup" in record.read_text() for trial in
                       lab.path("/run/nsntrace").glob("*/.trial")
                       for record in trial.parent.glob("run.*"))

    doctor = lab.popen([
        "sh", "-c", 'echo $$ >"$1/cgroup.procs"; exec "$0" --doctor',
        lab.nsntrace_path, cage])
    while doctor.poll() is None and not recorded():
        time.sleep(0.001)
    (cage / "cgroup.freeze").write_text("1")
    wait_for(lambda: "frozen 1" in (cage / "cgroup.events").read_text(), 20,
             "frozen cgroup")
    in_trial = recorded() and list(cage.glob("nsntrace-*"))
    # Nobody sees another one die.
    (cage / "cgroup.kill").write_text("1")
    (cage / "cgroup.freeze").write_text("0")
    doctor.communicate(timeout=30)
    # Locks go last of all.
    wait_for(lambda: ended(cage), 20, "end of all processes")
    return in_trial


@pytest.mark.parametrize("how", ["--cleanup", "--doctor"])
def test_killed_as_a_whole(same_lab, cage, how):
    """What the trial has left on a host of its own is found from here."""
    wait_for(lambda: kill_in_trial(same_lab, cage), 60, "record of a trial")
    assert list(same_lab.path("/run").glob("nsntrace/*/.trial"))
    told = same_lab.nsntrace(how, check=True, timeout=60).stderr
    assert not list(same_lab.path("/run").glob("nsntrace"))
    assert not list(cage.glob("nsntrace-*"))
    if how == "--cleanup":
        assert told.startswith("Removed the cgroup ") and told.count("\n") == 1
