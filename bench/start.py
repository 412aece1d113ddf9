# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user waits for: start and end of /bin/true, traced."""

import json
import statistics
from collections import namedtuple
from contextlib import closing

import table
from tracers import TRACERS, turns
from world import PYTHON, World

ROUNDS = 5
TURNS = 20
SLOW = "deb"  # two seconds each: one turn will do

Row = namedtuple("Row", "name tracers")
ROWS = (Row("true", ("alone", "plain", "nsntrace", "other", "packet", "tcpdump",
                     "dumpcap", SLOW)),)


def _time(world, tracers, count):
    """{tracer: [(milliseconds, status), ...]}, all of them by turns."""
    commands = {tracer: [str(word) for word in world.command(
        TRACERS[tracer], out=tracer)] + ["/bin/true"] for tracer in tracers}
    done = world.lab.run([PYTHON, world.programs / "timer.py", count],
                         input=json.dumps(commands), check=True, timeout=300)
    found = {tracer: [] for tracer in tracers}
    for one in done.stdout.splitlines():
        tracer, milliseconds, status = one.split()
        found[tracer].append((float(milliseconds), int(status)))
    return found


def records(settings):
    order = list(turns(settings, ROWS))
    for number in range(settings.rounds):
        tracers = [tracer for turn, _, tracer in order if turn == number]
        count = TURNS if settings.seconds > 1 else 5
        with closing(World(settings)) as world:
            found = _time(world, [one for one in tracers if one != SLOW], count)
            if SLOW in tracers:
                found.update(_time(world, [SLOW], 1))
        for tracer in tracers:
            yield {"round": number, "row": "true", "tracer": tracer,
                   "ms": [ms for ms, status in found[tracer] if status == 0],
                   "failed": sum(status != 0 for _, status in found[tracer])}


def works(record):
    return record["ms"] and not record["failed"]


def line(record):
    return (f"{table.median(record['ms'])} ms,"
            f" {record['failed']} starts failed")


def summary(found):
    lines = []
    for tracer in ROWS[0].tracers:
        mine = table.select(found, "true", tracer)
        times = [ms for one in mine for ms in one["ms"]]
        alone = {one["round"]: statistics.median(one["ms"])
                 for one in table.select(found, "true", "alone")}
        more = [statistics.median(one["ms"]) - alone[one["round"]]
                for one in mine if one["ms"] and one["round"] in alone]
        if mine:
            lines.append((TRACERS[tracer].label, str(len(times)),
                          str(sum(one["failed"] for one in mine)),
                          table.median(times), table.spread(times),
                          table.median(more)))
    return table.markdown(("tracer", "runs", "failed", "ms", "min..max",
                           "more than alone, ms"), lines)
