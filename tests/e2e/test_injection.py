# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that a run needs fail once: what is told, to the letter.

test_injection_all.py has all the others. strace counts the calls of each process
by itself, so that a number can mean one call in each of several; these are made
by one process only, or one of them fails first.
"""

import re

import pytest

from faults import Fault, recorded, run
from killing import SECONDS, errors, strace

RING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *(*next)(void *, size_t, int, int, int, off_t) =
		(void *(*)(void *, size_t, int, int, int, off_t))
			dlsym(RTLD_NEXT, "mmap");

	if (fd >= 0 && (flags & MAP_SHARED) && (prot & PROT_WRITE)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return next(at, size, prot, flags, fd, offset);
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return mmap64(at, size, prot, flags, fd, offset);
}
"""
SYSCTL = "/proc/sys/net/ipv4/conf/eth0/forwarding"
# What fails, how, and the line that tells; a path restricts it to one file.
CASES = [
    ("unshare:error=EPERM", "",
     "cannot make a network namespace: Operation not permitted"),
    ("unshare:error=ENOSPC", "",
     "cannot make a network namespace: No space left on device"),
    ("setns:error=EINVAL", "", "cannot enter the network namespace: Invalid .*"),
    ("clone:error=EAGAIN", "", "cannot fork: Resource temporarily unavailable"),
    ("clone3:error=EAGAIN", "",
     "cannot (make a process for '/bin/true'|.*thread.*): Resource temp.*"),
    ("socketpair:error=EMFILE", "", "cannot make a socket pair: Too many .*"),
    ("signalfd4:error=EMFILE", "", "cannot read signals: Too many open files"),
    # Of the further ones there are some in several processes at once.
    ("socket:error=EMFILE:when=1", "", "cannot .*: Too many open files"),
    ("sendto:error=EPERM:when=1", "", "cannot .*: Operation not permitted"),
    ("bind:error=EADDRINUSE", "", "cannot open a route netlink socket: .*"),
    ("mkdir:error=ENOSPC:when=2", "",
     "cannot open /run/nsntrace/.*: No space left on device"),
    ("flock:error=ENOLCK", "", "cannot lock /run/nsntrace/.*: No locks available"),
    ("openat:error=EIO", "trace.pcap",
     "cannot write to 'trace.pcap': Input/output error"),
    ("ftruncate:error=EIO", "",
     "cannot truncate 'trace.pcap': Input/output error"),
    ("write:error=EACCES", SYSCTL,
     "cannot set net/ipv4/conf/eth0/forwarding=1: Permission denied"),
    ("setsockopt:error=ENOMEM:when=3", "",
     "cannot capture on eth0: .*TPACKET_V3.*: Cannot allocate memory"),
    ("setsockopt:error=ENOMEM:when=8", "",
     "cannot capture on (eth0|lo): .*Cannot allocate memory"),
    ("setgroups:error=EPERM", "", "cannot set groups: Operation not permitted"),
    ("setresgid:error=EPERM", "", "cannot become group .*: Operation not perm.*"),
    ("setresuid:error=EAGAIN", "",
     "cannot become user .*: Resource temporarily unavailable"),
    ("capset:error=EPERM", "", "cannot drop capabilities: Operation not perm.*"),
    ("eventfd2:error=EMFILE", "", "cannot create an eventfd: Too many open files"),
]
EXEC = [("EACCES", 126, "Permission denied"),
        ("ENOMEM", 126, "Cannot allocate memory"),
        ("ENOENT", 127, "No such file or directory")]


@pytest.fixture(scope="module")
def host(lab_module):
    lab_module.before = lab_module.state()
    return lab_module


def inject(lab, what, path, argv):
    """Run with the failure; it must have happened."""
    only = ["-P", path] if path else []
    done = strace(lab, *only, "-e", f"inject={what}", lab.nsntrace_path, "-q",
                  "-o", "trace.pcap", *argv, timeout=15)
    assert "(INJECTED)" in (lab.dir / "strace.log").read_text()
    return done


def is_as_it_was(lab):
    for name in lab.dir.iterdir():
        name.unlink()
    lab.wait_state(lab.before, SECONDS)


def tells(done, status, line):
    told = errors(done.stderr)
    assert len(told) == 1, done.stderr
    assert re.fullmatch("nsntrace: " + line, told[0]), told
    assert done.returncode == status, done


@pytest.mark.parametrize("what,path,line", CASES,
                         ids=[what + path for what, path, _ in CASES])
def test_fails(host, what, path, line):
    """One error line with what was tried and why, 125, nothing stays."""
    done = inject(host, what, path,
                  ["-u", "nobody", "-d", "eth0", "--dns", "192.0.2.1", "/bin/true"])
    tells(done, 125, line)
    is_as_it_was(host)


@pytest.mark.parametrize("error,status,reason", EXEC)
def test_exec_fails(host, error, status, reason):
    """126, and 127 for what is not there (any more)."""
    done = strace(host, "-P", "/bin/true", "-e", f"inject=execve:error={error}",
                  host.nsntrace_path, "-q", "/bin/true")
    assert "(INJECTED)" in (host.dir / "strace.log").read_text()
    tells(done, status, f"cannot execute '/bin/true': {reason}")
    is_as_it_was(host)


def test_ring_cannot_be_mapped(host):
    """The ring needs memory that the machine may not have."""
    shim = host.base / "no-ring.so"
    host.run(["gcc", "-shared", "-fPIC", "-o", shim, "-xc", "-"], input=RING,
             check=True)
    done = host.nsntrace("-q", "/bin/true", env={
        "LD_PRELOAD": shim, "ASAN_OPTIONS": "verify_asan_link_order=0"})
    tells(done, 125, "cannot capture on (eth0|lo): .*: Cannot allocate memory")
    is_as_it_was(host)


def test_cgroup_cannot_be_made(host):
    """A run goes on without a cgroup."""
    done = inject(host, "mkdir:error=EACCES:when=3", "", ["/bin/true"])
    assert (done.returncode, done.stderr) == (0, "")
    is_as_it_was(host)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("who", ["front", "keeper", "tracer", "program"])
def test_message_is_lost(host, who, nth):
    """Who could not send it says so, and nobody waits for it for ever."""
    key = recorded(host, "-q", "/bin/true").keys[who]
    done = run(host, [Fault(key, "sendmsg", nth, "ENOBUFS")], "-q", "/bin/true")
    if done.hits:
        tells(done, 125, "cannot reach another process of this run: No buffer.*")
    else:
        assert nth > 1 and (done.returncode, done.stderr) == (0, "")
    is_as_it_was(host)


@pytest.mark.parametrize("lost", [
    # A message, then the line about it where it is passed on.
    [("tracer", 1), ("keeper", 1)],
    [("tracer", 1), ("tracer", 2), ("keeper", 1)],
    [("program", 1), ("program", 2)],
], ids=str)
def test_line_is_lost(host, lost):
    """Whoever is left says that there was something to be told."""
    keys = recorded(host, "-q", "/bin/true").keys
    done = run(host, [Fault(keys[who], "sendmsg", nth, "ENOBUFS")
                      for who, nth in lost], "-q", "/bin/true")
    assert len(done.hits) == len(lost)
    tells(done, 125, "the run has failed, and the line that told why was lost")
    is_as_it_was(host)
