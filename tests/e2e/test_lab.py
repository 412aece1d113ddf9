# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: what the other tests rely on, without nsntrace."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from captures import capinfos, fields, packets, tcpdump_reads
from lab import INTERNET, Lab, diff, wait_for


@pytest.fixture(scope="module")
def http(lab_module):
    return lab_module.http()


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("name", ["empty", "small", "large"])
def test_wget(lab_module, http, name, v6):
    done = lab_module.run(["wget", "-qO-", http.url(name, v6)], text=False,
                          check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == http.files[name]


@pytest.mark.parametrize("address", INTERNET)
def test_default_route(lab_module, address):
    lab_module.run(["ping", "-c1", "-W5", address], check=True)


def test_two_uplinks(lab):
    other = lab.add_uplink("eth1")
    for address in other.addresses:
        lab.run(["ping", "-c1", "-W5", address], check=True)
    first = lab.udp_sink(9)
    second = other.udp_sink(9)
    send = ("import socket; s = socket.socket(type=socket.SOCK_DGRAM)\n"
            f"s.sendto(b'x', ('{INTERNET[0]}', 9))")
    lab.run(["python3", "-c", send], check=True)
    wait_for(lambda: first.count() == 1)
    assert second.count() == 0
    lab.sh("ip link set eth0 down")
    lab.run(["python3", "-c", send], check=True)
    wait_for(lambda: second.count() == 1)


def test_state_of_an_untouched_host(lab):
    before = lab.state()
    lab.http()
    lab.dnsmasq()
    during = lab.state()
    assert "nginx" in diff(before, during)
    again = lab.state()
    assert diff(during, again) == ""
    assert again == during


@pytest.mark.parametrize("subject, change, undo", [
    ("nft", "nft add table inet t", "nft delete table inet t"),
    ("nft", "nft 'add table ip t; add chain ip t c {"
     " type filter hook forward priority 0; policy drop; }'",
     "nft delete table ip t"),
    ("links", "ip link add d0 type veth peer name d1", "ip link del d0"),
    ("addresses", "ip addr add 10.9.8.7/32 dev eth0",
     "ip addr del 10.9.8.7/32 dev eth0"),
    ("routes", "ip route add 10.9.0.0/16 via 192.0.2.1 table 77",
     "ip route flush table 77"),
    ("routes", "ip -6 route add 2001:db8:f::/64 dev eth0",
     "ip -6 route del 2001:db8:f::/64 dev eth0"),
    ("rules", "ip rule add iif eth0 table 77", "ip rule del iif eth0 table 77"),
    ("rules", "ip -6 rule add iif eth0 table 77",
     "ip -6 rule del iif eth0 table 77"),
    ("neighbours", "ip neigh add 192.0.2.9 lladdr 2:0:0:0:0:9 nud permanent"
     " dev eth0", "ip neigh del 192.0.2.9 dev eth0"),
    ("sysctls", "echo 1 >/proc/sys/net/ipv4/conf/eth0/forwarding",
     "echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding"),
    ("sysctls", "echo 1 >/proc/sys/net/ipv4/ip_forward",
     "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    ("sysctls", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
     "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding"),
    ("mounts", "mount -t tmpfs new /root", "umount /root"),
    ("files", "mkdir /run/new", "rmdir /run/new"),
    ("files", "touch /etc/new", "rm /etc/new"),
    ("files", "mv /dev/null /dev/void", "mv /dev/void /dev/null"),
    ("cgroups", "mkdir $CGROUP/new", "rmdir $CGROUP/new"),
])
def test_state_shows(lab_module, subject, change, undo):
    env = {"CGROUP": lab_module.cgroup}
    before = lab_module.state()
    lab_module.sh(change, env=env)
    now = lab_module.state()
    assert before[subject] != now[subject]
    with pytest.raises(AssertionError, match=f"{subject} now"):
        lab_module.wait_state(before, timeout=0)
    lab_module.sh(undo, env=env)
    lab_module.wait_state(before)


def test_state_shows_a_file_written_anew(lab):
    before = lab.state()
    lab.sh('cp /etc/hosts /tmp/h; cat /tmp/h >/etc/hosts; rm /tmp/h')
    assert "/etc/hosts" in diff(before, lab.state())


def test_state_shows_a_process(lab):
    before = lab.state()
    lab.sh("setsid sleep 1000 >/dev/null 2>&1 &")
    # The shell has ended: what it left is the kernel's to reap.
    wait_for(lambda: "sleep 1000" in diff(before, lab.state()))
    left = [one for one in lab.processes() if one.args == ["sleep", "1000"]]
    os.kill(left[0].pid, 9)
    lab.wait_state(before)


def test_the_machine_is_not_touched(lab):
    """The lab's files are its own, also the device nodes."""
    name = f"{lab.base.name}-own"
    lab.sh("echo gone >/etc/hostname; rm /dev/null; echo x >/dev/null\n"
           'touch "/run/$1" "/tmp/$1" "/root/$1"; hostname other\n'
           "echo 1 >/proc/sys/net/ipv4/ip_forward", name)
    assert os.path.exists("/dev/null") and not os.path.isfile("/dev/null")
    for directory in ("/run", "/tmp", "/root"):
        assert not os.path.exists(f"{directory}/{name}")
    assert os.uname().nodename != "other"
    assert lab.path(f"/run/{name}").exists()
    assert lab.path("/etc/hostname").read_text() == "gone\n"


def test_nothing_is_left_of_a_lab():
    made = Lab()
    made.http()
    sleep = made.popen(["sleep", "1000"])
    base, cgroup = made.base, made.cgroup
    assert base.exists() and cgroup.exists()
    made.close()
    assert not base.exists() and not cgroup.exists()
    assert sleep.returncode == -9


def test_users(lab_module):
    lab = lab_module
    assert lab.run(["id"], user="alice").stdout == (
        "uid=1234(alice) gid=1234(alice) groups=1234(alice),50(staff)\n")
    assert lab.run(["id", "-u"], user=65534).stdout == "65534\n"
    assert lab.run(["sh", "-c", "cd && pwd"], user="alice").stdout == (
        "/home/alice\n")
    assert lab.run(["sh", "-c", "echo $HOME-$USER-$X-$TERM"], env={
        "X": 1, "TERM": None}).stdout == "/root-root-1-\n"
    assert lab.run(["test", "-x", lab.nsntrace_path],
                   user="alice").returncode == 0


def test_programs(lab):
    assert lab.run(["cat"], input="text").stdout == "text"
    assert lab.run(["cat"], input=b"\xff\0", text=False).stdout == b"\xff\0"
    assert lab.run(["pwd"]).stdout == f"{lab.dir}\n"
    assert lab.run(["sh", "-c", "kill -9 $$"]).returncode == -9
    sleep = lab.popen(["sleep", "1000"])
    assert sleep.pid in [one.pid for one in lab.processes()]
    sleep.terminate()
    assert sleep.wait() == -15
    with pytest.raises(AssertionError, match="not done after"):
        lab.run(["sleep", "1000"], timeout=0.2)
    with pytest.raises(FileNotFoundError):
        lab.run(["no-such-program"])


def test_udp_sink(lab):
    sink = lab.udp_sink(4000)
    for address in lab.server.addresses:
        lab.run(["python3", "-c",
                 "import socket, sys\n"
                 "a = socket.getaddrinfo(sys.argv[1], 4000,"
                 " type=socket.SOCK_DGRAM)[0]\n"
                 "s = socket.socket(a[0], a[1])\n"
                 "for i in range(500): s.sendto(b'%d' % i, a[4])", address],
                check=True)
    wait_for(lambda: sink.count() == 1000)
    assert sorted(int(one[0]) for one in sink.datagrams()) == sorted(
        [*range(500)] * 2)


def test_dns(lab):
    server = lab.dns_server()
    for how in ([], ["+tcp"]):
        done = lab.run(["dig", "+short", *how, "@192.0.2.1",
                        "www.example.test"])
        assert done.stdout == "192.0.2.1\n"
    done = lab.run(["dig", "+short", "@2001:db8:1::1", "www.example.test",
                    "AAAA"])
    assert done.stdout == "2001:db8:1::1\n"
    # Longer than a datagram may be: dig has to ask again by TCP.
    done = lab.run(["dig", "@192.0.2.1", "big.example.test", "TXT"])
    assert "(TCP)" in done.stdout and done.stdout.count("x" * 250) == 20
    assert "www.example.test" in server.log()


def test_dnsmasq_on_lo_only(lab):
    lab.dnsmasq(["127.0.0.53"])
    lab.resolv_conf("nameserver 127.0.0.53\n")
    done = lab.run(["getent", "ahostsv4", "www.example.test"], check=True)
    assert done.stdout.startswith("192.0.2.1")
    for how in ([], ["+tcp"]):
        done = lab.run(["dig", "+short", *how, "@127.0.0.53",
                        "www.example.test"])
        assert done.stdout == "192.0.2.1\n"
    sockets = lab.sh("ss -Hlntu src 127.0.0.53")
    assert sockets.count("127.0.0.53%lo:53") == 2, sockets


def test_resolv_conf(lab):
    lab.resolv_conf("# by link\n", link="/run/systemd/resolve/stub.conf")
    assert lab.sh("readlink /etc/resolv.conf; cat /etc/resolv.conf") == (
        "../run/systemd/resolve/stub.conf\n# by link\n")
    lab.resolv_conf("# again\n")
    assert lab.sh("cat /etc/resolv.conf; test ! -L /etc/resolv.conf") == (
        "# again\n")
    lab.resolv_conf(None)
    lab.sh("test ! -e /etc/resolv.conf")


def test_pty(lab):
    pty = lab.pty(["bash", "--norc", "-i"], env={"PS1": "ready> "})
    pty.expect("ready> ")
    pty.send("tty; stty size; ps -o tty= -p $$\n")
    pty.expect(rf"{pty.name}\r\n24 80\r\n{pty.name[5:]}")
    pty.expect("ready> ")
    pty.send("sleep 1000\n")
    # Before it is sleep, it is a shell that would take the signal for its own.
    wait_for(lambda: (pty.foreground(), ["sleep", "1000"]) in
             [(one.pid, one.args) for one in lab.processes()],
             what="job in the foreground")
    pty.send(b"\x03")
    wait_for(lambda: pty.foreground() == pty.pid, what="prompt after Ctrl-C")
    pty.resize(30, 100)
    pty.send("echo status $?; stty size\n")
    pty.expect("status 130\r\n30 100\r\n")
    with pytest.raises(AssertionError, match="in time"):
        pty.expect("never", timeout=0.1)
    pty.send("exit 7\n")
    assert pty.wait() == 7


def test_iperf3_ssh_git(lab):
    lab.iperf3()
    lab.run(["iperf3", "-c", "192.0.2.1", "-n", "1M"], check=True)
    ssh = lab.sshd()
    assert lab.run(ssh.command("echo", "hello")).stdout == "hello\n"
    http = lab.http()
    lab.run(["git", "clone", "-q", http.url(http.git(), v6=True), "clone"],
            check=True)
    assert (lab.dir / "clone" / "file").read_text() == "hello\n"


def test_captures(lab, tmp_path):
    dump = lab.popen(["tcpdump", "-i", "eth0", "-U", "-w", "x.pcap", "icmp"])
    wait_for(lambda: (lab.dir / "x.pcap").exists())
    lab.run(["ping", "-c3", "-i0.01", "192.0.2.1"], check=True)
    path = lab.dir / "x.pcap"
    wait_for(lambda: path.stat().st_size >= 24 + 6 * (16 + 98))
    dump.terminate()
    dump.wait()
    assert packets(path) == 6
    assert capinfos(path)["File encapsulation"] == "ether"
    assert fields(path, "icmp.type == 8", "ip.src", "ip.dst") == [
        ("192.0.2.2", "192.0.2.1")] * 3
    assert len(tcpdump_reads(path)) == 6

    cut = tmp_path / "cut.pcap"
    cut.write_bytes(path.read_bytes()[:-1])
    for reader in (packets, tcpdump_reads, lambda p: fields(p, "", "ip.src")):
        with pytest.raises(AssertionError):
            reader(cut)


def test_wait_for():
    start = time.monotonic()
    with pytest.raises(AssertionError, match="no moon within"):
        wait_for(lambda: False, timeout=0.1, what="moon")
    assert time.monotonic() - start < 2
    assert wait_for(lambda: 7) == 7


def test_a_skip_is_a_failure(pytester_run):
    assert "1 failed, 0 skipped" in pytester_run(
        "import pytest\ndef test_it():\n    pytest.skip('no')\n")


@pytest.fixture
def pytester_run(tmp_path):
    """Run a test file beside our conftest in a pytest of its own."""
    here = Path(__file__).resolve().parent

    def run(source):
        for file in here.glob("*.py"):
            if not file.name.startswith("test_"):
                (tmp_path / file.name).symlink_to(file)
        (tmp_path / "test_it.py").write_text(source)
        return subprocess.run(
            ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p",
             "no:cacheprovider", str(tmp_path)], cwd=tmp_path, text=True,
            capture_output=True, check=False).stdout
    return run
