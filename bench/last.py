# SPDX-License-Identifier: GPL-2.0-or-later
"""The last packets of a program that ends right after it has sent them."""

from collections import namedtuple
from contextlib import closing

import table
from tracers import TRACERS, turns
from world import World

ROUNDS = 5
COUNT = 500
LENGTH = 14 + 20 + 8 + 64  # of each datagram's frame

Row = namedtuple("Row", "name label after tracers")
ROWS = (
    Row("last", "stopped at once", 0,
        ("nsntrace", "other", "packet", "tcpdump", "dumpcap", "dumpcap64",
         "deb")),
    Row("last-sleep", "stopped after 2 s", 2, ("tcpdump", "dumpcap")),
)


def records(settings):
    for number, row, tracer in turns(settings, ROWS):
        with closing(World(settings)) as world:
            world.sink()
            command = world.command(TRACERS[tracer],
                                    pauses={"before": 0.3, "after": row.after})
            world.lab.run([*command, *world.datagrams("-n", COUNT)])
            found = world.kept(LENGTH)
        yield {"round": number, "row": row.name, "tracer": tracer,
               "kept": found.packets if found else 0}


def works(record):
    return record["kept"] == COUNT


def line(record):
    return f"{record['kept']} of {COUNT}"


def summary(found):
    lines = []
    for row in ROWS:
        for tracer in row.tracers:
            kept = [one["kept"]
                    for one in table.select(found, row.name, tracer)]
            if kept:
                lines.append((TRACERS[tracer].label, row.label, str(len(kept)),
                              table.median(kept, "{:.0f}"), str(min(kept))))
    return table.markdown(("tracer", "when", "rounds", f"kept of {COUNT}",
                           "fewest"), lines)
