# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that lack what most have: a run works, and tells what it costs."""

import os
import re
import signal

import pytest

from captures import packets, tcpdump_reads
from killing import OURS, RECORDED, Host, assert_shows, kill_at_once
from lab import INTERNET, Lab
from lacking import LINUX_5_10, LINUX_6_1, lacking
from runs import alive, program, settled, wait_roles
from waiting import wait_for

PORT = 4242
KERNELS = {  # what it lacks, and if it has owners of tables and the egress hook
    "owner": (("owner",), False, True),
    "egress": (("egress",), True, False),
    "netdev": (("netdev",), True, False),
    "5.10": (LINUX_5_10, False, False),
    "6.1": (LINUX_6_1, True, True),
}
NO_IPV6 = ("There is no IPv6 in this trace: "
           "this kernel cannot forward it for one interface only.\n")
WITHOUT_IPV6 = """
import errno, socket
try:
    socket.socket(socket.AF_INET6)
except OSError as error:
    assert error.errno == errno.EAFNOSUPPORT
    print("no IPv6 here")
address = socket.gethostbyname("www.example.test")
with socket.create_connection(("localhost", 4244)) as to:
    to.sendall(b"hello")
    print(len(to.recv(5)))
"""
# Root's directories without /run, in a mount namespace of the command's own.
NO_RUN = """
mkdir -p /tmp/root
mount -t tmpfs root /tmp/root
cd /
for one in *; do
    if [ -L "$one" ]; then cp -P "$one" /tmp/root; continue; fi
    [ -d "$one" ] && [ "$one" != run ] || continue
    mkdir "/tmp/root/$one"
    mount --rbind "$one" "/tmp/root/$one"
done
dir=$1
shift
exec chroot /tmp/root sh -c 'cd "$0"; exec "$@"' "$dir" "$@"
"""


def traced(lab, *command):
    """A run that sends; it works, and its trace shows it."""
    sink = lab.server.udp_sink(PORT)
    done = lab.run([*lab.kernel, *command, lab.nsntrace_path, "-o", "trace.pcap",
                    "-d", "eth0", "/usr/bin/python3", "-B",
                    program("send_udp.py"), INTERNET[0], PORT, 5])
    assert done.returncode == 0, done
    assert packets(lab.dir / "trace.pcap") == 5
    wait_for(lambda: sink.count() == 5)
    sink.close()
    (lab.dir / "trace.pcap").unlink()
    return done


def warnings(done):
    return [line for line in done.stderr.splitlines() if "warning: " in line]


@pytest.mark.parametrize("how", ["read-only", "absent"])
def test_no_place_for_records(lab, how):
    """Settings that others may need stay, and are told; all else goes."""
    before = lab.state()
    if how == "absent":
        command = ["unshare", "-m", "sh", "-euc", NO_RUN, "sh", lab.dir]
    else:
        lab.sh("mount -o remount,ro /run")
        command = []
    reason = {"absent": "No such file or directory",
              "read-only": "Read-only file system"}[how]
    for turn in range(2):
        done = traced(lab, *command)
        told = warnings(done)
        if turn:
            assert told == []
            continue
        assert re.fullmatch(
            "nsntrace: warning: net/ipv4/conf/eth0/forwarding=1 will stay: "
            "which runs need it cannot be recorded in /run/nsntrace: "
            + reason, told[0]), told
    assert lab.sysctl("net.ipv4.conf.eth0.forwarding") == "1"
    if how == "read-only":
        lab.sh("mount -o remount,rw /run")
    else:
        lab.sh("rmdir /tmp/root")
    for name in "ipv4/conf/eth0/forwarding", "ipv6/conf/eth0/force_forwarding":
        if f"/net/{name}:0" in before["sysctls"]:
            lab.sysctl(f"net/{name}", 0)
    lab.wait_state(before)


def test_number_of_a_killed_run(lab):
    """Nothing tells the next run of what is left: if it gets the same number,
    that is its own, and goes with it."""
    lacking(lab, "owner")
    lab.sh("mount -o remount,ro /run")
    before = lab.state()
    # Once, as these settings stay.
    traced(lab)
    wait_for(lambda: "nsn-" not in lab.sh("ip -o link"), 20, "end of the link")
    before["sysctls"] = lab.state()["sysctls"]
    lab.wait_state(before, 20)

    def start():
        # Of the process number that comes next the run makes its own.
        lab.sh("echo 5000 >/proc/sys/kernel/ns_last_pid")
        run = lab.popen_nsntrace("-d", "eth0", "-o", "x.pcap", "sleep", "1000")
        roles = wait_roles(run.pid)
        wait_for(lambda: alive(lab, "sleep", "1000"), 10, "program")
        return run, roles

    run, roles = start()
    kill_at_once(run, roles)
    run.communicate(timeout=20)
    wait_for(lambda: not alive(lab, "sleep", "1000"), 10, "end of the program")
    wait_for(lambda: "nsn-" not in lab.sh("ip -o link"), 20, "end of the link")
    # Whose name nobody has a second time.
    next(lab.cgroup.glob("nsntrace-*")).rmdir()
    left = lab.state()
    assert_shows(before, left, "nft", "rules", "routes")
    run, roles = start()
    number, = set(re.findall(r"nsn-\d+", lab.state()["nft"]))
    assert number in left["nft"] and number in left["rules"]
    os.kill(roles["program"], signal.SIGTERM)
    assert run.communicate(timeout=20)[1].count("nsntrace: ") == 0
    (lab.dir / "x.pcap").unlink()
    lab.wait_state(before, 20)


def test_threaded_cgroup(lab):
    """Where a cgroup holds threads only, no process can be born in it."""
    before = lab.state()
    cgroup = lab.cgroup / "threaded"
    cgroup.mkdir()
    (cgroup / "cgroup.type").write_text("threaded")

    def there(*args):
        return lab.run(["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"',
                        cgroup, lab.nsntrace_path, *args], timeout=60)

    done = there("-o", "x.pcap", "sh", "-c", "sleep 997 >&- 2>&- & exit 3")
    assert done.returncode == 3 and warnings(done) == []
    assert "1 process of the program still runs" in done.stderr
    left, = wait_for(lambda: alive(lab, "sleep", "997"), 10, "who is left")
    os.kill(left.pid, signal.SIGKILL)
    done = there("--lossless", "-o", "x.pcap", "true")
    assert done.returncode == 125
    assert "cannot use a cgroup for --lossless: Operation" in done.stderr
    assert "\nwarning  cgroup: cannot make a process" in there("--doctor").stdout
    (lab.dir / "x.pcap").unlink()
    wait_for(lambda: "populated 0" in (cgroup / "cgroup.events").read_text(), 20,
             "end of all in the cgroup")
    cgroup.rmdir()
    lab.wait_state(before, 20)


@pytest.fixture(scope="module")
def host(lab_module):
    made = Host(lab_module)
    yield made
    made.close()


@pytest.mark.parametrize("kernel,victims", [
    *[(kernel, victims) for kernel in ("owner", "5.10")
      for victims in ((), ("front",), ("tracer",), ("keeper",), OURS)],
    *[(kernel, victims) for kernel in ("egress", "netdev")
      for victims in ((), ("keeper",))],
    ("6.1", ()),
], ids=lambda value: value if isinstance(value, str) else "+".join(value))
def test_kernel(host, kernel, victims):
    """A run on it, however it ends: its trace is whole, and nothing stays."""
    lacks, owner, egress = KERNELS[kernel]
    lacking(host.lab, *lacks)
    run = host.start("nobody")
    nft = host.lab.state()["nft"]
    assert [one in nft for one in ("flags owner", "hook egress", "hook output")
            ] == [owner, egress, not egress]
    if victims == OURS:
        size = run.size()
        kill_at_once(run.front, run.roles)
    elif victims:
        size = run.kill(*victims)
    else:
        size = run.size()
        os.kill(run.roles["program"], signal.SIGTERM)
    err = run.wait_end()
    if "front" not in victims:
        assert err.count(NO_IPV6) == ("force_forwarding" in lacks)
    assert "warning" not in err
    run.check_file(size)
    records = RECORDED
    if "keeper" in victims and not owner:
        # Nobody was left to take them away, and they do not go by themselves.
        assert host.lab.state()["nft"] != host.before["nft"]
        records = (*RECORDED, "nft")
    host.restored(victims, records)


def test_tables_are_cleaned_up(host):
    """Where nobody can own them, those of killed runs are told too."""
    lab = host.lab
    lacking(lab, "owner")
    run = host.start("nobody")
    kill_at_once(run.front, run.roles)
    run.wait_end()
    name, = set(re.findall(r"^table \w+ (nsn-\d+) {", lab.state()["nft"], re.M))
    done = lab.nsntrace("--cleanup")
    assert f"Removed the tables {name}.\n" in done.stderr
    host.restored()


def test_who_lives_on_is_cut_off(host):
    """Without an owner too, nobody sends on under the program's own address."""
    lab = host.lab
    lacking(lab, "owner")
    path = lab.dir / "heard.pcap"
    heard = lab.server.popen([
        "tcpdump", "-nni", "eth0", "--immediate-mode", "-Z", "root", "-U", "-w",
        path, f"udp port {PORT}"])
    wait_for(lambda: "listening" in heard.stderr.readline())
    run = host.start("daemon")
    wait_for(lambda: len(run.programs()) == 2, 20, "daemon")
    os.kill(run.roles["program"], signal.SIGTERM)
    run.front.wait(20)
    wait_for(lambda: "nsn-" not in lab.sh("ip -o link"), 20, "end of the link")
    left, = run.programs()
    os.kill(left.pid, signal.SIGKILL)
    assert "1 process of the program still runs" in run.wait_end()
    lab.run(["/usr/bin/python3", "-B", program("send_udp.py"), INTERNET[0], PORT,
             1, "last"], check=True)
    wait_for(lambda: b"last" in path.read_bytes(), 20, "all of the packets")
    heard.terminate()
    heard.communicate(timeout=20)
    sources = {line.split()[2] for line in tcpdump_reads(path, "-tt")}
    assert len(sources) == 3
    assert {one.rpartition(".")[0] for one in sources} == {"192.0.2.2"}
    host.restored()


@pytest.mark.parametrize("kernel", ["egress", "5.10"])
def test_silence(lab, kernel):
    """Zero packets, also while the host sends to all of its neighbours."""
    lacking(lab, *KERNELS[kernel][0])
    before = lab.state()
    chatter = lab.host.serve("chatter", ["/usr/bin/python3", "-B",
                                         program("chatter.py")])
    run = lab.popen_nsntrace("-o", "idle.pcap", "sleep", "1000")
    roles = wait_roles(run.pid)
    link, = wait_for(lambda: re.findall(r"(nsn-\d+)@", lab.sh("ip -o link")),
                     what="the run's link")
    wait_for(lambda: chatter.log().split().count(link) > 20, 20, "multicast")
    os.kill(roles["program"], signal.SIGTERM)
    _, err = run.communicate(timeout=20)
    assert "Finished capturing 0 packets.\n" in err
    assert packets(lab.dir / "idle.pcap") == 0
    chatter.stop()
    settled(lab, before)


def test_no_ipv6(lab):
    """A kernel without IPv6 (ipv6.disable=1), on which a run needs none of it."""
    lab.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    lab.resolv_conf("nameserver 127.0.0.53\n")
    lab.dnsmasq()
    lab.host.serve("server", ["/usr/bin/python3", "-B", program("echo.py"),
                              "127.0.0.1", "4244"], tcp=[4244])
    lacking(lab, "ipv6")
    before = lab.state()
    done = lab.nsntrace("-o", "trace.pcap", "-L", "4244", "-P", "4245",
                        "/usr/bin/python3", "-c", WITHOUT_IPV6)
    assert (done.returncode, done.stdout) == (0, "no IPv6 here\n5\n"), done
    assert "IPv6" not in done.stderr
    # This kernel has it after all, and speaks by it before all is counted.
    assert [one for one in warnings(done) if " counted " not in one] == []
    assert tcpdump_reads(lab.dir / "trace.pcap", "ip")
    (lab.dir / "trace.pcap").unlink()
    lab.wait_state(before)
