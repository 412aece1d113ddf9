# SPDX-License-Identifier: GPL-2.0-or-later
"""A traced program, run to its end, and what there is to say of it.

    trace(lab, *argv, options=(), file=, status=0)
             -> Trace: path, packets, stdout, stderr, addresses
    program(name)   -> a helper program below programs/, and what runs it
    start(lab, *argv, options=(), file=)
             -> Popen of a run whose program is certainly running

The number of packets told at the end must be that of the file, as counted by
capinfos, and no counter may have complained.
"""

import re
from collections import namedtuple
from pathlib import Path

from captures import packets

PYTHON = "/usr/bin/python3"
_PROGRAMS = Path(__file__).resolve().parent / "programs"

Trace = namedtuple("Trace", "path packets stdout stderr addresses")


def program(name):
    return [PYTHON, "-B", _PROGRAMS / name]


def addresses(stderr):
    """The program's own addresses, as the banner tells them."""
    return re.findall(r"^Your IP(?:v6)? address in this trace is (\S+)\.$",
                      stderr, re.M)


def finish(path, done, status=0):
    assert done.returncode == status, done
    told = re.search(r"^Finished capturing (\d+) packets\.$", done.stderr, re.M)
    assert told, done.stderr
    count = packets(path)
    assert int(told[1]) == count, done.stderr
    assert not re.search("counted|dropped|missing", done.stderr), done.stderr
    return Trace(path, count, done.stdout, done.stderr, addresses(done.stderr))


def trace(lab, *argv, options=(), file="trace.pcap", status=0, **popen):
    done = lab.nsntrace("-o", file, *options, *argv, **popen)
    return finish(lab.dir / file, done, status)
