# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians of what was measured, as Markdown tables.

A record is one measurement: a dict with round, row, tracer, and what
World.measure() found. Ratios are paired by round before their median is taken,
as a noisy machine is noisy for a while.
"""

import statistics


def median(values, form="{:.2f}"):
    """The median of what is known, as text."""
    known = [value for value in values if value is not None]
    return form.format(statistics.median(known)) if known else "-"


def spread(values, form="{:.2f}"):
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return "-"
    return f"{form.format(min(known))}..{form.format(max(known))}"


def select(records, row, tracer):
    return [one for one in records if (one["row"], one["tracer"]) == (row, tracer)]


def ratios(records, row, tracer, beside):
    """The rate of each round beside that of plain in the same round."""
    plain = {one["round"]: one["rate"]
             for one in select(records, beside, "plain") if one["rate"]}
    return [one["rate"] / plain[one["round"]]
            for one in select(records, row, tracer)
            if one["rate"] and one["round"] in plain]


def kept(record, what):
    """The part that is in the file of what crossed: 0 packets, 1 bytes."""
    if "kept" not in record or not record.get("crossed"):
        return None
    return 100 * record["kept"][what] / max(record["crossed"][what], 1)


def uncounted(record):
    """Packets that are neither in the file nor among the drops told of."""
    if "kept" not in record or not record.get("crossed"):
        return None
    return record["crossed"][0] - record["kept"][0] - (record["drops"] or 0)


def _each(record, counts, what, scale):
    """The tracer's CPU time for each of what is counted, or None."""
    number = (record.get(counts) or [0, 0])[what]
    return record["cpu"] / number * scale if number and "cpu" in record else None


def cpu_written(record):
    """Seconds of the tracer for each GB in the file."""
    return _each(record, "kept", 1, 1e9)


def cpu_crossed(record):
    """Seconds of the tracer for each GB that crossed the interface."""
    return _each(record, "crossed", 1, 1e9) if "kept" in record else None


def cpu_packet(record):
    """Microseconds of the tracer for each packet in the file."""
    return _each(record, "kept", 0, 1e6)


def markdown(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |",
                      "|" + " --- |" * len(head),
                      *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"
