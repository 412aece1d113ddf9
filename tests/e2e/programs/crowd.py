# SPDX-License-Identifier: GPL-2.0-or-later
"""crowd.py COUNT COMMAND...: COUNT runs at once, the last one by itself.

"{n}" in a word is the run's number. The programs print "ready" and end when
their standard input does, which is when all are ready. What the runs say goes
to the file "errors". The answer is a JSON object: how many were ready, their
statuses, and the milliseconds that the processes of the last one have worked
until it was.
"""

import json
import os
import select
import sys
import time
from pathlib import Path

SECONDS = 240

count, command = int(sys.argv[1]), sys.argv[2:]
stdin, stdout = os.pipe(), os.pipe()
errors = os.open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
actions = [(os.POSIX_SPAWN_DUP2, stdin[0], 0),
           (os.POSIX_SPAWN_DUP2, stdout[1], 1),
           (os.POSIX_SPAWN_DUP2, errors, 2)]
fronts = []
statuses = []
lines = b""
deadline = time.monotonic() + SECONDS


def start(number):
    argv = [word.replace("{n}", str(number)) for word in command]
    fronts.append(os.posix_spawn(argv[0], argv, os.environ,
                                 file_actions=actions))


def reap():
    while len(statuses) < len(fronts):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        statuses.append(os.waitstatus_to_exitcode(status))


def wait_ready(number):
    """Until so many programs are ready, or have failed."""
    global lines
    while (lines.count(b"ready\n") + len(statuses) < number
           and time.monotonic() < deadline):
        if select.select([stdout[0]], [], [], 0.1)[0]:
            lines += os.read(stdout[0], 65536)
        reap()


def tree(pid):
    yield pid
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            yield from tree(int(child))


def work(pid):
    """Milliseconds on a processor, of all threads (sched-stats)."""
    spent = 0
    for one in tree(pid):
        name = Path(f"/proc/{one}/comm").read_text().strip()
        # The program is not its tracer.
        if not name.startswith("nsntrace"):
            continue
        for task in os.listdir(f"/proc/{one}/task"):
            spent += int(Path(f"/proc/{one}/task/{task}/schedstat")
                         .read_text().split()[0])
    return spent / 1e6


for n in range(count - 1):
    start(n)
wait_ready(count - 1)
start(count - 1)
wait_ready(count)
last = work(fronts[-1])
ready = lines.count(b"ready\n")
os.close(stdin[1])
while len(statuses) < count and time.monotonic() < deadline:
    reap()
    time.sleep(0.01)
print(json.dumps({"ready": ready, "statuses": sorted(set(statuses)),
                  "ended": len(statuses), "last": last}))
