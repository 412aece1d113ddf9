# SPDX-License-Identifier: GPL-2.0-or-later
"""Start after start, and many at once: each is complete, and nothing stays.

The long form (NSNTRACE_LONG=1) is of 10,000 runs at once by 500, and of 1,000 in
a row.
"""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from captures import each
from lab import HERE, LONG
from runs import program, settled
from waiting import wait_for

SINK, COUNT = 7000, 20
STARTS, LOOPS = 300, 4
CROWD, ROUNDS = (500, 20) if LONG else (60, 1)
ROW = 1000 if LONG else 100
EMPTY = 24  # bytes of a classic file without packets

# Statuses come in a row, so that a lost or a repeated one shows.
SCRIPT = """
n=0
while [ $n -lt $2 ]; do
	"$1" -o $n.pcap sh -c "exit $((n % 100))" 2>>errors
	echo $?
	n=$((n + 1))
done
"""


def test_starts_in_a_row(lab):
    """300 starts beside four busy loops: each ends as it must, nothing stays."""
    before = lab.state()
    loops = [lab.popen(["sh", "-c", "while :; do :; done"]) for _ in range(LOOPS)]
    began = time.monotonic()
    done = lab.run(["sh", "-euc", "set +e\n" + SCRIPT, "sh", lab.nsntrace_path,
                    STARTS], timeout=240)
    took = time.monotonic() - began
    assert all(loop.poll() is None for loop in loops), "it was not busy"
    for loop in loops:
        loop.send_signal(signal.SIGKILL)
        loop.wait()
    print(f"{STARTS} starts in {took:.1f} s")
    told = (lab.dir / "errors").read_text()
    assert "nsntrace: " not in told, told
    assert told.count("Finished capturing 0 packets.\n") == STARTS
    assert [int(line) for line in done.stdout.split()] == [
        n % 100 for n in range(STARTS)]
    assert [(lab.dir / f"{n}.pcap").stat().st_size for n in range(STARTS)] == [
        EMPTY] * STARTS
    settled(lab, before)


@pytest.fixture(scope="module")
def untouched(lab_module):
    """With a server, which has a process that outlives it."""
    lab_module.http()
    return lab_module.state()


@pytest.fixture(scope="module")
def send_udp(lab_module):
    """Many times quicker to start than Python."""
    path = lab_module.base / "send_udp"
    lab_module.run(["gcc", "-static", "-o", path, HERE / "programs/send_udp.c"],
                   check=True)
    return path


def test_at_once(same_lab, send_udp):
    """Every trace is whole; the last start is no more work than the first."""
    lab = same_lab
    send = f"{send_udp} 192.0.2.1 {SINK} {COUNT}"
    argv = [lab.nsntrace_path, "-B", 4, "-o", "{n}.pcap", "sh", "-c",
            f"{send} && echo ready && read line; exit 7"]
    sink = lab.udp_sink(SINK)
    work = []
    for _ in range(ROUNDS):
        before = lab.state()
        done = lab.run(["/usr/bin/python3", program("crowd.py"), CROWD, *argv],
                       timeout=300, check=True)
        told = json.loads(done.stdout)
        errors = (lab.dir / "errors").read_text()
        assert "nsntrace: " not in errors, errors
        assert errors.count(f"Finished capturing {COUNT} packets.\n") == CROWD
        assert (told["ready"], told["ended"]) == (CROWD, CROWD)
        assert told["statuses"] == [7]
        wait_for(lambda: sink.count() == CROWD * COUNT, 20, "datagrams")
        sink.forget()
        work.append(told["last"])
        traces = list(lab.dir.glob("*.pcap"))
        assert len(traces) == CROWD
        assert {count for _, count in each(traces)} == {COUNT}
        for path in (*traces, lab.dir / "errors"):
            path.unlink()
        lab.wait_state(before, 60)
    sink.close()
    print(f"the last of {CROWD}: {sorted(work)[len(work) // 2]:.1f} ms of work,"
          f" {max(work):.1f} at most")
    # Twice what the slowest of many machines needs; sanitizers take more.
    assert min(work) < (10 if LONG else 100)


# Conntrack forgets what has ended after this many seconds.
FORGET = {f"net.netfilter.nf_conntrack_{name}": 1 for name in (
    "udp_timeout", "udp_timeout_stream", "tcp_timeout_close",
    "tcp_timeout_close_wait", "tcp_timeout_fin_wait", "tcp_timeout_last_ack",
    "tcp_timeout_time_wait")}


def used(lab):
    """What a run takes of the kernel, and gives back some time after its end.

    But for the connections it is counted for the whole machine.
    """
    slab = Path("/proc/slabinfo").read_text()
    found = {"namespaces": re.search(r"^net_namespace +(\d+) ", slab, re.M)[1],
             "connections": lab.sh("wc -l </proc/net/nf_conntrack")}
    if LONG:
        found["files"] = Path("/proc/sys/fs/file-nr").read_text().split()[0]
        found["tracked"] = re.search(r"^nf_conntrack +(\d+) ", slab, re.M)[1]
    return {name: int(value) for name, value in found.items()}


IN_A_ROW = """
n=0
while [ $n -lt $2 ]; do
	"$1" -q -o row.pcap bash -c "$3; exec 5<>/dev/tcp/192.0.2.1/80; exit 7"
	[ $? -eq 7 ] || exit 1
	n=$((n + 1))
done
"""


def test_in_a_row(same_lab, send_udp):
    """Nothing of the kernel's is kept, not even half an object for a run.

    Others use the same machine, so that less than that says nothing.
    """
    lab = same_lab
    state = lab.state()

    def row(number):
        done = lab.run(["bash", "-c", IN_A_ROW, "bash", lab.nsntrace_path,
                        number, f"{send_udp} 192.0.2.1 {SINK} 1"], check=True,
                       timeout=900)
        assert done.stderr == ""

    row(3)
    for name, seconds in FORGET.items():
        lab.sysctl(name, seconds)
    before = used(lab)
    row(ROW)
    seen = {}

    def is_back():
        seen.update({name: value - before[name]
                     for name, value in used(lab).items()})
        return all(more < ROW / 2 for more in seen.values())

    try:
        wait_for(is_back, 180, "end of what runs took")
    finally:
        print(f"more than before {ROW} runs: {seen}")
    lab.wait_state(state)
