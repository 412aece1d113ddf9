# SPDX-License-Identifier: GPL-2.0-or-later
"""Any number of runs at once."""

import subprocess

from captures import tcpdump_reads
from tracing import finish, program, settled
from waiting import wait_for

SINK, RUNS, COUNT = 7000, 50, 20


def test_fifty(lab):
    """50 programs at once: 50 complete files, nothing left."""
    before = settled(lab)
    send = " ".join(map(str, program("send_udp.py")))
    sink = lab.udp_sink(SINK)
    runs = [lab.popen_nsntrace(
        "-o", f"{number}.pcap", "sh", "-c", f"echo ready; read go; exec {send}"
        f" 192.0.2.1 {SINK} {COUNT} run{number:02}", stdin=-1)
        for number in range(RUNS)]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    # All of them run now, each with a link of its own.
    links = [line for line in lab.sh("ip -o link").splitlines()
             if ": nsn-" in line]
    assert len(links) == RUNS
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()

    addresses = set()
    for number, run in enumerate(runs):
        out, err = run.communicate(timeout=60)
        path = lab.dir / f"{number}.pcap"
        done = finish(path, subprocess.CompletedProcess(
            run.args, run.returncode, out, err))
        packets = tcpdump_reads(path)
        assert len(packets) == COUNT
        assert all(f"IP {done.addresses[0]}." in one for one in packets)
        addresses.update(done.addresses)
        path.unlink()
    assert len(addresses) == 2 * RUNS
    wait_for(lambda: sink.count() == RUNS * COUNT, what="datagrams")
    assert {data.decode() for data, _ in sink.datagrams()} == {
        f"run{number:02} {one:06}" for number in range(RUNS)
        for one in range(COUNT)}
    sink.close()
    lab.wait_state(before)
