# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of any of our processes at any system call, and at random moments.

What is killed, and where, comes from a recording: each process of a run at each
of its own calls of set-up and tear-down, several of them at keeper's, and all
sorts while packets flow. Afterwards program and host are as they were before,
if keeper was killed after the next start; and the file can be read as far as it
was written.

Here it is a sample of them, and all with NSNTRACE_LONG=1.
"""

import itertools
import random
import signal
import struct
from collections import Counter

import pytest

from faults import Fault, part_of, recorded, run, spread
from killing import OURS, PORT, Host, errors
from lab import INTERNET, LONG
from waiting import wait_for

SECONDS = 15
PARTS = 12 if LONG else 2
AT_CALLS = None if LONG else 110
IN_THE_RUN = 240 if LONG else 24
# How often a call is waited for that not every run makes.
ATTEMPTS = 3
SENDS = 60  # datagrams, one every 2 ms
TRUE = "/bin/true"
FAILED, DIED, ENDED = (125, 1), (-signal.SIGKILL, 0), (0, 0)
RUNS = {
    "device": ["-d", "eth0", "-u", "nobody", "-P", "8080"],
    "plain": ["--lossless"],
}
TOGETHER = [["front", "tracer"], ["keeper", "front"], ["tracer", "keeper"],
            ["relay", "keeper"], ["front", "keeper", "tracer", "relay"]]
FIREWALL = """
table inet theirs {
	chain forward {
		type filter hook forward priority 0; policy drop;
		oifname "nsn-*" accept
		iifname "nsn-*" accept
	}
}
"""
PCAP_HEADER, RECORD_HEADER = 24, 16


def whole_packets(path):
    """How many whole packets are in a pcap file, and what is left at its end."""
    data = path.read_bytes() if path.exists() else b""
    if not data:
        return 0, b""
    assert struct.unpack("=I", data[:4])[0] == 0xa1b2c3d4
    at, count = PCAP_HEADER, 0
    while at + RECORD_HEADER <= len(data):
        size, = struct.unpack("=I", data[at + 8:at + 12])
        if at + RECORD_HEADER + size > len(data):
            break
        at += RECORD_HEADER + size
        count += 1
    return count, data[at:]


class Killing(Host):
    """A host beside whose firewall runs are killed."""

    def __init__(self, lab):
        lab.run(["nft", "-f", "-"], input=FIREWALL, check=True)
        super().__init__(lab)
        self.file = lab.dir / "trace.pcap"
        self.recordings = {}

    def recording(self, name):
        """A run of that kind, to its end."""
        if name not in self.recordings:
            self.recordings[name] = recorded(self.lab, "-q", *RUNS[name], TRUE)
            self.is_as_it_was()
        return self.recordings[name]

    def is_as_it_was(self, victims=()):
        if "keeper" in victims:
            self.next_start()
        else:
            wait_for(lambda: not self.lab.path("/run/nsntrace").exists(),
                     SECONDS, "end of the records")
        self.remove_files()
        self.lab.wait_state(self.before, SECONDS)

    def kill(self, name, call, victims, program, *more):
        """Kill them when this call is made; what was wrong, or None: missed."""
        made = self.recording(name)
        keys = [made.keys[victim] for victim in victims if victim in made.keys]
        done = run(self.lab, [Fault(call.key, call.name, call.nth, keys), *more],
                   "-q", "-o", "trace.pcap", *RUNS[name], *program,
                   known=made.roles)
        wrong = []
        hit = done.hits and done.calls[done.hits[0]]
        if hit and hit[:4] != call[:4]:
            hit = None
        if hit:
            end = done.returncode, len(errors(done.stderr))
            if end not in expected(hit, victims, program):
                wrong.append(f"ended with {end}: {done.stderr}")
            wrong += self.unlike_what_was_sent(done.calls[:done.hits[0]], victims)
        try:
            self.is_as_it_was(victims)
        except AssertionError as unlike:
            wrong.append(str(unlike))
            self.next_start()
            self.is_as_it_was()
        return wrong if hit or wrong else None

    def unlike_what_was_sent(self, calls, victims):
        """What is wrong with the file, if these were the calls until then."""
        count, rest = whole_packets(self.file)
        # Nobody is left then who could complete what it was writing.
        if "tracer" in victims:
            return []
        # The last call may not have come to its end.
        own = [call.name for call in calls if call.role == "program"][:-1]
        sent = own.count("sendto")
        wrong = [f"{len(rest)} bytes after {count} packets"] if rest else []
        if count < sent:
            wrong.append(f"{sent} sent, {count} in the file")
        return wrong


def expected(call, victims, program):
    """How a run may end in which they were killed at this call: status, lines."""
    over = call.phase == "tear-down" or (call.phase == "run" and program == [TRUE])
    if "front" in victims:
        # Behind the prompt it has ended before.
        return {DIED, ENDED} if over and call.role != "front" else {DIED}
    if over:
        return {FAILED, ENDED}
    # From its release on nobody can see whether it was executed.
    if victims == ["program"] and call.name in ("rt_sigprocmask", "execve"):
        return {DIED}
    return {FAILED}


@pytest.fixture(scope="module")
def host(lab_module):
    made = Killing(lab_module)
    yield made
    made.close()


def kill_all(host, cases):
    """Each of them; there are some calls that a run makes or does not make."""
    wrong, hits = [], 0
    for case in cases:
        result = None
        for _ in range(ATTEMPTS):
            if result is None:
                result = host.kill(*case)
        hits += result is not None
        wrong += [f"{case}: {what}" for what in result or []]
    assert not wrong, "\n".join(wrong)
    assert hits >= 0.8 * len(cases), f"{hits} of {len(cases)} were killed"


def calls_to_die_at(host):
    found = []
    for name in RUNS:
        together = itertools.cycle(TOGETHER)
        for call in host.recording(name).calls:
            if call.phase not in ("set-up", "tear-down"):
                continue
            # When the program has ended its process is nobody's any more.
            if call.role != "program" or call.phase == "set-up":
                found.append((name, call, [call.role]))
            if call.role == "keeper":
                found.append((name, call, next(together)))
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_at_a_call(host, part):
    """At each call of set-up and tear-down, whose it may be."""
    kill_all(host, [(*case, [TRUE])
                    for case in spread(calls_to_die_at(host), AT_CALLS)
                    if part_of(case[1], PARTS) == part])


@pytest.mark.parametrize("part", range(PARTS))
def test_in_the_run(host, part):
    """At any call of anybody's while packets flow."""
    chance = random.Random(part)
    beacon = [host.beacon(False), INTERNET[0], PORT]
    name = list(RUNS)[part % len(RUNS)]
    made = host.recording(name)
    # Had nobody been killed by then, this would be the end.
    end = Fault(made.keys["program"], "sendto", SENDS, [made.keys["program"]])
    calls = run(host.lab, [end], "-q", "-o", "trace.pcap", *RUNS[name], *beacon,
                known=made.roles).calls
    host.is_as_it_was()
    # Those of which there are enough for each run to have this one.
    count = Counter((one.key, one.name) for one in calls)
    calls = [one for one in calls if one.phase == "run"
             and 2 * one.nth < count[one.key, one.name]]
    kill_all(host, [(name, chance.choice(calls),
                     chance.choice([[one] for one in OURS] + TOGETHER),
                     beacon, end) for _ in range(IN_THE_RUN // PARTS)])
