# SPDX-License-Identifier: GPL-2.0-or-later
"""What is printed, to the letter; and the options that say or wait."""

import re
import signal
import subprocess

import pytest

from captures import fields, packets, tshark
from lab import diff
from runs import alive, program, read_until, wait_roles
from waiting import wait_for

V4 = r"10\.\d+\.\d+\.\d+"
V6 = r"[0-9a-f:]+:[0-9a-f:]*"

# The contract's, with nothing between for a program that is silent.
LETTER = ("Starting network trace of '{program}' on interface {device}.\n"
          "{addresses}"
          "Use ctrl-c to end at any time.\n"
          "\n"
          "{output}"
          "Finished capturing {count} packets.\n")
ADDRESSES = (f"Your IP address in this trace is (?P<v4>{V4}).\n"
             f"Your IPv6 address in this trace is (?P<v6>{V6}).\n")


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def untouched(lab_module, http):
    """With a server."""
    return lab_module.state()


@pytest.fixture(scope="module")
def http(lab_module):
    return lab_module.http()


def letter(name="sh", device="eth0", addresses=ADDRESSES, output="", count=0):
    quote = re.escape
    return (quote(LETTER).replace(quote("{program}"), quote(name))
            .replace(quote("{device}"), device)
            .replace(quote("{addresses}"), addresses)
            .replace(quote("{output}"), quote(output))
            .replace(quote("{count}"), str(count)))


# -- a normal run ------------------------------------------------------------

def test_banner_and_summary(lab):
    """The messages of a run, to the letter, around the program's own."""
    done = lab.nsntrace("sh", "-c", "echo out; echo err >&2")
    assert done.stdout == "out\n"
    assert re.fullmatch(letter(output="err\n"), done.stderr), done.stderr


@pytest.mark.parametrize("name", ["true", "/usr/bin/true"])
def test_names_the_program(lab, name):
    """The program is named as the user did."""
    done = lab.nsntrace(name)
    assert re.fullmatch(letter(name), done.stderr), done.stderr


def test_addresses_are_those_of_the_trace(lab):
    """The addresses told are the ones that the packets bear."""
    done = lab.nsntrace("sh", "-c", "exec >/dev/null; ping -c1 192.0.2.1;"
                        " ping -c2 -i0.01 2001:db8:1::1")
    told = re.fullmatch(letter(count=6), done.stderr)
    assert told, done.stderr
    trace = lab.dir / "nsntrace.pcap"
    assert fields(trace, "icmp.type == 8", "ip.src") == [(told["v4"],)]
    assert fields(trace, "icmpv6.type == 128", "ipv6.src") == [
        (told["v6"],)] * 2


def test_banner_without_a_way_out(lab):
    """With -d lo there is no address, and the interface is lo."""
    done = lab.nsntrace("-d", "lo", "true")
    assert re.fullmatch(letter("true", device="lo", addresses=""),
                        done.stderr), done.stderr


def test_banner_with_a_device(lab):
    """With -d DEV the banner names DEV."""
    done = lab.nsntrace("-d", "eth0", "true")
    assert re.fullmatch(letter("true"), done.stderr), done.stderr


def test_quiet(lab):
    """-q: only errors."""
    done = lab.nsntrace("-q", "sh", "-c", "echo err >&2; setsid sleep 1000"
                        " </dev/null >/dev/null 2>&1 &")
    assert done.stderr == "err\n"
    for one in wait_for(lambda: alive(lab, "sleep", "1000")):
        lab.sh(f"kill -9 {one.inner}")
    done = lab.nsntrace("-q", "no-such-program")
    assert done.stderr.startswith("nsntrace: cannot execute")


def test_verbose(lab):
    """-v: every step with its time, the counters, and the files written."""
    done = lab.nsntrace("-v", "-o", "some.pcap", "ping", "-qc3", "-i0.01",
                        "192.0.2.1")
    lines = [line for line in done.stderr.splitlines()
             if line.startswith("nsntrace: ")]
    times = [re.match(r"nsntrace: +(\d+\.\d{3}) ms: (.+)", line)
             for line in lines]
    assert all(times) and len(times) > 8, done.stderr
    assert any("some.pcap" in one[2] for one in times)
    counters = re.search(r"interface (\d+), ring (\d+), file (\d+) packets",
                         done.stderr)
    assert counters.groups() == ("6", "6", "6")
    # What is said without -v is said with it.
    rest = "".join(line + "\n" for line in done.stderr.splitlines()
                   if not line.startswith("nsntrace: "))
    assert re.fullmatch(letter("ping", count=6), rest), rest


def test_nothing_on_stdout(lab):
    """`nsntrace curl -s URL | jq .` just works: ours is all on stderr."""
    done = lab.nsntrace("-v", "--sync", "true")
    assert done.stdout == "" and "Finished" in done.stderr


def test_one_process_left(lab):
    """Processes that still run are told on a line of their own."""
    done = lab.nsntrace("sh", "-c", "setsid sleep 1000"
                        " </dev/null >/dev/null 2>&1 &")
    assert re.search(r"^Finished capturing 0 packets\.\n1 process.* still run.*\n"
                     r"\Z", done.stderr, re.M), done.stderr
    for one in wait_for(lambda: alive(lab, "sleep", "1000")):
        lab.sh(f"kill -9 {one.inner}")


# -- not root ----------------------------------------------------------------

@pytest.mark.parametrize("arguments", [["true"], ["-q", "true"],
                                       ["-d", "eth0", "true"],
                                       ["-f", "tcp", "no-such-program"]],
                         ids=" ".join)
def test_not_root(lab, arguments):
    """Not root: one line, a hint, 125."""
    done = lab.nsntrace(*arguments, user="alice", cwd="/home/alice")
    assert done.returncode == 125 and done.stdout == ""
    assert re.fullmatch(r"nsntrace: [a-z].*root.*[^.]\n"
                        r"nsntrace: hint: .*sudo.*\n", done.stderr), done.stderr
    assert not list(lab.path("/home/alice").iterdir())


def test_help_for_anybody(lab):
    """--help and --version need no rights."""
    for option in ("--help", "--version"):
        assert lab.nsntrace(option, user="alice").returncode == 0


# -- help, version, what is to come ------------------------------------------

def test_help(lab):
    """--help: to stdout, 0; bare: the same to stderr, 125."""
    asked = lab.nsntrace("--help")
    bare = lab.nsntrace()
    assert (asked.returncode, asked.stderr) == (0, "")
    assert (bare.returncode, bare.stdout) == (125, "")
    assert asked.stdout == bare.stderr
    assert lab.nsntrace("-h").stdout == asked.stdout
    assert asked.stdout.startswith(
        "Usage: nsntrace [OPTION]... PROGRAM [ARGUMENT]...\n")
    for name in ("outfile", "device", "filter", "user", "use-public-dns", "dns",
                 "format", "snaplen", "buffer-size", "queue-size", "lossless",
                 "nano", "source", "no-loopback", "wait", "linger", "sync",
                 "engine", "quiet", "verbose",
                 "dry-run", "help", "version"):
        assert f"--{name}" in asked.stdout, name
    assert all(len(line) <= 80 for line in asked.stdout.splitlines())


def test_version(lab):
    """--version: one line on stdout."""
    for option in ("-V", "--version"):
        done = lab.nsntrace(option)
        assert re.fullmatch(r"nsntrace \d+\.\d+(\.\d+)?\S*\n", done.stdout)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_into_a_full_disk(lab, option):
    """What cannot be written is no success."""
    done = lab.run(["sh", "-c", f'"$0" {option} >/dev/full', lab.nsntrace_path])
    assert done.returncode == 125


@pytest.mark.parametrize("arguments", [
    ["-k"], ["--tls-keys"],
    ["--keylog", "FILE"], ["-Y", "http"], ["--show"], ["-p", "1"],
    ["--pid", "1"], ["--json", "FILE"], ["--engine", "gateway"],
    ["-e", "preload"]], ids=" ".join)
def test_not_yet_supported(lab, arguments):
    """What is to come is refused as such, never ignored."""
    done = lab.nsntrace(*arguments, "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert re.fullmatch(r"nsntrace: .*not yet supported\n", done.stderr)
    option = arguments[0].partition("=")[0]
    assert option in done.stderr or "--engine" in done.stderr


@pytest.mark.parametrize("arguments, output", [
    (["echo", "-q", "--help", "-o", "x"], "-q --help -o x\n"),
    (["-q", "--", "echo", "--", "-V"], "-- -V\n"),
    (["-qv", "-q", "echo", "a b"], "a b\n"),
    (["-ox.pcap", "--quiet", "echo"], "\n"),
    (["--outfile=x.pcap", "-u0", "echo", "1"], "1\n"),
], ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_options_end_at_the_program(lab, arguments, output):
    """Options end at the first word that is none, or at --."""
    done = lab.nsntrace(*arguments)
    assert (done.returncode, done.stdout) == (0, output), done


# -- --dry-run ---------------------------------------------------------------

@pytest.mark.parametrize("options", [
    [], ["-d", "eth0"], ["-d", "lo"], ["-u", "nobody", "-f", "udp"],
    ["--dns", "192.0.2.1", "-o", "/tmp/x-%p.pcapng"], ["-o", "-", "-q"],
    ["--use-public-dns", "--sync", "--wait"], ["--lossless"],
    ["-b", "packets:5", "-b", "files:3", "-a", "duration:2"]], ids=" ".join)
def test_dry_run_changes_nothing(lab, untouched, options):
    """--dry-run prints the plan; rules, links, sysctls, files stay the same."""
    done = lab.nsntrace(*options, "--dry-run", "sh", "-c", "touch ran")
    assert (done.returncode, done.stderr) == (0, "")
    assert diff(untouched, lab.state()) == ""
    assert not list(lab.dir.iterdir())
    assert "sh" in done.stdout
    if options[:2] == ["-u", "nobody"]:
        assert "65534" in done.stdout and "udp" in done.stdout
    assert ("pause: " in done.stdout) == ("--lossless" in options)
    if "-b" in options:
        assert "next file: 5 packets 3 files kept\n" in done.stdout
        assert "autostop: 2 seconds\n" in done.stdout
    if "lo" not in options:
        assert "eth0" in done.stdout and "masquerade" in done.stdout


def test_dry_run_refuses_what_a_run_would(lab):
    """What would be refused is refused by --dry-run as well."""
    for bad in (["-u", "no-such-user"], ["-d", "nodev0"], ["-f", "tcp and"]):
        done = lab.nsntrace("--dry-run", *bad, "true")
        assert (done.returncode, done.stdout) == (125, ""), done


def test_dry_run_lists_all_that_others_see(lab, untouched):
    """Others see one veth, its tables, a cgroup, and what --dry-run lists."""
    plan = lab.nsntrace("--dry-run", "sleep", "1000").stdout
    front = lab.popen_nsntrace("-o", "/dev/null", "sleep", "1000")
    wait_for(lambda: alive(lab, "sleep", "1000"))
    wait_roles(front.pid)
    during = lab.state()
    front.terminate()
    front.communicate(timeout=10)

    def added(subject):
        # Tables are listed line by line; those of ours come as a whole.
        return [line[1:] for line in diff({subject: untouched[subject]},
                                          {subject: during[subject]})
                .splitlines()[2:] if line[0] in "+-"]

    veth = re.search(r"nsn-\w+@", "\n".join(added("links")))[0][:-1]
    assert len(re.findall(r"^\d+: nsn-", during["links"], re.M)) == 1
    listed = re.findall(r"^sysctl: (\S+)=(\S+) during", plan, re.M)
    assert listed
    allowed = {f"/proc/sys/{name}:{value}" for name, value in listed}
    was = {f"/proc/sys/{name}:" for name, _ in listed}
    for line in added("sysctls"):
        assert (line in allowed or f"/{veth}/" in line
                or any(line.startswith(one) for one in was)), line
    tables = re.findall(r"^table (\S+) (\S+) ", during["nft"], re.M)
    before = re.findall(r"^table (\S+) (\S+) ", untouched["nft"], re.M)
    assert {name for _, name in set(tables) - set(before)} == {veth}
    assert added("rules") == [] and added("mounts") == []
    for subject in ("routes", "addresses", "neighbours"):
        for line in added(subject):
            assert veth in line or line.startswith("    "), line
    assert len(added("cgroups")) == 1 and "/nsntrace-" in added("cgroups")[0]
    for line in added("files"):
        assert line.startswith("/run/nsntrace"), line


# -- --sync and --linger -----------------------------------------------------

def test_sync(lab, untouched):
    """--sync returns only when link, tables and namespace are gone too."""
    for _ in range(5):
        done = lab.nsntrace("--sync", "ping", "-qc1", "192.0.2.1")
        assert done.returncode == 0
        (lab.dir / "nsntrace.pcap").unlink()
        lab.wait_state(untouched, timeout=0)


def last_words(lab, http, *options):
    """A program that has ended, whose last words nobody acknowledges."""
    server = lab.server
    front = lab.popen_nsntrace("-v", *options, "python3",
                               program("unacknowledged.py"),
                               server.addresses[0], http.port,
                               stdin=subprocess.PIPE)
    read_until(front.stdout, "connected")
    server.run(["nft", "add table ip deaf; add chain ip deaf in { type filter"
                " hook input priority 0; policy drop; }"], check=True)
    front.stdin.write("\n")
    front.stdin.flush()
    read_until(front.stderr, "the program has ended")
    return front


@pytest.fixture
def hearing(lab):
    yield
    lab.server.run(["nft", "destroy table ip deaf"])
    lab.server.run(["nft", "delete table ip deaf"])


def test_linger(lab, http, hearing):
    """--linger: the program's TCP connections may finish after its end."""
    front = last_words(lab, http, "--linger", "60")
    assert front.poll() is None
    lab.server.run(["nft", "delete table ip deaf"], check=True)
    _, err = front.communicate(timeout=30)
    assert front.returncode == 0
    trace = lab.dir / "nsntrace.pcap"
    assert len(fields(trace, "tcp.payload", "tcp.len")) >= 2  # and once more
    # The server acknowledged them, and the end.
    assert tshark(trace, "-Y", "ip.src == 192.0.2.1 && tcp.ack > 10")
    assert f"Finished capturing {packets(trace)} packets." in err


@pytest.mark.parametrize("options", [["--linger", "0"], ["--linger", "0.2"],
                                     []], ids=" ".join)
def test_linger_is_bounded(lab, http, hearing, options):
    """After SECONDS, 1 by default, nobody waits for connections any more."""
    front = last_words(lab, http, *options)
    _, err = front.communicate(timeout=10)
    assert front.returncode == 0
    assert f"capturing {packets(lab.dir / 'nsntrace.pcap')} packets" in err


@pytest.mark.parametrize("name", ["INT", "TERM", "QUIT", "HUP"])
def test_ctrl_c_ends_lingering(lab, http, hearing, name):
    """After the program's end Ctrl-C cuts the drain short; its status stays."""
    front = last_words(lab, http, "--linger", "600")
    assert front.poll() is None
    front.send_signal(getattr(signal, f"SIG{name}"))
    _, err = front.communicate(timeout=10)
    assert front.returncode == 0, err
    assert f"capturing {packets(lab.dir / 'nsntrace.pcap')} packets" in err
