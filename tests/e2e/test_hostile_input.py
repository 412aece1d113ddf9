# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines, environments, files and names that nobody would type.

What cannot be is refused in one line, before anything is built or written; all
else just works. Nothing hangs, and the host is as it was.
"""

import contextlib
import os
import re

import pytest

from lab import INTERNET, diff
from tracing import settled, trace

HUGE = 10**30
LONG = "x" * 65536
# Neither numbers in range nor numbers at all.
NUMBERS = ["", " ", "-1", "0x10", "1e3", "1.5", "10 ", " 10", "+1", "1_000",
           "NaN", "\u0661", str(2**32), str(2**63), str(2**64), str(HUGE),
           "9" * 4096, "--", "1\n", "%d"]

REFUSED = [
    *[["-s", number] for number in NUMBERS],
    *[["-B", number] for number in NUMBERS],
    *[["--queue-size", number] for number in NUMBERS],
    *[["-c", number] for number in NUMBERS],
    *[["-b", f"packets:{number}"] for number in NUMBERS],
    *[["-b", key] for key in (
        "", ":", "packets", "packets:", ":1", "packets=1", "packets:1:2",
        "filesize:0", "duration:0", "files:0", "nonsense:1", "packets:1,files:2",
        "Packets:1", "packets :1", LONG)],
    *[["-a", key] for key in ("", ":", "files:", "packets:0", "duration:-1",
                              "duration:1e9999", "filesize:x")],
    *[["-F", form] for form in ("", "PCAP", "pcap ", "pcapng\n", "erf", LONG)],
    *[["-e", engine] for engine in ("", "NAT", "nat,none", "../nat", LONG)],
    *[["--source", source] for source in ("", "Packet", "libpcap ", LONG)],
    *[["--dns", dns] for dns in (
        "", ",", "192.0.2.1,", ",192.0.2.1", "192.0.2.1 192.0.2.2", "256.1.1.1",
        "1.2.3", "localhost", "::g", "fe80::1%", "fe80::1%nonsense", "::1%%",
        ",".join(["192.0.2.1"] * 1000), LONG)],
    *[["-L", port] for port in (
        "", "0", "65536", "-1", "80 ", "80,81", "80/tcp", "80/udp/udp", "80\n",
        "%n", str(HUGE), LONG)],
    *[["-P", port] for port in (
        "", ":", "80:", ":80", "80:81:82", "::1:80", "[::1]", "[::1", "[]:80",
        "[127.0.0.1]:80", "300.1.1.1:80", "localhost:80", "[%s]:80", "80/udp:81",
        "0:80", "80:0", "198.51.100.9:80", "[fe80::1%no]:80", LONG,
        "1" * 60000 + ":80")],
    *[["-u", user] for user in (
        "", " ", "no such", "-1", "4294967295", "4294967296", str(HUGE),
        "root:root", "../root", "root\n", "\u00e9", "%n%s", LONG)],
    *[["-d", device] for device in (
        "", " ", ".", "..", "/", "eth0/", "../eth0", "eth0 ", "eth0\n", "eth0:1",
        "ETH0", "%s%n", "x" * 15, "x" * 16, "\u00e9th0", "-", "all", "default",
        LONG)],
    *[["-o", file] for file in (
        "", "/", ".", "..", "work/", "no/such/folder/t.pcap", "%", "%z", "t%",
        "%p%", "a/" * 3000 + "t", "/proc/self/mem/x", "x" * 256, LONG)],
    *[["-f", text] for text in (
        "nonsense", "host", "port", "port 99999", "tcp and", "(((((", ")", "tcp[",
        "tcp[9999999999]=1", "ip[0:3]=1", "ether host x", "host \n", "\u00e9",
        "%s%n", "(" * 65536, "tcp " * 16384, "not " * 16383 + "ip ip",
        "host 192.0.2.1 or " * 3640, "1 / 0 = 1 and (", LONG)],
    ["--nonsense"], ["--no"], ["--"], ["-Z"], ["-" + "q" * 60000 + "Z"],
    ["--nano=1", "true"], ["--quiet=yes", "true"], ["--outfile"], ["-o"],
    ["--" + LONG], ["--out\x1b[2Jfile"], ["--line\nfeed"], ["-\xff"],
    ["--linger", "-1", "true"], ["--linger", "nan", "true"],
    ["--linger", "inf", "true"], ["--linger", str(HUGE), "true"],
    ["--nano", "-F", "pcapng", "--no-loopback", "-d", "lo", "true"],
]

WORKS = [
    ["-f", ""], ["-f", " "], ["-f", "ip or " * 16 + "ip6"],
    ["-f", "(" * 50 + "ip" + ")" * 50],
    ["-f", " or ".join(f"port {n}" for n in range(1, 50))],
    ["-o", "name with blanks.pcap"], ["-o", "-v.pcap"], ["-o", "\u00e9\n.pcap"],
    ["-o", "%%.pcap"], ["-o", "x" * 240 + ".pcap"], ["-o", "./../work/t.pcap"],
    ["-u", "0"], ["-u", "1234"], ["-u", "4294967294"], ["-u", "65534"],
    ["-s", "1"], ["-s", "262144"], ["-B", "1"], ["--queue-size", "1"],
    ["--linger", "0"], ["--linger", "0.001"], ["-d", "lo"], ["-qqqq"],
    ["-v", "-q"], ["-q", "-v"], ["-o", "a.pcap", "-o", "b.pcap"],
]

ENVIRONMENTS = [
    {"SUDO_UID": uid} for uid in (
        "", "-1", "x", "4294967295", "99999999999", "1234x", " 1234", "1234",
        LONG)] + [
    {"SUDO_UID": "1234", "SUDO_GID": gid} for gid in ("", "-1", "x", LONG)] + [
    {"PKEXEC_UID": "x"}, {"DOAS_USER": ""}, {"DOAS_USER": "no such\n"},
    {"DOAS_USER": LONG},
    {"HOME": None}, {"HOME": LONG}, {"USER": None, "LOGNAME": None},
    {"TERM": LONG}, {"TERM": None}, {"LANG": "x" * 4096}, {"LC_ALL": "\xff"},
    {"PATH": "/usr/bin:" + ":".join(["/no"] * 8000)}, {"PATH": "/usr/bin:::"},
    {"TMPDIR": "/no/such"}, {"SHELL": "\n"}, {"COLUMNS": "-1", "LINES": "x"},
    {"POSIXLY_CORRECT": "1"}, {"NSNTRACE": LONG}, {"MALLOC_PERTURB_": "170"},
    {"RES_OPTIONS": LONG}, {"HOSTALIASES": "/dev/zero"},
    {"TZ": "../../" + "x" * 4096}, {"GETOPT": "x"}, {"A": ""},
]

RESOLV_CONF = {
    "empty": b"", "no-newline": b"nameserver 192.0.2.1",
    "zeros": b"\0" * 4096, "binary": bytes(range(256)) * 64,
    "no-address": b"nameserver\nnameserver \n",
    "bad-address": b"nameserver 300.1.1.1\nnameserver x\n",
    "long-line": b"nameserver " + b"1" * 100000 + b"\n",
    "a-million": b"# x\n" * 250000, "thousand": b"nameserver 127.0.0.1\n" * 1000,
    "many-addresses": b"".join(b"nameserver 127.0.0.%d\n" % n
                               for n in range(1, 200)),
    "zone": b"nameserver fe80::1%nonsense\nnameserver fe80::1%\n",
    "crlf": b"nameserver 192.0.2.1\r\nnameserver 127.0.0.53\r\n",
    "tabs": b"nameserver\t192.0.2.1\t# x\n", "indented": b"  nameserver 192.0.2.1",
    "options": b"options " + b"x " * 20000 + b"\nsearch " + b"x." * 20000,
    "group": b"nameserver 224.0.0.1\nnameserver ff02::1\nnameserver 0.0.0.0\n",
    "controls": b"nameserver 192.0.2.1\x1b[2J\nnameserver \x07\n",
}

PASSWD = {
    "short": "x:x\n", "empty-line": "\n\n", "no-shell": "eve:x:1500:1500:::\n",
    "no-uid": "eve:x::1500:Eve:/:/bin/sh\n",
    "letters": "eve:x:abc:def:Eve:/:/bin/sh\n",
    "negative": "eve:x:-1:-1:Eve:/:/bin/sh\n",
    "largest": "eve:x:4294967295:4294967295:Eve:/:/bin/sh\n",
    "long": f"eve:x:1500:1500:{LONG}:/:/bin/sh\n",
    "home": "eve:x:1500:1500:Eve:/no/such/home:/no/shell\n",
    "controls": "eve:x:1500:1500:\x1b[2J:/\x07:/bin/sh\n",
    "twice": "eve:x:1500:1500:::\neve:x:0:0:::\n",
    "colons": "eve:x:1500:1500:a:b:c:d:e:f\n",
    "plus": "+eve::::::\n+\n",
}

# The kernel takes all but blanks, "/" and ":".
DEVICES = ["$(id)", "`id`", ";id", "'\"", "\\", "-d", "--help", "*",
           "\u00e9\u00e9", "\x1b[2J", "a,b", "<>&|", "{0}", "nsn-zzzz", "!",
           "x" * 15]


@pytest.fixture(scope="module", autouse=True)
def untouched(lab_module):
    """Over all of the file, as most of its tests are short."""
    before = settled(lab_module)
    yield
    for file in os.listdir(lab_module.dir):
        (lab_module.dir / file).unlink()
    after = settled(lab_module)
    assert after == before, diff(before, after)


@contextlib.contextmanager
def holding(path, content):
    """A file has this content for a while, and is then as it was."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def shorten(value):
    return re.sub(r"[^ -~]", "?", str(value))[:40]


def lines(text):
    """What is said, hints apart; each a line that a terminal can show."""
    assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]", text), repr(text[:2000])
    return [line for line in text.splitlines() if "nsntrace: hint: " not in line]


@pytest.mark.parametrize("argv", REFUSED, ids=shorten)
def test_refused(lab_module, argv):
    """One line, 125, and no file."""
    lab = lab_module
    before = sorted(os.listdir(lab.dir))
    program = [] if argv[-1] == "true" or len(argv) == 1 else ["true"]
    done = lab.nsntrace(*argv, *program)
    assert done.returncode == 125, done.stderr[:2000]
    said = lines(done.stderr)
    assert len(said) == 1 and len(said[0]) < 1100, done.stderr[:2000]
    assert said[0].startswith("nsntrace: ")
    assert sorted(os.listdir(lab.dir)) == before


@pytest.mark.parametrize("argv", WORKS, ids=shorten)
def test_works(lab_module, argv):
    """Odd, but it has a meaning."""
    done = lab_module.nsntrace(*argv, "true")
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize("env", ENVIRONMENTS, ids=shorten)
def test_environment(lab_module, env):
    """The trace is made, or it is said why not."""
    done = lab_module.nsntrace("true", env=env)
    said = lines(done.stderr)
    if done.returncode == 125:
        assert len(said) == 1, done.stderr[:2000]
    else:
        assert done.returncode == 0, done.stderr[:2000]
        assert said[-1] == "Finished capturing 0 packets."


@pytest.mark.parametrize("kind", RESOLV_CONF)
def test_resolv_conf(lab_module, kind):
    """A program that asks nobody does not care."""
    with holding(lab_module.path("/etc/resolv.conf"), RESOLV_CONF[kind]):
        done = trace(lab_module, "true")
    assert done.packets == 0
    assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]", done.stderr)


@pytest.mark.parametrize("kind", PASSWD)
def test_passwd(lab_module, kind):
    """Whoever that is, if it is a user the program is that one."""
    real = lab_module.path("/etc/passwd")
    with holding(real, real.read_bytes() + PASSWD[kind].encode()):
        known = lab_module.run(["id", "-u", "eve"])
        done = lab_module.nsntrace("-u", "eve", "id", "-u")
    if done.returncode == 0:
        assert done.stdout == known.stdout and int(known.stdout) < 2**32 - 1
    else:
        assert done.returncode == 125 and len(lines(done.stderr)) == 1


@pytest.mark.parametrize("name", DEVICES, ids=shorten)
def test_device(lab, name):
    """An uplink may be called so."""
    lab.sh('ip link set eth0 down; ip link set eth0 name "$1";'
           'ip link set dev "$1" up; ip route add default via 192.0.2.1', name)
    for options in ([], ["-d", name]):
        done = trace(lab, "ping", "-nc1", "-W5", INTERNET[0], options=options)
        assert done.packets == 2
        assert not re.search(r"[\0-\x09\x0b-\x1f\x7f]", done.stderr)
