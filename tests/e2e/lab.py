# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away pretend host, made of namespaces only, and what tests do with it.

    host (net, mount, pid, uts, ipc)                    server (net)
    eth0 192.0.2.2/24, 2001:db8:1::2/64   <-- veth -->  eth0 192.0.2.1, 2001:db8:1::1
    default routes by eth0                              lo 203.0.113.80, 2001:db8:80::80

The host has /run, /tmp, /root, /home, /dev, /etc, /proc and /sys of its own: a
test may write, replace and remove anything there as root. Everything dies with
the lab, which dies with the test process. The directory of the tests is at /mnt
(HERE), as its own path may be one of those.

LONG is whether tests of which a sample is taken are to be done in full.

On the host (fixture `lab`; `lab_module` lives as long as a test file):

    lab.dir                  work directory, the same path inside and outside
    lab.path("/etc/hosts")   a file of the host as the test process can open it
    lab.run(argv, user=, env=, cwd=, input=, timeout=, check=, text=)
                             -> subprocess.CompletedProcess; cwd is lab.dir.
                             env adds to a clean environment, None takes out
    lab.popen(argv, ...)     -> subprocess.Popen: pid is the program's own, as
                             seen from outside; pipes unless told otherwise; a
                             session of its own
    lab.nsntrace(*args), lab.popen_nsntrace(*args)      the same for $NSNTRACE,
                             which is lab.nsntrace_path there for any user;
                             with lab.source, if that is set (see conftest.py),
                             on a lab.kernel that has less (see lacking.py)
    lab.pty(argv, ...)       -> Pty: send, expect, resize, wait, close, pid
    lab.hang_up()            close all of them
    lab.sh(script)           run a shell script, which must succeed -> its stdout
    lab.sysctl(name[, value])
    lab.resolv_conf(text)    replace it; text None: there is none;
                             link="/run/x/y": text goes there, and a link to it
                             (users: alice, 1234, also in staff, 50; nobody)
    lab.state()              -> dict of texts, equal for an untouched host
    lab.wait_state(before)   until the state is as before, or fail with a diff
    lab.processes()          -> list of Process, pid as seen from outside
    lab.add_uplink("eth1")   -> a second server, 198.51.100.1 and 2001:db8:2::1

Servers are started on a `Net` (lab.server, lab.uplinks["eth1"], or lab.host)
and are ready when the call returns:

    net.run, net.popen, net.serve(name, argv, tcp=, udp=)
    net.here()               context manager: this thread's new sockets are there
    net.udp_sink(port)       -> UdpSink: count() of the datagrams so far
    net.http()               -> Http: url(name), files {name: sha256}, git(name)
    net.dns_server()         www.example.test, big.example.test (TXT, needs TCP)
    net.dnsmasq(addresses, device="lo")    a resolver bound as systemd's is
    net.iperf3(), net.sshd() -> Sshd: command(host, *argv)

lab.http() and so on are those of lab.server; lab.dnsmasq() is the host's own.
"""

import contextlib
import ctypes
import difflib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import termios
import time
from collections import namedtuple
from pathlib import Path

from servers import Servers
from terminal import Pty
from waiting import wait_for

# Set by ./check --long.
LONG = os.environ.get("NSNTRACE_LONG") == "1"

INTERNET = ("203.0.113.80", "2001:db8:80::80")  # every server answers there

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_HERE = Path(__file__).resolve().parent
# The same on the host, which may not see where these sources are.
HERE = Path("/mnt")

Process = namedtuple("Process", "pid inner ppid state args")


def _setns(fd, kinds):
    if _libc.setns(fd, kinds) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _cgroup2():
    """Our own cgroup's directory in the unified hierarchy, or None."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        if right.startswith("cgroup2 "):
            for own in Path("/proc/self/cgroup").read_text().splitlines():
                if own.startswith("0::"):
                    return Path(left.split()[4] + own[3:])
    return None


class Net(Servers):
    """A network namespace of the lab; its programs live on the pretend host."""

    def __init__(self, lab, fd, addresses):
        self.lab = lab
        self.fd = fd
        self.addresses = addresses

    def popen(self, argv, **options):
        return self.lab.popen(argv, net=self, **options)

    def run(self, argv, **options):
        return self.lab.run(argv, net=self, **options)

    @contextlib.contextmanager
    def here(self):
        """Sockets that this thread makes inside belong to this namespace."""
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _setns(self.fd, CLONE_NEWNET)
            yield self
        finally:
            _setns(ours, CLONE_NEWNET)
            os.close(ours)


class Lab:
    def __init__(self, source=None):
        self.source = ["--source", source] if source else []
        self.kernel = []
        self._processes = []
        self._ptys = []
        self.uplinks = {}
        self.program = Path(os.environ["NSNTRACE"]).resolve()
        self.base = Path(tempfile.mkdtemp(prefix="nsntrace-lab-", dir="/tmp"))
        self.base.chmod(0o755)
        for name in ("bin", "work", "servers"):
            (self.base / name).mkdir()
        self.dir = self.base / "work"
        self.nsntrace_path = self.base / "bin" / self.program.name
        own = _cgroup2()
        self.cgroup = own / self.base.name if own else None
        if self.cgroup:
            self.cgroup.mkdir()
        self._boot()

    def _boot(self):
        log = open(self.base / "log", "w", encoding="utf-8")
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork",
             "--kill-child", "--mount-proc", "--propagation", "private",
             "sh", str(_HERE / "host.sh"), str(self.base),
             str(self.program.parent), str(_HERE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            preexec_fn=self._join_cgroup, start_new_session=True)
        if self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError("the pretend host did not start: "
                               + (self.base / "log").read_text())
        holder = self._holder.pid
        children = Path(f"/proc/{holder}/task/{holder}/children").read_text()
        self.init = int(children.split()[0])
        self._pidfd = os.pidfd_open(self.init)
        self._pidns = os.open(f"/proc/{self.init}/ns/pid", os.O_RDONLY)
        self.host = Net(self, os.open(f"/proc/{self.init}/ns/net", os.O_RDONLY),
                        ("192.0.2.2", "2001:db8:1::2"))
        self.server = self.add_uplink("eth0", metric=None)
        self.http = self.server.http
        self.dns_server = self.server.dns_server
        self.iperf3 = self.server.iperf3
        self.sshd = self.server.sshd
        self.udp_sink = self.server.udp_sink
        self.dnsmasq = self.host.dnsmasq

    def path(self, name):
        """Where the test process finds a path of the host (no absolute links)."""
        return Path(f"/proc/{self.init}/root{name}")

    # -- programs -----------------------------------------------------------

    def _join_cgroup(self):
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text("0")

    def _entry(self, name):
        for line in self.path("/etc/passwd").read_text().splitlines():
            entry = line.split(":")
            if str(name) in (entry[0], entry[2]):
                return entry
        raise KeyError(f"the lab has no user {name}")

    def _groups(self, entry):
        lines = self.path("/etc/group").read_text().splitlines()
        return [int(entry[3])] + [
            int(group[2]) for group in (line.split(":") for line in lines)
            if entry[0] in group[3].split(",") and group[2] != entry[3]]

    def _environment(self, entry, changes):
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
                        ":/sbin:/bin",
                "HOME": entry[5], "USER": entry[0], "LOGNAME": entry[0],
                "SHELL": entry[6], "LANG": "C.UTF-8", "TERM": "xterm"}
        base.update((name, value) for name, value in os.environ.items()
                    if name.endswith("SAN_OPTIONS"))
        base.update(changes or {})
        return {name: str(value) for name, value in base.items()
                if value is not None}

    def popen(self, argv, *, user="root", env=None, cwd=None, net=None,
              controlling=False, text=True, **options):
        """Start a program on the host; see the top of this file."""
        entry = self._entry(user)
        groups = self._groups(entry)

        def enter():
            # Whoever started the tests may have had some ignored.
            for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT,
                          signal.SIGTERM, signal.SIGCHLD):
                signal.signal(signo, signal.SIG_DFL)
            self._join_cgroup()
            _setns(self._pidfd,
                   CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET)
            if net:
                _setns(net.fd, CLONE_NEWNET)
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.setgroups(groups)
            os.setresgid(*[int(entry[3])] * 3)
            os.setresuid(*[int(entry[2])] * 3)
            os.chdir(cwd or self.dir)

        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        if text:
            options.update(encoding="utf-8", errors="replace")
        # Only children enter a pid namespace: the next ones of this thread.
        ours = os.open("/proc/thread-self/ns/pid", os.O_RDONLY)
        _setns(self._pidns, CLONE_NEWPID)
        try:
            process = subprocess.Popen(
                [str(word) for word in argv], preexec_fn=enter,
                start_new_session=True, env=self._environment(entry, env),
                **options)
        finally:
            _setns(ours, CLONE_NEWPID)
            os.close(ours)
        self._processes.append(process)
        return process

    def run(self, argv, *, input=None, timeout=30, check=False, **options):
        """Run a program on the host to its end."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        process = self.popen(argv, **options)
        try:
            out, err = process.communicate(input, timeout)
        except subprocess.TimeoutExpired as expired:
            here = "\n".join(str(one) for one in self.processes())
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(
                f"{argv} not done after {timeout} s\nstdout: {expired.stdout!r}\n"
                f"stderr: {expired.stderr!r}\nprocesses:\n{here}") from None
        assert not check or process.returncode == 0, (
            f"{argv}: status {process.returncode}\n{out}\n{err}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def nsntrace(self, *args, **options):
        return self.run([*self.kernel, self.nsntrace_path, *self.source, *args],
                        **options)

    def popen_nsntrace(self, *args, **options):
        return self.popen([*self.kernel, self.nsntrace_path, *self.source, *args],
                          **options)

    def pty(self, argv, **options):
        self._ptys.append(Pty(self, argv, **options))
        return self._ptys[-1]

    def sh(self, script, *args, **options):
        return self.run(["sh", "-euc", script, "sh", *args], check=True,
                        **options).stdout

    # -- the host -----------------------------------------------------------

    def add_uplink(self, name, metric=200, gateway=True):
        """Another way out of the host, with a server of its own behind it."""
        n = len(self.uplinks)
        v4 = ("192.0.2", "198.51.100", "203.0.113")[n]
        v6 = f"2001:db8:{n + 1}:"
        metric = f"metric {metric}" if metric else ""
        holder = self.popen(["unshare", "--net", "sh", "-c", "echo; exec cat"],
                            stdin=subprocess.PIPE)
        holder.stdout.readline()
        server = Net(self, os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY),
                     (f"{v4}.1", f"{v6}:1"))
        end = f"/proc/self/fd/{server.fd}"
        # No duplicate address detection: all is usable, and quiet, at once.
        self.run(["ip", "-batch", "-"], check=True, pass_fds=[server.fd], input=f"""
link add {name} type veth peer name eth0 netns {end}
link set {name} addrgenmode none
link set {name} up
addr add {v4}.2/24 dev {name}
addr add {v6}:2/64 dev {name} nodad
addr add fe80::2/64 dev {name} nodad
""")
        server.run(["ip", "-batch", "-"], check=True, input=f"""
link set lo up
addr add {INTERNET[0]}/32 dev lo
addr add {INTERNET[1]}/128 dev lo nodad
link set eth0 addrgenmode none
link set eth0 up
addr add {v4}.1/24 dev eth0
addr add {v6}:1/64 dev eth0 nodad
addr add fe80::1/64 dev eth0 nodad
""")
        if gateway:
            self.run(["ip", "-batch", "-"], check=True, input=f"""
route add default via {v4}.1 dev {name} {metric}
route add default via {v6}:1 dev {name} {metric}
""")
        # The kernel adds these in its own time, on a busy machine much later.
        wait_for(lambda: {f"{v6}:2", "fe80::2"} <= set(
            self.sh('ip -6 route show table local dev "$1"', name).split()),
            30, "local routes")
        holder.communicate()
        # The kernel adds these in a while; what is seen is to stay as it is.
        wait_for(lambda: self.sh('ip -6 route show table local dev "$1"', name
                                 ).count("local ") == 2, 30, "local routes")
        self.uplinks[name] = server
        return server

    def sysctl(self, name, value=None):
        path = "/proc/sys/" + name.replace(".", "/")
        if value is not None:
            self.sh('echo "$2" >"$1"', path, str(value))
        return self.sh('cat "$1"', path).strip()

    def resolv_conf(self, text, link=None):
        real = link or "/etc/resolv.conf"
        self.path("/etc/resolv.conf").unlink(missing_ok=True)
        if text is None:
            return
        self.path(real).parent.mkdir(parents=True, exist_ok=True)
        new = self.path(real + ".new")
        new.write_text(text)
        new.rename(self.path(real))
        if link:
            self.path("/etc/resolv.conf").symlink_to(".." + link)

    def processes(self):
        """Every process of the host, the state's own commands excepted."""
        ours = os.fstat(self._pidns).st_ino
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/ns/pid").st_ino != ours:
                    continue
                fields = dict(line.split(":\t", 1) for line in Path(
                    f"/proc/{pid}/status").read_text(errors="replace").splitlines()
                    if ":\t" in line)
                args = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
            found.append(Process(
                int(pid), int(fields["NSpid"].split()[-1]), int(fields["PPid"]),
                fields["State"][0],
                args.decode(errors="replace").split("\0")[:-1]
                or [f"[{fields['Name']}]"]))
        return sorted(found)

    def state(self):
        """All that a run could leave behind, as texts by subject."""
        # What ended but was not waited for by the test is no concern of it.
        state = {"processes": "".join(
            f"{one.inner} {' '.join(one.args)}\n" for one in self.processes()
            if not (one.state == "Z" and one.ppid == os.getpid()))}
        text = self.run(["sh", "-eu", HERE / "state.sh", self.cgroup or ""],
                        check=True).stdout
        for part in re.split("^== ", text, flags=re.M)[1:]:
            name, _, content = part.partition("\n")
            state[name] = content
        return state

    def wait_state(self, before, timeout=5):
        deadline = time.monotonic() + timeout
        while True:
            now = self.state()
            if now == before:
                return
            if time.monotonic() > deadline:
                raise AssertionError("the host is not as it was:\n"
                                     + diff(before, now))

    # -- the end ------------------------------------------------------------

    def hang_up(self):
        """Close all terminals."""
        for pty in self._ptys:
            pty.close()
        self._ptys.clear()

    def close(self):
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        # The host ends when the last of its dead is buried, ours first.
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self._holder.communicate()
        self.hang_up()
        for net in {self.host, *self.uplinks.values()}:
            os.close(net.fd)
        os.close(self._pidfd)
        os.close(self._pidns)
        if self.cgroup:
            self._remove_cgroup()
        # The binds were made in a mount namespace that is gone.
        assert str(self.base) not in Path("/proc/self/mountinfo").read_text()
        shutil.rmtree(self.base)

    def _remove_cgroup(self):
        wait_for(lambda: "populated 0" in
                 (self.cgroup / "cgroup.events").read_text(),
                 what="empty cgroup")
        for path, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(path)


def diff(before, now):
    """What differs between two states, readable."""
    lines = []
    for name in sorted({*before, *now}):
        lines += difflib.unified_diff(
            before.get(name, "").splitlines(), now.get(name, "").splitlines(),
            f"{name} before", f"{name} now", n=0, lineterm="")
    return "\n".join(lines)
