# SPDX-License-Identifier: GPL-2.0-or-later
"""Each system call of set-up fails, each by itself, as a recording has them.

A run that cannot be has told one line, with what was tried and why, ends with
125, and has not run the program. What does not matter is listed here, with the
reason. In either case the host is as it was. The same for allocations, of which
only the number is known.

Here it is a sample of them, and all with NSNTRACE_LONG=1.
"""

import errno
import os
import re
import struct

import pytest

from captures import packets
from faults import Fault, environment, part_of, recorded, run, spread
from killing import errors
from lab import LONG
from runs import program
from waiting import wait_for

SAMPLE = 24  # of each kind of run
MEMORY_SAMPLE = 24
PARTS = 12 if LONG else 2
# How often a call is waited for that not every run makes.
ATTEMPTS = 3
SECONDS = 15
FIREWALL = """
table inet theirs {
	chain forward {
		type filter hook forward priority 0; policy drop;
	}
}
"""
OPTIONS = ["-q", "-o", "trace.pcap"]
ECHO = ["/bin/echo", "it has run"]
# Options that between them make every process do all it can.
RUNS = {
    "device": ["-d", "eth0", "-u", "nobody", "-P", "8080", "--lossless", *ECHO],
    "plain": ["-f", "udp or icmp or tcp", "-L", "80", "-b", "files:2",
              "-b", "packets:9", "--use-public-dns", *ECHO],
    "packet": ["--source", "packet", "-F", "pcapng", *ECHO],
}
# How a call can fail on a host that has run out of something, or is broken.
ERRORS = {
    "accept4": ["EMFILE"], "access": ["ENOMEM"], "bind": ["ENOMEM"],
    "capget": ["EPERM"], "capset": ["EPERM"], "chdir": ["EACCES"],
    "clone": ["EAGAIN"], "clone3": ["EAGAIN", "ENOMEM"],
    "close_range": ["ENOMEM"], "connect": ["EAGAIN"], "dup": ["EMFILE"],
    "dup2": ["EBUSY"], "epoll_create1": ["EMFILE"], "epoll_ctl": ["ENOMEM"],
    "epoll_wait": ["ENOMEM"],
    "eventfd2": ["EMFILE"], "faccessat": ["ENOMEM"], "faccessat2": ["ENOMEM"],
    "fchdir": ["EACCES"], "fchmod": ["EIO"], "fcntl": ["EMFILE"],
    "flock": ["ENOLCK"], "fstat": ["EIO"], "ftruncate": ["EIO"],
    "getcwd": ["ENOMEM"], "getdents64": ["EIO"], "getrandom": ["EAGAIN"],
    "getsockname": ["ENOBUFS"], "getsockopt": ["ENOBUFS"],
    "inotify_add_watch": ["ENOSPC"], "inotify_init1": ["EMFILE"],
    "ioctl": ["EPERM"], "listen": ["EADDRINUSE"], "lstat": ["EIO"],
    "memfd_create": ["EMFILE"], "mkdir": ["ENOSPC"], "mmap": ["ENOMEM"],
    "mount": ["EPERM"], "mprotect": ["ENOMEM"], "newfstatat": ["EIO", "ENOMEM"],
    "openat": ["EMFILE", "EIO"], "pidfd_open": ["EMFILE"],
    "pidfd_send_signal": ["EPERM"], "poll": ["ENOMEM"], "ppoll": ["ENOMEM"],
    "prctl": ["EPERM"], "pread64": ["EIO"], "read": ["EIO"],
    "readlink": ["EIO"], "recvfrom": ["ENOMEM", "ENOBUFS"],
    "recvmsg": ["ENOMEM", "ENOBUFS"], "rmdir": ["EBUSY"],
    "sched_setscheduler": ["EPERM"], "seccomp": ["ENOMEM"],
    "sendmsg": ["ENOBUFS"], "sendto": ["ENOBUFS", "EPERM"],
    "setgroups": ["EPERM"], "setns": ["EPERM"], "setpgid": ["EPERM"],
    "setresgid": ["EPERM"], "setresuid": ["EAGAIN"], "setsockopt": ["ENOMEM"],
    "signalfd4": ["EMFILE"], "socket": ["EMFILE", "ENOBUFS"],
    "socketpair": ["EMFILE"], "stat": ["EIO"], "statfs": ["EIO"],
    "statx": ["EIO"], "symlink": ["ENOSPC"], "timerfd_create": ["EMFILE"],
    "umount2": ["EBUSY"], "unlink": ["EROFS"], "unshare": ["ENOSPC", "EPERM"],
    "write": ["EIO", "ENOSPC"], "writev": ["EIO"], "execve": ["ENOMEM"],
}
# Neither do these fail: what they do cannot, or what a failure would mean is
# done all the same (close).
NEVER = set("""
    arch_prctl brk close exit exit_group futex getegid geteuid getgid getgroups
    getpgid getpgrp getpid getppid getresgid getresuid getsid gettid getuid
    kill lseek madvise munmap prlimit64 restart_syscall rseq rt_sigaction
    rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield set_robust_list
    set_tid_address setfsgid setfsuid shutdown sigaltstack sysinfo uname wait4
""".split())
# What a message of netlink asks for (rtnetlink(7), sock_diag(7), nfnetlink.h).
GETLINK, GETROUTE, WHO_LISTENS = "netlink 12", "netlink 1a", "netlink 14"
NEWCHAIN, NEWRULE, GETRULE = "netlink a03", "netlink a06", "netlink a07"
NSS = r"/etc/(nsswitch.conf|passwd|group|ld.so.cache)|/(usr/)?lib/.*"
# Failures with which a run goes on: whose, "+" for a thread, what, and why.
HARMLESS = [
    (r".*", r"fcntl\(\w+,[123],.*", "asks or sets flags, which cannot fail"),
    (r".*", r"prctl\(f,.*", "a process without its name"),
    (r"keeper", r"prctl\(24,1,.*", "to be a subreaper cannot fail"),
    (r"program", r"prctl\(1,9,.*", "PDEATHSIG is the last of several nets"),
    (r".*", r"prctl\(17,.*|.* /proc/\d+/status \w+",
     "libcap-ng has other ways to find capabilities, and the end is verified"),
    (r".*", r"setsockopt\(\w+,10e,(a|b|c)\).*",
     "netlink says less about errors, and checks less"),
    (r".*", r"p?poll\(.*", "waits again"),
    (r"keeper|tracer|relay", r"chdir\(.* / .*|setpgid\(0,0,.*|"
     r"(dup2\(\w+,[012],.*|openat\(.*) /dev/null \w+",
     "holds directory, job or terminal of the user's until it ends"),
    (r"tracer|relay", r"close_range\(.*", "closes one by one"),
    # The C library.
    (r"front", rf"\w+\(.*\) ({NSS}) \w+",
     "another service knows users; of groups it does not tell"),
    (r"front", r"socket\(1,80801,.*|connect\(\w+,\w+,6e\).*",
     "does without nscd"),
    (r"front", r"mprotect\(.*", "does without that NSS module"),
    (r"keeper", r"\w+\(.*(/etc/localtime|/usr/share/zoneinfo/.*) \w+",
     "tells the time of UTC in a name"),
    (r"tracer\+?", r"mmap\(\w+,\w+,[03]\).*|mprotect\(.*", "another arena"),
    # What is looked at.
    (r"front", r"newfstatat\(.* (trace.pcap|/bin/echo|/|pipe.*|/dev/null) \w+",
     "looks only for what opening or executing it would tell too"),
    (r"front|keeper", r"access\(.* (/proc/(sys/)?net/.*|/(var/)?run/.*) \w+",
     "takes it to be there"),
    (r"front", r"\w+\(.* (/proc/(self|\d+)/(mountinfo|cgroup)|/sys/fs/cgroup.*)"
     r" \w+", "a host without such a cgroup"),
    (r"front|tracer\+|keeper", r"(openat\(\w+,\w+,80000|read\().*"
     r" /proc/sys/net/.*", "what cannot be read is not so: a default, or no "
     r"IPv6, or it is set once more"),
    (r"tracer\+", r"(write|openat)\(.* /proc/sys/net/(ipv4|core)/.*",
     "the kernel's own limits, not those of the host"),
    (r"front", r"ioctl\(.*", "no terminal"),
    (r"front", rf"(sendto|recvmsg)\(.* {GETROUTE} .*",
     "looks up another address, then the tables"),
    # keeper.
    (r"keeper", r"(mkdir|openat)\(.*(cgroup|/nsntrace-\d+-).*",
     "a host without such a cgroup"),
    (r"keeper", r"(openat|getdents64|newfstatat)\(.* /run/nsntrace(/\d+)? \w+",
     "the next start puts back what killed runs left"),
    (r"keeper", r"newfstatat\(.* /run/nsntrace/.*",
     "what cannot be looked at has not been removed"),
    (r"keeper", r"getsockopt\(\w+,1,47\).*", "a kernel without cookies"),
    (r"keeper", rf"timerfd_create\(.*|read\(.* anon_inode:\[timerfd\] .*|"
     rf"(sendto|recvmsg)\(.* {NEWCHAIN} .*",
     "nobody tells that nothing gets through"),
    (r"keeper", rf"sendto\(.* ({GETRULE}|{NEWRULE}) EPERM",
     "a table that has an owner, which is told if nothing gets through"),
    (r"keeper", rf"(sendto|recvmsg)\(.* {GETLINK} .*", "finds DEV by its number"),
    (r"keeper", rf"(sendto|recvmsg)\(.* {GETROUTE} .*",
     "has answers led back by a rule that might not be needed"),
    (r"keeper", r"setsockopt\(\w+,1,1a\).*", "hears of more than it needs"),
    (r"keeper", r"recvmsg\(.* socket:.* ENOBUFS",
     "has missed something, and looks at all anew"),
    (r"keeper", r".* /proc/\w+/net/ip6?_tables_names \w+",
     "a firewall that is not seen is told if nothing gets through"),
    (r"keeper", r"ioctl\(\w+,541b,.*", "may tell one line too many"),
    (r"keeper", r"\w+\(.* /proc/\w+/fd \w+",
     "holds what the shell opened until it ends"),
    (r"keeper|program", r"(newfstatat|readlink)\(.* /etc/resolv.conf \w+",
     "no link, no change"),
    (r"program", r"readlink\(.*", "no link that something could lead to"),
    # tracer.
    (r"tracer", rf"(sendto|recvmsg)\(.* {GETROUTE} .*",
     "asks for other addresses; EPERM is an answer"),
    (r"tracer", rf"(sendto|recvmsg)\(.* {GETLINK} .*",
     "what is not counted is not compared"),
    (r"tracer\+", r"setsockopt\(\w+,1,21\).*", "a smaller buffer will do"),
    (r"tracer", r"sched_setscheduler\(.*", "no haste, or too much of it"),
    (r"tracer", r"clone3?\(.*|eventfd2\(.*", "the brake acts without a thread"),
    (r"tracer\+", r"read\(\w+,\w+,8\) anon_inode:\[eventfd\] .*",
     "what only the process itself writes to cannot fail"),
    (r"tracer", r"newfstatat\(.* /tmp/.*/trace\S* \w+",
     "a file that cannot be cut to whole packets"),
    (r"tracer\+?", r".* /sys/class/net/.*|eventfd2\(.*|ioctl\(\w+,89(10|33),.*|"
     r"socket\(10,3,10\).*|getsockopt\(\w+,(1,30|107,6)\).*",
     "libpcap: no wireless device, no switch, no way to interrupt it"),
    (r"tracer\+?", r"setsockopt\(\w+,107,5\).*", "libpcap takes a smaller ring"),
    # The relays.
    (r"relay", rf"(sendto|recvmsg)\(.* {WHO_LISTENS} .*|socket\(10,.*|"
     r"(bind|getsockname)\(\w+,\w+,\w+\) socket:.*",
     "looks later who listens on this host"),
    (r".*", r"setresuid\(0,0,0\).*", "is tried, and is to fail"),
]
# Of these the user hears by a warning.
WARNED = [(r"keeper", r"inotify_add_watch\(.*", "/etc is not followed")]
# Lines whose reason is not this one: whose, what, and why.
OTHERWISE = [
    (r".*", r"write\(.* /memfd:sandbox.*", "libseccomp does not pass it on"),
    (r"tracer\+?", r"setsockopt\(\w+,1,(23|40)\).*", "nor does libpcap"),
    (r"tracer\+?", r"(mmap|mprotect|clone3?)\(.*",
     "pthread_create(3) says EAGAIN to all"),
]
# Such have been wrong before.
PINNED = (r"keeper (openat|flock|access)\(.*/(sysctl|sys/net).*|"
          r"(relay|keeper) setgroups\(.*|front recvmsg\(.* socket.*|"
          rf"keeper sendto\(.* netlink 18 .*")


def text_of(call, error):
    """A call as one line: what the patterns above match."""
    return f"{call.name}({','.join(call.args)}) {call.operand} {error}"


def listed(table, call, error):
    who = call.role + "+" * ("+" in call.key)
    return any(re.fullmatch(role, who) and re.fullmatch(what, text_of(call, error))
               for role, what, _ in table)


class Broken:
    """A host with all that a run has to do with, and its state."""

    def __init__(self, lab):
        self.lab = lab
        lab.resolv_conf("nameserver 127.0.0.53\n")
        lab.run(["nft", "-f", "-"], input=FIREWALL, check=True)
        self.recordings = {}
        self.before = lab.state()

    def recording(self, name):
        if name not in self.recordings:
            self.recordings[name] = recorded(self.lab, *OPTIONS, *RUNS[name])
            self.is_as_it_was()
        return self.recordings[name]

    def is_as_it_was(self):
        for name in self.lab.dir.iterdir():
            name.unlink()
        # The cheap looks first; the state takes a while to be read.
        wait_for(lambda: not self.lab.path("/run/nsntrace").exists(), SECONDS,
                 "end of the records")
        self.lab.wait_state(self.before, SECONDS)

    def changes(self):
        """How the host is not as it was, if it is not; and heal it."""
        try:
            self.is_as_it_was()
        except AssertionError as unlike:
            left = self.lab.sh("find /run/nsntrace -type f -print -exec cat {} +"
                               " 2>&1 || true")
            self.lab.nsntrace("-q", "--sync", "-o", "next.pcap", "true")
            self.is_as_it_was()
            return [f"{unlike}\n{left}"]
        return []

    def fail(self, name, call, error):
        """Run with this failure -> what was wrong, or None: there was none."""
        made = self.recording(name)
        done = run(self.lab, [Fault(call.key, call.name, call.nth, error)],
                   *OPTIONS, *RUNS[name], known=made.roles)
        wrong = []
        # The number may have been that of a later call.
        hit = done.hits and done.calls[done.hits[0]]
        if hit and hit.phase != "set-up":
            hit = None
        if hit:
            wrong = self.check(done, reason_of(hit, error),
                               listed(HARMLESS, hit, error),
                               listed(WARNED, hit, error))
        wrong += self.changes()
        if not hit and not wrong:
            return None
        return [f"{hit} {error}: {one}" for one in wrong]

    def check(self, done, words, harmless, warned=False, late=False):
        """What is wrong with how a run with a failure has ended, which may have
        come @late, when the program had run."""
        told = errors(done.stderr)
        ran = "it has run" in done.stdout
        end = f" {done.returncode} {done.stderr}"
        # Sanitizers, and libraries that talk.
        if not all(line.startswith("nsntrace: ")
                   for line in done.stderr.splitlines()):
            return [end]
        if late and ran and done.returncode in (0, 125) and len(told) <= 1:
            return []
        if done.returncode == 0:
            if not harmless and not warned:
                return ["goes on, and is not listed"]
            if len(told) != warned or not ran:
                return [end]
            packets(next(self.lab.dir.glob("trace*")))
            return []
        if done.returncode not in (125, 126) or ran or len(told) != 1:
            return [end]
        if not any(word in told[0] for word in words):
            return ["no reason" + end]
        return []


def reason_of(call, error):
    """What the line is to tell, one of them."""
    if listed(OTHERWISE, call, error):
        return [""]
    return [os.strerror(getattr(errno, error))]


@pytest.fixture(scope="module")
def broken(lab_module):
    made = Broken(lab_module)
    yield made


def candidates(calls):
    never = set(NEVER)
    # What sanitizers map is more than all else, and they give up without it.
    if any(re.search(r"lib[at]san", call.operand) for call in calls):
        never |= {"mmap", "mprotect"}
    return [(call, error) for call in calls
            if call.phase == "set-up" and call.name not in never
            for error in ERRORS[call.name]]


def sample(cases):
    """Some from everywhere, and of what has been wrong before."""
    pinned = [case for case in cases
              if re.fullmatch(PINNED, case[0].role + " " + text_of(*case))]
    return spread(pinned, SAMPLE // 4) + spread(cases, SAMPLE - SAMPLE // 4)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", RUNS)
def test_call_fails(broken, name, part):
    cases = candidates(broken.recording(name).calls)
    if not LONG:
        cases = sample(cases)
    cases = [case for case in cases if part_of(case[0], PARTS) == part]
    wrong, hits = [], 0
    for call, error in cases:
        result = None
        for _ in range(ATTEMPTS):
            if result is None:
                result = broken.fail(name, call, error)
        hits += result is not None
        wrong += result or []
    assert not wrong, "\n".join(wrong)
    assert hits >= 0.75 * len(cases), f"{hits} of {len(cases)} have failed"


def memory_is_short(lab, nth):
    """A run whose nth allocation fails -> (it, how many there were)."""
    shim = lab.base / "no_memory.so"
    if not shim.exists():
        lab.run(["gcc", "-D_GNU_SOURCE", "-O", "-shared", "-fPIC", "-o", shim,
                 program("no_memory.c")], check=True)
    counts = lab.dir / "counts"
    counts.write_bytes(struct.pack("=QQ", nth, 0))
    sanitizer = environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    done = lab.nsntrace(*OPTIONS, *RUNS["device"], env={
        "LD_PRELOAD": shim, "NO_MEMORY": counts, "ASAN_OPTIONS": sanitizer})
    return done, struct.unpack("=QQ", counts.read_bytes())[1]


@pytest.mark.parametrize("part", range(PARTS))
def test_no_memory(broken, part):
    """Whoever gets no memory says so, unless it can do without."""
    done, total = memory_is_short(broken.lab, 0)
    assert (done.returncode, done.stderr) == (0, "") and total > 100
    broken.is_as_it_was()
    cases = range(1, total + 1)
    if not LONG:
        cases = spread(cases, MEMORY_SAMPLE)
    wrong = []
    for nth in cases[part::PARTS]:
        done, count = memory_is_short(broken.lab, nth)
        if count >= nth:
            # A rule that lacks a word is turned down by the kernel.
            wrong += [(nth, one) for one in broken.check(
                done, ["memory", "cannot add"], True, late=True)]
        wrong += [(nth, unlike) for unlike in broken.changes()]
    assert not wrong, "\n".join(str(one) for one in wrong)
