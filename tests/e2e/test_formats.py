# SPDX-License-Identifier: GPL-2.0-or-later
"""The files: both formats, what they say of themselves, and their names."""

import re
import time

import pytest

from captures import (blocks, capinfos, fields, interfaces, tcpdump_reads,
                      tshark)
from tracing import (complaints, over_both_sources, program, settled,
                     trace)

pytestmark = over_both_sources

BOTH = "ping -nc2 -i0.01 192.0.2.1; ping -nc3 -i0.01 127.0.0.1"
MICRO, NANO = "microseconds (6)", "nanoseconds (9)"
PCAP, NSEC_PCAP = "pcap", "nsecpcap"

FORMATS = [
    # options, file name, what capinfos says of type and precision
    ([], "a.pcap", PCAP, MICRO),
    ([], "a", PCAP, MICRO),
    ([], "a.pcapng", "pcapng", NANO),
    (["--nano"], "a.pcap", NSEC_PCAP, NANO),
    (["--nano"], "a.pcapng", "pcapng", NANO),
    (["-F", "pcapng"], "a.pcap", "pcapng", NANO),
    (["--format=pcap"], "a.pcapng", PCAP, MICRO),
]


def test_source(lab_module, source):
    """It is the source that was asked for."""
    done = lab_module.nsntrace("-v", "-o", "source.pcap", "true")
    assert f": opened the source {source}\n" in done.stderr
    planned = lab_module.nsntrace("--dry-run", "true").stdout
    assert f"\nsource: {source}\n" in planned


@pytest.mark.parametrize("options, file, kind, precision", FORMATS)
def test_format(lab_module, options, file, kind, precision):
    """Format and precision are those asked for, and all three tools agree."""
    before = time.time()
    done = trace(lab_module, "sh", "-c", BOTH, options=options, file=file)
    after = time.time()
    told = capinfos(done.path)
    assert told["File type"] == kind
    assert told["File timestamp precision"] == precision
    assert told["File encapsulation"] == "ether"
    assert told["Strict time order"] == "True"
    seen = fields(done.path, "", "frame.time_epoch", "icmp.type", "frame.len",
                  "frame.cap_len")
    assert [one[1:] for one in seen] == [("8", "98", "98"),
                                         ("0", "98", "98")] * 5
    assert all(before <= float(one[0]) <= after for one in seen)
    assert len(tcpdump_reads(done.path)) == 10
    nanoseconds = any(int(one[0].split(".")[1]) % 1000 for one in seen)
    assert nanoseconds == (precision == NANO)


def test_pcapng_describes_itself(lab_module):
    """SHB, IDB and direction flags tell where a packet came from."""
    done = trace(lab_module, "sh", "-c", BOTH, file="self.pcapng")
    told = capinfos(done.path)
    version = lab_module.nsntrace("--version").stdout.split()[1]
    assert told["Capture application"] == f"nsntrace {version}"
    kernel = lab_module.sh("uname -sr").strip()
    assert told["Capture oper-sys"].startswith(kernel)
    assert told["Capture hardware"] == lab_module.sh("uname -m").strip()
    eth0, lo = interfaces(done.path)
    assert (eth0["Name"], lo["Name"]) == ("eth0", "lo")
    assert eth0["Time resolution"] == lo["Time resolution"] == "0x09"
    assert (eth0["Number of packets"], lo["Number of packets"]) == ("4", "6")
    assert "Filter string" not in eth0
    outbound, inbound = "2", "1"
    seen = fields(done.path, "", "frame.interface_name",
                  "frame.packet_flags_direction")
    assert seen[0][0] == "eth0"
    assert [int(flags, 0) for _, flags in seen[:4]] == [
        int(outbound), int(inbound)] * 2
    assert {name for name, _ in seen[4:]} == {"lo"}


@pytest.mark.parametrize("options, matched", [
    ([], ["4", "6"]), (["-f", "icmp[0] == 8"], ["2", "3"])],
    ids=["all", "filter"])
def test_pcapng_statistics(lab_module, options, matched):
    """ISB: one at the end for each interface, with all three counters."""
    done = trace(lab_module, "sh", "-c", BOTH, file="isb.pcapng",
                 options=options)
    for told in interfaces(done.path):
        assert told["Number of stat entries"] == "1"
        assert told.get("Filter string") == (options[1] if options else None)
    text = "\n".join(blocks(done.path))
    assert text.rfind("Enhanced Packet Block") < text.find(
        "Block: Interface Statistics Block")
    for counter, count in (("Received Packets", ["4", "6"]),
                           ("Dropped Packets", ["0", "0"]),
                           ("Accepted by Filter Packets", matched),
                           ("Dropped Packets by OS", ["0", "0"]),
                           ("Delivered to the User Packets", matched)):
        assert re.findall(rf"Number of {counter}: (\d+)", text) == count


@pytest.mark.parametrize("file", ["short.pcap", "short.pcapng"])
def test_snaplen(lab_module, file):
    """-s keeps at most that many bytes, and what was cut is told."""
    done = trace(lab_module, "sh", "-c", "ping -nc3 -i0.01 -s500 192.0.2.1;"
                 f"{' '.join(map(str, program('send_udp.py')))} 192.0.2.1 9 4",
                 options=["-s", "100"], file=file)
    seen = fields(done.path, "icmp.type == 8 or icmp.type == 0", "frame.len",
                  "frame.cap_len")
    assert seen == [("542", "100")] * 6
    # Datagrams to a closed port come back in ICMP, which may be limited.
    lengths = fields(done.path, "", "frame.len", "frame.cap_len")
    assert all(int(kept) == min(int(length), 100) for length, kept in lengths)
    cut = sum(int(length) > 100 for length, _ in lengths)
    assert re.search(rf"^{cut} packets truncated to 100 bytes\.$", done.stderr,
                     re.M), done.stderr


def test_nothing_truncated(lab_module):
    """Without truncation there is no word of it, frames over 64 KiB or not."""
    done = trace(lab_module, "ping", "-nc1", "-s30000", "127.0.0.1")
    assert fields(done.path, "icmp", "frame.len") == [("30042",)] * 2
    assert "truncated" not in done.stderr


def test_name_patterns(lab_module):
    """%p %e %E %t %h %u and %% in the file's name are filled in."""
    before = int(time.time())
    done = lab_module.nsntrace(
        "-u", "alice", "-o", "p%p-e%e-E%E-t%t-h%h-u%u-%%.pcapng", "/bin/sh",
        "-c", "echo $$")
    after = int(time.time())
    assert done.returncode == 0, done.stderr
    pid = done.stdout.strip()
    found, = [one.name for one in lab_module.dir.glob("p*-e*")]
    match = re.fullmatch(r"p(\d+)-e(\w+)-E(.+)-t(\d+)-h(.+)-u(\d+)-%\.pcapng",
                         found)
    assert match, found
    assert match[1] == pid
    assert match[2] == "sh"
    assert match[3] == "!bin!sh"
    assert before <= int(match[4]) <= after
    assert (match[5], match[6]) == ("lab", "1234")
    assert capinfos(lab_module.dir / found)["File type"] == "pcapng"


@pytest.mark.parametrize("name", ["%q.pcap", "trace%", "%-5p", "%%%"])
def test_bad_pattern(lab_module, name):
    """Any other % is an error, before anything is built."""
    before = settled(lab_module)
    files = set(lab_module.dir.iterdir())
    done = lab_module.nsntrace("-o", name, "touch", "ran")
    assert done.returncode == 125
    (error,), _ = complaints(done.stderr)
    assert name in error
    assert set(lab_module.dir.iterdir()) == files
    assert settled(lab_module) == before


def test_default_file(lab_module):
    """Without -o the trace is nsntrace.pcap; an older one is truncated."""
    path = lab_module.dir / "nsntrace.pcap"
    for count in (5, 1):
        lab_module.nsntrace("ping", f"-nc{count}", "-i0.01", "192.0.2.1")
        assert len(tshark(path)) == 2 * count
