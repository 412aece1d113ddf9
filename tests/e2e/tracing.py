# SPDX-License-Identifier: GPL-2.0-or-later
"""A traced program, run to its end, and what there is to say of it.

    trace(lab, *argv, options=(), file=, status=0)
             -> Trace: path, packets, stdout, stderr, addresses
    program(name)   -> a helper program below programs/, and what runs it
    settled(lab)    -> the host's state, the links of past runs being gone
    complaints(stderr) -> the error lines of a run that could not be, its hints
    over_both_sources  -> a mark: what it is on is run with either --source

The number of packets told at the end must be that of the file, as counted by
capinfos, and no counter may have complained.
"""

import re
from collections import namedtuple

import pytest

from captures import packets
from lab import HERE
from waiting import wait_for

PYTHON = "/usr/bin/python3"
_PROGRAMS = HERE / "programs"

over_both_sources = pytest.mark.parametrize(
    "source", ["libpcap", "packet"], indirect=True, scope="module")

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
    assert not re.search(" counted |dropped by|missing", done.stderr), done.stderr
    return Trace(path, count, done.stdout, done.stderr, addresses(done.stderr))


def trace(lab, *argv, options=(), file="trace.pcap", status=0, **popen):
    done = lab.nsntrace("-o", file, *options, *argv, **popen)
    return finish(lab.dir / file, done, status)


def settled(lab):
    def ended():
        ours = [one for one in lab.processes() if one.args[0] in (
            str(lab.nsntrace_path), "[nsntrace-keeper]")]
        return not ours and "nsn-" not in lab.sh("ip -o link; nft list tables")

    # What the kernel removes by itself may go on behind the prompt.
    wait_for(ended, what="end of past runs")
    return lab.state()


def complaints(stderr):
    lines = stderr.splitlines()
    hints = [line for line in lines if line.startswith("nsntrace: hint: ")]
    errors = [line for line in lines if line not in hints]
    assert all(line.startswith("nsntrace: ") for line in errors), stderr
    return errors, hints
