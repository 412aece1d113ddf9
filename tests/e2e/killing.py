# SPDX-License-Identifier: GPL-2.0-or-later
"""A host on which runs are killed, and what must hold afterwards.

    Host(lab)               compiles the programs, and has a relay in each run
    host.start(kind, ...)   -> Run whose program sends and whose file has packets
    run.kill("front", ...)  -> how long the file was at that moment
    run.wait_end()          -> stderr; program, descendants and ours have ended
    run.check_file(size)    -> how many packets are in it
    strace(lab, *argv)      run strace -f on the host; its log is strace.log
    kill_at_once(front, roles)   end all of ours, none of whom sees it
    host.restored(victims)  the host is as it was, within SECONDS; if keeper was
                            among the victims, after the next start
"""

import os
import signal

from captures import fields
from lab import INTERNET
from runs import alive, program, status, wait_roles
from waiting import wait_for

PORT = 4242
OURS = ("front", "keeper", "tracer", "relay")
# The contract says "within a second", which machines are in good times only.
SECONDS = 15
# What only keeper, or the next start, puts back; the rest goes by itself.
RECORDED = ("sysctls", "files", "cgroups")


def assert_shows(before, now, *sections):
    for section in sections:
        assert before.get(section) != now.get(section), (
            f"a run does not show in {section}")


def strace(lab, *argv, **options):
    """Run strace -f with a log in strace.log; no leaks are looked for then."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return lab.run(["strace", "-f", "-o", "strace.log", *argv],
                   env={"ASAN_OPTIONS": sanitizer}, **options)


def errors(stderr):
    """The error lines: hints, banner and summary apart."""
    return [line for line in stderr.splitlines()
            if line.startswith("nsntrace: ")
            and not line.startswith("nsntrace: hint: ")]


def kill_at_once(front, roles):
    """Nobody sees another one die; until their records are nobody's."""
    pids = [roles[name] for name in OURS if name in roles]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(status(pid)["State"][0] == "T" for pid in pids))
    # A parent's death would continue a child: an orphaned process group.
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    front.wait(5)
    # Locks go last of all.
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
             SECONDS, "end of ours")


class Host:
    kinds = {  # nsntrace's options, setuid, arguments, processes
        "root": ([], False, [], 1),
        "nobody": (["-u", "nobody"], False, [], 1),
        "setuid": (["-u", "alice"], True, [], 1),
        "daemon": (["-u", "alice"], False, ["daemon"], 2),
    }

    def __init__(self, lab):
        self.lab = lab
        self.sinks = [net.udp_sink(PORT) for net in lab.uplinks.values()]
        lab.resolv_conf("nameserver 127.0.0.53\n")
        for setuid in False, True:
            path = self.beacon(setuid)
            lab.run(["gcc", "-O", "-o", path, program("beacon.c")], check=True)
            path.chmod(0o4755 if setuid else 0o755)
        self.before = lab.state()

    def close(self):
        for sink in self.sinks:
            sink.close()

    def beacon(self, setuid):
        return self.lab.base / ("setuid-beacon" if setuid else "beacon")

    def command(self, kind):
        """Options, the program, and how many processes it becomes."""
        options, setuid, more, count = self.kinds[kind]
        return options, [self.beacon(setuid), INTERNET[0], PORT, *more], count

    def start(self, kind, *options, file="trace.pcap"):
        for sink in self.sinks:
            sink.datagrams().clear()
        return Run(self, kind, options, file)

    def arrived(self):
        """The datagrams at the servers since the last start."""
        return sum(sink.count() for sink in self.sinks)

    def remove_files(self):
        for name in self.lab.dir.iterdir():
            name.unlink()

    def next_start(self):
        # What it leaves to the kernel is not what it puts back.
        done = self.lab.nsntrace("-q", "--sync", "-o", "next.pcap", "true")
        assert (done.returncode, done.stderr) == (0, "")

    def restored(self, victims=(), records=RECORDED):
        def without(state):
            return {name: text for name, text in state.items()
                    if name not in records}

        if "keeper" in victims:
            wait_for(lambda: without(self.lab.state()) == without(self.before),
                     SECONDS, "host without the killed run")
            self.next_start()
        self.remove_files()
        self.lab.wait_state(self.before, SECONDS)


class Run:
    def __init__(self, host, kind, options, file):
        self.host = host
        self.lab = host.lab
        self.file = self.lab.dir / file
        more, argv, count = host.command(kind)
        self.argv = [str(word) for word in argv]
        count += len(self.programs())
        self.front = self.lab.popen_nsntrace("-o", file, *more, *options, *argv)
        self.roles = wait_roles(self.front.pid, (*OURS, "program"))
        wait_for(lambda: len(self.programs()) == count, 5, "programs")
        wait_for(lambda: self.size() > 2000, 5, "packets in the file")

    def programs(self):
        """All beacons of this kind, also of other runs."""
        return alive(self.lab, *self.argv)

    def size(self):
        return self.file.stat().st_size if self.file.exists() else 0

    def kill(self, *names):
        size = self.size()
        for name in names:
            os.kill(self.roles[name], signal.SIGKILL)
        return size

    def wait_end(self, others=0):
        wait_for(lambda: len(self.programs()) <= others, SECONDS,
                 "end of the program")
        wait_for(lambda: not any(os.path.exists(f"/proc/{self.roles[name]}/exe")
                                 for name in OURS), SECONDS, "end of ours")
        return self.front.communicate(timeout=5)[1]

    def check_file(self, least_size):
        """Valid, no shorter than it was, and of each sender without a gap."""
        assert self.size() >= least_size > 2000
        numbers = {}
        # An ICMP error quotes the datagram that it is about.
        for port, data in fields(self.file,
                                 f"udp.dstport == {PORT} and not icmp"
                                 " and not icmpv6",
                                 "udp.srcport", "data.data"):
            numbers.setdefault(port, []).append(
                int(bytes.fromhex(data).decode().split()[1]))
        assert numbers
        for found in numbers.values():
            assert found == list(range(len(found)))
        return sum(map(len, numbers.values()))
