# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals, terminals and job control, from outside and from inside."""

import contextlib
import os
import signal

import pytest

from captures import packets
from runs import (alive, children, program, read_until, roles,
                  status, wait_roles)
from waiting import wait_for

SIGNALS = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT"]
ENDING = ["HUP", "INT", "QUIT", "TERM"]

# Of a program of its own, so that the shell's death is not the program's.
SLEEP = ["sh", "-c", "echo started; exec sleep 1000"]
TOLD = ["python3", program("told.py")]


def number(name):
    return getattr(signal, f"SIG{name}")


@pytest.fixture
def lab(same_lab):
    return same_lab


def start(lab, *argv, **options):
    """A run whose program has said its first line."""
    front = lab.popen_nsntrace(*argv, **options)
    read_until(front.stdout, "\n")
    return front


def shell(lab, *argv, prompt="ready> ", **options):
    pty = lab.pty(argv or ["bash", "--norc", "-i"],
                  env={"PS1": prompt, "NSNTRACE": lab.nsntrace_path,
                       "HISTFILE": "/dev/null"}, **options)
    pty.expect(prompt)
    return pty


def foreground_job(lab, pty, *argv):
    """Wait until the command has the terminal: what is typed now is its own."""
    wait_for(lambda: pty.foreground() in [one.pid for one in alive(lab, *argv)],
             what=f"{argv} in the foreground")


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


@pytest.mark.parametrize("name", SIGNALS)
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
    ["sh", "-c", "trap 'exit 3' TERM; sleep 1000 & echo started; wait"], 3)])
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
    """After the program's end a signal ends --wait; the status stays its own."""
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
    assert "1 process" in err and "still run" in err
    for one in alive(lab, "sleep", "1000"):
        os.kill(one.pid, signal.SIGKILL)


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
            pty.expect("two\r\n(two\r\n)?")
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
