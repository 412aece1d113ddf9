# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that wait for signals, and shells on a terminal of their own."""

from runs import alive, program, read_until
from waiting import wait_for

# Of a program of its own, so that the shell's death is not the program's.
SLEEP = ["sh", "-c", "echo started; exec sleep 1000"]
TOLD = ["python3", program("told.py")]


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
