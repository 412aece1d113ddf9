# SPDX-License-Identifier: GPL-2.0-or-later
"""A minute of traffic into rotated files."""

from collections import namedtuple
from contextlib import closing

import table
import throughput
from tracers import TRACERS, turns
from world import World

ROUNDS = 1
TIMES = 20  # as long as the traffic of the other groups
FILE_KB = 100_000

Row = namedtuple("Row", "name label program tracers")
ROWS = (Row("long", f"1 Gbit/s, files of {FILE_KB // 1000} MB",
            throughput.iperf3("-b", "1G"), ("nsntrace", "other", "packet", "dumpcap64")),)


def records(settings):
    seconds = TIMES * settings.seconds
    for number, row, tracer in turns(settings, ROWS):
        with closing(World(settings)) as world:
            found = world.measure(
                TRACERS[tracer], row.program(world, seconds),
                options=("-b", f"filesize:{FILE_KB}"), timeout=60 + 2 * seconds)
        found["rate"] = throughput.rate(found.pop("program", None))
        yield {"round": number, "row": row.name, "tracer": tracer,
               "seconds": seconds, **found}


def works(record):
    return throughput.works(record) and record["whole"]


def line(record):
    if not record["rate"] or "kept" not in record:
        return "failed"
    return (f"{record['rate'] / 1e9:.2f} Gbit/s, {record['files']} files,"
            f" packets {table.kept(record, 0):.3f} %, drops {record['drops']},"
            f" uncounted {table.uncounted(record)}")


def _summary(mine, row, tracer):
    medians = [table.median(values, form) for values, form in (
        ([one["files"] for one in mine], "{:.0f}"),
        ([table.kept(one, 0) for one in mine], "{:.3f}"),
        ([one["drops"] for one in mine], "{:.0f}"),
        ([table.uncounted(one) for one in mine], "{:.0f}"),
        ([table.cpu_written(one) for one in mine], "{:.3f}"))]
    return (f"{mine[0]['seconds']} s of {row.label}", TRACERS[tracer].label,
            str(len(mine)), *medians,
            "yes" if all(one["whole"] for one in mine) else "no")


def summary(found):
    lines = []
    for row in ROWS:
        for tracer in row.tracers:
            mine = [one for one in table.select(found, row.name, tracer)
                    if one["rate"] and "kept" in one]
            if mine:
                lines.append(_summary(mine, row, tracer))
    return table.markdown(("what", "tracer", "rounds", "files",
                           "packets kept %", "drops told", "not accounted for",
                           "CPU s/GB written", "each file whole"), lines)
