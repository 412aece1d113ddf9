# SPDX-License-Identifier: GPL-2.0-or-later
"""Terminals: job control, what keys do, and shells around nsntrace."""

import os
import signal

import pytest

from runs import alive, read_until, status, wait_roles
from shells import SLEEP, TOLD, foreground_job, shell, start
from waiting import wait_for


@pytest.fixture
def lab(same_lab):
    return same_lab


# -- job control -------------------------------------------------------------

def test_stopped_program_stops_nsntrace(lab):
    """If the program is stopped, so is nsntrace; CONT to it continues both."""
    front = start(lab, *TOLD)
    traced = wait_roles(front.pid)["program"]
    os.kill(traced, signal.SIGSTOP)
    wait_for(lambda: status(front.pid)["State"].startswith("T"))
    front.send_signal(signal.SIGCONT)
    assert front.stdout.readline() == "SIGCONT\n"
    wait_for(lambda: not status(front.pid)["State"].startswith("T"))
    assert not status(traced)["State"].startswith("T")
    # Still the signals are passed on.
    front.send_signal(signal.SIGUSR1)
    read_until(front.stdout, "SIGUSR1")
    os.kill(traced, signal.SIGKILL)
    front.communicate(timeout=10)
    assert front.returncode == -signal.SIGKILL


def test_program_continued_by_another(lab):
    """If somebody continues the program alone, nsntrace goes on as well."""
    front = start(lab, *TOLD)
    traced = wait_roles(front.pid)["program"]
    os.kill(traced, signal.SIGSTOP)
    wait_for(lambda: status(front.pid)["State"].startswith("T"))
    os.kill(traced, signal.SIGCONT)
    wait_for(lambda: not status(front.pid)["State"].startswith("T"))
    os.kill(traced, signal.SIGTERM)
    read_until(front.stdout, "SIGTERM")
    os.kill(traced, signal.SIGKILL)
    front.communicate(timeout=10)
    assert front.returncode == -signal.SIGKILL


def test_stopped_program_can_be_killed(lab):
    """A program that is killed while it is stopped ends nsntrace."""
    front = start(lab, *SLEEP)
    traced = wait_roles(front.pid)["program"]
    os.kill(traced, signal.SIGSTOP)
    wait_for(lambda: status(front.pid)["State"].startswith("T"))
    os.kill(traced, signal.SIGKILL)
    front.send_signal(signal.SIGCONT)
    front.communicate(timeout=10)
    assert front.returncode == -signal.SIGKILL


def test_ctrl_z_and_fg(lab):
    """Ctrl-Z gives the shell its prompt back, and fg continues both."""
    pty = shell(lab)
    for _ in range(2):
        pty.send('"$NSNTRACE" cat\n')
        pty.expect(r"Use ctrl-c to end at any time\.\r\n\r\n")
        pty.send("one\n")
        pty.expect("one\r\none\r\n")
        for _ in range(2):
            pty.send(b"\x1a")
            pty.expect("Stopped.*\r\n")
            pty.expect("ready> ")
            pty.send("jobs; echo stat''us $?\n")
            pty.expect("Stopped")
            pty.expect("status 0\r\n")
            pty.send("fg\n")
            wait_for(lambda: pty.foreground() != pty.pid)
            pty.send("two\n")
            # The terminal's echo says nothing of who has been continued.
            pty.expect("two\r\ntwo\r\n")
        pty.send(b"\x04")
        pty.expect("Finished capturing 0 packets.")
        pty.expect("ready> ")
    pty.send("exit 5\n")
    assert pty.wait() == 5


def test_background_and_kill_percent_one(lab):
    """A run in the background can be brought forward, or killed by its job."""
    pty = shell(lab)
    pty.send('"$NSNTRACE" -q sleep 1000 &\n')
    pty.expect(r"\[1\] \d+")
    wait_for(lambda: alive(lab, "sleep", "1000"))
    pty.send("fg\n")
    pty.expect("sleep 1000\r\n")
    wait_for(lambda: pty.foreground() != pty.pid)
    pty.send(b"\x1a")
    pty.expect("Stopped")
    pty.send("bg; kill %1; wait %1; echo stat''us $?\n")
    pty.expect("status 143\r\n")
    assert not alive(lab, "sleep", "1000")
    pty.send("exit 5\n")
    assert pty.wait() == 5


# -- what the terminal sends -------------------------------------------------

def test_ctrl_c_ends_the_program(lab):
    """Ctrl-C is told as the program's death, by the same signal."""
    pty = lab.pty([lab.nsntrace_path, *SLEEP])
    pty.expect("started")
    wait_for(lambda: alive(lab, "sleep", "1000"))
    pty.send(b"\x03")
    pty.expect("Finished capturing 0 packets.")
    assert pty.wait() == -signal.SIGINT


def test_ctrl_backslash(lab):
    r"""Ctrl-\ kills the program by QUIT, and so nsntrace."""
    pty = lab.pty([lab.nsntrace_path, "sh", "-c",
                   "ulimit -c 0; echo started; exec sleep 1000"])
    pty.expect("started")
    wait_for(lambda: alive(lab, "sleep", "1000"))
    pty.send(b"\x1c")
    pty.expect("Finished capturing 0 packets.")
    assert pty.wait() == -signal.SIGQUIT


def test_ctrl_c_is_never_forwarded(lab):
    """What the terminal sends comes to the program once, from the terminal."""
    pty = lab.pty([lab.nsntrace_path, *TOLD])
    pty.expect("ready\r\n")
    told = []

    def hear(name):
        told.append(pty.expect(f"(?s)^.*?{name}\r\n").group(0))

    for key, name in [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")] * 5:
        pty.send(key)
        hear(name)
        # In order behind whatever nsntrace might have made of the key.
        os.kill(pty.pid, signal.SIGUSR1)
        hear("SIGUSR1")
    assert b"".join(told).count(b"SIGINT") == 5, told
    assert b"".join(told).count(b"SIGQUIT") == 5, told
    os.kill(pty.pid, signal.SIGUSR2)
    pty.expect("SIGUSR2\r\n")
    os.kill(pty.pid, signal.SIGUSR2)
    assert pty.wait() == 0


def test_ten_ctrl_c_into_bash(lab):
    """An interactive shell inside lives with many Ctrl-C, and its jobs too."""
    # Readline itself loses some of what comes close to a Ctrl-C.
    pty = shell(lab, lab.nsntrace_path, "bash", "--norc", "--noediting", "-i")
    for i in range(10):
        pty.send(f"typed{i}")
        pty.expect(f"typed{i}")
        pty.send(b"\x03")
        pty.expect("ready> ")
    pty.send("sleep 1000\n")
    foreground_job(lab, pty, "sleep", "1000")
    pty.send(b"\x03")
    pty.expect("ready> ")
    pty.send("echo stat''us $?; exit 7\n")
    pty.expect("status 130\r\n")
    pty.expect("Finished capturing 0 packets.")
    assert pty.wait() == 7


def test_ten_ctrl_c_into_python(lab):
    """An interactive python inside lives with many Ctrl-C."""
    pty = lab.pty([lab.nsntrace_path, "python3", "-S", "-i", "-q"])
    pty.expect(">>> ")
    python = wait_roles(pty.pid)["program"]
    for _ in range(10):
        # Between its prompt and its read python only notes that there was one.
        wait_for(lambda: status(python)["State"].startswith("S"))
        pty.send(b"\x03")
        pty.expect("KeyboardInterrupt")
        pty.expect(">>> ")
    pty.send("raise SystemExit(6)\n")
    pty.expect("Finished capturing 0 packets.")
    assert pty.wait() == 6


def test_job_control_inside(lab):
    """Ctrl-Z and fg inside an interactive shell that is traced."""
    pty = shell(lab, lab.nsntrace_path, "bash", "--norc", "-i")
    pty.send("cat\n")
    foreground_job(lab, pty, "cat")
    pty.send("one\n")
    pty.expect("one\r\none\r\n")
    pty.send(b"\x1a")
    pty.expect("Stopped")
    pty.expect("ready> ")
    assert not status(pty.pid)["State"].startswith("T")
    pty.send("fg\n")
    foreground_job(lab, pty, "cat")
    pty.send("two\n")
    pty.expect("two\r\ntwo\r\n")
    pty.send(b"\x04")
    pty.expect("ready> ")
    pty.send("exit 8\n")
    assert pty.wait() == 8


def test_ctrl_s_and_ctrl_q(lab):
    """Ctrl-S stops the output, not the run; Ctrl-Q lets it go on."""
    count = ("i=0; echo started; while read line; do i=$((i+1));"
             " echo >count.$i; echo got $i; done; exit 3")
    pty = lab.pty([lab.nsntrace_path, "sh", "-c", count])
    pty.expect("started")
    pty.send("a\n")
    pty.expect("got 1\r\n")
    pty.send(b"\x13")
    pty.send("b\n")
    wait_for(lambda: (lab.dir / "count.2").exists())
    with pytest.raises(AssertionError, match="in time"):
        pty.expect("got 2", timeout=0.2)
    pty.send(b"\x11")
    pty.expect("got 2\r\n")
    pty.send(b"\x04")
    pty.expect("Finished capturing 0 packets.")
    assert pty.wait() == 3


def test_terminal_is_taken_back(lab):
    """A shell inside that is killed does not keep the terminal's foreground."""
    outer = ('"$NSNTRACE" bash --norc -i; echo stat""us $?;'
             ' read x; echo read "$x"')
    pty = shell(lab, "sh", "-c", outer)
    inner = wait_for(lambda: alive(lab, "bash", "--norc", "-i"))[0]
    wait_for(lambda: pty.foreground() == inner.pid)
    os.kill(inner.pid, signal.SIGKILL)
    pty.expect("status 137\r\n")
    assert pty.foreground() == pty.pid
    pty.send("hello\n")
    pty.expect("read hello\r\n")
    assert pty.wait() == 0


def test_new_window_size_reaches_the_program(lab):
    """A change of the terminal's size comes to the program, once."""
    pty = lab.pty([lab.nsntrace_path, *TOLD])
    pty.expect("ready\r\n")
    pty.resize(30, 100)
    pty.expect("SIGWINCH\r\n")
    os.kill(pty.pid, signal.SIGUSR2)
    assert b"WINCH" not in pty.expect("(?s)^(.*)SIGUSR2\r\n").group(1)
    os.kill(pty.pid, signal.SIGUSR2)
    assert pty.wait() == 0


# -- shells around it --------------------------------------------------------

@pytest.mark.parametrize("interpreter", ["bash", "dash"])
def test_loop_ends_on_ctrl_c(lab, interpreter):
    """A shell's loop around nsntrace ends on one Ctrl-C."""
    pty = lab.pty([interpreter, "-c",
                   'while :; do "$0" sh -c "$1"; done; echo never',
                   lab.nsntrace_path, SLEEP[2]])
    pty.expect("started\r\n")
    wait_for(lambda: alive(lab, "sleep", "1000"))
    pty.send(b"\x03")
    assert pty.wait() == -signal.SIGINT
    assert b"never" not in pty.output
    assert pty.output.count(b"started") == 0


def test_interactive_loop_ends_on_ctrl_c(lab):
    """So does the loop of an interactive shell, which gets its prompt back."""
    pty = shell(lab)
    pty.send('for i in 1 2 3; do "$NSNTRACE" -q sleep 1000; echo af""ter; done\n')
    wait_for(lambda: alive(lab, "sleep", "1000"))
    pty.send(b"\x03")
    pty.expect("ready> ")
    pty.send("echo stat''us $?\n")
    assert b"after" not in pty.expect("(?s)^(.*)status 130\r\n").group(1)
    pty.send("exit 5\n")
    assert pty.wait() == 5


LEAVES_A_DAEMON = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo hello"


@pytest.mark.parametrize("around", [
    'x=$("$0" -q sh -c "$1" 2>&1); echo "<$x>"',
    'x=$("$0" -q sh -c "$1"); echo "<$x>"',
    'echo "<$("$0" -q sh -c "$1" | cat)>"',
    '"$0" -q sh -c "$1" 2>&1 | sed "s/.*/<&>/"',
])
def test_substitution_and_pipe_return(lab, around):
    """$(nsntrace ...) and a pipe end with the program, not with its daemon."""
    done = lab.run(["bash", "-c", around, lab.nsntrace_path, LEAVES_A_DAEMON],
                   timeout=10)
    left = wait_for(lambda: alive(lab, "sleep", "1000"), what="daemon")
    assert done.stdout == "<hello>\n"
    os.kill(left[0].pid, signal.SIGKILL)


def test_ssh_returns(lab):
    """`ssh host nsntrace ...` returns although a daemon lives on."""
    host = lab.host.sshd()
    ssh = ["ssh", "-q", "-i", str(host.dir / "user"), "-o", "BatchMode=yes",
           "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes",
           "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"]
    done = lab.run([*ssh, f"{lab.nsntrace_path} -o {lab.dir}/x.pcap sh -c"
                    f" '{LEAVES_A_DAEMON}'"], timeout=15)
    assert done.stdout == "hello\n" and done.returncode == 0, done
    left = wait_for(lambda: alive(lab, "sleep", "1000"), what="daemon")
    os.kill(left[0].pid, signal.SIGKILL)
    host.stop()
    lab.sh("rm -rf /root/.ssh")
