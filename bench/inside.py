# SPDX-License-Identifier: GPL-2.0-or-later
"""Be the traced program: run another, and write down what crossed meanwhile.

    inside.py REPORT PROGRAM [ARGUMENT]...

REPORT gets what the namespace's own interfaces counted, which is what a trace
is compared with, the CPU seconds that are the program's and not the tracer's,
and what the program printed: some tracers print too. It ends as that did.
"""

import json
import resource
import subprocess
import sys
import time

# Of /proc/net/tcp: ended, or never begun.
_QUIET = {"06", "07", "0A"}
_SETTLE_SECONDS = 1


def _counters():
    """Packets and bytes of all interfaces but lo, in both directions."""
    packets = size = 0
    with open("/proc/net/dev", encoding="ascii") as lines:
        for line in list(lines)[2:]:
            name, _, rest = line.partition(":")
            if name.strip() != "lo":
                numbers = [int(word) for word in rest.split()]
                size += numbers[0] + numbers[8]
                packets += numbers[1] + numbers[9]
    return packets, size


def _is_talking():
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}", encoding="ascii") as lines:
            if any(line.split()[3] not in _QUIET for line in list(lines)[1:]):
                return True
    return False


def _cpu():
    return sum(usage.ru_utime + usage.ru_stime for usage in (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN)))


def main():
    report, argv = sys.argv[1], sys.argv[2:]
    before = _counters()
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    # The last segments are the kernel's to send.
    deadline = time.monotonic() + _SETTLE_SECONDS
    while _is_talking() and time.monotonic() < deadline:
        time.sleep(0.002)
    after = _counters()
    with open(report, "w", encoding="ascii") as file:
        json.dump({"packets": after[0] - before[0],
                   "bytes": after[1] - before[1],
                   "printed": done.stdout, "cpu": _cpu()}, file)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
