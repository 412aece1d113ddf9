# SPDX-License-Identifier: GPL-2.0-or-later
"""This program and its peers: how each is started, and what it says of drops.

Each is a command in front of the program to be traced, so that all of them are
run, timed and counted alike. "{out}" in it is the capture file; other names in
braces are what World.names has.
"""

import re


class Tracer:
    """One way to run a program, with or without a trace of it."""

    def __init__(self, label, words, needs=(), drops=None):
        self.label = label
        self.words = words
        self.needs = needs  # options that the program under test may lack
        self.drops = drops  # what finds them in its messages
        self.needs_forwarding = False

    def command(self, names, options=()):
        words = []
        for word in self.words:
            words += options if word == "{options}" else [word.format(**names)]
        return words

    def reported(self, messages):
        """The drops that it told of, or None if it never tells."""
        if not self.drops:
            return None
        return sum(int(found) for found in self.drops.findall(messages))


_OUR_DROPS = re.compile(r"(\d+) packets dropped\b")
_TCPDUMP_DROPS = re.compile(r"^(\d+) packets? dropped by kernel", re.M)
_DUMPCAP_DROPS = re.compile(r"received/dropped on interface .*: \d+/(\d+) ")


def _ours(label, *options, program="{nsntrace}"):
    return Tracer(label, [program, "-o", "{out}", *options, "{options}"],
                  [one for one in options if one.startswith("--")], _OUR_DROPS)


def _by_hand(label, *capture, drops=None):
    options = ["{options}"] if capture else []
    return Tracer(label, ["sh", "{bench}/by-hand.sh", "{before}", "{after}",
                          *capture, *options, "--"], drops=drops)


def _dumpcap(label, *options):
    return _by_hand(label, "dumpcap", "-q", "-i", "eth0", "-w", "{out}", *options,
                    drops=_DUMPCAP_DROPS)


def _debian():
    tracer = Tracer("nsntrace 4 (Debian)",
                    ["env", "LD_LIBRARY_PATH={deb}", "{deb}/nsntrace",
                     "-d", "eth0", "-o", "{out}"])
    tracer.needs_forwarding = True
    return tracer


# In the order of a round.
TRACERS = {
    "alone": Tracer("the program alone", []),
    "plain": _by_hand("plain veth + NAT, no capture"),
    "nsntrace": _ours("nsntrace"),
    "other": _ours("nsntrace, the other build", program="{other}"),
    "packet": _ours("nsntrace --source packet", "--source", "packet"),
    "lossless": _ours("nsntrace --lossless", "--lossless"),
    "tcpdump": _by_hand("tcpdump", "tcpdump", "-n", "-Z", "root", "-i", "eth0",
                        "-w", "{out}", drops=_TCPDUMP_DROPS),
    "dumpcap": _dumpcap("dumpcap"),
    "dumpcap64": _dumpcap("dumpcap -B 64", "-B", "64"),
    "deb": _debian(),
}


def turns(settings, rows):
    """(round, row, tracer) for all that is to be measured, by turns."""
    for number in range(settings.rounds):
        for row in rows:
            if settings.rows and row.name not in settings.rows:
                continue
            for tracer in row.tracers:
                if tracer in settings.tracers:
                    yield number, row, tracer
