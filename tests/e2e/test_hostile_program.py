# SPDX-License-Identifier: GPL-2.0-or-later
"""What a traced program can do that means harm, as root inside and as a user.

After each: nsntrace has ended with the status that it should, the trace can be
read and holds as many packets as were told, the host is as it was, and a run at
the same time has not noticed. What root inside can do to the host is shown too,
as it is told in the manual.
"""

import contextlib
import json
import os
import re
import signal

import pytest

from captures import packets, tcpdump_reads, tshark
from runs import alive, wait_roles
from tracing import program
from waiting import wait_for

SINK, ECHO = 7000, 7001
SERVER = "192.0.2.1"
HOSTILE = [str(word) for word in program("hostile.py")]
SUDO = {"SUDO_UID": "1234", "SUDO_GID": "1234", "SUDO_USER": "alice"}
FILE = "trace.pcap"

# As whom: options, environment. The observers are the user's own processes
# where that is nobody, and with sudo front too.
ROOT = ([], {})
NOBODY = (["-u", "nobody"], {})
ALICE = (["-u", "alice"], SUDO)
USERS = pytest.mark.parametrize("who", [NOBODY, ALICE], ids=["nobody", "sudo"])


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
def bystander(lab):
    """Another run, which sends before and afterwards, and loses nothing."""
    run = lab.popen_nsntrace("-o", "other.pcap", *program("sender.py"), SERVER,
                             SINK, 100, stdin=-1)
    assert run.stdout.readline() == "ready\n"

    def send():
        run.stdin.write("10\n")
        run.stdin.flush()
        assert run.stdout.readline() == "sent 10\n"

    send()
    yield
    send()
    _, err = run.communicate(timeout=20)
    assert run.returncode == 0, err
    assert datagrams(lab, "other.pcap") == 20


def datagrams(lab, file):
    """How many the trace has of those to the sink."""
    return len(tcpdump_reads(lab.dir / file, "udp", "dst", "port", str(SINK)))


def command(who, *options, file=FILE):
    return [*who[0], "-o", file, *options]


def finish(lab, done, status=0):
    """What the program says, and how many packets there are, all readable."""
    assert done.returncode == status, done
    told = re.search(r"^Finished capturing (\d+) packets\.$", done.stderr, re.M)
    assert told, done.stderr
    count = packets(lab.dir / FILE)
    assert count == int(told[1]), done.stderr
    assert "accounted for" not in done.stderr, done.stderr
    return count


def attack(lab, who, *argv, options=(), status=0, **how):
    """Run hostile.py to its end: what it tells, how many packets there are."""
    done = lab.nsntrace(*command(who, *options), *HOSTILE, *argv, env=who[1],
                        timeout=60, **how)
    count = finish(lab, done, status)
    return json.loads(done.stdout)["told"], count


# -- the network -------------------------------------------------------------

FLOODS = [(ROOT, "syn", 20000), (NOBODY, "udp", 20000), (NOBODY, "knock", 5000)]


@pytest.mark.parametrize("who, kind, number", FLOODS,
                         ids=[kind for _, kind, _ in FLOODS])
def test_flood(lab, bystander, who, kind, number):
    """All of it is in the trace, or told as dropped."""
    done = lab.nsntrace(*command(who), *HOSTILE, kind, SERVER, 9, number,
                        env=who[1], timeout=60)
    count = finish(lab, done)
    sent = json.loads(done.stdout)["told"]
    lost = sum(map(int, re.findall(r"warning: (\d+) packets dropped",
                                   done.stderr)))
    assert sent >= number / 2
    assert count + lost >= sent


def test_malformed_frames(lab, bystander):
    """What no decoder should choke on is in the trace."""
    sent, count = attack(lab, ROOT, "frames", 1300)
    assert sent["eth0"] > 1000
    # A tag that is cut in half the kernel itself does not let in by lo.
    assert count >= sum(sent.values()) - sent["lo"] / 13, sent
    assert len(tshark(lab.dir / FILE)) == count


@pytest.mark.parametrize("argv", [("frames", 1), ("syn", SERVER, 9, 1)],
                         ids=["frames", "syn"])
def test_user_makes_no_frames(lab, argv):
    assert attack(lab, NOBODY, *argv) == ("EPERM", 0)


# What root does to the interfaces inside, and whether eth0 is lost by that.
INTERFACES = {
    "addresses": ("ip addr flush dev eth0; ip addr flush dev lo", False),
    "routes": ("ip route flush table all; ip -6 route flush table all;"
               " ip neigh flush nud all; ip rule flush", False),
    "down": ("ip link set eth0 down; ip link set lo down", False),
    "down and up": ("ip link set eth0 down; ip link set eth0 up", False),
    # By libpcap, which knows it by its name.
    "renamed": ("ip link set eth0 down; ip link set eth0 name lo0;"
                " ip link set lo0 up", True),
    "other address": ("ip link set eth0 address 02:00:00:00:00:77", False),
    "deleted": ("ip link delete eth0", True),
    "replaced": ("ip link delete eth0; ip link add eth0 type dummy;"
                 " ip link set eth0 up", True),
    "moved away": ("unshare --net sleep 1000 & until [ $(readlink"
                   " /proc/$!/ns/net) != $(readlink /proc/$$/ns/net) ];"
                   " do sleep 0.01; done; ip link set eth0 netns $!; kill $!;"
                   " wait", True),
    "bridged": ("ip link add b type bridge; ip link set eth0 master b;"
                " ip link set b up", False),
    "others": ("ip link add d type dummy; ip link add v type veth peer name w;"
               " ip link add m link eth0 type macvlan;"
               " for one in d v w m; do ip link set $one up; done", False),
    "tiny": ("ip link set eth0 mtu 68; ip link set lo mtu 0", False),
    "filtered": ("nft add table inet t; nft 'add chain inet t c"
                 " { type filter hook output priority 0; policy drop; }'", False),
}
GONE = "nsntrace: warning: an interface of the program's went away: "


def test_interfaces_inside(lab, bystander):
    """Whatever is done to them: what was sent before is in the trace."""
    runs = {name: lab.popen_nsntrace(
        "-o", f"{number}.pcap", "sh", "-c", "ping -nqc1 -W5 192.0.2.1 && "
        f"{{ {script}; }}; ping -nqc1 -W1 127.0.0.1; exit 5")
        for number, (name, (script, _)) in enumerate(INTERFACES.items())}
    for number, (name, run) in enumerate(runs.items()):
        _, err = run.communicate(timeout=60)
        assert run.returncode == 5, (name, err)
        lines = tcpdump_reads(lab.dir / f"{number}.pcap")
        assert f"Finished capturing {len(lines)} packets." in err, (name, err)
        assert sum(f" {SERVER}" in line for line in lines) == 2, (name, lines)
        if INTERFACES[name][1]:
            assert GONE in err, (name, err)
        else:
            assert "nsntrace: " not in err, (name, err)


def test_connections_through_a_relay(lab, bystander):
    """More than the relay serves at once: the first ones do not suffer."""
    server = lab.host.serve("crowd", [
        "prlimit", "--nofile=8192", *program("echo.py"), "127.0.0.1", ECHO],
        tcp=[ECHO])
    told, _ = attack(lab, NOBODY, "hold", "127.0.0.1", ECHO, 3000,
                     options=["-L", ECHO])
    assert told == {"held": 3000, "answer": "hello"}
    server.stop()


def test_questions_to_the_relay(lab, bystander):
    """After a flood of queries the next one is answered."""
    told, count = attack(lab, NOBODY, "ask", "127.0.0.53", 5000)
    assert told is True
    assert count > 5000


# -- our processes -----------------------------------------------------------

@USERS
def test_processes_are_closed(lab, bystander, who):
    """A user reads, writes, traces none of them, although two are his own.

    These he can limit, which is no more than to kill them.
    """
    # A sanitizer that cannot open a file does not see whether there are leaks.
    quiet = who[0], {**who[1], "ASAN_OPTIONS": "detect_leaks=0"}
    told, _ = attack(lab, quiet, "pry")
    assert set(told) == {"front", "keeper", "tracer", "relay", "child"}
    # It can see what it misses.
    assert set(told["child"].values()) == {"done"}
    del told["child"]
    for role, ways in told.items():
        own = role in ("tracer", "relay") or role == "front" and who is ALICE
        assert ways.pop("limits") == ("done" if own else "EPERM"), role
        assert len(ways) == 10
        assert set(ways.values()) <= {"EACCES", "EPERM"}, (role, ways)


def test_root_opens_all(lab):
    """Nothing is closed to root, who is root on the host too."""
    told, _ = attack(lab, ROOT, "pry", "environ", "mem", "namespace")
    for ways in told.values():
        assert set(ways.values()) == {"done"}, told


def stops(name, *roles):
    """A program that sends the signal to those, then a datagram, and ends."""
    send = " ".join(map(str, [*program("send_udp.py"), SERVER, SINK, 5]))
    hostile = " ".join(map(str, [*HOSTILE, "signal", name, *roles]))
    return ["sh", "-c", f"{hostile}; {send}; exit 7"]


@USERS
def test_stopped_by_the_program(lab, bystander, who):
    """Tracer and relay go on; front is the user's own, as any job is."""
    front = lab.popen_nsntrace(*command(who), *stops("STOP"), env=who[1])
    told = json.loads(front.stdout.readline())["told"]
    own = "done" if who is ALICE else "EPERM"
    assert told == {"front": own, "keeper": "EPERM", "tracer": "done",
                    "relay": "done"}
    if who is ALICE:
        front.send_signal(signal.SIGCONT)
    out, err = front.communicate(timeout=20)
    assert front.returncode == 7, err
    assert f"Finished capturing {packets(lab.dir / FILE)} packets." in err
    assert datagrams(lab, FILE) == 5


@pytest.mark.parametrize("options", [[], ["--sync"]], ids=["plain", "sync"])
def test_stopped_again_and_again(lab, bystander, options):
    """Not even a child that is left keeps nsntrace from its end."""
    nag = " ".join(map(str, [*HOSTILE, "nag"]))
    send = " ".join(map(str, [*program("send_udp.py"), SERVER, SINK, 5]))
    done = lab.nsntrace(*command(NOBODY, *options), "sh", "-c",
                        "mkfifo /tmp/ready; setsid " + nag + " >/tmp/ready &"
                        f" read line </tmp/ready; rm /tmp/ready; {send}; exit 7")
    assert finish(lab, done, 7) >= 5
    assert "1 process of the program still runs" in done.stderr
    wait_for(lambda: not alive(lab, *HOSTILE, "nag"), 20, "end of the child")


@pytest.mark.parametrize("who, role", [
    (NOBODY, "tracer"), (NOBODY, "relay"), (ALICE, "front"), (ALICE, "tracer"),
    (ROOT, "keeper"), (ROOT, "tracer")],
    ids=["nobody-tracer", "nobody-relay", "sudo-front", "sudo-tracer",
         "root-keeper", "root-tracer"])
def test_killed_by_the_program(lab, bystander, who, role):
    """It ends itself by that: the run is over, the trace is what there was."""
    hostile = " ".join(map(str, [*HOSTILE, "signal", "KILL", role]))
    front = lab.popen_nsntrace(*command(who), "sh", "-c", "ping -nqc1 -W5"
                               f" 192.0.2.1 >/dev/null; {hostile};"
                               " exec sleep 1000", env=who[1])
    _, err = front.communicate(timeout=20)
    if role == "front":
        assert front.returncode == -signal.SIGKILL
    else:
        assert front.returncode == 125, err
        assert f"nsntrace: the {role} process " in err
    wait_for(lambda: not alive(lab, "sleep", "1000"), 10, "end of the program")
    if role == "keeper":
        lab.nsntrace("--cleanup")


# -- what everybody shares ---------------------------------------------------

BOMBS = 100


@pytest.fixture
def bomb(lab):
    """A run with as many processes as its user may have; or --wait for them."""
    def explode(*options, script='"$@"'):
        # Nobody else is this user. Not by a shell's ulimit: dash has no -u, and
        # goes on without.
        front = lab.popen_nsntrace(
            "-u", 4242, "-o", FILE, *options, "prlimit", f"--nproc={BOMBS}", "sh",
            "-c", script, "sh", *HOSTILE, "bomb", BOMBS, stdin=-1)
        roles = wait_roles(front.pid)
        wait_for(lambda: len(bombs()) > BOMBS * 0.8, 60, "fork bomb")
        return front, roles

    def bombs():
        return [one for one in lab.processes()
                if one.args == [*HOSTILE, "bomb", str(BOMBS)]]

    explode.left = bombs
    yield explode

    def are_gone():
        for one in bombs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        return not bombs()

    wait_for(are_gone, 60, "end of the bomb")


def test_fork_bomb_is_killed(lab, bystander, bomb):
    """Where one of ours dies, so do all of them."""
    front, roles = bomb()
    os.kill(roles["tracer"], signal.SIGKILL)
    _, err = front.communicate(timeout=20)
    assert front.returncode == 125, err
    wait_for(lambda: not bomb.left(), 10, "end of all")


def test_fork_bomb_is_ended_with_wait(lab, bystander, bomb):
    """Ctrl-C ends those that were waited for, faster than they multiply."""
    script = '"$@" & exit 3'
    front, _ = bomb("--wait", script=script)
    wait_for(lambda: not alive(lab, "sh", "-c", script, "sh", *HOSTILE, "bomb",
                               str(BOMBS)), 20, "end of the program")
    front.send_signal(signal.SIGINT)
    _, err = front.communicate(timeout=20)
    assert front.returncode == 3, err
    wait_for(lambda: not bomb.left(), 10, "end of all")


def test_fork_bomb_is_left(lab, bystander, bomb):
    """It is told of, has no network, and keeps nothing of the run's."""
    front, _ = bomb(script='"$@" >/dev/null 2>&1 & read line; exit 3')
    _, err = front.communicate("\n", timeout=20)
    assert front.returncode == 3, err
    assert re.search(r"^\d+ processes of the program still run, without a"
                     " network: ", err, re.M), err
    assert len(bomb.left()) > BOMBS * 0.8


def test_full_disk(lab, bystander):
    """The program fills the disk on which its trace is: told, and valid."""
    small = lab.dir / "small"
    lab.sh('mkdir "$1"; mount -t tmpfs -o size=256k,mode=1777 full "$1"', small)
    send = " ".join(map(str, [*program("send_udp.py"), SERVER, SINK, 3000]))
    done = lab.nsntrace("-u", "nobody", "-o", "small/x", "sh", "-c",
                        f"cat /dev/zero >small/y; {send}; exit 7")
    assert done.returncode == 125, done
    got = packets(lab.path(str(small / "x")))
    assert f"Finished capturing {got} packets.\n" in done.stderr
    assert re.search(r"^nsntrace: cannot write to 'small/x': \d+ packets are"
                     r" missing: No space left on device$", done.stderr, re.M)
    lab.sh('umount "$1"; rmdir "$1"', small)


def test_clogged_streams(lab, bystander):
    """Streams left full and non-blocking: what nsntrace has to say waits."""
    front = lab.popen_nsntrace(*command(ROOT), *HOSTILE, "clog", text=False)
    assert front.stdout.readline() == b"{}\n"
    keeper = wait_roles(front.pid, ["keeper"])["keeper"]
    # It has told front that all is done, which has only to be said.
    wait_for(lambda: not os.path.exists(f"/proc/{keeper}/exe"), 20,
             "end of keeper")
    _, err = front.communicate(timeout=20)
    assert front.returncode == 0
    assert err.endswith(b"Finished capturing 0 packets.\n")


def test_terminal_is_kept(lab, bystander):
    """A child that keeps the terminal keeps nsntrace from nothing."""
    pty = lab.pty([lab.nsntrace_path, *command(NOBODY), *HOSTILE, "grab"])
    pty.expect("grabbed")
    pty.expect("Finished capturing 0 packets")
    pty.expect("1 process of the program still runs")
    assert pty.wait() == 0


# -- what root inside can do -------------------------------------------------

LEAVES = """
own=$(sed -n s/^0:://p /proc/self/cgroup)
(echo 0 >$1${own%/*}/cgroup.procs; exec setsid $2 sleep 984) >escaped 2>&1 &
until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.01; done
"""


@pytest.mark.parametrize("how", ["cgroup", "network"])
def test_root_leaves(lab, bystander, how):
    """Out of the cgroup or of the namespace it is still found."""
    mount = lab.sh("findmnt -nrt cgroup2 -o TARGET").split()[0]
    enter = "nsenter --net=/proc/1/ns/net" if how == "network" else ""
    done = lab.nsntrace(*command(ROOT), "sh", "-c", LEAVES, "sh", mount, enter)
    finish(lab, done)
    left, = alive(lab, "sleep", "984")
    assert "1 process of the program still runs" in done.stderr
    os.kill(left.pid, signal.SIGKILL)
