# SPDX-License-Identifier: GPL-2.0-or-later
"""What the program sees of us, and what each of our processes may do."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from captures import packets
from runs import alive, program, read_until, status, wait_roles
from waiting import wait_for

SELF = ["python3", "-I", program("self.py")]
STAYS = ["sh", "-c", "echo started; exec sleep 1000"]


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def untouched(lab_module):
    """With a resolver on loopback, so that a relay is needed."""
    lab_module.dnsmasq(["127.0.0.53"])
    lab_module.resolv_conf("nameserver 127.0.0.53\n")
    return lab_module.state()


@pytest.fixture
def run(lab, request):
    """A run with all of its processes; ended afterwards."""
    options, env = getattr(request, "param", ([], {}))
    front = lab.popen_nsntrace(*options, *STAYS, env=env)
    read_until(front.stdout, "started")
    found = wait_roles(front.pid, ["keeper", "tracer", "relay", "program"])
    yield found
    front.terminate()
    _, err = front.communicate(timeout=10)
    assert front.returncode == -signal.SIGTERM, err


def descriptors(pid):
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(fd.name)] = os.readlink(fd)
        except FileNotFoundError:
            pass
    return found


def sockets(pid, table):
    """The inodes of this process' sockets in a table of /proc/PID/net."""
    listed = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    inodes = {word for line in listed for word in line.split()}
    return {one for one in re.findall(r"socket:\[(\d+)\]", " ".join(
        descriptors(pid).values())) if one in inodes}


# -- what the program inherits -----------------------------------------------

def inherited(lab, script, *options, env=None):
    """What a program says of itself, without and with nsntrace around it."""
    told = []
    for around in ([], [lab.nsntrace_path, "-o", "/dev/null", *options]):
        done = lab.run(["bash", "-c", script, *around, *SELF], env=env,
                       check=True)
        told.append(json.loads(done.stdout))
    return told


@pytest.mark.parametrize("script", [
    '"$0" "$@"',
    'umask 027; "$0" "$@"',
    'cd /usr/lib; "$0" "$@"',
    'ulimit -n 100; ulimit -c 0; ulimit -s 4096; ulimit -u 5000; "$0" "$@"',
    'trap "" HUP PIPE USR1 CHLD INT; "$0" "$@"',
    'nice -n 5 "$0" "$@"',
    'exec 7<>/dev/zero 12</etc/hostname; "$0" "$@"',
    'env -i PATH="$PATH" A=1 "$0" "$@"',
    'exec env --block-signal=TERM --block-signal=USR2 "$0" "$@"',
    'exec env --default-signal --ignore-signal=QUIT "$0" "$@"',
], ids=lambda one: one.replace('"$0" "$@"', "run"))
def test_program_inherits_the_same(lab, script):
    """Descriptors, mask, dispositions, umask, limits, directory, environment."""
    plain, traced = inherited(lab, script)
    # A mount namespace of the program's own is no secret.
    for one in (plain, traced):
        del one["mounts"], one["session is led by us"]
        one["environment"].pop("_", None)  # bash's word for its command
        for fd, target in one["fds"].items():
            one["fds"][fd] = re.sub(r"\[\d+\]", "[]", target)
    assert plain["environment"]["PATH"]
    assert traced == plain


@pytest.mark.parametrize("options", [
    [], ["-u", "nobody"], ["-o", "-"], ["-v"], ["-d", "lo"],
    ["-o", "x.pcapng"], ["--wait"], ["--sync"]], ids=" ".join)
def test_no_descriptor_of_ours(lab, options):
    """`ls -l /proc/self/fd` shows 0 to 2 and its own, whatever the options."""
    lab.dir.chmod(0o777)
    done = lab.nsntrace(*options, "ls", "-l", "/proc/self/fd")
    lab.dir.chmod(0o755)
    assert done.returncode == 0, done
    told = done.stderr if options == ["-o", "-"] else done.stdout
    numbers = re.findall(r" (\d+) -> (\S+)", told)
    assert [number for number, _ in numbers] == ["0", "1", "2", "3"], told
    assert re.fullmatch(r"/proc/\d+/fd", numbers[3][1])


def test_process_substitution_reaches_the_program(lab):
    """Descriptors that the caller hands on, as <(...), are the program's."""
    done = lab.run(["bash", "-c", '"$0" -q cat <(echo one) <(echo two);'
                    ' "$0" -q sh -c "cat <&7" 7<<<three; exec 9>out;'
                    ' "$0" -q sh -c "echo four >&9"; cat out',
                    lab.nsntrace_path])
    assert done.stdout == "one\ntwo\nthree\nfour\n", done.stderr


def test_write_end_of_a_substitution_is_let_go(lab):
    """>(...) sees its end when the program has ended: none of ours holds it."""
    done = lab.run(["bash", "-c", '"$0" -q sh -c "echo x >\\$0" >(cat; echo end)'
                    ' | cat', lab.nsntrace_path], timeout=10)
    assert done.stdout == "x\nend\n", done


def test_standard_streams_are_the_same(lab):
    """The program's 0-2 are the caller's very own, not copies through us."""
    lab.sh("echo input >in")
    lab.run(["bash", "-c", '"$0" -q sh -c "cat; readlink /proc/self/fd/0;'
             ' echo e >&2" <in >out 2>err', lab.nsntrace_path], check=True)
    assert (lab.dir / "out").read_text() == f"input\n{lab.dir}/in\n"
    assert (lab.dir / "err").read_text() == "e\n"


def test_program_sees_its_terminal(lab):
    """Terminal, session and job of the program are those of its caller."""
    tell = 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; ps -o tty= $$'
    pty = lab.pty([lab.nsntrace_path, "sh", "-c", tell])
    pty.expect(rf"{pty.name}\r\nall\r\n{pty.name[5:]}\s*\r\n")
    assert pty.wait() == 0


# -- what each process may do ------------------------------------------------

RUNS = [([], {}), ([], {"SUDO_UID": "1234"}), (["-u", "alice"], {})]


@pytest.mark.parametrize("run", RUNS, indirect=True,
                         ids=["root", "sudo", "-u alice"])
@pytest.mark.parametrize("role", ["front", "tracer", "relay"])
def test_no_rights(run, role):
    """No capability and no_new_privs in any thread of front, tracer, relay."""
    def rights():
        return [status(f"{run[role]}/task/{task}") for task in
                os.listdir(f"/proc/{run[role]}/task")]
    threads = rights()
    assert len(threads) >= (3 if role == "tracer" else 1)
    for thread in threads:
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(thread[kind], 16) == 0, (kind, thread[kind])
        assert thread["NoNewPrivs"] == "1"
    # And the test can see it: keeper has them all.
    keeper = status(run["keeper"])
    assert int(keeper["CapEff"], 16) != 0 and keeper["NoNewPrivs"] == "0"


def test_keeper_touches_no_network(run):
    """keeper has no packet, inet or relay socket, and no capture ring."""
    keeper = run["keeper"]
    for pid in (run["tracer"], keeper):
        inside = sockets(pid, "packet")
        assert bool(inside) == (pid != keeper), (pid, inside)
    for table in ("packet", "tcp", "tcp6", "udp", "udp6", "raw", "raw6",
                  "icmp", "icmp6"):
        # Both namespaces' tables: a socket can be of either.
        for pid in (keeper, run["tracer"]):
            listed = Path(f"/proc/{pid}/net/{table}")
            if not listed.exists():
                continue
            words = set(listed.read_text().split())
            ours = re.findall(r"socket:\[(\d+)\]",
                              " ".join(descriptors(keeper).values()))
            assert not words & set(ours), (table, pid)
    maps = Path(f"/proc/{keeper}/maps").read_text()
    assert "socket:[" not in maps
    assert "socket:[" in Path(f"/proc/{run['tracer']}/maps").read_text()


def test_relay_has_the_inet_sockets(run):
    """The relay's listeners are its own: the test above would see them."""
    listed = set(Path(f"/proc/{run['tracer']}/net/udp").read_text().split())
    held = re.findall(r"socket:\[(\d+)\]",
                      " ".join(descriptors(run["relay"]).values()))
    assert set(held) & listed
    assert not any(re.search(r"/dev/pts|/dev/tty|pipe:", one)
                   for one in descriptors(run["relay"]).values())


@pytest.mark.parametrize("options", [[], ["-u", "alice"], ["-o", "x.pcapng"]],
                         ids=" ".join)
def test_nothing_of_the_terminal(lab, options):
    """keeper, tracer and relay hold no terminal, pipe or directory of a user."""
    pty = lab.pty([lab.nsntrace_path, *options, *STAYS])
    pty.expect("started")
    run = wait_roles(pty.pid, ["keeper", "tracer", "relay", "program"])
    assert pty.name in descriptors(run["front"]).values()
    for role in ("keeper", "tracer", "relay"):
        held = descriptors(run[role])
        assert pty.name not in held.values(), (role, held)
        assert os.readlink(f"/proc/{run[role]}/cwd") == "/", role
        assert os.getpgid(run[role]) != os.getpgid(run["front"]), role
    assert os.getpgid(run["program"]) == os.getpgid(run["front"])
    pty.send(b"\x03")
    assert pty.wait() == -signal.SIGINT


def kinds(pid):
    """What a process holds, without the numbers."""
    return {re.sub(r"[\d\[\]]+", "", one).rsplit("/", 1)[-1]
            for one in descriptors(pid).values()}


def test_tracer_and_relay_hold_what_they_need(run):
    """They hold their channels and sockets, the trace, no file of the host's."""
    assert kinds(run["tracer"]) <= {"null", "socket:", "anon_inode:eventfd",
                                    "nsntrace.pcap", "cgroup.kill"}
    assert "nsntrace.pcap" in kinds(run["tracer"])
    assert kinds(run["relay"]) <= {"null", "socket:", "anon_inode:eventpoll",
                                   "anon_inode:timerfd"}
    assert "nsntrace.pcap" not in kinds(run["keeper"])
    # The host's netlink sockets are keeper's alone.
    netlink = Path(f"/proc/{run['keeper']}/net/netlink").read_text().split()
    for role in ("keeper", "tracer", "relay", "front"):
        ours = re.findall(r"socket:\[(\d+)\]",
                          " ".join(descriptors(run[role]).values()))
        assert bool(set(ours) & set(netlink)) == (role == "keeper"), role


def test_program_is_no_child_of_the_tracer(run):
    """The program's parent is keeper: no sandbox of ours reaches it."""
    assert status(run["program"])["PPid"] == str(run["keeper"])
    assert status(run["program"])["NoNewPrivs"] == "0"
    assert status(run["program"])["Seccomp"] == "0"


# -- what is left ------------------------------------------------------------

def test_background_processes_are_told(lab):
    """Processes that the program leaves are counted, and lose the network."""
    lab.sh("mkfifo go")
    waits = ("read x <go; ping -c1 -W1 192.0.2.1 >/dev/null 2>&1;"
             " echo $? >pinged.$$")
    done = lab.nsntrace("sh", "-c", "for i in 1 2 3; do"
                        f" setsid sh -c '{waits}' </dev/null >/dev/null 2>&1 &"
                        " done; ping -q -c1 -W5 192.0.2.1 >/dev/null")
    assert done.returncode == 0, done
    assert re.search(r"^3 processes .*still run", done.stderr, re.MULTILINE)
    assert packets(lab.dir / "nsntrace.pcap") == 2
    wait_for(lambda: len(alive(lab, "sh", "-c", waits)) == 3)
    lab.sh("exec 3>go")
    wait_for(lambda: not alive(lab, "sh", "-c", waits))
    told = [one.read_text() for one in lab.dir.glob("pinged.*")]
    assert len(told) == 3 and "0\n" not in told, told


def test_nothing_left_is_not_told(lab):
    """Without such processes nothing is said of them."""
    done = lab.nsntrace("sh", "-c", "sleep 0 & wait")
    assert "still run" not in done.stderr


def test_roles_are_gone_afterwards(lab):
    """When --sync returns, no process of ours is left."""
    done = lab.nsntrace("--sync", *["sh", "-c", "true"])
    assert done.returncode == 0
    assert not [one for one in lab.processes() if one.state != "Z"
                and str(lab.nsntrace_path) in one.args]
