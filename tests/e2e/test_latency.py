# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user waits for before the program starts and after it has ended."""

import re
import statistics
import time

from killing import strace

WAITS = ("poll,ppoll,select,pselect6,epoll_wait,epoll_pwait,epoll_pwait2,futex,"
         "futex_waitv,nanosleep,clock_nanosleep,rt_sigtimedwait,recvmmsg,"
         "semtimedop,alarm,setitimer,timer_settime,timerfd_settime")


def lines_of(log):
    """(pid, what strace tells of it) in order; the pid's column is padded."""
    return [line.split(None, 1) for line in log.splitlines()]


def may_wait(name, arguments):
    """Whether a call lets time pass, if nothing happens."""
    if name in ("poll", "epoll_wait", "epoll_pwait"):
        if name == "epoll_pwait":
            arguments = re.sub(r", [^,]+, \d+$", "", arguments)
        return int(arguments.rsplit(", ", 1)[1]) > 0
    if "nanosleep" in name or "time" in name or name == "alarm":
        return True
    return bool(re.search(r"\{tv_sec=(?!0, tv_u?n?sec=0\})", arguments))


def waited(call):
    """Whether a call, as strace tells of it, was ended by time, or sets a timer.

    A wait that ends as soon as there is something to do is none, whatever its
    limit.
    """
    name, arguments, result = re.match(
        r"(\w+)\((.*)\)\s+= (.*)", call).groups()
    if name not in WAITS.split(",") or not may_wait(name, arguments):
        return False
    ran_out = {"futex": "-1 ETIMEDOUT", "rt_sigtimedwait": "-1 EAGAIN",
               "semtimedop": "-1 EAGAIN"}.get(name, "0")
    return result.split("(")[0].strip() == ran_out


def waits_after(log, program):
    """Waits that time ended between two ends, and the calls seen there.

    From the end of `program` to that of the first process; waits that had begun
    before the former count too.
    """
    lines = lines_of(log)
    first = lines[0][0]
    pid = next(pid for pid, text in lines
               if text.startswith(f'execve("{program}"'))
    begun, found, calls, ended = {}, [], 0, False
    for who, text in lines:
        if text.startswith("+++"):
            if ended and who == first:
                return found, calls
            ended = ended or who == pid
        elif text.endswith("<unfinished ...>"):
            begun[who] = text.removesuffix(" <unfinished ...>")
        elif who != pid and not text.startswith("---"):
            text = re.sub(r"^<\.\.\. \w+ resumed>",
                          lambda _, who=who: begun.pop(who), text)
            if ended:
                calls += 1
                found += [text] if waited(text) else []
    raise AssertionError(f"no end of {program} and then of {first}:\n{log}")


def waits_of(lab, *argv):
    done = strace(lab, "-e", f"trace=execve,exit_group,{WAITS}", *argv)
    assert done.returncode == 0, done
    return waits_after((lab.dir / "strace.log").read_text(), "/bin/true")


def test_no_sleep_after_the_end(lab_module):
    """Nothing of ours sleeps, or lets a time-out run out, after the program."""
    for sleeper in ("sleep .01", "read -t .01 x </dev/ptmx",
                    "python3 -c 'import select; select.poll().poll(10)'"):
        found, _ = waits_of(lab_module, "bash", "-c",
                            f"/bin/true; {sleeper}; true")
        assert found, f"a wait in {sleeper!r} is not seen"
    for _ in range(5):
        found, calls = waits_of(lab_module, lab_module.nsntrace_path, "-q",
                                "/bin/true")
        assert calls > 3 and not found


def test_budget(lab_module):
    """A traced /bin/true is no matter of seconds; bench/ tells what it is."""
    seconds = []
    for _ in range(15):
        began = time.monotonic()
        lab_module.nsntrace("-q", "/bin/true", check=True)
        seconds.append(time.monotonic() - began)
    assert statistics.median(seconds) < 1
