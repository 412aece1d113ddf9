# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the trace goes: pipes, FIFOs, devices, full disks, readers that leave."""

import os
import re
import select
import signal
import stat
import statistics
import struct
import subprocess
import time

import pytest

from captures import fields, packets, tcpdump_reads
from runs import program, read_until, wait_roles
from tracing import over_both_sources
from waiting import wait_for

SINK = 4000


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def sink(lab_module):
    made = lab_module.udp_sink(SINK)
    yield made
    made.close()


@pytest.fixture(scope="module")
def http(lab_module):
    return lab_module.http()


@pytest.fixture(scope="module")
def untouched(lab_module, http, sink):
    """With its servers."""
    return lab_module.state()


def sender(lab, *options, size=100, **more):
    """A run that sends as many datagrams as it is told to."""
    run = lab.popen_nsntrace(*options, "python3", program("sender.py"),
                             lab.server.addresses[0], SINK, size,
                             stdin=subprocess.PIPE, **more)
    return run


def send(run, count, heard, *more):
    run.stdin.write(f"{count}\n")
    run.stdin.flush()
    read_until(heard, f"sent {count}", *more)


# -- standard output ---------------------------------------------------------

def test_into_tshark_r(lab, http):
    """`-o - PROGRAM | tshark -r -` shows the whole conversation."""
    done = lab.run(["bash", "-c", 'set -o pipefail\n"$0" -o - wget -qO page "$1"'
                    ' | tshark -n -r - -T fields -e frame.protocols'
                    ' -e tcp.flags.fin', lab.nsntrace_path, http.url("small")],
                   check=True)
    http_lines = [line for line in done.stdout.splitlines() if "http" in line]
    assert len(http_lines) >= 2
    assert len([one for one in done.stdout.splitlines()
                if one.endswith("\t1")]) == 2, done.stdout
    assert (lab.dir / "page").stat().st_size == 1000


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_into_tshark_i(lab, sink, form):
    """`-o - | tshark -i -` shows a packet while the program still runs."""
    reading, writing = os.pipe()
    run = sender(lab, "-F", form, "-o", "-", stdout=writing)
    os.close(writing)
    tshark = lab.popen(["tshark", "-n", "-l", "-i", "-", "-T", "fields",
                        "-e", "udp.dstport"], stdin=reading)
    os.close(reading)
    for count in (1, 2, 3):
        send(run, count, run.stderr)
        for _ in range(count):
            assert tshark.stdout.readline() == f"{SINK}\n"
    assert run.poll() is None
    run.stdin.close()
    assert run.wait(10) == 0
    out, err = tshark.communicate(timeout=20)
    assert tshark.returncode == 0 and out == ""
    assert "6 packets captured" in err


@over_both_sources
def test_latency(lab, sink):
    """A packet can be read from the pipe within 50 ms of being sent."""
    run = lab.popen_nsntrace("-o", "-", "python3", program("clocked.py"),
                             lab.server.addresses[0], SINK, 20, text=False)
    # Slack for the reader's own scheduling: none sleeps here but in select.
    late, seen, text = [], 0, b""
    while True:
        assert select.select([run.stdout], [], [], 20)[0], "nothing comes"
        read = os.read(run.stdout.fileno(), 65536)
        now = time.monotonic_ns()
        if not read:
            break
        text += read
        sent = [struct.unpack("=q", one)[0]
                for one in re.findall(rb"(?s)sent at (.{8})", text)]
        late += [(now - one) / 1e6 for one in sent[seen:]]
        seen = len(sent)
    run.communicate(timeout=10)
    assert run.returncode == 0 and seen == 20
    print(f"latency of a live trace: median {statistics.median(late):.1f} ms,"
          f" worst {max(late):.1f} ms of {seen}")
    assert statistics.median(late) < 50
    assert max(late) < 50 + 200


def test_only_the_capture_is_on_stdout(lab):
    """With -o - the program's stdout joins stderr."""
    done = lab.nsntrace("-v", "-o", "-", "sh", "-c", "echo out; echo err >&2",
                        text=False)
    (lab.dir / "copy.pcap").write_bytes(done.stdout)
    assert packets(lab.dir / "copy.pcap") == 0
    assert b"\nout\nerr\n" in done.stderr
    assert b"Finished capturing 0 packets." in done.stderr
    assert not (lab.dir / "-").exists()


@pytest.mark.parametrize("option", ["-o", "-w", "--outfile"])
def test_stdout_of_the_program_is_its_own(lab, option):
    """Without -o - nothing of ours is on stdout; -o, -w, --outfile are one."""
    done = lab.nsntrace("-v", option, "x.pcap", "sh", "-c", "echo out")
    assert done.stdout == "out\n"
    assert packets(lab.dir / "x.pcap") == 0


def test_terminal_is_refused(lab):
    """A capture that would go to a terminal is refused."""
    pty = lab.pty([lab.nsntrace_path, "-o", "-", "sh", "-c", "echo ran"])
    pty.expect("nsntrace: .*terminal\r\n")
    assert pty.wait() == 125
    assert b"ran" not in pty.output


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_standard_stream_by_another_name(lab, stream):
    """Nothing is mixed into a capture: the program's own stream is refused."""
    done = lab.nsntrace("-o", f"/dev/{stream}", "sh", "-c", "echo ran")
    assert done.returncode == 125
    assert re.fullmatch(rf"nsntrace: '/dev/{stream}' is .*\n"
                        "nsntrace: hint: .*-o -.*\n", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_reader_goes_away(lab, sink, form):
    """The reader leaves: it is told, the program runs on, the status is 125."""
    run = sender(lab, "-F", form, "-o", "-")
    send(run, 1, run.stderr)
    run.stdout.close()
    # Or already at the first one, if that was not written yet.
    send(run, 10, run.stderr, "runs on")
    send(run, 20, run.stderr)  # on and on
    before = sink.count()
    run.stdin.write("5\n")
    run.stdin.close()
    err = run.stderr.read()
    assert run.wait(10) == 125
    wait_for(lambda: sink.count() == before + 5)
    missing = re.search(r"nsntrace: .*: (\d+) packets are missing: Broken pipe",
                        err)
    assert missing, err
    captured = re.search(r"Finished capturing (\d+) packets", err)
    assert int(missing.group(1)) + int(captured.group(1)) == 36


def test_reader_goes_away_before_the_end(lab):
    """A reader such as head that has seen enough does no harm to the program."""
    done = lab.run(["bash", "-c",
                    '"$0" -o - sh -c "ping -q -c2 -i0.01 192.0.2.1 && >done" |'
                    ' head -c 1 | wc -c; echo ${PIPESTATUS[0]}',
                    lab.nsntrace_path])
    assert done.stdout in ("1\n125\n", "1\n0\n"), done
    assert (lab.dir / "done").exists()


# -- files -------------------------------------------------------------------

@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_full_disk(lab, sink, form):
    """A full disk: a valid file of whole packets, told how many are missing."""
    small = lab.dir / "small"
    lab.sh('mkdir "$1"; mount -t tmpfs -o size=64k full "$1"', small)
    run = sender(lab, "-F", form, "-o", "small/x", size=1000)
    send(run, 10, run.stdout)
    for _ in range(20):
        send(run, 10, run.stdout)
    run.stdin.close()
    err = run.stderr.read()
    assert run.wait(10) == 125
    trace = lab.path(str(small / "x"))
    got = packets(trace)
    assert 30 < got < 64
    assert len(fields(trace, f"udp.dstport == {SINK}", "frame.len")) == got
    assert len(tcpdump_reads(trace)) == got
    assert f"Finished capturing {got} packets." in err
    assert (f"nsntrace: cannot write to 'small/x': {210 - got} packets are"
            " missing: No space left on device\n") in err
    assert err.count("Finished") == 1
    lab.sh('umount "$1"; rmdir "$1"', small)


def test_full_before_the_first_packet(lab):
    """/dev/full takes not even the head: told before the program is run."""
    done = lab.nsntrace("-o", "/dev/full", "sh", "-c", "echo ran; exit 3")
    assert done.returncode == 125
    assert done.stdout == ""
    assert done.stderr == ("nsntrace: cannot write to '/dev/full':"
                           " No space left on device\n"
                           "nsntrace: hint: nsntrace --doctor tells what is"
                           " missing\n")
    assert stat.S_ISCHR(os.stat(lab.path("/dev/full")).st_mode)


def test_device_is_used_as_it_is(lab):
    """/dev/null as FILE stays a device, and the run is a good one."""
    before = os.stat(lab.path("/dev/null"))
    done = lab.nsntrace("-o", "/dev/null", "sh", "-c", "exit 3")
    after = os.stat(lab.path("/dev/null"))
    assert done.returncode == 3
    assert (after.st_ino, after.st_mode, after.st_rdev) == (
        before.st_ino, before.st_mode, before.st_rdev)


def test_existing_file_is_cut(lab):
    """An older, longer file is truncated; its inode, owner and mode stay."""
    old = lab.dir / "old.pcap"
    old.write_bytes(b"x" * 100_000)
    old.chmod(0o604)
    os.chown(old, 1234, 50)
    before = old.stat()
    assert lab.nsntrace("-o", "old.pcap", "true",
                        env={"SUDO_UID": "1234"}).returncode == 0
    after = old.stat()
    assert packets(old) == 0 and after.st_size < 100
    assert (after.st_ino, after.st_mode, after.st_uid, after.st_gid) == (
        before.st_ino, before.st_mode, 1234, 50)


def test_hard_link_is_kept(lab):
    """In a directory of one's own an existing file is written where it is."""
    lab.sh("touch a.pcap; ln a.pcap b.pcap; ln -s a.pcap c.pcap")
    assert lab.nsntrace("-o", "c.pcap", "true").returncode == 0
    assert packets(lab.dir / "b.pcap") == 0
    assert (lab.dir / "c.pcap").is_symlink()


def test_fifo_with_reader(lab, sink):
    """A FIFO that is read is written live, and stays a FIFO."""
    lab.sh("mkfifo fifo")
    tshark = lab.popen(["tshark", "-n", "-l", "-i", "fifo", "-T", "fields",
                        "-e", "udp.dstport"])
    run = sender(lab, "-o", "fifo")
    send(run, 1, run.stdout)
    assert tshark.stdout.readline() == f"{SINK}\n"
    assert run.poll() is None
    run.stdin.close()
    assert run.wait(10) == 0
    tshark.communicate(timeout=20)
    assert tshark.returncode == 0
    assert (lab.dir / "fifo").is_fifo()


def test_fifo_waits_for_its_reader(lab):
    """Without a reader it is said, and the program does not run before."""
    lab.sh("mkfifo fifo")
    run = lab.popen_nsntrace("-o", "fifo", "sh", "-c", "echo ran")
    read_until(run.stderr, "Waiting for somebody to read 'fifo'.")
    assert not select.select([run.stdout], [], [], 0.2)[0]
    reader = lab.popen(["tshark", "-n", "-r", "fifo"])
    assert run.communicate(timeout=10)[0] == "ran\n"
    assert run.returncode == 0
    assert reader.wait(20) == 0


def test_fifo_without_reader_and_ctrl_c(lab):
    """Ctrl-C at the terminal ends the waiting for a FIFO's reader."""
    lab.sh("mkfifo fifo")
    pty = lab.pty([lab.nsntrace_path, "-o", "fifo", "sh", "-c", "echo ran"])
    pty.expect("Waiting for somebody to read 'fifo'.\r\n")
    pty.send(b"\x03")
    assert pty.wait() == -signal.SIGINT
    assert b"ran\r\n" not in pty.output


def test_unwritable_directory(lab):
    """Where nobody may write: one line, 125, and the program never runs."""
    folder = lab.dir / "folder"
    lab.sh('mkdir "$1"; mount -t tmpfs -o ro none "$1"', folder)
    for name in ("folder/x.pcap", "folder", "missing/x.pcap"):
        done = lab.nsntrace("-o", name, "sh", "-c", "echo ran")
        assert done.returncode == 125 and done.stdout == "", done
        assert re.fullmatch(rf"nsntrace: cannot write to '{name}': .+\n"
                            "nsntrace: hint: .*--doctor.*\n", done.stderr), done.stderr
    lab.sh('umount "$1"; rmdir "$1"', folder)


def test_relative_to_the_callers_directory(lab):
    """A relative FILE is below the directory of the caller."""
    (lab.dir / "sub").mkdir()
    done = lab.nsntrace("-o", "x.pcap", "sh", "-c", "pwd",
                        cwd=lab.dir / "sub")
    assert done.stdout == f"{lab.dir}/sub\n"
    assert packets(lab.dir / "sub" / "x.pcap") == 0


@over_both_sources
def test_killed_program_leaves_a_whole_file(lab, sink):
    """A program that is killed: every packet until then is in the file."""
    run = sender(lab)
    send(run, 100, run.stdout)
    os.kill(wait_roles(run.pid)["program"], signal.SIGKILL)
    assert run.wait(10) == -signal.SIGKILL
    assert packets(lab.dir / "nsntrace.pcap") == 100
    run.stdin.close()
