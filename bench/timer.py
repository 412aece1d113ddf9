# SPDX-License-Identifier: GPL-2.0-or-later
"""Run commands by turns and print how long each took, as its caller sees it.

    timer.py TURNS <{NAME: COMMAND, ...}

On the pretend host, so that nothing of the benchmark's own stands between the
clock and the command. A line for each run: name, milliseconds, status.
"""

import json
import os
import sys
import time


def main():
    commands = json.load(sys.stdin)
    sink = os.open("/dev/null", os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, sink, fd) for fd in (0, 1, 2)]
    for _ in range(int(sys.argv[1])):
        for name, argv in commands.items():
            began = time.monotonic()
            child = os.posix_spawnp(argv[0], argv, os.environ,
                                    file_actions=quiet)
            status = os.waitpid(child, 0)[1]
            print(name, 1000 * (time.monotonic() - began),
                  os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
