# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile.py WHAT [ARGUMENT]...: a program that means harm, and tells how it went.

udp ADDRESS PORT N    N datagrams to as many ports, as fast as possible
syn ADDRESS PORT N    N segments that open connections, from as many ports
knock ADDRESS PORT N  the same by connect(2), which needs no rights
frames N              N Ethernet frames that are malformed in every way
pry [HOW]...          read, write and trace the processes that trace it
signal NAME [ROLE]... send them a signal, or those of them that are named
nag                   stop the tracer and the relay as long as they are there
bomb N                children that have children, while there are less than N
hold ADDRESS PORT N   N connections at once, held to the end
ask ADDRESS N         N datagrams to port 53 from as many sockets
grab                  leave the terminal to a child, which keeps it
clog                  leave the standard streams full and non-blocking
The answer is one line, a JSON object.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import resource
import signal
import socket
import struct
import sys
import termios
import time
from pathlib import Path

PTRACE_ATTACH = 16
SYS_PIDFD_GETFD = 438
libc = ctypes.CDLL(None, use_errno=True)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error))


def no_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def udp(address, port, number):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent = 0
    for i in range(int(number)):
        with contextlib.suppress(OSError):
            sender.sendto(b"flood %06d" % i, (address, int(port) + i % 1000))
            sent += 1
    return sent


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def own_address(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return socket.inet_aton(probe.getsockname()[0])


def syn(address, port, number):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    pseudo = own_address(address) + socket.inet_aton(address) + struct.pack(
        ">HH", socket.IPPROTO_TCP, 20)
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes(4),
                         socket.inet_aton(address))
    sent = 0
    for i in range(int(number)):
        segment = struct.pack(">HHIIBBHHH", 1024 + i % 60000, int(port), i, 0,
                              0x50, 2, 1024, 0, 0)
        sum_ = checksum(pseudo + segment)
        with contextlib.suppress(OSError):
            raw.sendto(header + segment[:16] + struct.pack(">H", sum_)
                       + segment[18:], (address, 0))
            sent += 1
    return sent


def knock(address, port, number):
    begun = 0
    for _ in range(int(number)):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                       struct.pack("ii", 1, 0))
        begun += one.connect_ex((address, int(port))) in (0, errno.EINPROGRESS)
        one.close()
    return begun


def frame(noise, i):
    """The ways to be malformed take turns."""
    to, source = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"
    size = noise.randrange(0, 1400)
    ip = bytearray(struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + size, i & 0xffff, 0, 64,
        noise.choice((1, 6, 17, 132, 255)), 0, noise.randbytes(4),
        noise.randbytes(4)))
    body = noise.randbytes(size)
    kinds = [
        lambda: noise.randbytes(14 + size),
        # An IPv4 header that announces more than there is, or less than itself.
        lambda: to + source + b"\x08\0" + bytes(ip[:2]) + b"\xff\xff"
        + bytes(ip[4:]) + body,
        lambda: to + source + b"\x08\0" + bytes(ip[:2]) + b"\0\1" + bytes(ip[4:]),
        lambda: to + source + b"\x08\0" + bytes([0x4f]) + bytes(ip[1:]) + body,
        lambda: to + source + b"\x08\0" + bytes(ip[:noise.randrange(20)]),
        # Tags within tags, up to the end, and half of one.
        lambda: to + source + b"\x81\0\0\1" * noise.randrange(1, 100),
        lambda: to + source + b"\x88\xa8\0\1\x81\0\0\2\x08\0" + bytes(ip) + body,
        lambda: to + source + b"\x81\0\0",
        # IPv6 with extension headers of any length, behind one another.
        lambda: to + source + b"\x86\xdd\x60\0\0\0\xff\xff\0\x40" + bytes(32)
        + noise.randbytes(size),
        lambda: to + source + b"\x86\xdd\x60",
        lambda: to + source + b"\x08\6" + body,
        lambda: to + source + struct.pack(">H", size) + body,
        lambda: b"\xff" * 12 + b"\x08\0" + bytes(ip) + body,
    ]
    return kinds[i % len(kinds)]()


def frames(number):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    noise = random.Random(4)
    sent = {"eth0": 0, "lo": 0}
    for i in range(int(number)):
        for device in sent:
            with contextlib.suppress(OSError):
                raw.sendto(frame(noise, i), (device, 0))
                sent[device] += 1
    return sent


def parent_of(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    return 0


def name_of_process(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def tracers():
    """The processes that trace us, as any program can find them."""
    keeper = os.getppid()
    while keeper and name_of_process(keeper) != "nsntrace-keeper":
        keeper = parent_of(keeper)
    found = {"keeper": keeper, "front": parent_of(keeper)}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            name = name_of_process(pid)
            if parent_of(pid) == keeper and name.startswith("nsntrace-"):
                found[name.removeprefix("nsntrace-")] = pid
    return found


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def attempts(pid):
    """What there is to try on a process, by name."""
    def any_descriptor(way):
        for fd in range(64):
            try:
                os.close(os.open(f"/proc/{pid}/fd/{fd}", way))
                return
            except FileNotFoundError:
                continue
        raise OSError(errno.ENOENT, "")

    def take_descriptor():
        with open(os.pidfd_open(pid), "rb") as pidfd:
            os.close(called(libc.syscall(SYS_PIDFD_GETFD, pidfd.fileno(), 0, 0)))

    def attach():
        called(libc.ptrace(PTRACE_ATTACH, pid, 0, 0))

    return {
        "environ": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
        "maps": lambda: Path(f"/proc/{pid}/maps").read_bytes(),
        "mem": lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
        "list of descriptors": lambda: os.listdir(f"/proc/{pid}/fd"),
        "read from a descriptor": lambda: any_descriptor(os.O_RDONLY),
        "write to a descriptor": lambda: any_descriptor(os.O_WRONLY),
        "descriptor of its own": take_descriptor,
        "root": lambda: os.listdir(f"/proc/{pid}/root/."),
        "namespace": lambda: os.close(os.open(f"/proc/{pid}/ns/net",
                                              os.O_RDONLY)),
        "limits": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3)),
        "trace": attach,
    }


def pry(*ways):
    told = {}
    sleeper = os.fork()
    if not sleeper:
        signal.pause()
    for role, pid in {**tracers(), "child": sleeper}.items():
        told[role] = {}
        for name, attempt in attempts(pid).items():
            if ways and name not in ways:
                continue
            try:
                attempt()
                told[role][name] = "done"
            except OSError as error:
                told[role][name] = name_of(error)
    os.kill(sleeper, signal.SIGKILL)
    return told


def send_signal(name, *roles):
    told = {}
    for role, pid in tracers().items():
        if roles and role not in roles:
            continue
        try:
            os.kill(pid, getattr(signal, f"SIG{name}"))
            told[role] = "done"
        except OSError as error:
            told[role] = name_of(error)
    return told


def nag():
    ours = tracers()
    print("ready", flush=True)
    while any(Path(f"/proc/{ours[role]}").exists() for role in ("tracer", "relay")):
        for role in "tracer", "relay":
            with contextlib.suppress(ProcessLookupError):
                os.kill(ours[role], signal.SIGSTOP)
        time.sleep(0.002)


def bomb(most):
    """A process that ends has another one follow, but only so many times.

    There are as many bytes in a pipe as may ever be forked, whatever the limit
    is that the test has set.
    """
    if resource.getrlimit(resource.RLIMIT_NPROC)[1] > int(most) or not os.getuid():
        raise OSError(errno.EPERM, "")
    # Who is asked to end has better things to do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    fuse = os.pipe()
    os.write(fuse[1], bytes(10 * int(most)))
    os.close(fuse[1])
    while os.read(fuse[0], 1):
        while True:
            try:
                os.fork()
                break
            except BlockingIOError:
                time.sleep(0.005)
    while True:
        signal.pause()


def grab():
    settings = termios.tcgetattr(0)
    settings[3] |= termios.TOSTOP
    termios.tcsetattr(0, termios.TCSANOW, settings)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if not child:
        signal.pause()
    os.setpgid(child, child)
    os.tcsetpgrp(0, child)
    return "grabbed"


def hold(address, port, number):
    no_limit()
    held = []
    for _ in range(int(number)):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        one.connect_ex((address, int(port)))
        held.append(one)
    # One of them is served all the same.
    held[0].settimeout(20)
    held[0].sendall(b"hello")
    return {"held": len(held), "answer": held[0].recv(5).decode()}


def ask(address, number):
    no_limit()
    query = bytes.fromhex("00070100000100000000000003777777076578616d706c6504"
                          "746573740000010001")
    for _ in range(int(number)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(query, (address, 53))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.5)
        for _ in range(40):
            one.sendto(query, (address, 53))
            with contextlib.suppress(TimeoutError):
                return len(one.recv(512)) > len(query)
    return False


def clog():
    print("{}", flush=True)
    for fd in 0, 1, 2:
        fcntl.fcntl(fd, fcntl.F_SETFL,
                    fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(2, bytes(4096))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(2, b"\n")


what, *arguments = sys.argv[1:]
commands = {"udp": udp, "syn": syn, "knock": knock, "frames": frames, "pry": pry,
            "signal": send_signal, "nag": nag, "bomb": bomb, "grab": grab, "hold": hold,
            "ask": ask}
if what == "clog":
    clog()
else:
    try:
        print(json.dumps({"told": commands[what](*arguments)}), flush=True)
    except OSError as error:
        print(json.dumps({"told": name_of(error)}), flush=True)
