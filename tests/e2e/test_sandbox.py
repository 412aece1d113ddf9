# SPDX-License-Identifier: GPL-2.0-or-later
"""Front, tracer and relay in a run: no rights, few system calls, closed memory.

Which calls are on whose list is the unit test's; the whole suite shows that
they suffice. Here: that each is in its sandbox, what comes of leaving it, and
that the program knows nothing of all that.
"""

import os
import signal
from pathlib import Path

import pytest

from captures import packets
from killing import errors
from lab import INTERNET
from runs import program, read_until, status, wait_roles

OURS = ("front", "tracer", "relay")
STAYS = ["sh", "-c", "echo started; exec sleep 1000"]
SUDO = {"SUDO_UID": "1234", "SUDO_GID": "1234", "SUDO_USER": "alice"}
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
INVOKERS = pytest.mark.parametrize("run", [{}, SUDO], ids=["root", "alice"],
                                   indirect=True)


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def untouched(lab_module):
    """With a resolver on loopback, so that a relay is needed."""
    lab_module.dnsmasq(["127.0.0.53"])
    lab_module.resolv_conf("nameserver 127.0.0.53\n")
    return lab_module.state()


@pytest.fixture(scope="module")
def make_call(lab_module):
    """Have a process make a system call that it never makes."""
    path = lab_module.base / "make_call"
    lab_module.run(["gcc", "-o", path, program("make_call.c")], check=True)

    def make(pid, name):
        number = lab_module.run(
            ["gcc", "-E", "-P", "-xc", "-"], check=True,
            input=f"#include <sys/syscall.h>\n__NR_{name}\n").stdout.split()[-1]
        inner = next(one.inner for one in lab_module.processes()
                     if one.pid == pid)
        lab_module.run([path, inner, number], check=True)
    return make


@pytest.fixture
def run(lab, request):
    """A run with all of its processes."""
    front = lab.popen_nsntrace(*STAYS, env=getattr(request, "param", {}))
    read_until(front.stdout, "started")
    found = wait_roles(front.pid, ["keeper", *OURS, "program"])
    found["process"] = front
    yield found
    if front.poll() is None:
        front.terminate()
        front.communicate(timeout=10)


def threads(pid):
    """The status of each thread."""
    return [status(f"{pid}/task/{task}")
            for task in os.listdir(f"/proc/{pid}/task")]


@INVOKERS
def test_no_rights_and_few_calls(run):
    """Of each thread: no capability, no_new_privs, a filter."""
    for name in OURS:
        for one in threads(run[name]):
            assert {one[kind] for kind in CAPABILITIES} == {"0" * 16}, name
            assert one["NoNewPrivs"] == "1", name
            assert one["Seccomp"] == "2", name
    assert len(threads(run["tracer"])) >= 3
    for name in ("keeper", "program"):
        one = status(run[name])
        assert one["NoNewPrivs"] == "0" and one["Seccomp"] == "0", name


@INVOKERS
def test_memory_is_closed(lab, run):
    """No process of the same user reads it: nor would there be a core."""
    for name in OURS:
        told = status(run[name])
        user = ["setpriv", f"--reuid={told['Uid'].split()[0]}",
                f"--regid={told['Gid'].split()[0]}", "--clear-groups",
                "--inh-caps=-all", "--bounding-set=-all"]
        other = lab.popen([*user, "sh", "-c", "echo; exec sleep 1000"])
        other.stdout.readline()
        inner = {one.pid: one.inner for one in lab.processes()}

        def may_read(pid):
            return lab.run([*user, "cat", f"/proc/{inner[pid]}/environ"]
                           ).returncode == 0

        assert may_read(other.pid), "nobody can, so this shows nothing"
        assert not may_read(run[name]), name
        other.kill()


@pytest.mark.parametrize("name", OURS)
def test_call_that_is_not_listed(lab, run, make_call, name):
    """It is the last one, is told by name, and the run ends as when killed."""
    make_call(run[name], "acct")
    _, err = run["process"].communicate(timeout=10)
    assert errors(err) == [
        f"nsntrace: the {name} process tried the system call acct, which it"
        " never makes: please report this"]
    assert run["process"].returncode == (
        -signal.SIGSYS if name == "front" else 125)
    assert not Path(f"/proc/{run['program']}/exe").exists()
    packets(lab.dir / "nsntrace.pcap")


def test_sigsys_of_somebody(run):
    """Only the kernel's means something."""
    for name in OURS:
        os.kill(run[name], signal.SIGSYS)
    run["process"].terminate()
    run["process"].communicate(timeout=10)
    assert run["process"].returncode == -signal.SIGTERM


def test_program_dies_of_sigsys(lab):
    """front can die of the very signal of the sandbox."""
    done = lab.nsntrace("-q", "sh", "-c", "kill -SYS $$")
    assert (done.returncode, done.stderr) == (-signal.SIGSYS, "")


@pytest.mark.parametrize("address", [INTERNET[0], "127.0.0.1"])
def test_ping(lab, address):
    """A program with file capabilities has them, also as a user."""
    done = lab.nsntrace("-q", "-u", "alice", "ping", "-c", "1", "-W", "5",
                        address)
    assert done.returncode == 0, done
    assert packets(lab.dir / "nsntrace.pcap") == 2


def test_sudo(lab):
    """sudo, which no_new_privs would stop, makes a user root inside."""
    lab.sh("echo 'alice ALL=(ALL) NOPASSWD: ALL' >sudoers; chmod 440 sudoers;"
           " echo 'alice:*:20000::::::' >shadow")
    script = """
        mount --bind sudoers /etc/sudoers
        mount --bind shadow /etc/shadow
        setpriv --reuid 1234 --regid 1234 --clear-groups sudo -n id -u
        exec "$0" -q -u alice sudo -n id -u
    """
    done = lab.run(["unshare", "-m", "sh", "-euc", script, lab.nsntrace_path])
    assert (done.returncode, done.stdout) == (0, "0\n0\n"), done
