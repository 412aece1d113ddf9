# SPDX-License-Identifier: GPL-2.0-or-later
"""-P: ports of the host that lead to the program's."""

import contextlib
import errno
import os
import re
import signal
import socket

import pytest

from captures import fields
from runs import alive, wait_roles
from test_localhost import dial as dial_inside
from tracing import addresses, complaints, finish, program, settled
from waiting import wait_for

HINT = "nsntrace: hint: nsntrace --doctor tells what is missing"
PORT, INSIDE = 7000, 7100
HOST = ("192.0.2.2", "2001:db8:1::2")


class Published:
    """A run of echo.py, or of another program, behind a port of the host."""

    def __init__(self, lab, *options, address="0.0.0.0", port=INSIDE,
                 how="echo", argv=None):
        self.lab = lab
        self.path = lab.dir / "published.pcap"
        self.argv = argv or [*program("echo.py"), address, port, how]
        self.run = lab.popen_nsntrace("-o", "published.pcap", *options,
                                      *self.argv)

    def stop(self):
        one, = alive(self.lab, *[str(word) for word in self.argv])
        self.lab.sh('kill "$1"', one.inner)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(ValueError):
            self.stop()
        out, err = self.run.communicate(timeout=20)
        self.stderr = err
        assert any(exception) or self.run.returncode == -15, err


def dial(net, address, *lines, port=PORT):
    """What dial.py answers to each of the lines, from outside."""
    return net.run([*program("dial.py"), address, port], check=True, timeout=60,
                   input="".join(f"{line}\n" for line in lines)
                   ).stdout.splitlines()


def answers(net, address, line, answer, port=PORT):
    wait_for(lambda: dial(net, address, line, port=port) == [answer],
             what=f"{answer} of {address}", timeout=10)


WHERE = {
    # --publish without its /udp, where the program listens, who dials where
    "same": (f"{PORT}", "0.0.0.0", PORT, "server", HOST[0]),
    "other": (f"{PORT}:{INSIDE}", "0.0.0.0", INSIDE, "server", HOST[0]),
    "loopback-inside": (f"{PORT}:{INSIDE}", "127.0.0.1", INSIDE, "server",
                        HOST[0]),
    "from-the-host": (f"{PORT}:{INSIDE}", "127.0.0.1", INSIDE, "host",
                      "127.0.0.1"),
    "v6": (f"{PORT}:{INSIDE}", "::1", INSIDE, "server", HOST[1]),
    "v6-to-v4": (f"{PORT}:{INSIDE}", "127.0.0.1", INSIDE, "server", HOST[1]),
    "v4-to-v6": (f"{PORT}:{INSIDE}", "::1", INSIDE, "host", "127.0.0.1"),
    "one-address": (f"{HOST[0]}:{PORT}:{INSIDE}", "0.0.0.0", INSIDE, "server",
                    HOST[0]),
    "one-v6-address": (f"[::1]:{PORT}:{INSIDE}", "::", INSIDE, "host", "::1"),
}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("how", WHERE)
def test_reached(lab_module, how, protocol):
    """A client of the port reaches the program, wherever that listens."""
    value, address, port, who, there = WHERE[how]
    lab = lab_module
    state = settled(lab)
    if protocol == "udp":
        value += "/udp"
    with Published(lab, "-P", value, address=address, port=port) as run:
        answers(getattr(lab, who), there, f"{protocol} hello", "hello")
    seen = fields(run.path, f"{protocol}.port == {port}", "ip.dst", "ipv6.dst")
    assert seen and {v4 or v6 for v4, v6 in seen} <= {"127.0.0.1", "::1"}
    run.path.unlink()
    lab.wait_state(state)


def test_own_address(lab_module):
    """A program that listens on nothing but the namespace's own address."""
    script = ('exec "$@" $(ip -4 -o addr show eth0 | tr / " " | '
              'while read _ _ _ a _; do echo $a; done) 7100')
    argv = ["sh", "-c", script, "sh", *program("echo.py")]
    run = lab_module.popen_nsntrace("-o", "own.pcap", "-P", f"{PORT}:{INSIDE}",
                                    *argv)
    answers(lab_module.server, HOST[0], "tcp hello", "hello")
    here = [one for one in lab_module.processes()
            if "echo.py" in " ".join(one.args) and one.args[0] != "sh"
            and "nsntrace" not in one.args[0]]
    lab_module.sh('kill "$1"', here[0].inner)
    _, err = run.communicate(timeout=20)
    assert here[0].args[-2] == addresses(err)[0]


def test_not_elsewhere(lab_module):
    """An address that was asked for is the only one; so is a protocol."""
    with Published(lab_module, "-P", f"127.0.0.1:{PORT}:{INSIDE}"):
        answers(lab_module.host, "127.0.0.1", "tcp a", "a")
        assert dial(lab_module.server, HOST[0], "tcp a", "udp a") == [
            "ECONNREFUSED"] * 2
        assert dial(lab_module.host, "127.0.0.1", "udp a") == ["ECONNREFUSED"]


def test_answer_from_where_it_was_asked(lab_module):
    """A datagram to a second address of the host is answered from there."""
    lab_module.sh("ip addr add 192.0.2.77/24 dev eth0")
    with Published(lab_module, "-P", f"{PORT}:{INSIDE}/udp"):
        answers(lab_module.server, "192.0.2.77", "udp hello", "hello")
        assert dial(lab_module.server, HOST[0], "udp hello") == ["hello"]
    lab_module.sh("ip addr del 192.0.2.77/24 dev eth0")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_refused(lab_module, protocol):
    """Clients are refused until the program listens, and from its end on."""
    value = f"{PORT}" if protocol == "tcp" else f"{PORT}/udp"
    argv = ["sh", "-c", 'read _ && exec "$@"', "sh",
            *program("echo.py"), "127.0.0.1", PORT]
    run = lab_module.popen_nsntrace("-o", "late.pcap", "-P", value, *argv,
                                    stdin=-1)
    wait_roles(run.pid)
    assert dial(lab_module.host, "127.0.0.1", f"{protocol} a") == [
        "ECONNREFUSED"]
    run.stdin.write("\n")
    run.stdin.flush()
    answers(lab_module.host, "127.0.0.1", f"{protocol} a", "a")
    one, = alive(lab_module, *[str(word) for word in argv[4:]])
    lab_module.sh('kill "$1"', one.inner)
    run.communicate(timeout=20)
    assert dial(lab_module.host, "127.0.0.1", f"{protocol} a") == [
        "ECONNREFUSED"]


@pytest.mark.parametrize("how", ["tcp", "udp", "published", "published-udp"])
def test_port_in_use(lab_module, how):
    """Refused in one line, before anything is built; the host stays."""
    lab = lab_module
    state = settled(lab)
    kind = socket.SOCK_DGRAM if "udp" in how else socket.SOCK_STREAM
    protocol = "udp" if "udp" in how else "tcp"
    value = f"127.0.0.1:{PORT}" + ("/udp" if "udp" in how else "")
    with contextlib.ExitStack() as stack:
        if how.startswith("published"):
            # Another run, whose program does not listen.
            run = lab.popen_nsntrace("-o", "other.pcap", "-P", value, "cat",
                                     stdin=-1)
            stack.callback(run.communicate, timeout=10)
            wait_roles(run.pid)
        else:
            with lab.host.here():
                other = stack.enter_context(
                    socket.socket(socket.AF_INET, kind))
            other.bind(("127.0.0.1", PORT))
            if kind == socket.SOCK_STREAM:
                other.listen()
        done = lab.nsntrace("-o", "none.pcap", "-P", value, "true")
    assert done.returncode == 125
    assert complaints(done.stderr) == ([
        f"nsntrace: cannot listen on 127.0.0.1 port {PORT}/{protocol} for"
        " publishing: Address already in use"], [HINT])
    assert not (lab.dir / "none.pcap").exists()
    (lab.dir / "other.pcap").unlink(missing_ok=True)
    lab.wait_state(state)


def test_not_our_address(lab_module):
    done = lab_module.nsntrace("-P", "198.51.100.7:80", "true")
    assert done.returncode == 125
    assert complaints(done.stderr) == ([
        "nsntrace: cannot listen on 198.51.100.7 port 80/tcp for publishing:"
        " Cannot assign requested address"], [HINT])


def test_again_at_once(lab_module):
    """Connections that linger on from one run do not keep the next from it."""
    for _ in range(3):
        with Published(lab_module, "-P", f"80:{INSIDE}"):
            answers(lab_module.host, "127.0.0.1", "tcp hello", "hello", port=80)


def test_a_thousand(lab_module):
    with Published(lab_module, "-P", f"{PORT}:{INSIDE}"):
        answers(lab_module.host, "127.0.0.1", "tcp hello", "hello")
        assert dial(lab_module.host, "127.0.0.1", "crowd 1000", "tcp b") == [
            "1000", "b"]


def test_a_gigabyte(lab_module):
    with Published(lab_module, "-P", f"{PORT}:{INSIDE}", "-f",
                   f"not port {INSIDE}", how="sum"):
        wait_for(lambda: dial(lab_module.host, "127.0.0.1", "pour 0") == ["same"],
                 what="service")
        assert dial(lab_module.host, "127.0.0.1", "pour 1024") == ["same"]


def test_without_a_way_out(lab_module):
    with Published(lab_module, "-d", "lo", "-P", f"{PORT}:{INSIDE}"):
        answers(lab_module.server, HOST[0], "tcp hello", "hello")


def test_both_ways(lab_module):
    """Relays of both directions in one run, and nobody is counted as left."""
    lab = lab_module
    lab.host.serve(lab.host._name("echo"),
                   [*program("echo.py"), "127.0.0.1", 7005], tcp=[7005])
    state = settled(lab)
    got, done = dial_inside(lab, "tcp hello", port=7005,
                            options=["-L", "7005", "-P", f"{PORT}:{INSIDE}"])
    assert got == ["hello"]
    assert "still" not in done.stderr
    done.path.unlink()
    lab.wait_state(state)


def test_relay_killed(lab_module):
    """The relay inside dies: so does the run, in one line, and nothing stays."""
    lab = lab_module
    state = settled(lab)
    run = lab.popen_nsntrace("-o", "killed.pcap", "-P", f"{PORT}:{INSIDE}",
                             "sleep", "1000")
    os.kill(wait_roles(run.pid, ["relay", "program"])["relay"], signal.SIGKILL)
    _, err = run.communicate(timeout=20)
    assert run.returncode == 125
    assert "nsntrace: the relay process was killed by signal 9\n" in err, err
    (lab.dir / "killed.pcap").unlink()
    lab.wait_state(state)


@pytest.mark.parametrize("cgroup", ["/sys/fs/cgroup", "none"])
def test_left_behind(lab_module, cgroup):
    """Who outlives the program is counted, our own process inside is not."""
    state = settled(lab_module)
    hide = "mount --bind /proc/1/fdinfo /sys/fs/cgroup;" * (cgroup == "none")
    done = lab_module.run([
        "unshare", "-m", "sh", "-euc", hide + 'exec "$@"', "sh",
        lab_module.nsntrace_path, "-o", "left.pcap", "-P", f"{PORT}:{INSIDE}",
        "-v", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & :"])
    print(done.stderr)
    assert re.search(r"\b1 process\b", done.stderr), done.stderr
    for one in alive(lab_module, "sleep", "1000"):
        lab_module.sh('kill "$1"', one.inner)
    (lab_module.dir / "left.pcap").unlink()
    lab_module.wait_state(state)


def test_last_words(lab_module):
    """The program answers and ends; a client that is slow gets all of it."""
    size = 20_000_000
    argv = ["/usr/bin/python3", "-c", f"""
import socket
client, _ = socket.create_server(("127.0.0.1", {INSIDE})).accept()
client.sendall(bytes({size}))
"""]
    run = lab_module.popen_nsntrace("-o", "last.pcap", "-s", "64", "-P",
                                    f"{PORT}:{INSIDE}", *argv)
    with lab_module.host.here():
        def connected():
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                client.connect(("127.0.0.1", PORT))
            except OSError as error:
                assert error.errno == errno.ECONNREFUSED
                return None
            return client
        client = wait_for(connected, what="connection", timeout=10)
    got = 0
    while data := client.recv(4096):
        got += len(data)
    assert got == size
    client.close()
    done = run.communicate(timeout=20)
    finish(lab_module.dir / "last.pcap", type("Done", (), {
        "returncode": run.returncode, "stderr": done[1], "stdout": done[0]}))
