# SPDX-License-Identifier: GPL-2.0-or-later
"""Start after start on a machine that is busy with something else."""

import signal
import time

from runs import settled

STARTS, LOOPS = 300, 4
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
