# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and plot of all groups that have results."""

import json
import math
import statistics

import plot
import table
from tracers import TRACERS

_LOSSY = ("tcp-1g", "tcp-4g", "tcp-8g", "tcp-up")
_RATES = {"tcp-1g": "1 Gbit/s", "tcp-4g": "4 Gbit/s", "tcp-8g": "8 Gbit/s",
          "tcp-up": "unpaced", "tcp-down": "TCP down",
          "tcp-up-s128": "TCP up, -s 128", "udp-flood": "UDP flood, 64 bytes"}


def _bars(found, row, value):
    """The medians of the tracers that have one."""
    bars = []
    for tracer in plot.COLOURS:
        known = [one for one in value(found, row, tracer) if one is not None]
        if known:
            bars.append((tracer, statistics.median(known)))
    return bars


def _kept(found, row, tracer):
    return [table.kept(one, 1) for one in table.select(found, row, tracer)]


def _beside(found, row, tracer):
    if tracer == "plain":
        return []
    return table.ratios(found, row, tracer,
                        "tcp-up" if row == "tcp-up-s128" else row)


def _percent(value):
    """Rounded down: only all is 100."""
    return f"{math.floor(10 * value) / 10:g}"


def _times(found, row, tracer):
    return [ms for one in table.select(found, row, tracer) for ms in one["ms"]]


def _panels(found):
    flow, start = found.get("throughput", []), found.get("start", [])
    return [
        plot.Panel("Bytes in the file, % of those that crossed (TCP up)",
                   [(_RATES[row], _bars(flow, row, _kept)) for row in _LOSSY],
                   100, _percent),
        plot.Panel("Speed beside the same without a capture",
                   [("TCP up" if row == "tcp-up" else _RATES[row],
                     _bars(flow, row, _beside))
                    for row in ("tcp-up", "tcp-up-s128", "tcp-down", "udp-flood")],
                   1, "{:.2f}".format),
        plot.Panel("Start and end of /bin/true, ms (bars end at 150)",
                   [("", _bars(start, "true", _times))], 150),
    ]


def _read(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines[0], lines[1:]


def _about(machine):
    return ("{program} ({commit}), {date}; {cpu}, {memory}, Linux {kernel};"
            " captures on {medium}".format(**machine))


def write(results, groups):
    """Make table.md and plot.svg of what is in the folder of results."""
    text, found, about = [], {}, ""
    for name, group in groups.items():
        path = results / f"{name}.jsonl"
        if not path.exists():
            continue
        machine, found[name] = _read(path)
        about = _about(machine)
        text.append(f"## {name}\n\n{about}\n\n{group.summary(found[name])}")
    (results / "table.md").write_text("\n".join(text))
    panels = _panels(found)
    shown = {tracer for panel in panels for _, bars in panel.groups
             for tracer, _ in bars}
    labels = {tracer: TRACERS[tracer].label.split(",")[0]
              for tracer in plot.COLOURS if tracer in shown}
    (results / "plot.svg").write_text(plot.draw(about, labels, panels))
