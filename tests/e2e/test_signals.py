# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that somebody sends: to the program's end, in set-up, afterwards."""

import contextlib
import os
import signal
import subprocess

import pytest

from captures import packets
from runs import alive, children, read_until, roles, status, wait_roles
from shells import SLEEP, TOLD, start
from waiting import wait_for

SIGNALS = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT"]
ENDING = ["HUP", "INT", "QUIT", "TERM"]


def number(name):
    return getattr(signal, f"SIG{name}")


@pytest.fixture
def lab(same_lab):
    return same_lab


# -- signals that somebody sends ---------------------------------------------

@pytest.mark.parametrize("name", SIGNALS)
def test_passed_on(lab, name):
    """A signal sent to nsntrace reaches the program, once and as it is."""
    front = start(lab, *TOLD)
    front.send_signal(number(name))
    assert front.stdout.readline() == f"SIG{name}\n"
    # In order, so nothing else came before it.
    front.send_signal(signal.SIGUSR2)
    assert front.stdout.readline() == "SIGUSR2\n"
    front.send_signal(signal.SIGUSR2)
    out, err = front.communicate(timeout=10)
    assert front.returncode == 0
    assert out == ("" if name == "USR2" else "SIGUSR2\n")
    assert "Finished capturing 0 packets." in err


@pytest.mark.parametrize("name", ENDING + ["USR1", "USR2"])
def test_ends_by_default(lab, name):
    """A program that does not care dies of the signal, and nsntrace with it."""
    front = start(lab, *SLEEP)
    front.send_signal(number(name))
    _, err = front.communicate(timeout=10)
    assert front.returncode == -number(name)
    assert "Finished capturing 0 packets." in err


# Not USR2: nsntrace passes on what it got too, and the second one ends TOLD.
@pytest.mark.parametrize("name", [one for one in SIGNALS if one != "USR2"])
def test_to_the_group(lab, name):
    """A signal to the whole process group reaches the program too."""
    front = start(lab, *TOLD)
    os.killpg(front.pid, number(name))
    assert front.stdout.readline() == f"SIG{name}\n"
    os.kill(wait_roles(front.pid)["program"], signal.SIGKILL)
    front.communicate(timeout=10)
    assert front.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ENDING)
def test_group_ends(lab, name):
    """A deadly signal to the group ends both, told as the program's end."""
    front = start(lab, *SLEEP)
    os.killpg(front.pid, number(name))
    _, err = front.communicate(timeout=10)
    assert front.returncode == -number(name)
    assert "Finished capturing 0 packets." in err


@pytest.mark.parametrize("argv, code", [(SLEEP, -15), (
    ["sh", "-c", "trap 'exit 3' TERM; sleep 1000 & echo started; "
               "while :; do wait; done"], 3)])
def test_term_to_all_at_once(lab, argv, code):
    """TERM to every process of a run, as of a unit, is a normal end."""
    front = start(lab, *argv)
    run = wait_roles(front.pid)
    wait_for(lambda: alive(lab, "sleep", "1000"))
    everybody = {*run.values(), *children(run["program"])}
    assert len(everybody) >= 4
    for pid in everybody:
        with contextlib.suppress(ProcessLookupError):  # the first did it
            os.kill(pid, signal.SIGTERM)
    _, err = front.communicate(timeout=10)
    assert front.returncode == code
    assert "Finished capturing 0 packets." in err
    assert "nsntrace: " not in err
    assert packets(lab.dir / "nsntrace.pcap") == 0


def test_ignored_signals_stay_ignored(lab):
    """nohup: what the caller ignored, the program ignores, and lives on."""
    front = lab.popen(["nohup", lab.nsntrace_path, *SLEEP])
    read_until(front.stdout, "started")
    run = wait_roles(front.pid)
    os.kill(front.pid, signal.SIGHUP)
    os.kill(run["program"], signal.SIGHUP)
    front.send_signal(signal.SIGTERM)
    assert front.wait(10) == -signal.SIGTERM


# -- signals during set-up ---------------------------------------------------

STEPS = ["probed", "started the keeper", "inner half", "host's half",
         "capturing", "writing to", "Starting network trace"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_during_set_up(lab, step, name):
    """A signal before the program runs ends the run; nothing is left."""
    front = lab.popen_nsntrace("-v", "sleep", "1000")
    read_until(front.stderr, step)
    front.send_signal(number(name))
    _, err = front.communicate(timeout=10)
    assert front.returncode == -number(name), err
    assert not alive(lab, "sleep", "1000")


def test_waiting_for_a_reader(lab):
    """Ctrl-C ends a run that waits for somebody to read the FIFO."""
    lab.sh("mkfifo fifo")
    front = lab.popen_nsntrace("-o", "fifo", "sleep", "1000")
    told = read_until(front.stderr, "read 'fifo'")
    assert len(told) == 1
    os.killpg(front.pid, signal.SIGINT)
    _, err = front.communicate(timeout=10)
    assert front.returncode == -signal.SIGINT
    assert err == ""
    (lab.dir / "fifo").unlink()


# -- after the program's end -------------------------------------------------

@pytest.mark.parametrize("name", ENDING)
def test_cuts_wait_short(lab, name):
    """After the program's end a signal ends all; the status stays its own."""
    front = start(lab, "--wait", "sh", "-c",
                  "sleep 1000 >/dev/null 2>&1 & echo started; exit 4")
    # The program is gone when keeper has no other child of that kind.
    wait_for(lambda: alive(lab, "sleep", "1000"))
    wait_for(lambda: not [one for one in lab.processes()
                          if one.args[:2] == ["sh", "-c"]])
    assert front.poll() is None
    front.send_signal(number(name))
    _, err = front.communicate(timeout=10)
    assert front.returncode == 4
    assert "still run" not in err
    assert not alive(lab, "sleep", "1000")


def start_waiting(lab):
    """A program that has left somebody behind, and ends when stdin is closed."""
    front = start(lab, "--wait", "-v", "sh", "-c",
                  "sleep 1000 >/dev/null 2>&1 & echo started; read line; exit 4",
                  stdin=subprocess.PIPE)
    run = wait_roles(front.pid)
    left = wait_for(lambda: alive(lab, "sleep", "1000"))[0]
    return front, run, left.pid


@contextlib.contextmanager
def stopped(pid):
    """Hold one process up, so that it is late to learn what happens."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: status(pid)["State"][0] == "T")
    yield
    os.kill(pid, signal.SIGCONT)


def has_dealt_with(pid, signo):
    now = status(pid)
    pending = int(now["ShdPnd"], 16) & 1 << signo - 1
    return not pending and now["State"][0] == "S"


@pytest.mark.parametrize("name", ENDING)
def test_cuts_before_keeper_knows(lab, name):
    """One that comes too late for the program, if only just, ends --wait."""
    front, run, left = start_waiting(lab)
    with stopped(run["keeper"]):
        front.stdin.close()
        wait_for(lambda: status(run["program"])["State"][0] == "Z")
        front.send_signal(number(name))
        wait_for(lambda: has_dealt_with(front.pid, number(name)))
    assert front.wait(10) == 4
    assert "still run" not in front.stderr.read()
    assert not os.path.exists(f"/proc/{left}/exe")


@pytest.mark.parametrize("name", ENDING)
def test_cuts_before_front_knows(lab, name):
    """The same, when only keeper knows that the program has ended."""
    front, run, left = start_waiting(lab)
    with stopped(front.pid):
        front.stdin.close()
        wait_for(lambda: not os.path.exists(f"/proc/{run['program']}"))
        front.send_signal(number(name))
    assert front.wait(10) == 4
    assert "still run" not in front.stderr.read()
    assert not os.path.exists(f"/proc/{left}/exe")


@pytest.mark.parametrize("name", ENDING)
def test_deadly_one_does_not_cut(lab, name):
    """What ends the program and is sent to nsntrace too leaves --wait alone."""
    front, run, left = start_waiting(lab)
    with stopped(run["keeper"]):
        os.kill(run["program"], number(name))
        wait_for(lambda: status(run["program"])["State"][0] == "Z")
        front.send_signal(number(name))
        wait_for(lambda: has_dealt_with(front.pid, number(name)))
    read_until(front.stderr, "the program has ended")
    wait_for(lambda: status(run["keeper"])["State"][0] == "S")
    os.kill(left, signal.SIGKILL)
    assert front.wait(10) == -number(name)
    assert "still run" not in front.stderr.read()


def test_wait_for_the_last_descendant(lab):
    """--wait goes on until even a daemon of the program has ended."""
    front = start(lab, "--wait", "sh", "-c",
                  "setsid sh -c 'sleep 1000 & ' >/dev/null 2>&1; echo started;"
                  " exit 4")
    daemon = wait_for(lambda: alive(lab, "sleep", "1000"))[0]
    keeper = wait_roles(front.pid, ["keeper"])["keeper"]
    wait_for(lambda: set(roles(front.pid).values())
             >= {front.pid, keeper, daemon.pid})
    assert daemon.ppid == keeper or status(daemon.pid)["PPid"] == str(keeper)
    assert front.poll() is None
    os.kill(daemon.pid, signal.SIGTERM)
    _, err = front.communicate(timeout=10)
    assert front.returncode == 4
    assert "still run" not in err


# -- as pid 1 ----------------------------------------------------------------

@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_signal_to_pid_1(lab, name):
    """As pid 1 of a container it passes signals on, and returns 128+N."""
    outer = lab.popen(["unshare", "--pid", "--fork", "--mount-proc",
                       lab.nsntrace_path, *SLEEP])
    read_until(outer.stdout, "started")
    front = children(outer.pid)[0]
    wait_roles(front)
    os.kill(front, number(name))
    _, err = outer.communicate(timeout=10)
    assert outer.returncode == 128 + number(name)
    assert "Finished capturing 0 packets." in err
