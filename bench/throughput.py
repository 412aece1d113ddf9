# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs the program in speed, and what it holds of the traffic."""

from collections import namedtuple
from contextlib import closing

import table
from tracers import TRACERS, turns
from world import World

ROUNDS = 5
FLOOD_SECONDS_MAX = 2

# beside: the row whose plain run the speed is compared with, if not its own.
Row = namedtuple("Row", "name label program options tracers beside",
                 defaults=(None,))


def iperf3(*options):
    """The program that talks TCP with the server."""
    def argv(world, seconds):
        world.lab.iperf3()
        return ["iperf3", "-J", "-c", world.server, "-t", seconds, *options]
    return argv


def _flood(world, seconds):
    world.sink()
    return world.datagrams("-t", min(seconds, FLOOD_SECONDS_MAX))


_CUT = ("-s", "128")
_OURS = ("nsntrace", "other", "packet")
_PACED = (*_OURS, "tcpdump", "dumpcap", "dumpcap64")

ROWS = (
    Row("tcp-up", "TCP up, unpaced", iperf3(), (),
        ("plain", *_OURS, "lossless", "tcpdump", "dumpcap", "dumpcap64", "deb")),
    Row("tcp-up-s128", "TCP up, unpaced, `-s 128`", iperf3(), _CUT,
        (*_OURS, "tcpdump", "dumpcap64"), "tcp-up"),
    Row("tcp-down", "TCP down, unpaced", iperf3("-R"), (),
        ("plain", *_OURS, "lossless", "dumpcap64")),
    Row("tcp-1g", "TCP up, 1 Gbit/s", iperf3("-b", "1G"), (), _PACED),
    Row("tcp-4g", "TCP up, 4 Gbit/s", iperf3("-b", "4G"), (), _PACED),
    Row("tcp-8g", "TCP up, 8 Gbit/s", iperf3("-b", "8G"), (), _PACED),
    Row("udp-flood", "UDP flood, 64 bytes", _flood, (),
        ("plain", *_OURS, "tcpdump", "dumpcap64")),
)


def rate(program):
    """Bits per second that arrived, or datagrams per second that were sent."""
    if not program or "error" in program:
        return None
    if "sent" in program:
        return program["sent"] / program["seconds"]
    return program["end"]["sum_received"]["bits_per_second"]


def records(settings):
    for number, row, tracer in turns(settings, ROWS):
        with closing(World(settings)) as world:
            found = world.measure(
                TRACERS[tracer], row.program(world, settings.seconds),
                options=row.options, timeout=60 + 5 * settings.seconds)
        found["rate"] = rate(found.pop("program", None))
        yield {"round": number, "row": row.name, "tracer": tracer, **found}


def works(record):
    """A capture may lose packets, but never without a word."""
    return record["rate"] and record.get("kept") and not table.uncounted(record)


def line(record):
    """One measurement, for whoever watches."""
    if not record["rate"]:
        return "failed"
    words = ["{:7.2f} {}".format(*_scaled(record["rate"]))]
    if "kept" in record:
        words += [f"packets {table.kept(record, 0):7.3f} %",
                  f"bytes {table.kept(record, 1):7.3f} %",
                  f"drops {record['drops']}",
                  f"uncounted {table.uncounted(record)}",
                  f"CPU {table.median([table.cpu_written(record)], '{:.3f}')}"
                  " s/GB"]
    return ", ".join(words)


def _scaled(value):
    """Bits per second are many, datagrams are few."""
    return (value / 1e9, "Gbit/s") if value > 1e7 else (value / 1e3, "k/s")


HEAD = ("what", "tracer", "rounds", "rate", "min..max", "beside plain",
        "packets kept %", "bytes kept %", "drops told", "not accounted for",
        "CPU s/GB written", "s/GB crossed", "us/packet")


def _summary(found, row, tracer):
    mine = table.select(found, row.name, tracer)
    rates = [_scaled(one["rate"]) for one in mine if one["rate"]]
    unit = f"{{:.2f}} {rates[0][1]}" if rates else "{}"
    # Nobody can account for what a peer cuts and does not tell.
    tells = TRACERS[tracer].drops is not None
    return (row.label, TRACERS[tracer].label, str(len(rates)),
            table.median([value for value, _ in rates], unit),
            table.spread([value for value, _ in rates]),
            table.median(table.ratios(found, row.name, tracer,
                                      row.beside or row.name)),
            table.median([table.kept(one, 0) for one in mine]),
            table.median([table.kept(one, 1) for one in mine]),
            table.median([one["drops"] for one in mine], "{:.0f}"),
            table.median([table.uncounted(one) for one in mine
                          if tells], "{:.0f}"),
            table.median([table.cpu_written(one) for one in mine], "{:.3f}"),
            table.median([table.cpu_crossed(one) for one in mine], "{:.3f}"),
            table.median([table.cpu_packet(one) for one in mine]))


def summary(found):
    """The group's table, in Markdown."""
    return table.markdown(HEAD, [
        _summary(found, row, tracer) for row in ROWS for tracer in row.tracers
        if table.select(found, row.name, tracer)])
