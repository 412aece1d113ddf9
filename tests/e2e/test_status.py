# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit status: every row of the contract's table."""

import signal

import pytest

from captures import packets

_DEADLY = ["HUP", "INT", "QUIT", "ILL", "ABRT", "FPE", "KILL", "SEGV", "PIPE",
           "ALRM", "TERM", "USR1", "USR2", "RTMIN", "RTMAX"]


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.mark.parametrize("code", [0, 1, 2, 42, 124, 125, 126, 127, 128, 255])
def test_own_status(lab, code):
    """The program's own status is ours, also where it looks like a failure."""
    done = lab.nsntrace("sh", "-c", f"exit {code}")
    assert done.returncode == code
    assert "Finished capturing 0 packets." in done.stderr
    assert packets(lab.dir / "nsntrace.pcap") == 0


@pytest.mark.parametrize("name", _DEADLY)
def test_killed_by_signal(lab, name):
    """Killed by a signal, nsntrace dies of the same, so a shell sees 128+N."""
    number = int(getattr(signal, f"SIG{name}"))
    kill = f"ulimit -c 0; kill -{number} $$"
    done = lab.nsntrace("sh", "-c", kill)
    assert done.returncode == -number
    assert "Finished capturing 0 packets." in done.stderr
    shell = lab.run(["sh", "-c", '"$0" -q sh -c "$1"; echo $?',
                     lab.nsntrace_path, kill])
    assert shell.stdout == f"{128 + number}\n"


def test_no_core_of_ours(lab):
    """Only the program dumps core: our own core limit is taken away."""
    watcher = ("import os, resource, sys\n"
               "hard = resource.RLIM_INFINITY\n"
               "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
               "pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])\n"
               "status = os.waitpid(pid, 0)[1]\n"
               "print(os.WTERMSIG(status), os.WCOREDUMP(status))\n")
    die = ["sh", "-c", "kill -SEGV $$"]
    alone = lab.run(["python3", "-c", watcher, "/bin/sh", *die[1:]])
    assert alone.stdout == "11 True\n", "the machine dumps no cores"
    traced = lab.run(["python3", "-c", watcher, lab.nsntrace_path, "-q", *die])
    assert traced.stdout == "11 False\n", traced.stderr


def test_shell_sees_the_status_in_a_pipe(lab):
    """With pipefail, a pipe ends with the program's status."""
    done = lab.run(["bash", "-c", 'set -o pipefail; "$0" -q sh -c "exit 9" | cat',
                    lab.nsntrace_path])
    assert done.returncode == 9


@pytest.mark.parametrize("arguments", [
    ["--no-such-option", "true"],
    ["-Z", "true"],
    ["-o"],
    ["-q"],
    ["-f", "tcp port and", "true"],
    ["-f", "not a filter", "true"],
    ["-u", "nobody-here", "true"],
    ["-d", "nodev0", "true"],
    ["-s", "-1", "true"],
    ["-s", "x", "true"],
    ["-F", "erf", "true"],
    ["-o", "", "true"],
    ["-o", "x%q", "true"],
    ["-o", "x%", "true"],
    ["-o", "/no/such/directory/x.pcap", "true"],
    ["-o", "/tmp", "true"],
    ["--dns", "example.org", "true"],
    ["--dns", "192.0.2.1", "--use-public-dns", "true"],
    ["--linger", "soon", "true"],
    ["--engine", "magic", "true"],
], ids=" ".join)
def test_nsntrace_failed(lab, arguments):
    """What nsntrace cannot do is told in one line, with 125, and not begun."""
    ran = lab.dir / "ran"
    arguments = [str(ran) if one == "true" else one for one in arguments]
    ran.write_text("#!/bin/sh\ntouch ran-indeed\n")
    ran.chmod(0o755)
    done = lab.nsntrace(*arguments)
    assert done.returncode == 125, done
    lines = [line for line in done.stderr.splitlines() if line]
    told = [line for line in lines if line.startswith("nsntrace: ")]
    assert len([one for one in told if "hint:" not in one]) == 1, done.stderr
    assert done.stdout == ""
    assert "Starting network trace" not in done.stderr
    assert not (lab.dir / "ran-indeed").exists()


@pytest.mark.parametrize("what", ["file", "directory", "user", "component"])
def test_not_executable(lab, what):
    """126: the program is there and could not be executed."""
    target = lab.dir / "program"
    arguments = [str(target)]
    if what == "directory":
        target = lab.dir / "folder"
        target.mkdir(exist_ok=True)
        arguments = [str(target)]
    else:
        target.write_text("#!/bin/sh\nexit 0\n")
    if what == "file":
        target.chmod(0o644)
    if what == "user":
        target.chmod(0o700)
        arguments = ["-u", "nobody", str(target)]
    if what == "component":
        arguments = [str(target / "below")]
    done = lab.nsntrace(*arguments)
    if target.is_dir():
        target.rmdir()
    assert done.returncode == 126, done
    assert done.stderr.count(f"nsntrace: cannot execute '{arguments[-1]}': ") == 1
    assert "Finished" not in done.stderr


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program",
                                  "./no-such-program"])
def test_not_found(lab, name):
    """127: there is no such program; an older trace is left alone."""
    (lab.dir / "nsntrace.pcap").write_bytes(b"precious")
    done = lab.nsntrace(name)
    assert done.returncode == 127
    assert done.stderr == (f"nsntrace: cannot execute '{name}':"
                           " No such file or directory\n")
    assert (lab.dir / "nsntrace.pcap").read_bytes() == b"precious"


def test_path_of_the_environment(lab):
    """The program is looked for where a shell would: in PATH, and only there."""
    tool = lab.dir / "tool"
    tool.write_text("#!/bin/sh\nexit 6\n")
    tool.chmod(0o755)
    assert lab.nsntrace("tool").returncode == 127
    path = f"{lab.dir}:/usr/bin:/bin"
    assert lab.nsntrace("tool", env={"PATH": path}).returncode == 6


def test_without_a_standard_stream(lab):
    """Closed standard descriptors are no reason to write into the wrong file."""
    done = lab.run(["sh", "-c", '"$0" sh -c "exit 5" <&- >&-',
                    lab.nsntrace_path])
    assert done.returncode == 5, done.stderr
    assert packets(lab.dir / "nsntrace.pcap") == 0
    done = lab.run(["sh", "-c", '"$0" sh -c "exit 5" 2>&-', lab.nsntrace_path])
    assert done.returncode == 5
    assert packets(lab.dir / "nsntrace.pcap") == 0


def test_as_pid_1(lab):
    """As pid 1 of a container it returns 128+N: the kernel spares pid 1."""
    for script, code in [("exit 3", 3), ("kill -TERM $$", 143),
                         ("kill -KILL $$", 137)]:
        done = lab.run(["unshare", "--pid", "--fork", "--mount-proc",
                        lab.nsntrace_path, "sh", "-c", script])
        assert done.returncode == code, done
        assert "Finished capturing 0 packets." in done.stderr
    done = lab.run(["unshare", "--pid", "--fork", "--mount-proc",
                    lab.nsntrace_path, "no-such-program"])
    assert done.returncode == 127
