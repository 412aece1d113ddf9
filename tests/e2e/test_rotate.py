# SPDX-License-Identifier: GPL-2.0-or-later
"""Several files, one after another, and stopping before the program ends.

Each datagram carries its number: whether one is lost or doubled is seen in the
files, whatever the counters say.
"""

import array
import fcntl
import os
import re
import signal
import subprocess
import termios

import pytest

from captures import blocks, each, fields, interfaces, merged, packets
from runs import program, read_until, wait_roles
from waiting import wait_for

SINK = 4000
NAME = re.compile(r"(?P<base>.*)_(?P<number>\d{5})_(?P<time>20\d{12})(?P<end>.*)")
LATER = "Capture stopped after {} packets; the program runs on."


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture(scope="module")
def sink(lab_module):
    made = lab_module.udp_sink(SINK)
    yield made
    made.close()


@pytest.fixture(scope="module")
def untouched(lab_module, sink):
    return lab_module.state()


def sender(lab, *options, size=100, **more):
    """A run that sends as many numbered datagrams as it is told to."""
    return lab.popen_nsntrace(*options, "python3", program("numbered.py"),
                              lab.server.addresses[0], SINK, size,
                              stdin=subprocess.PIPE, **more)


def send(run, count):
    run.stdin.write(f"{count}\n")
    run.stdin.flush()
    read_until(run.stdout, f"sent {count}")


def end(run, status=0):
    """-> what was told."""
    run.stdin.close()
    told = run.stderr.read()
    assert run.wait(20) == status, told
    return told


def waiting_in(pipe):
    """Bytes that can be read."""
    size = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


def finished(told):
    return int(re.search(r"^Finished capturing (\d+) packets\.$", told,
                         re.M)[1])


def files(directory, base="t"):
    """The files of a rotation, in the order of their numbers."""
    return sorted((path for path in directory.iterdir()
                   if NAME.fullmatch(path.name)
                   and NAME.fullmatch(path.name)["base"] == base),
                  key=lambda path: int(NAME.fullmatch(path.name)["number"]))


def serials(paths):
    return [int(NAME.fullmatch(path.name)["number"]) for path in paths]


def datagrams(path):
    return [int(bytes.fromhex(data)[:8]) for data, in
            fields(path, f"udp.dstport == {SINK}", "udp.payload")]


def numbers(lab, paths):
    """Those in all the files, put together by another's program."""
    whole = lab.base / "merged.pcapng"
    merged(whole, paths)
    found = datagrams(whole)
    whole.unlink()
    return found


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_ten_thousand(lab, form):
    """Every 100 packets of 10,000: none lost or doubled, each file whole."""
    run = sender(lab, "-o", f"t.{form}", "-b", "packets:100")
    send(run, 10_000)
    told = end(run)
    found = files(lab.dir)
    assert serials(found) == list(range(1, 101))
    assert each(found) == [(form, 100)] * 100
    assert numbers(lab, found) == list(range(10_000))
    assert finished(told) == 10_000 and told.endswith("10000 packets.\n"), told
    assert {path.suffix for path in found} == {f".{form}"}


def test_statistics_of_each(lab):
    """ISB: what is in the file; the run's own counts are in the last one."""
    run = sender(lab, "-o", "t.pcapng", "-b", "packets:4")
    send(run, 10)
    end(run)
    found = files(lab.dir)
    for path, count in zip(found, (4, 4, 2), strict=True):
        told = interfaces(path)
        assert [one["Name"] for one in told] == ["eth0", "lo"]
        assert {one["Number of stat entries"] for one in told} == {"1"}
        said = "\n".join(blocks(path))
        assert re.findall(r"Delivered to the User = (\d+)", said) == [
            str(count), "0"]
        # What the kernel dropped is known at the end only.
        assert ("Packets by OS" in said) == (path == found[-1])


def test_by_size(lab):
    """A file ends with the packet that reaches so many kB of 1000 bytes."""
    run = sender(lab, "-o", "t.pcap", "-b", "filesize:10", size=500)
    send(run, 50)
    end(run)
    found = files(lab.dir)
    assert serials(found) == [1, 2, 3]
    record = 16 + 14 + 20 + 8 + 500
    for path in found[:-1]:
        assert 10_000 <= path.stat().st_size < 10_000 + record
    assert numbers(lab, found) == list(range(50))


def test_by_time(lab):
    """After so long the next packet begins a file; without one there is none."""
    run = sender(lab, "-o", "t.pcap", "-b", "duration:0.2")

    def third():
        send(run, 1)
        return len(files(lab.dir)) == 3

    wait_for(third, 10, "third file")
    end(run)
    found = files(lab.dir)
    assert serials(found) == [1, 2, 3]
    assert all(packets(path) for path in found)
    seen = numbers(lab, found)
    assert seen == list(range(len(seen)))


def test_no_empty_file(lab):
    """A limit reached with the last packet opens no further file."""
    run = sender(lab, "-o", "t.pcap", "-b", "packets:5", "-b", "duration:0.01")
    send(run, 5)
    end(run)
    assert all(packets(path) for path in files(lab.dir))
    assert lab.nsntrace("-o", "u.pcap", "-b", "duration:0.01", "sleep",
                        "0.1").returncode == 0
    assert [packets(path) for path in files(lab.dir, "u")] == [0]


def test_only_the_last_are_kept(lab):
    """files:N: the oldest is removed, but only once the new one is there."""
    run = sender(lab, "-v", "-o", "t.pcap", "-b", "packets:10", "-b", "files:3")
    send(run, 45)
    told = end(run)
    found = files(lab.dir)
    assert serials(found) == [3, 4, 5]
    assert numbers(lab, found) == list(range(20, 45))
    assert finished(told) == 45
    written = re.findall(r"writing to (\S+)$", told, re.M)
    assert written[2:] == [path.name for path in found]
    assert serials(map(lab.dir.joinpath, written)) == [1, 2, 3, 4, 5]


def test_only_ours_are_removed(lab):
    """What took the place of an old file stays, and so does where it leads."""
    (lab.dir / "precious").write_text("precious")
    run = sender(lab, "-o", "t.pcap", "-b", "packets:1", "-b", "files:2")
    send(run, 1)
    first = wait_for(lambda: files(lab.dir), 5, "first file")[0]
    send(run, 1)
    second = wait_for(lambda: files(lab.dir)[1:], 5, "second file")[0]
    first.unlink()
    first.symlink_to("precious")
    second.rename(lab.dir / "moved")
    second.write_text("another's")
    send(run, 4)
    assert "cannot" not in end(run)
    assert first.is_symlink() and second.read_text() == "another's"
    assert (lab.dir / "precious").read_text() == "precious"
    assert serials(files(lab.dir)) == [1, 2, 5, 6]


@pytest.mark.parametrize("owner", ["alice", "root"])
def test_as_the_invoking_user(lab, owner):
    """Files are made, and removed, as by the user behind sudo."""
    folder = lab.dir / "folder"
    folder.mkdir()
    if owner == "alice":
        os.chown(folder, 1234, 1234)
    run = sender(lab, "-o", "folder/t.pcap", "-b", "packets:1", "-b", "files:2",
                 env={"SUDO_UID": "1234"})
    send(run, 5)
    told = end(run)
    assert "cannot" not in told
    found = files(folder)
    assert serials(found) == [4, 5]
    assert {path.stat().st_uid for path in found} == {
        1234 if owner == "alice" else 0}


def test_patterns(lab):
    """Patterns are replaced first; a dot in a directory begins no suffix."""
    (lab.dir / "a.d").mkdir()
    run = sender(lab, "-o", "a.d/%e-%u-%%", "-b", "packets:2")
    send(run, 3)
    end(run)
    found = files(lab.dir / "a.d", "python3-0-%")
    assert serials(found) == [1, 2]
    assert NAME.fullmatch(found[0].name)["end"] == ""


def test_full_disk(lab):
    """In the middle of a rotation: told at once, nothing before it lost."""
    small = lab.dir / "small"
    lab.sh('mkdir "$1"; mount -t tmpfs -o size=64k full "$1"', small)
    run = sender(lab, "-o", "small/t.pcapng", "-b", "packets:10", size=1000)
    send(run, 100)
    before = read_until(run.stderr, "runs on")
    assert "cannot be written any further" in before[-1]
    send(run, 50)
    told = end(run, 125)
    found = [path for path in files(lab.path(str(small)))
             if path.stat().st_size]
    count = finished(told)
    assert 30 < count < 64
    assert numbers(lab, found) == list(range(count))
    assert {count for _, count in each(found[:-1])} == {10}
    assert re.search(r"nsntrace: cannot write to 'small/t_\d{5}_\d+\.pcapng': "
                     rf"{150 - count} packets are missing: No space left on "
                     r"device\n", told), told
    lab.sh('umount "$1"; rmdir "$1"', small)


def test_directory_goes_away(lab, sink):
    """No next file: told with its name, the files before stay, 125."""
    folder = lab.dir / "folder"
    folder.mkdir()
    run = sender(lab, "-o", "folder/t.pcap", "-b", "packets:5")
    send(run, 5)
    wait_for(lambda: packets(files(folder)[0]) == 5, 5, "first file")
    folder.rename(lab.dir / "gone")
    before = sink.count()
    send(run, 7)
    assert re.search(r"nsntrace: cannot write to 'folder/t_00002_\d{14}\.pcap':"
                     " No such file or directory\n",
                     "".join(read_until(run.stderr, "runs on")))
    send(run, 1)
    wait_for(lambda: sink.count() == before + 8)
    told = end(run, 125)
    assert finished(told) == 5
    assert re.search(r"t_00002_\d{14}\.pcap': 8 packets are missing: ", told)
    assert " counted " not in told
    assert numbers(lab, files(lab.dir / "gone")) == list(range(5))


def cut_last(path):
    """Take away what is there of a packet that was not written whole."""
    data, end = path.read_bytes(), 24
    while end + 16 <= len(data):
        size = 16 + int.from_bytes(data[end + 8:end + 12], "little")
        if end + size > len(data):
            break
        end += size
    os.truncate(path, end)


@pytest.mark.parametrize("victim", ["tracer", "keeper", "front"])
def test_kill(lab, victim):
    """kill -9 in the midst: every file is whole up to its last packet.

    Who is killed in the midst of a write has written a part of it.
    """
    run = sender(lab, "-o", "t.pcap", "-b", "packets:1000")
    ours = wait_roles(run.pid)
    run.stdin.write("10000000\n")
    run.stdin.flush()
    wait_for(lambda: len(files(lab.dir)) >= 4, 20, "fourth file")
    os.kill(ours[victim], signal.SIGKILL)
    run.communicate(timeout=20)
    for one in ours.values():
        wait_for(lambda one=one: not os.path.exists(f"/proc/{one}/exe"), 10)
    lab.nsntrace("-q", "-o", "next.pcap", "true")
    found = files(lab.dir)
    if not found[-1].stat().st_size:
        found.pop()  # opened, but nothing was written any more
    elif victim == "tracer":
        cut_last(found[-1])
    assert {count for _, count in each(found[:-1])} == {1000}
    seen = numbers(lab, found)
    assert seen == list(range(len(seen))) and len(seen) >= 3000


# -- autostop ----------------------------------------------------------------

@pytest.mark.parametrize("option", [["-c", "10"], ["-a", "packets:10"],
                                    ["--autostop=packets:10"],
                                    ["--packets=10"]], ids=" ".join)
def test_stop_after_packets(lab, sink, option):
    """Exactly so many; the file is complete, the program runs on."""
    run = sender(lab, "-o", "t.pcapng", *option)
    send(run, 7)
    send(run, 7)
    assert read_until(run.stderr, LATER.format(10))
    told, _ = interfaces(lab.dir / "t.pcapng")
    assert told["Number of stat entries"] == "1"
    assert datagrams(lab.dir / "t.pcapng") == list(range(10))
    before = sink.count()
    send(run, 300)
    wait_for(lambda: sink.count() == before + 300)
    assert end(run) == "Finished capturing 10 packets.\n"
    assert packets(lab.dir / "t.pcapng") == 10


@pytest.mark.parametrize("stop, count", [
    ("packets:25", [10, 10, 5]), ("packets:30", [10, 10, 10]),
    ("files:2", [10, 10])])
def test_stop_across_files(lab, stop, count):
    """The limit is of all files together, and as exact."""
    run = sender(lab, "-o", "t.pcap", "-b", "packets:10", "-a", stop)
    send(run, 40)
    told = "".join(read_until(run.stderr, LATER.format(sum(count)))) + end(run)
    assert finished(told) == sum(count)
    found = files(lab.dir)
    assert [one for _, one in each(found)] == count
    assert numbers(lab, found) == list(range(sum(count)))


def test_stop_after_size(lab):
    run = sender(lab, "-o", "t.pcap", "-a", "filesize:2", size=500)
    send(run, 20)
    assert read_until(run.stderr, LATER.format(4))
    record = 16 + 14 + 20 + 8 + 500
    assert (lab.dir / "t.pcap").stat().st_size == 24 + 4 * record
    end(run)


def test_stop_after_time(lab):
    """On time, though no packet comes."""
    run = sender(lab, "-o", "t.pcap", "-a", "duration:0.1")
    assert read_until(run.stderr, LATER.format(0))
    send(run, 3)
    assert end(run) == "Finished capturing 0 packets.\n"


def test_stop_of_a_pipe(lab):
    """Its reader is at the end while the program still runs."""
    run = sender(lab, "-o", "-", "-c", "2")
    run.stdin.write("3\n")
    run.stdin.flush()
    read_until(run.stderr, LATER.format(2))
    assert len(run.stdout.read()) > 24 + 2 * 16
    assert run.poll() is None
    end(run)


def test_stop_is_no_reason_to_fail(lab):
    """The status is the program's own, and nothing is told with -q."""
    done = lab.nsntrace("-q", "-c", "1", "sh", "-c",
                        "ping -qc3 -i0.01 192.0.2.1 >/dev/null; exit 3")
    assert (done.returncode, done.stderr) == (3, "")
    assert packets(lab.dir / "nsntrace.pcap") == 1


# -- what is refused ---------------------------------------------------------

@pytest.mark.parametrize("options, line", [
    (["-b", "packets:1", "-o", "-"], "--ring-buffer makes several files, and "
     "standard output is one"),
    (["-b", "packets:1", "-o", "fifo"], "'fifo' is no regular file, and "
     "--ring-buffer makes several of one"),
    (["-b", "packets:1", "-o", "/dev/null"], "'/dev/null' is no regular file, "
     "and --ring-buffer makes several of one"),
    (["-b", "files:2"], "a number of files needs a limit of each: "
     "--ring-buffer duration, filesize or packets"),
    (["-a", "files:2"], "a number of files needs a limit of each: "
     "--ring-buffer duration, filesize or packets")])
def test_refused(lab, options, line):
    """What makes no sense is told before anything is built."""
    lab.sh("mkfifo fifo")
    done = lab.nsntrace(*options, "sh", "-c", "echo ran", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == f"nsntrace: {line}\n"
    assert [path.name for path in lab.dir.iterdir()] == ["fifo"]
    assert not list(lab.path("/dev").glob("null_*"))


def test_keeper_dies_while_the_end_is_stuck(lab, sink):
    """Autostop waits for a reader who does not read; nobody waits for that."""
    fifo = lab.dir / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    run = sender(lab, "-a", "packets:200", "-o", fifo, size=1400)
    send(run, 300)
    roles = wait_roles(run.pid)
    # More than a pipe holds is to be written: tracer is in the midst of it.
    wait_for(lambda: waiting_in(reading) > 60000)
    os.kill(roles["keeper"], signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{roles['tracer']}"), 5)
    assert "the keeper process has died" in end(run, 125)
    os.close(reading)
    lab.nsntrace("true", check=True)  # puts the host back
