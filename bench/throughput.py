# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs the program in speed, and what it holds of the traffic."""

from collections import namedtuple

import table
from tracers import TRACERS
from world import SINK_PORT

# beside: the row whose plain run the speed is compared with, if not its own.
Row = namedtuple("Row", "name label program options tracers beside",
                 defaults=(None,))


def _iperf3(*options):
    return lambda world, seconds: ["iperf3", "-J", "-c", world.server, "-t",
                                   seconds, *options]


def _flood(world, seconds):
    return [world.names["bench"] / "udp-send", "-t", min(seconds, 2),
            world.server, SINK_PORT, 64]


_CUT = ("-s", "128")
_ALL = tuple(TRACERS)
_PACED = ("nsntrace", "other", "packet", "tcpdump", "dumpcap", "dumpcap64")

ROWS = (
    Row("tcp-up", "TCP up, unpaced", _iperf3(), (), _ALL),
    Row("tcp-up-s128", "TCP up, unpaced, `-s 128`", _iperf3(), _CUT,
        ("nsntrace", "other", "packet", "tcpdump", "dumpcap64"), "tcp-up"),
    Row("tcp-down", "TCP down, unpaced", _iperf3("-R"), (),
        ("plain", "nsntrace", "other", "packet", "lossless", "dumpcap64")),
    Row("tcp-1g", "TCP up, 1 Gbit/s", _iperf3("-b", "1G"), (), _PACED),
    Row("tcp-4g", "TCP up, 4 Gbit/s", _iperf3("-b", "4G"), (), _PACED),
    Row("tcp-8g", "TCP up, 8 Gbit/s", _iperf3("-b", "8G"), (), _PACED),
    Row("udp-flood", "UDP flood, 64 bytes", _flood, (),
        ("plain", "nsntrace", "other", "packet", "tcpdump", "dumpcap64")),
)


def _rate(program):
    """Bits per second that arrived, or datagrams per second that were sent."""
    if not program or "error" in program:
        return None
    if "sent" in program:
        return program["sent"] / program["seconds"]
    return program["end"]["sum_received"]["bits_per_second"]


def measure(world, row, tracer, seconds):
    if row.program is _flood:
        world.sink()
    else:
        world.lab.iperf3()
    result = world.measure(TRACERS[tracer], row.program(world, seconds),
                           options=row.options, timeout=60 + 5 * seconds)
    result["rate"] = _rate(result.pop("program", None))
    return result


def line(result):
    """One measurement, for whoever watches."""
    if not result["rate"]:
        return "failed"
    words = [f"{_scaled(result['rate'])[0]:7.2f} {_scaled(result['rate'])[1]}"]
    if "kept" in result:
        words += [f"packets {table.kept(result, 0):7.3f} %",
                  f"bytes {table.kept(result, 1):7.3f} %",
                  f"drops {result['drops']}",
                  f"uncounted {table.uncounted(result)}",
                  f"CPU {table.median([table.cpu(result)], '{:.3f}')} s/GB"]
    return ", ".join(words)


def _scaled(rate):
    """Bits per second are many, datagrams are few."""
    return (rate / 1e9, "Gbit/s") if rate > 1e7 else (rate / 1e3, "k/s")


HEAD = ("what", "tracer", "rounds", "rate", "min..max", "beside plain",
        "packets kept %", "bytes kept %", "drops told", "not accounted for",
        "tracer's CPU s/GB")


def _summary(records, row, tracer):
    found = table.select(records, row.name, tracer)
    rates = [_scaled(one["rate"]) for one in found if one["rate"]]
    unit = f"{{:.2f}} {rates[0][1]}" if rates else "{}"
    # Nobody can account for a peer that cuts or does not tell.
    tells = TRACERS[tracer].drops is not None
    return (row.label, TRACERS[tracer].label, str(len(rates)),
            table.median([rate for rate, _ in rates], unit),
            table.spread([rate for rate, _ in rates]),
            table.median(table.ratios(records, row.name, tracer,
                                      row.beside or row.name)),
            table.median([table.kept(one, 0) for one in found], "{:.2f}"),
            table.median([table.kept(one, 1) for one in found], "{:.2f}"),
            table.median([one["drops"] for one in found], "{:.0f}"),
            table.median([table.uncounted(one) for one in found
                          if tells], "{:.0f}"),
            table.median([table.cpu(one) for one in found], "{:.3f}"))


def summary(records):
    """The group's table, in Markdown."""
    return table.markdown(HEAD, [
        _summary(records, row, tracer) for row in ROWS for tracer in row.tracers
        if table.select(records, row.name, tracer)])
