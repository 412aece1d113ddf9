#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs: start and end of /bin/true, traced and alone, by turns.

    NSNTRACE=PROGRAM bench/start.py [ROUNDS]

Prints each round in milliseconds, then both medians and their difference. It
runs on the pretend host of the end-to-end tests, as root.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))

TIMER = """
import os, sys, time

def milliseconds(argv):
    began = time.monotonic()
    status = os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)[1]
    assert status == 0, (argv, status)
    return 1000 * (time.monotonic() - began)

traced = [sys.argv[1], "-q", "-o", "bench.pcap", "/bin/true"]
for _ in range(int(sys.argv[2])):
    print(milliseconds(["/bin/true"]), milliseconds(traced))
"""


def measure(lab, rounds):
    """A (bare, traced) pair of milliseconds for each round."""
    done = lab.run(["/usr/bin/python3", "-c", TIMER, lab.nsntrace_path, rounds],
                   check=True, timeout=60 + rounds)
    return [tuple(map(float, line.split())) for line in done.stdout.splitlines()]


def report(rounds):
    bare, traced = (statistics.median(column) for column in zip(*rounds))
    return (f"/bin/true: {bare:.1f} ms alone, {traced:.1f} ms traced,"
            f" {traced - bare:.1f} ms more (medians of {len(rounds)})")


def main():
    from lab import Lab  # needs NSNTRACE

    lab = Lab()
    try:
        rounds = measure(lab, int(sys.argv[1]) if len(sys.argv) > 1 else 50)
    finally:
        lab.close()
    for bare, traced in rounds:
        print(f"{bare:8.2f} {traced:8.2f}")
    print(report(rounds))


if __name__ == "__main__":
    main()
