# SPDX-License-Identifier: GPL-2.0-or-later
"""The live line of a long run on a terminal, as a terminal emulator shows it."""

import os
import re
import signal

import pytest

from lab import INTERNET
from runs import alive, held, status, wait_roles
from screen import LIVE, Screen
from waiting import wait_for

SCREEN = (12, 80)

# Long enough for the line to come; the output goes on from there when told.
WAITS = 'n=0; until [ -e go ]; do n=$((n+1)); echo "line $n"; sleep 0.05; done'


@pytest.fixture
def lab(same_lab):
    return same_lab


def screen(lab, *argv, size=SCREEN, **options):
    return Screen(lab, [lab.nsntrace_path, *argv], size=size, **options)


def go(lab):
    (lab.dir / "go").touch()


def shown_lines(shown):
    return [int(line.split()[1]) for line in shown.text()
            if re.fullmatch(r"line \d+", line)]


def is_like_before(shown):
    """All of the terminal scrolls, and nothing of the line is left."""
    return shown.scrolls() and not any(
        re.search(LIVE, row) for row in shown.rows())


def test_output_is_intact(lab):
    """Every line of the program is there, in order, with the line below it."""
    shown = screen(lab, "sh", "-c", WAITS)
    shown.wait_for(shown.live)
    assert not shown.scrolls()
    at = len(shown_lines(shown))
    # More than the screen has.
    shown.wait_for(lambda: len(shown_lines(shown)) > at + 30)
    assert shown.live()
    go(lab)
    assert shown.wait_end() == 0
    assert is_like_before(shown)
    lines = shown_lines(shown)
    assert lines == list(range(1, len(lines) + 1))
    text = [line for line in shown.text() if line]
    assert text[0].startswith("Starting network trace of 'sh'")
    assert text[-1] == "Finished capturing 0 packets."


def test_numbers(lab):
    """Packets and bytes are those of the trace so far; the time goes on."""
    shown = screen(lab, "sh", "-c", "ping -nqc5 -i0.01 192.0.2.1 >/dev/null;"
                   " until [ -e go ]; do sleep 0.05; done")
    first = shown.wait_for(shown.live)
    assert first["packets"] == "10" and first["dropped"] == "0"
    assert first["bytes"] == "1.1 kB"
    assert 2 <= int(first["time"].removeprefix("0:")) < 60
    later = shown.wait_for(lambda: shown.live() and
                           shown.live()["time"] != first["time"]
                           and shown.live())
    assert int(later["time"][2:]) > int(first["time"][2:])
    go(lab)
    shown.wait_end()


def test_cursor_stays(lab):
    """A line that is not at its end goes on where it was."""
    shown = screen(lab, "sh", "-c", "seq 20; printf 'half a';"
                   " until [ -e go ]; do sleep 0.05; done; echo ' line'")
    shown.wait_for(shown.live)
    assert shown.rows()[-2] == "half a"
    go(lab)
    shown.wait_end()
    text = shown.text()
    at = text.index("half a line")
    assert text[at - 20:at] == [str(n) for n in range(1, 21)]
    assert is_like_before(shown)


def test_own_messages_do_not_touch_it(lab):
    """What nsntrace says meanwhile goes where the program writes, too."""
    os.mkfifo(lab.dir / "fifo")
    reader = os.open(lab.dir / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    shown = screen(lab, "-o", "fifo", "sh", "-c",
                   f"{WAITS}; ping -nqc1 192.0.2.1 >/dev/null; echo sent;"
                   " until [ ! -e go ]; do sleep 0.05; done")
    shown.wait_for(shown.live)
    os.close(reader)
    go(lab)
    shown.wait_for(lambda: any("trace cannot be written" in row
                               for row in shown.rows()[:-1]))
    assert shown.live() and not shown.scrolls()
    (lab.dir / "go").unlink()
    assert shown.wait_end() == 125
    assert is_like_before(shown)


def test_never_where_it_does_not_belong(lab):
    """No line with -q, on no terminal, a dumb, a small or a raw one."""
    waits = ["sh", "-c", WAITS]
    hushed = [
        screen(lab, "-q", *waits),
        screen(lab, *waits, env={"TERM": "dumb"}),
        screen(lab, *waits, env={"TERM": None}),
        screen(lab, *waits, size=(4, 80)),
        screen(lab, *waits, size=(12, 30)),
        screen(lab, "sh", "-c", f"stty -icanon; {WAITS}"),
        screen(lab, "sh", "-c", f"stty -echo; {WAITS}"),
        Screen(lab, ["sh", "-c", '"$0" sh -c "$1" 2>err', lab.nsntrace_path,
                     WAITS], size=SCREEN),
        Screen(lab, ["bash", "--norc", "-ic", '"$0" sh -c "$1" & wait',
                     lab.nsntrace_path, WAITS], size=SCREEN),
    ]
    for one in hushed:
        one.wait_for(lambda one=one: len(shown_lines(one)) > 1)
    shown = screen(lab, *waits)
    first = shown.wait_for(shown.live)
    shown.wait_for(lambda: shown.live() and
                   shown.live()["time"] != first["time"])
    go(lab)
    for one in [shown, *hushed]:
        one.wait_end()
    assert b"\x1b" in shown.bytes
    for one in hushed:
        # An interactive bash has some of its own.
        assert not re.search(rb"\x1b7|\x1b\[\d+;\d+r| dropped, ", one.bytes)


def test_without_a_terminal_of_its_own(lab):
    """Standard error may be a terminal that does not control the program."""
    other = lab.pty(["sleep", "1000"])
    with open(lab.path(other.name), "wb", buffering=0) as tty:
        done = lab.popen_nsntrace("sh", "-c", "echo ready; sleep 3",
                                  stderr=tty, stdout=tty)
        done.communicate(timeout=20)
    assert b"Finished" in other.expect("(?s).*Finished").group(0)
    assert done.returncode == 0
    assert b"\x1b" not in other.output
    other.process.kill()


@pytest.mark.parametrize("argv, sight", [
    (["less", "numbers"], lambda rows: rows[:-1] == [
        str(n) for n in range(1, SCREEN[0])]),
    (["vim", "-u", "NONE", "-i", "NONE", "numbers"], lambda rows: rows[:-1] == [
        str(n) for n in range(1, SCREEN[0])]),
    (["top", "-d", "100"], lambda rows: "Tasks:" in rows[1]
     and "Mem" in rows[3] and "PID USER" in rows[6]),
    (["bash", "--norc", "-i"], lambda rows: "bash$" in rows),
], ids=["less", "vim", "top", "bash"])
def test_terminal_of_others(lab, argv, sight):
    """Who reads keys has the whole terminal, and it comes back after him."""
    lab.sh("seq 100 >numbers")
    shown = screen(lab, "sh", "-c", f'{WAITS}; "$@"; echo "line 0"; rm go;'
                   f' {WAITS}', "sh", *argv, env={
                       "PS1": "bash$ ", "LESSHISTFILE": "-",
                       "HISTFILE": "/dev/null", "HOME": lab.dir})
    shown.wait_for(shown.live)
    go(lab)
    shown.wait_for(lambda: shown.scrolls() and sight(shown.rows()))
    assert not any(re.search(LIVE, row) for row in shown.rows())
    if argv[0] == "bash":
        shown.pty.send("exit\r")
    elif argv[0] == "vim":
        shown.pty.send(":q\r")
    else:
        shown.pty.send("q")
    shown.wait_for(shown.live)
    assert not shown.scrolls()
    go(lab)
    assert shown.wait_end() == 0
    assert is_like_before(shown)


def test_password(lab):
    """A question for a password has the terminal for itself."""
    shown = screen(lab, "bash", "-c", f'{WAITS}; read -sp "Secret: " x;'
                   ' echo "<$x>"')
    shown.wait_for(shown.live)
    go(lab)
    shown.wait_for(lambda: is_like_before(shown)
                   and "Secret:" in shown.rows())
    shown.pty.send("open\r")
    shown.wait_end()
    assert "Secret: <open>" in shown.text()


@pytest.mark.parametrize("rows", [9, 20])
def test_resize(lab, rows):
    """The line goes to where the bottom row is now, and is there once."""
    shown = screen(lab, "sh", "-c", WAITS)
    shown.wait_for(shown.live)
    shown.resize(rows, 70)
    shown.wait_for(lambda: len(shown.rows()) == rows and shown.live()
                   and not shown.scrolls())
    at = max(shown_lines(shown))
    shown.wait_for(lambda: max(shown_lines(shown)) > at + 2 * rows)
    assert sum(bool(re.search("dropped", row)) for row in shown.rows()) == 1
    go(lab)
    shown.wait_end()
    assert is_like_before(shown)
    lines = shown_lines(shown)
    assert lines == sorted(lines)
    # Before we know of the new size, one may come where the line has been.
    assert len(set(range(1, lines[-1] + 1)) - set(lines)) <= 2


def leave(shown):
    shown.pty.send("exit\n")
    shown.wait_end()
    assert is_like_before(shown)


def job(lab, command):
    """An interactive shell, and a run in its foreground with a line."""
    shown = Screen(lab, ["bash", "--norc", "--noediting", "-i"], size=SCREEN,
                   env={"PS1": "ready> ", "HISTFILE": "/dev/null",
                        "NSNTRACE": lab.nsntrace_path, "WAITS": WAITS})
    shown.wait_for(lambda: "ready>" in shown.rows())
    shown.pty.send(command + "\n")
    shown.wait_for(shown.live)
    return shown


def test_ctrl_z_and_fg(lab):
    """The shell has the terminal as it was; fg brings the line again."""
    # Not dash: it waits, and does not stop, for a vfork(2) that has stopped.
    shown = job(lab, '"$NSNTRACE" bash -c "$WAITS"')

    def stop():
        shown.pty.send(b"\x1a")
        shown.wait_for(lambda: is_like_before(shown) and
                       shown.rows()[shown.cursor()] == "ready>")

    for _ in range(2):
        stop()
        shown.pty.send("fg\n")
        shown.wait_for(shown.live)
        assert not shown.scrolls()
    stop()
    shown.pty.send("bg\n")
    at = len(shown_lines(shown))
    shown.wait_for(lambda: len(shown_lines(shown)) > at + 40)
    assert is_like_before(shown)
    go(lab)
    shown.wait_for(lambda: any("Finished capturing 0 packets." in row
                               for row in shown.text()))
    leave(shown)


@pytest.mark.parametrize("name, status", [("INT", 130), ("QUIT", 131),
                                          ("TERM", 143), ("KILL", 137)])
def test_killed_program(lab, name, status):
    """Whatever ends the program, the terminal is as it was."""
    shown = job(lab, 'ulimit -c 0; "$NSNTRACE" sleep 1000\n'
                'echo "got $?"')
    program = wait_for(lambda: alive(lab, "sleep", "1000"))[0]
    os.kill(program.pid, getattr(signal, f"SIG{name}"))
    shown.wait_for(lambda: re.search(f"got {status}", "\n".join(shown.rows())))
    leave(shown)


@pytest.mark.parametrize("victim", ["front", "keeper", "tracer"])
def test_killed_process_of_ours(lab, victim):
    """kill -9 of any of ours leaves no line and no region behind."""
    shown = job(lab, '"$NSNTRACE" sleep 1000\necho "got $?"')
    wait_for(lambda: alive(lab, "sleep", "1000"))[0]
    front = wait_for(lambda: [one for one in lab.processes() if one.args == [
        str(lab.nsntrace_path), "sleep", "1000"]])
    pids = {one.pid for one in front}
    outer, = [one.pid for one in front if one.ppid not in pids]
    os.kill(wait_roles(outer)[victim], signal.SIGKILL)
    shown.wait_for(lambda: re.search(r"> got \d+", "\n".join(shown.rows())))
    shown.wait_for(lambda: is_like_before(shown))
    wait_for(lambda: not alive(lab, "sleep", "1000"))
    leave(shown)
    if victim == "keeper":
        lab.nsntrace("-q", "true")  # puts the host back


def test_killed_after_the_end(lab):
    """The line is taken away once: its row is somebody else's by then."""
    shown = job(lab, '"$NSNTRACE" sh -c "$WAITS"')
    ours = wait_roles(shown.pty.foreground())
    with held(ours["tracer"]):
        go(lab)
        shown.wait_for(lambda: is_like_before(shown))
        wait_for(lambda: status(ours["front"])["State"].startswith("S"))
        at = len(shown.bytes)
        os.kill(ours["front"], signal.SIGKILL)
    shown.wait_for(
        lambda: not os.path.exists(f"/proc/{ours['keeper']}/exe"))
    assert b"\x1b[r" not in shown.bytes[at:]
    leave(shown)


def test_stopped_front(lab):
    """A front that is stopped holds up nothing, and the line goes on later."""
    shown = screen(lab, "sh", "-c", WAITS)
    first = shown.wait_for(shown.live)
    os.kill(shown.pty.pid, signal.SIGSTOP)
    at = max(shown_lines(shown))
    shown.wait_for(lambda: max(shown_lines(shown)) > at + 40)
    assert shown.live()["time"] == first["time"]
    os.kill(shown.pty.pid, signal.SIGCONT)
    shown.wait_for(lambda: shown.live()["time"] != first["time"])
    go(lab)
    assert shown.wait_end() == 0
    assert is_like_before(shown)
    lines = shown_lines(shown)
    assert lines == list(range(1, len(lines) + 1))


def test_ctrl_s(lab):
    """A terminal that was stopped holds up neither program nor line."""
    shown = screen(lab, "sh", "-c", "until [ -e go ]; do sleep 0.05; done;"
                   f" ping -nqc1 {INTERNET[0]} >/dev/null; touch gone")
    first = shown.wait_for(shown.live)
    shown.pty.send(b"\x13")
    front = wait_roles(shown.pty.pid)
    go(lab)
    wait_for(lambda: (lab.dir / "gone").exists())
    # All that can be done without the terminal is done.
    wait_for(lambda: "tracer" not in wait_roles(front["front"], ()))
    assert shown.live() and shown.live()["time"] == first["time"]
    shown.pty.send(b"\x11")
    assert shown.wait_end() == 0
    assert is_like_before(shown)
    assert "Finished capturing 2 packets." in shown.text()
