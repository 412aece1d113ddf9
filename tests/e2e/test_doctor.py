# SPDX-License-Identifier: GPL-2.0-or-later
"""--doctor: each thing that a run needs is broken, and its line tells.

Nothing but that line changes, and the last one, which tells whether a run would
work; a run is asked whether that is true.
"""

import contextlib
import json
import os
import re
import socket

import pytest

from freezing import mounts
from lab import Lab
from runs import alive, program, wait_roles
from waiting import wait_for

NAMES = ["rights", "namespace", "veth", "nftables", "owner", "silence",
         "counters", "capture", "sockets", "pidfd", "cgroup", "freezer",
         "sandbox", "priority", "descriptors", "threads", "memory", "route",
         "ipv6", "forwarding", "addresses", "firewall", "names", "mounts",
         "ports", "records", "leftovers", "output", "run"]
UPLINK = {"veth", "nftables", "owner", "silence", "counters", "route", "ipv6",
          "forwarding", "addresses", "firewall", "names"}
FORWARD = ("nft 'table inet mine { chain f { type filter hook forward priority"
           " 0; policy drop; }; }'")


class Host:
    """A host on which all is well."""

    def __init__(self, lab):
        self.lab = lab
        lab.dns_server()
        shim = lab.base / "deny.so"
        lab.run(["gcc", "-shared", "-fPIC", "-O", "-o", shim, program("deny.c")],
                check=True)
        self.shim = shim
        self.before = lab.state()
        self.well = self.look()

    def ask(self, *options, prefix=(), deny=None, **how):
        """Run --doctor, which must tell in its status what it tells in words."""
        env = {"DENY": deny, "LD_PRELOAD": self.shim} if deny else {}
        # What fills up a name in a message is zero, as deny.c knows it.
        env["ASAN_OPTIONS"] = ":".join(
            [os.environ.get("ASAN_OPTIONS", ""), "detect_leaks=0",
             "verify_asan_link_order=0", "malloc_fill_byte=0"])
        return self.lab.run([*prefix, self.lab.nsntrace_path, *options],
                            env=env, timeout=120, **how)

    def look(self, *options, **how):
        """What --doctor finds: name -> (status, text, hint), in order."""
        done = self.ask(*options, "--doctor=json", **how)
        assert done.stderr == "", done
        found = {}
        for one in json.loads(done.stdout):
            assert list(one) == ["name", "status", "text", "hint"]
            assert one["text"] and bool(one["hint"]) == (one["status"] != "ok")
            found[one["name"]] = (one["status"], one["text"], one["hint"])
        problems = [name for name in found if found[name][0] == "problem"]
        assert done.returncode == (125 if problems else 0), done
        assert problems in ([], [*problems[:-1], "run"])
        return found

    def changes(self, *options, **how):
        """The lines that are not as they are when all is well; "run" apart."""
        found = self.look(*options, **how)
        found.pop("run")
        return {name: line for name, line in found.items()
                if line != self.well[name]}

    def traces(self):
        """What runs, and what they try, leave while they go on."""
        return [*self.lab.cgroup.glob("nsntrace-*"),
                *self.lab.path("/run").glob("nsntrace")]

    def works(self, **how):
        """Whether a run does, in the same circumstances."""
        done = self.ask("-q", "-o", "works.pcap", "true", **how)
        assert done.returncode in (0, 125), done
        # Where nothing better is known, a hint leads here.
        assert ("hint: " in done.stderr) == (done.returncode == 125), done
        return done.returncode == 0


@pytest.fixture(scope="module")
def well():
    """The same for all tests; after them it is as it was."""
    lab = Lab()
    try:
        host = Host(lab)
        yield host
        lab.wait_state(host.before, 20)
    finally:
        lab.close()


@pytest.fixture
def host(well):
    yield well
    well.lab.sh('find "$1" -mindepth 1 -delete', well.lab.dir)
    wait_for(lambda: not well.traces(), 20, "end of all that was made")


def test_all_is_well(host):
    """One line for each thing, all of them ok, and the host unchanged."""
    done = host.ask("--doctor")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = [re.fullmatch(r"(\w+) +(\w+): (.*[^.])", line).groups()
             for line in done.stdout.splitlines()]
    assert [name for _, name, _ in lines] == NAMES
    assert {status for status, _, _ in lines} == {"ok"}, done.stdout
    assert {name: text for _, name, text in lines} == {
        name: text for name, (_, text, _) in host.well.items()}
    # The trial run's keeper ends a moment after it was waited for.
    host.lab.wait_state(host.before, 20)


def test_without_a_way_out(host):
    """With -d lo nothing is asked that has to do with one."""
    found = host.look("-d", "lo")
    assert list(found) == [name for name in NAMES if name not in UPLINK]


def test_not_root(host):
    """Who is not root is told so once, and what can be tried is tried."""
    found = host.look(user="alice", cwd="/home/alice")
    status, text, hint = found.pop("rights")
    assert status == "problem" and "root" in text and "sudo" in hint
    assert found.pop("run")[0] == "problem"
    tried = {name for name in found if found[name][1] != "not tried"}
    assert tried == {"pidfd", "priority", "descriptors", "memory", "route",
                     "ipv6", "addresses", "names", "output"}
    assert {found[name][0] for name in tried - {"priority"}} == {"ok"}
    assert not list(host.lab.path("/home/alice").iterdir())


@pytest.mark.parametrize("right", ["net_admin", "net_raw", "sys_admin",
                                   "setuid", "setgid"])
def test_rights(host, right):
    """Each capability that root lacks is named, in a container say."""
    how = {"prefix": ["setpriv", f"--bounding-set=-{right}",
                      f"--inh-caps=-{right}"]}
    found = host.look(**how)
    assert f"cap_{right} " in found["rights"][1]
    assert not host.works(**how)


# What lacks the kernel, as the line that must change, and how it must; and
# whether a run works all the same.
KERNEL = [
    ("veth", "send 7665746800 7665747800", "problem", "veth pair"),
    ("nftables", "send 6d61737100 6d61737800", "problem", "masquerade"),
    # Flags of tables, numbers of hooks and kinds of objects that nobody knows.
    ("owner", "send 000800020000000002 000800020000000080", "warning", "no owner"),
    ("silence", "send 0800010000000001 0800010000000009", "warning", "egress"),
    ("counters", "send 0800030000000002 080003000000007f", "warning", "leave"),
    ("capture", "option 263 5", "problem", "ring|memory"),
    ("sockets", "socket 16 4", "problem", "diagnosis"),
    ("sockets", "send 15000500 63000500", "warning", "DIAG_DESTROY"),
    # Of IPv4 those of a protocol that nobody knows.
    ("sockets", "send 000000000206 000000000263", "warning", "of TCP sockets"),
    ("sockets", "send 000000000211 000000000263", "warning", "of UDP sockets"),
    ("memory", "memory", "warning", "MiB"),
]


@pytest.mark.parametrize("name,deny,status,text", KERNEL,
                         ids=[f"{one[0]}-{one[2]}" for one in KERNEL])
def test_kernel(host, name, deny, status, text):
    """What this kernel lacks is told, in its own line and in no other."""
    changes = host.changes(deny=deny)
    tried = {one for one in changes if changes[one][1] != "not tried"}
    assert tried == {name}
    assert changes[name][0] == status
    assert re.search(text, changes[name][1]), changes
    assert host.works(deny=deny) == (status == "warning")


# The same for system calls that fail.
CALLS = [
    ("namespace", "unshare:error=ENOSPC", "problem", "max_net_namespaces"),
    ("pidfd", "pidfd_open:error=ENOSYS", "problem", "5.3"),
    ("sandbox", "seccomp:error=ENOSYS", "warning", "CONFIG_SECCOMP_FILTER"),
    ("sandbox", "seccomp:error=EPERM", "problem", "CONFIG_SECCOMP_FILTER"),
    ("priority", "sched_setscheduler:error=EPERM", "warning", "cap_sys_nice"),
]


@pytest.mark.parametrize("name,what,status,hint", CALLS,
                         ids=[f"{one[0]}-{one[2]}" for one in CALLS])
def test_calls(host, name, what, status, hint):
    """What the kernel does not let us do is told likewise."""
    how = {"prefix": ["strace", "-fqqo", "/dev/null", "-e", f"inject={what}"]}
    changes = host.changes(**how)
    tried = {one for one in changes if changes[one][1] != "not tried"}
    assert tried == {name}
    assert changes[name][0] == status and hint in changes[name][2], changes
    assert host.works(**how) == (status == "warning")


LIMITS = [("descriptors", ["--nofile=16"], "problem"),
          ("threads", ["--nproc=0"], "problem"),
          ("output", ["--fsize=65536"], "warning")]


@pytest.mark.parametrize("name,limit,status", LIMITS,
                         ids=[one[0] for one in LIMITS])
def test_limits(host, name, limit, status):
    """A limit that is too low is named."""
    how = {"prefix": ["prlimit", *limit]}
    changes = host.changes(**how)
    assert list(changes) == [name]
    assert changes[name][0] == status and "ulimit" in changes[name][2]
    assert host.works(**how) == (status == "warning")


@contextlib.contextmanager
def broken(lab, script, repair):
    lab.sh(script, lab.dir)
    try:
        yield
    finally:
        lab.sh(repair, lab.dir)


def resolv_conf(*servers):
    """Another file in place of the host's, which stays as it is."""
    lines = "\\n".join(f"nameserver {one}" for one in servers)
    return (f"printf '{lines}\\n' >resolv; mount --bind resolv /etc/resolv.conf",
            "umount /etc/resolv.conf")


def read_only(*names):
    where = [mount for name in names for mount in mounts(name)]
    return ("".join(f"mount -o remount,bind,ro {one}\n" for one in where),
            "".join(f"mount -o remount,bind,rw {one}\n" for one in where))


POOLS = ["10.200.0.0/16", "172.30.0.0/16", "192.168.0.0/16", "198.18.0.0/15",
         "100.115.0.0/16"]
NO_IP6 = {"ipv6": ("ok", "no default IPv6 route")}
HOSTS = {
    "no-default-route": (
        ("ip route del default; ip -6 route del default",
         "ip route add default via 192.0.2.1 dev eth0;"
         "ip -6 route add default via 2001:db8:1::1 dev eth0"),
        {"route": ("warning", "no default route"), **NO_IP6}),
    "no-ipv6-route": (
        ("ip -6 route del default",
         "ip -6 route add default via 2001:db8:1::1 dev eth0"), NO_IP6),
    "addresses": (
        ("".join(f"ip route add {pool} via 192.0.2.1\n" for pool in POOLS),
         "".join(f"ip route del {pool}\n" for pool in POOLS)),
        {"addresses": ("problem", "free address")}),
    "proc-sys": (
        ("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
         "umount /proc/sys"), {"forwarding": ("problem", "Read-only")}),
    # The settings of the run that is asked stay, as it warns.
    "records": (("mount -o remount,ro /run", """
mount -o remount,rw /run
for knob in ipv4/conf/eth0/forwarding ipv6/conf/eth0/force_forwarding; do
    [ ! -e "/proc/sys/net/$knob" ] || echo 0 >"/proc/sys/net/$knob"
done
"""),
            {"records": ("warning", "Read-only")}),
    "cgroup": (read_only(""), {"cgroup": ("warning", "Read-only")}),
    "cgroups": (read_only("", "freezer"),
                {"cgroup": ("warning", "Read-only"),
                 "freezer": ("warning", "Read-only")}),
    "firewall": ((FORWARD, "nft delete table inet mine"),
                 {"firewall": ("ok", "in 1 chain")}),
    "names": (resolv_conf("127.0.0.53"),
              {"names": ("warning", "listens at 127.0.0.53")}),
    "one-name-server": (resolv_conf("192.0.2.1", "127.0.0.54"),
                        {"names": ("warning", "listens at 127.0.0.54")}),
    "directory": (('mount -t tmpfs -o ro here "$1"', 'cd /; umount "$1"'),
                  {"output": ("problem", "nsntrace.pcap.*Read-only")}),
}


@pytest.mark.parametrize("how", HOSTS)
def test_host(host, how):
    """What is amiss on the host is told, in its own lines and in no other."""
    scripts, expected = HOSTS[how]
    with broken(host.lab, *scripts):
        changes = host.changes()
        works = host.works()
    assert list(changes) == list(expected), changes
    for name, (status, text) in expected.items():
        assert changes[name][0] == status
        assert re.search(text, changes[name][1]), changes
    assert works == ("problem" not in [line[0] for line in changes.values()])


def test_no_way_out(host):
    """Without any route the rest of the way is not tried; -d lo works."""
    with broken(host.lab, "ip link set eth0 down", """
ip link set eth0 up
ip route add default via 192.0.2.1 dev eth0
ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad
ip -6 addr add fe80::2/64 dev eth0 nodad
ip -6 route add default via 2001:db8:1::1 dev eth0
"""):
        changes = host.changes()
        assert not host.works()
        assert host.look("-d", "lo")["run"][0] == "ok"
    assert changes.pop("route")[0] == "problem"
    assert "unreachable" in changes.pop("names")[1]
    assert {line[1] for line in changes.values()} == {"not tried"}
    assert list(changes) == ["ipv6", "forwarding", "addresses", "mounts",
                             "ports"]


def test_frozen_only_if_asked_for(host):
    """What only --lossless needs is a problem with that alone."""
    with broken(host.lab, *read_only("", "freezer")):
        found = host.look("--lossless")
    assert found["freezer"][0] == "problem"


def test_silent_name_server(host):
    """One that does not answer is not waited for for ever."""
    server = host.lab.server
    server.run(["nft", "table inet deaf { chain i { type filter hook input"
                " priority 0; udp dport 53 drop; }; }"], check=True)
    changes = host.changes()
    server.run(["nft", "delete table inet deaf"], check=True)
    assert list(changes) == ["names"]
    assert changes["names"][:2] == (
        "warning", "the name server 192.0.2.1 does not answer")
    assert host.look("--dns", "127.0.0.99")["names"][1].endswith("127.0.0.99")


def test_closed_table(host):
    """A table that another process owns may drop everything."""
    owner = host.lab.popen(["nft", "-i"], stdin=-1, env={"HOME": host.lab.dir})
    owner.stdin.write("add table inet own { flags owner; }\n"
                      "add chain inet own f { type filter hook forward"
                      " priority 0; policy drop; }\n")
    owner.stdin.flush()
    wait_for(lambda: "drop" in host.lab.sh("nft list ruleset"), 10, "the table")
    changes = host.changes()
    owner.communicate()
    assert list(changes) == ["firewall"]
    assert changes["firewall"][0] == "warning"
    assert "table inet own" in changes["firewall"][1]


def test_leftovers(host):
    """What a killed run has left is told, and where it can be put back."""
    front = host.lab.popen_nsntrace("-o", "left.pcap", "sleep", "1000")
    roles = wait_roles(front.pid)
    wait_for(lambda: alive(host.lab, "sleep", "1000"), 10, "the program")
    os.kill(roles["keeper"], 9)
    front.communicate(timeout=30)
    changes = wait_for(lambda: host.changes(), 10, "leftovers")
    assert list(changes) == ["leftovers"]
    assert changes["leftovers"][0] == "warning"
    assert "--cleanup" in changes["leftovers"][2]
    host.lab.nsntrace("--cleanup", check=True)
    assert host.changes() == {}


def test_mounts(host):
    """Where a name service is to be hidden, it must be possible."""
    with broken(host.lab, "mkdir /run/nscd", "rmdir /run/nscd"):
        assert host.changes()["mounts"][0] == "ok"
        changes = host.changes(prefix=[
            "strace", "-fqqo", "/dev/null", "-e",
            "inject=mount,open_tree,move_mount:error=EPERM"])
    assert list(changes) == ["mounts"] and changes["mounts"][0] == "problem"


def test_no_forwarding_of_single_interfaces(host):
    """A kernel before 6.17 on a host that is no IPv6 router."""
    knob = "/proc/sys/net/ipv6/conf/all/force_forwarding"
    changes = host.changes(prefix=[
        "strace", "-fqqo", "/dev/null", "-P", knob, "-e",
        "inject=access,faccessat,faccessat2:error=ENOENT"])
    assert list(changes) == ["ipv6"]
    assert changes["ipv6"][0] == "warning" and "6.17" in changes["ipv6"][2]


def test_what_no_check_knows_of(host):
    """A run that fails for some other reason: the last line tells it."""
    found = host.look(prefix=["strace", "-fqqo", "/dev/null", "-e",
                              "inject=eventfd2:error=EMFILE"])
    status, text, _ = found.pop("run")
    assert status == "problem"
    assert "cannot create an eventfd: Too many open files" in text
    assert {line[0] for line in found.values()} == {"ok"}


def test_no_legacy_command(lab):
    """Rules that only a command of old can change, which is not installed."""
    host = Host(lab)
    lab.sh("""
iptables-legacy -P FORWARD DROP
mkdir bin
mount --bind /usr/sbin bin
mount -t tmpfs bin /usr/sbin
ln -s "$1"/bin/* /usr/sbin
rm /usr/sbin/iptables-legacy
""", lab.dir)
    changes = host.changes()
    assert list(changes) == ["firewall"]
    status, text, hint = changes["firewall"]
    assert status == "warning" and "by iptables-legacy: No such" in text
    assert "install" in hint
    assert host.works()


def test_port_in_use(host):
    """A port that somebody else has is told, and is not kept."""
    assert host.look("-P", "5201")["ports"][0] == "ok"
    with host.lab.host.here():
        other = socket.create_server(("127.0.0.1", 5201))
    with other:
        changes = host.changes("-P", "5201")
    assert changes["ports"][0] == "problem"
    assert "port 5201/tcp" in changes["ports"][1]


def test_full_output(host):
    """What cannot be written is no success."""
    for option in "--doctor", "--doctor=json":
        done = host.lab.run(["sh", "-c", f'"$0" {option} >/dev/full',
                             host.lab.nsntrace_path])
        assert done.returncode == 125
