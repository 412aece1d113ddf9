# SPDX-License-Identifier: GPL-2.0-or-later
"""nsntrace --cleanup: what killed runs left goes, and each thing is told."""

import os
import re
import signal

import pytest

from freezing import Switch, mounts, runs_on, without
from killing import SECONDS, Host, assert_shows, kill_at_once
from lab import Lab
from runs import alive, wait_roles
from waiting import wait_for

FLOOD = """
import socket
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    to.sendto(bytes(1000), ("127.0.0.1", 4243))
"""
NOTHING = "Nothing was left by killed runs.\n"
SYSCTL = "net.ipv4.conf.eth0.forwarding"


@pytest.fixture
def host(lab):
    lab.add_uplink("eth1")
    made = Host(lab)
    yield made
    made.close()


def cleanup(lab, *options, status=0, **how):
    done = lab.nsntrace("--cleanup", *options, **how)
    assert (done.returncode, done.stdout) == (status, ""), done
    return done.stderr


def killed(host, kind, *options):
    """What a run is that was killed altogether: its programs may live on."""
    run = host.start(kind, *options)
    kill_at_once(run.front, run.roles)
    return run


def end(run):
    for one in run.programs():
        os.kill(one.pid, signal.SIGKILL)
    run.wait_end()


def test_nothing(host):
    """A host on which nothing was left, or that was started anew, says so."""
    assert cleanup(host.lab) == NOTHING
    assert cleanup(host.lab, "-q") == ""
    host.lab.wait_state(host.before)


def test_not_root(host):
    told = cleanup(host.lab, user="alice", status=125)
    assert told == ("nsntrace: only root can put back what killed runs left\n"
                    "nsntrace: hint: run it with sudo\n")


def test_with_a_program(host):
    """It runs nothing, so there is nothing to run."""
    told = cleanup(host.lab, "sh", "-c", "echo ran", status=125)
    assert told == "nsntrace: --cleanup runs no program, such as 'sh'\n"


def test_killed(host):
    """Each thing is told in a line, is gone then, and is told only once."""
    lab = host.lab
    run = killed(host, "daemon", "-d", "eth1")
    assert_shows(host.before, lab.state(), "links", "sysctls", "rules",
                 "routes", "cgroups", "files")
    told = re.sub(r"nsn-\d+", "nsn-N", cleanup(lab))
    told = re.sub(r"/\S*/nsntrace-\d+-\w+", "CGROUP", told)
    # What is of IPv6 is there only on newer kernels, datagrams are for 30 s.
    assert sorted(re.sub("(Forgot|.*IPv6|.*ipv6).*\n", "", told).splitlines()) == [
        "Put back net/ipv4/conf/eth1/forwarding=0.",
        "Removed the IPv4 routing of nsn-N.",
        "Removed the cgroup CGROUP, whose processes run on, without a network.",
        "Removed the link nsn-N."]
    wait_for(lambda: "nsn-" not in lab.state()["links"], SECONDS, "end of link")
    assert run.programs()
    end(run)
    assert cleanup(lab) == NOTHING
    host.restored()


def test_next_start_leaves_nothing_for_it(host):
    run = killed(host, "root")
    host.next_start()
    assert cleanup(host.lab) == NOTHING
    run.wait_end()
    host.restored()


def test_beside_a_living_run(host):
    """What a run needs that goes on stays, although a killed one made it."""
    lab = host.lab
    first = host.start("root", file="first.pcap")
    second = host.start("nobody", file="second.pcap")
    kill_at_once(first.front, first.roles)
    wait_for(lambda: len(first.programs()) == 1, SECONDS, "end of one program")
    told = cleanup(lab)
    # The link goes with its namespace, perhaps a moment later.
    assert re.fullmatch("Removed the cgroup .*\n(Removed the link .*\n)?"
                        "(Forgot 1 connection of .*\n)?"
                        "1 run goes on, and what it needs was not touched.\n",
                        told)
    assert lab.sysctl(SYSCTL) == "1"
    size = second.size()
    wait_for(lambda: second.size() > size, 5, "more packets of the other run")
    assert cleanup(lab) == NOTHING + told.splitlines(True)[-1]
    os.kill(second.roles["program"], signal.SIGTERM)
    second.front.wait(5)
    assert second.front.returncode == -signal.SIGTERM
    second.check_file(size)
    assert lab.sysctl(SYSCTL) == "0"
    host.restored()


def test_set_by_somebody_else(host):
    """A value that is not ours any more is theirs, and its record goes."""
    lab = host.lab
    run = killed(host, "root")
    run.wait_end()
    before = lab.sysctl("net.ipv4.ip_forward")
    lab.sysctl("net.ipv4.ip_forward", 1)
    assert ("Left net/ipv4/conf/eth0/forwarding as somebody else has set it.\n"
            in cleanup(lab))
    assert lab.sysctl(SYSCTL) == "1"
    assert cleanup(lab) == NOTHING
    lab.sysctl("net.ipv4.ip_forward", before)
    host.restored()


def test_cannot(host):
    """What cannot be put back is told, with 125, and stays for the next time."""
    lab = host.lab
    run = killed(host, "root")
    run.wait_end()
    lab.sh("mount --bind /proc/sys /proc/sys;"
           "mount -o remount,bind,ro /proc/sys")
    try:
        told = cleanup(lab, status=125)
    finally:
        lab.sh("umount /proc/sys")
    assert ("nsntrace: warning: cannot put back net/ipv4/conf/eth0/forwarding=0:"
            " Read-only file system\n") in told
    assert lab.sysctl(SYSCTL) == "1"
    assert "Put back net/ipv4/conf/eth0/forwarding=0.\n" in cleanup(lab)
    host.restored()


def test_read_only_records(host):
    """Records that cannot be taken may be another run's: they stay."""
    lab = host.lab
    run = killed(host, "root")
    run.wait_end()
    lab.sh("mount -o remount,ro /run")
    try:
        told = cleanup(lab, status=125)
    finally:
        lab.sh("mount -o remount,rw /run")
    assert re.search("warning: cannot open /run/nsntrace/.*/sysctl.*: Read-only "
                     "file system\n", told)
    assert lab.sysctl(SYSCTL) == "1"
    assert "Put back" in cleanup(lab)
    host.restored()


def test_tables_without_an_owner(host):
    """Where the kernel cannot let tables go with their run, they go now."""
    lab = host.lab
    run = killed(host, "root")
    run.wait_end()
    record, = lab.path("/run/nsntrace").glob("*/run.*")
    name, = re.findall("^table (.*)$", record.read_text(), re.M)
    lab.sh('for family in inet netdev; do nft add table "$family" "$1"; done;'
           "nft add table inet other", name)
    assert f"Removed the tables {name}.\n" in cleanup(lab)
    assert lab.sh("nft list tables") == "table inet other\n"
    lab.sh("nft delete table inet other")
    host.restored()


def test_firewalls(host):
    """The accepts in the firewall of somebody else go, and nothing else."""
    lab = host.lab
    lab.sh("nft 'table ip other { chain forward { type filter hook forward"
           " priority 0; policy drop; counter; }; }'")
    rules = lab.sh("nft -s list table ip other")
    run = killed(host, "root")
    run.wait_end()
    assert "nsn-" in lab.sh("nft -s list table ip other")
    assert re.search(r"^Took 2 rules tagged nsntrace:\S+ out of firewalls\.$",
                     cleanup(lab), re.M)
    assert lab.sh("nft -s list table ip other") == rules
    lab.sh("nft delete table ip other")
    host.restored()


def test_other_namespace(host):
    """What was left in another network namespace cannot be reached from here."""
    lab = host.lab
    run = killed(host, "root")
    run.wait_end()
    told = lab.run(["unshare", "--net", lab.nsntrace_path, "--cleanup"])
    assert (told.returncode, told.stderr) == (0, NOTHING + (
        "What killed runs left in another network namespace can be put back "
        "there only, by nsntrace --cleanup.\n"))
    assert "Put back" in cleanup(lab)
    host.restored()


def test_cgroups_of_the_program(host):
    """Cgroups that somebody inside has made, a container say, go too."""
    lab = host.lab
    script = """
    own=$1$(sed -n s/^0:://p /proc/self/cgroup)/inner
    mkdir -p $own/most
    echo $$ >$own/most/cgroup.procs
    exec sleep 984"""
    front = lab.popen_nsntrace("-q", "sh", "-c", f"setsid sh -c '{script}' sh "
                               "$1 & exec sleep 983", "sh", next(mounts("")))
    roles = wait_roles(front.pid)
    left = wait_for(lambda: alive(lab, "sleep", "984"))[0]
    assert "/inner/most" in lab.state()["cgroups"]
    kill_at_once(front, roles)
    told = cleanup(lab)
    assert re.search("^Removed the cgroup .*, whose processes run on", told,
                     re.M), told
    os.kill(left.pid, signal.SIGKILL)
    host.restored()


@pytest.mark.parametrize("kind", ["v2", "v1"])
def test_paused(kind):
    """Who was killed in a pause of --lossless is not paused any more."""
    lab = Lab()
    switch = None
    try:
        if kind == "v1":
            without(lab, "")
        before = lab.state()
        front = lab.popen_nsntrace(
            "--lossless", "--queue-size", 1, "-o", "-", "-u", "nobody", "sh",
            "-c", 'sh -c "while sleep 0.01; do :; done" left & exec "$@"', "sh",
            "/usr/bin/python3", "-c", FLOOD, text=False)
        roles = wait_roles(front.pid)
        switch = Switch(roles["program"])
        wait_for(switch.is_on, 20, "frozen program")
        left = wait_for(lambda: alive(lab, "sh", "-c",
                                      "while sleep 0.01; do :; done", "left"))[0]
        assert Switch(left.pid).file == switch.file
        kill_at_once(front, roles)
        assert switch.is_on()
        assert re.search("^Removed the cgroup .*, whose processes run on",
                         cleanup(lab), re.M)
        assert not switch.file.exists()
        runs_on(left.pid)
        os.kill(left.pid, signal.SIGKILL)
        lab.wait_state(before)
    finally:
        if switch:
            switch.thaw()
        lab.close()


def test_legacy(lab):
    """Rules of a killed run are taken out of iptables-legacy, and no others."""
    lab.sh("iptables-legacy -P FORWARD DROP;"
           " iptables-legacy -A FORWARD -i eth9 -j ACCEPT")
    before = lab.sh("iptables-legacy -S")
    front = lab.popen_nsntrace("-o", "x.pcap", "sleep", "1000")
    # The command is keeper's child too, while it puts them in.
    wait_for(lambda: alive(lab, "sleep", "1000"), 20, "the program")
    kill_at_once(front, wait_roles(front.pid))
    assert lab.sh("iptables-legacy -S").count("nsntrace:nsn-") == 2
    told = cleanup(lab)
    assert re.search("^Took rules tagged nsntrace:nsn-.* out of iptables-legacy[.]$",
                     told, re.M), told
    assert lab.sh("iptables-legacy -S") == before
