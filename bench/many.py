# SPDX-License-Identifier: GPL-2.0-or-later
"""Many runs at once: is each complete, what is left, what do they use."""

import json
import time
from collections import namedtuple
from contextlib import closing

import table
from tracers import TRACERS, turns
from world import PYTHON, World, diff

ROUNDS = 5
COUNT = 20
LENGTH = 14 + 20 + 8 + 64
SETTLE_SECONDS = 10

Row = namedtuple("Row", "name runs tracers")
_PEERS = ("plain", "dumpcap", "deb")
ROWS = (
    Row("many-1", 1, ("nsntrace", "other", "packet", *_PEERS)),
    Row("many-10", 10, ("nsntrace", "other", "packet", *_PEERS)),
    Row("many-50", 50, ("nsntrace", "other", "packet", *_PEERS)),
    Row("many-100", 100, ("nsntrace", "other", "packet")),
    Row("many-500", 500, ("nsntrace", "other", "packet")),
)


def _left(lab, before):
    """How many lines of the host's state are not as before, in the end."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        now = lab.state()
        if now == before or time.monotonic() > deadline:
            return [one for one in diff(before, now).splitlines()
                    if one[:1] in "+-" and one[:3] not in ("+++", "---")]
        time.sleep(0.1)


def _crowd(world, tracer, runs):
    command = world.command(tracer, pauses={"before": 0.3, "after": 1.2},
                            out="trace{n}")
    program = world.datagrams("-w", "-n", COUNT)
    done = world.lab.run(
        [PYTHON, world.programs / "crowd.py", runs, "udp-send"], check=True,
        input=json.dumps([str(word) for word in [*command, *program]]), timeout=300)
    return json.loads(done.stdout)


def records(settings):
    for number, row, tracer in turns(settings, ROWS):
        with closing(World(settings)) as world:
            world.sink()
            # What the script leaves once, however often it runs.
            world.lab.sh("echo 1 >/proc/sys/net/ipv4/ip_forward;"
                         "touch /run/bench.lock; ip netns add x; ip netns del x")
            before = world.lab.state()
            found = _crowd(world, TRACERS[tracer], row.runs)
            counts = [world.kept(LENGTH, f"trace{one}")
                      for one in range(row.runs)]
            found["complete"] = sum(
                bool(one) and one.whole and one.packets == COUNT
                for one in counts)
            left = _left(world.lab, before)
        yield {"round": number, "row": row.name, "tracer": tracer,
               "runs": row.runs, "left": len(left), "left_lines": left[:20],
               **found}


def works(record):
    return (record["succeeded"] == record["complete"] == record["runs"]
            and not record["left"])


def _per_run(record):
    return record["pss"] / record["ready"] / 1024 if record["ready"] else None


def line(record):
    return (f"{record['succeeded']} of {record['runs']} succeeded,"
            f" {record['complete']} complete, up in {record['started']:.2f} s,"
            f" down in {record['ended']:.2f} s, {record['left']} left,"
            f" {table.median([_per_run(record)])} MiB each,"
            f" all {record['all'] / 1024:.0f} MiB")


HEAD = ("at once", "tracer", "rounds", "succeeded", "complete", "all up, s",
        "all down, s", "lines left", "MiB each beyond rings",
        "MiB all together")


def _summary(mine, row, tracer):
    return (str(row.runs), TRACERS[tracer].label, str(len(mine)),
            *(table.median([one[name] for one in mine], form) for name, form in (
                ("succeeded", "{:.0f}"), ("complete", "{:.0f}"),
                ("started", "{:.2f}"), ("ended", "{:.2f}"), ("left", "{:.0f}"))),
            table.median([_per_run(one) for one in mine]),
            table.median([one["all"] / 1024 for one in mine], "{:.0f}"))


def summary(found):
    return table.markdown(HEAD, [
        _summary(table.select(found, row.name, tracer), row, tracer)
        for row in ROWS for tracer in row.tracers
        if table.select(found, row.name, tracer)])
