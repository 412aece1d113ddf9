# SPDX-License-Identifier: GPL-2.0-or-later
"""Every packet of the program and of its children, and nothing else.

All of it happens while three other programs of the host load the same server
and the same resolver.
"""

import hashlib
import json
import os
import re
import shutil
import signal

import pytest

from captures import capinfos, fields, tcpdump_reads, tshark
from lab import HERE
from tracing import over_both_sources, program, trace
from waiting import wait_for

pytestmark = over_both_sources

SINK, LOADED = 7000, 7001


class Busy:
    """A lab whose server and resolver others load all the time."""

    def __init__(self, lab):
        self.lab = lab
        self.http = lab.http()
        lab.dns_server()
        self.server = lab.server.addresses[0]
        self.sink = lab.udp_sink(SINK)
        self.loaded = lab.udp_sink(LOADED)
        self.others = [lab.popen([*program("load.py"), self.server, LOADED])
                       for _ in range(3)]

    def trace(self, *argv, **options):
        """Trace while the others are certainly at it; nothing of theirs."""
        before = self.loaded.count()
        wait_for(lambda: self.loaded.count() > before, what="load")
        done = trace(self.lab, *argv, **options)
        assert all(other.poll() is None for other in self.others)
        ours = " or ".join(f"host {one}" for one in (
            *done.addresses, "::1", "127.0.0.1"))
        assert not tcpdump_reads(done.path, f"not ({ours})")
        assert b"load-of-others" not in done.path.read_bytes()
        return done

    def sent(self, tag):
        """The datagrams with this tag that the server got, in order."""
        return [data.decode() for data, _ in self.sink.datagrams()
                if data.startswith(tag.encode())]


@pytest.fixture(scope="module")
def busy(lab_module):
    busy = Busy(lab_module)
    yield busy
    for other in busy.others:
        other.kill()
    busy.sink.close()
    busy.loaded.close()


def payloads(done, display_filter="udp"):
    return [bytes.fromhex(data).decode() for (data,) in
            fields(done.path, display_filter, "udp.payload")]


def numbered(tag, count):
    return [f"{tag} {number:06}" for number in range(count)]


CLIENTS = {"wget": ["wget", "-q", "-O"], "curl": ["curl", "-s", "-o"]}


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("client", CLIENTS)
def test_download(busy, tmp_path, client, v6):
    """The whole conversation of wget and curl, as the server had it."""
    done = busy.trace(*CLIENTS[client], "got", busy.http.url("large", v6))
    # Two processors may swap segments on their way.
    tshark(done.path, "-q", "--export-objects", f"http,{tmp_path}",
           "-o", "tcp.reassemble_out_of_order:TRUE")
    assert [one.name for one in tmp_path.iterdir()] == ["large"]
    body = (tmp_path / "large").read_bytes()
    assert hashlib.sha256(body).hexdigest() == busy.http.files["large"]
    assert body == (busy.lab.dir / "got").read_bytes()

    # Nothing is missing on either side of the conversation, nor is there more.
    seen = fields(done.path, "", "http.request.uri", "tcp.flags.syn",
                  "tcp.flags.fin", "tcp.dstport", "tcp.nxtseq", "tcp.ack",
                  "tcp.analysis.ack_lost_segment")
    assert [one[0] for one in seen if one[0]] == ["/large"]
    assert sum(syn == "1" for _, syn, *_ in seen) == 2
    assert not any(lost for *_, lost in seen)
    (fin,) = [one[4] for one in seen if one[2:4] == ("1", "80")]
    assert [one for one in seen if one[3] != "80" and one[5] == fin], (
        "the last byte was not acknowledged")
    assert len(tcpdump_reads(done.path, "tcp")) == done.packets


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_udp(busy, v6):
    """Each datagram is in the file, once and in order, and got there."""
    tag = f"udp{6 if v6 else 4}"
    done = busy.trace(*program("send_udp.py"), busy.lab.server.addresses[v6],
                      SINK, 100, tag)
    assert payloads(done) == numbered(tag, 100)
    assert done.packets == 100
    wait_for(lambda: busy.sent(tag) == numbered(tag, 100), what="datagrams")


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_ping(busy, v6):
    """ICMP echo: requests and replies by turns, and nothing besides."""
    done = busy.trace("ping", "-nc5", "-i0.01", busy.lab.server.addresses[v6])
    name = "icmpv6" if v6 else "icmp"
    request, reply = ("128", "129") if v6 else ("8", "0")
    assert fields(done.path, "", f"{name}.type") == [(request,), (reply,)] * 5
    assert "5 received" in done.stdout


def test_raw_socket(busy):
    """What a raw socket sends is there as it was sent."""
    done = busy.trace(*program("raw.py"), busy.server, SINK, 50)
    assert payloads(done) == numbered("raw", 50)
    assert done.packets == 50
    wait_for(lambda: busy.sent("raw") == numbered("raw", 50), what="datagrams")


def test_static_binary(busy):
    """A program that loads no library is traced like any other."""
    binary = busy.lab.dir / "static"
    busy.lab.run(["gcc", "-static", "-o", binary, HERE / "programs/send_udp.c"],
                 check=True)
    assert "statically linked" in busy.lab.sh(f"file {binary}")
    done = busy.trace(binary, busy.server, SINK, 50)
    assert payloads(done) == numbered("static", 50)
    wait_for(lambda: busy.sent("static") == numbered("static", 50),
             what="datagrams")


def test_pipeline(busy):
    """A shell pipeline: the packets of every child, and their output."""
    url = busy.http.url("small")
    send = " ".join(map(str, program("send_udp.py")))
    done = busy.trace("sh", "-c", f"""
curl -s {url} | sha256sum &
(({send} {busy.server} {SINK} 20 child) | cat; dig +short www.example.test) | cat
wait""")
    assert busy.http.files["small"] in done.stdout
    assert busy.server in done.stdout
    assert payloads(done, f"udp.dstport == {SINK}") == (
        numbered("child", 20))
    assert len(fields(done.path, "http.request", "http.request.uri")) == 1
    assert fields(done.path, "dns", "dns.qry.name") == [
        ("www.example.test",)] * 2


def test_daemon(busy):
    """A daemon is traced for as long as PROGRAM lives."""
    mark = busy.lab.dir / "daemon-done"
    daemon = " ".join(map(str, program("daemon.py")))
    done = busy.trace("sh", "-c", f"""
{daemon} {busy.server} {SINK} 50 {mark} </dev/null >/dev/null 2>&1
until test -s {mark}; do sleep 0.01; done""")
    assert payloads(done) == numbered("daemon", 50)
    assert done.packets == 50
    assert re.search(r"^1 process.* still", done.stderr, re.M), done.stderr
    left = [one for one in busy.lab.processes()
            if str(one.inner) == mark.read_text()]
    assert len(left) == 1
    os.kill(left[0].pid, signal.SIGKILL)


def test_talking_to_itself(busy):
    """Over 127.0.0.1 each packet is there once."""
    done = busy.trace(*program("itself.py"), 100)
    assert fields(done.path, "tcp.len > 0", "tcp.len") == [("6",)] * 200
    seen = fields(done.path, "tcp", "tcp.srcport", "tcp.seq", "tcp.ack",
                  "tcp.len", "tcp.flags", "ip.id")
    assert len(seen) == len(set(seen)) == done.packets
    assert not tshark(done.path, "-Y", "tcp.analysis.retransmission or "
                      "tcp.analysis.duplicate_ack or tcp.analysis.out_of_order")


def test_time_order(busy):
    """One file in time order over eth0 and lo."""
    done = busy.trace(*program("alternate.py"), busy.server, SINK, 2000)
    assert payloads(done) == [f"{number:06}" for number in range(2000)]
    assert capinfos(done.path)["Strict time order"] == "True"


def test_no_loopback(busy):
    """--no-loopback leaves out the namespace's own lo, and only that."""
    done = busy.trace(*program("alternate.py"), busy.server, SINK, 100,
                      options=["--no-loopback"])
    assert payloads(done) == [f"{number:06}" for number in range(1, 100, 2)]


def test_filter(busy):
    """-f keeps what the expression says, on both interfaces."""
    done = busy.trace(
        "sh", "-c", f"curl -s -o got {busy.http.url('small')};"
        f" dig +short www.example.test; ping -nc1 {busy.server};"
        " ping -nc1 127.0.0.1", options=["-f", "icmp"])
    assert fields(done.path, "", "icmp.type") == [("8",), ("0",)] * 2


def test_bad_filter(busy):
    """A bad filter: one clear line, 125, and nothing was built."""
    before = busy.lab.state()["links"]
    done = busy.lab.nsntrace("-o", "bad.pcap", "-f", "port nonsense", "touch",
                             busy.lab.dir / "ran")
    assert done.returncode == 125
    error, hint = done.stderr.splitlines()
    assert "port nonsense" in error
    assert hint.startswith("nsntrace: hint: ")
    assert not (busy.lab.dir / "ran").exists()
    assert not (busy.lab.dir / "bad.pcap").exists()
    assert busy.lab.state()["links"] == before


def test_git(busy):
    """git clone over HTTP: what was cloned is what the trace saw."""
    url = busy.http.url(busy.http.git())
    shutil.rmtree(busy.lab.dir / "clone", ignore_errors=True)
    done = busy.trace("git", "clone", "-q", url, "clone")
    assert (busy.lab.dir / "clone/file").read_text() == "hello\n"
    asked = fields(done.path, "http.request", "http.request.uri")
    assert len(asked) > 3
    assert all(uri.startswith("/repository.git/") for (uri,) in asked)


def test_ssh(busy):
    """ssh: one connection from banner to end."""
    done = busy.trace(*busy.lab.sshd().command("echo", "hello"))
    assert done.stdout == "hello\n"
    banners = fields(done.path, "ssh.protocol", "ssh.protocol")
    assert len(banners) == 2
    assert len(fields(done.path, "tcp.flags.syn == 1", "frame.number")) == 2


def test_iperf3(busy):
    """iperf3: 20 MB, no byte that the server got is missing in the trace."""
    busy.lab.iperf3()
    done = busy.trace("iperf3", "-J", "-c", busy.server, "-n", "20M",
                      options=["-B", "64"])  # however late the reader comes
    # It gives up on what is still on its way at the end, two sockets' buffers.
    received = json.loads(done.stdout)["end"]["sum_received"]["bytes"]
    assert received > 4 << 20
    # The second connection has the data; some of it was sent again perhaps.
    seen = fields(done.path, "tcp.dstport == 5201 and tcp.stream == 1 and"
                  " tcp.len > 0", "tcp.seq", "tcp.len")
    end = 1
    for start, length in sorted((int(seq), int(size)) for seq, size in seen):
        assert start <= end, f"bytes {end} to {start} are missing"
        end = max(end, start + length)
    assert end > received
