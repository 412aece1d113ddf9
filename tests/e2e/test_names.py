# SPDX-License-Identifier: GPL-2.0-or-later
"""Names resolve inside as on the host, and the trace has the queries."""

import pytest

from captures import fields
from tracing import program, settled, trace
from waiting import wait_for

STUB = "/run/systemd/resolve/stub-resolv.conf"
NSCD, RESOLVED = "/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"
PUBLIC = ["9.9.9.9", "1.1.1.1", "8.8.8.8", "208.67.222.222"]
LINK, STAND_IN = "fe80::1", "127.53.0.1"  # only a link, and who stands for it
NAME, ADDRESS = "www.example.test", "192.0.2.1"
GETENT = f"getent ahostsv4 {NAME}"


class Names:
    """A host with every kind of resolver, and which of them was asked."""

    def __init__(self, lab):
        self.lab = lab
        self.servers = {
            "127.0.0.53": lab.dnsmasq(["127.0.0.53"]),  # as resolved binds it
            "127.0.0.1": lab.dnsmasq(["127.0.0.1"], device=None),
            "::1": lab.dnsmasq(["::1"], device=None),
            "192.0.2.1": lab.dns_server(),
            LINK: lab.server.dnsmasq([LINK], device=None),
        }
        lab.server.run(["ip", "addr", "add", PUBLIC[0], "dev", "lo"],
                       check=True)
        self.servers[PUBLIC[0]] = lab.server.dnsmasq(PUBLIC[:1], device=None)

    def asked(self):
        return {address: server.log().count(f"query[A] {NAME}")
                for address, server in self.servers.items()}


    def server_of(self, address):
        return "192.0.2.1" if address == "2001:db8:1::1" else address


@pytest.fixture(scope="module")
def names(lab_module):
    return Names(lab_module)


def queries(path):
    """Where the queries in the trace went, over which protocol."""
    return [(v4 or v6, "tcp" if tcp else "udp") for v4, v6, tcp in fields(
        path, "dns.flags.response == 0", "ip.dst", "ipv6.dst", "tcp.dstport")]


def only(names, before, address):
    """That nobody else was asked since then."""
    now = names.asked()
    assert now[address] > before[address]
    assert {one: count for one, count in now.items() if one != address} == {
        one: count for one, count in before.items() if one != address}


@pytest.mark.parametrize("address", ["127.0.0.53", "127.0.0.1", "::1",
                                     "192.0.2.1"])
def test_resolver(names, address):
    """Each kind of resolver answers over UDP and TCP, seen in the trace."""
    lab = names.lab
    lab.resolv_conf(f"nameserver {address}\n")
    before, state = names.asked(), settled(lab)
    done = trace(lab, "sh", "-c", f"{GETENT}; dig +short +tcp {NAME} A;"
                 "dig +short big.example.test TXT | tr -cd x | wc -c")
    lines = done.stdout.split("\n")
    assert lines[0].startswith(ADDRESS), done.stdout
    assert ADDRESS in lines
    assert lines[-2] == "5000"
    only(names, before, address)
    # The answer is too long for a datagram: asked twice.
    assert queries(done.path) == [(address, "udp"), (address, "tcp"),
                                  (address, "udp"), (address, "tcp")]
    assert len(fields(done.path, "dns.flags.response == 1", "frame.number")
               ) == 4
    done.path.unlink()
    lab.wait_state(state)


def test_several(names):
    """A resolver that is not there is passed over for the next one."""
    lab = names.lab
    lab.resolv_conf("options timeout:1\n"
                    "nameserver 127.0.0.54\nnameserver 127.0.0.53\n")
    before = names.asked()
    done = trace(lab, "sh", "-c", GETENT)
    assert done.stdout.startswith(ADDRESS)
    only(names, before, "127.0.0.53")
    assert set(queries(done.path)) == {("127.0.0.54", "udp"),
                                       ("127.0.0.53", "udp")}


@pytest.mark.parametrize("options", [[], ["--dns", f"{LINK}%eth0"]],
                         ids=["host", "option"])
def test_on_the_link(names, options):
    """A resolver that only the host's link leads to is asked all the same."""
    lab = names.lab
    text = f"search a.test\nnameserver {LINK}%eth0\nnameserver 192.0.2.1\n"
    lab.resolv_conf(text)
    before, state = names.asked(), settled(lab)
    done = trace(lab, "sh", "-c", f"{GETENT}; dig +short +tcp {NAME} A;"
                 "cat /etc/resolv.conf", options=options)
    assert done.stdout.startswith(ADDRESS)
    assert f"search a.test\nnameserver {STAND_IN}\n" in done.stdout
    assert "nameserver 192.0.2.1" in done.stdout or options
    only(names, before, LINK)
    assert queries(done.path) == [(STAND_IN, "udp"), (STAND_IN, "tcp")]
    assert lab.sh("cat /etc/resolv.conf") == text
    done.path.unlink()
    lab.wait_state(state)


def test_as_user(names):
    """The program of another user resolves as well."""
    names.lab.resolv_conf("nameserver 127.0.0.53\n")
    done = trace(names.lab, "sh", "-c", GETENT, options=["-u", "alice"])
    assert done.stdout.startswith(ADDRESS)


RESOLV_CONF = {
    "link": ("nameserver 127.0.0.53\n", STUB, "127.0.0.53"),
    "missing": (None, None, "127.0.0.1"),
    "empty": ("# nothing\n", None, "127.0.0.1"),
    "dangling": (None, STUB, "127.0.0.1"),
}


@pytest.mark.parametrize("kind", RESOLV_CONF)
def test_resolv_conf(names, kind):
    """resolv.conf may be a link, even to nothing, missing, or name nobody."""
    text, link, address = RESOLV_CONF[kind]
    names.lab.resolv_conf(text or "", link=link)
    if text is None:
        names.lab.path(link or "/etc/resolv.conf").unlink()
    before, state = names.asked(), settled(names.lab)
    done = trace(names.lab, "sh", "-c", GETENT)
    assert done.stdout.startswith(ADDRESS)
    only(names, before, address)
    assert queries(done.path) == [(address, "udp")]
    done.path.unlink()
    names.lab.wait_state(state)


class Open:
    """A run whose program does a line of its input at a time."""

    def __init__(self, lab, *argv, options=()):
        self.run = lab.popen_nsntrace("-o", "open.pcap", *options, *argv,
                                      stdin=-1)
        self.path = lab.dir / "open.pcap"

    def ask(self, line=""):
        self.run.stdin.write(line + "\n")
        self.run.stdin.flush()
        return self.run.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, err = self.run.communicate(timeout=10)
        assert self.run.returncode == 0, err


ASK = ("sh", "-c", f"while read _; do echo $({GETENT}); done")
REPLACED = {
    # before, after (and the link), options, who is asked then
    "by-remote": (("nameserver 127.0.0.53\n", None),
                  ("nameserver 192.0.2.1\n", None), [], "192.0.2.1"),
    "by-the-like": (("nameserver 127.0.0.53\n", None),
                    ("# new\nnameserver 127.0.0.53\n", None), [], "127.0.0.53"),
    "by-resolved": (("nameserver 192.0.2.1\n", None),
                    ("nameserver 127.0.0.53\n", STUB), [], "127.0.0.53"),
    "behind-the-link": (("nameserver 127.0.0.53\n", STUB),
                        ("nameserver 192.0.2.1\n", STUB), [], "192.0.2.1"),
    "with-dns": (("nameserver 127.0.0.53\n", None),
                 ("nameserver 127.0.0.1\n", None), ["--dns", "192.0.2.1"],
                 "192.0.2.1"),
    "with-dns-link": (("nameserver 127.0.0.53\n", STUB),
                      ("nameserver 127.0.0.1\n", STUB), ["--dns", "192.0.2.1"],
                      "192.0.2.1"),
    "with-dns-missing": ((None, None), ("nameserver 127.0.0.1\n", None),
                         ["--dns", "192.0.2.1"], "192.0.2.1"),
}


@pytest.mark.parametrize("how", REPLACED)
def test_replaced(names, how):
    """The host replaces resolv.conf during the run: names go on to resolve."""
    (text, link), (new, new_link), options, address = REPLACED[how]
    lab = names.lab
    lab.sh(f"mkdir -p {STUB.rpartition('/')[0]}; echo >{STUB}")
    lab.resolv_conf(text, link=link)
    with Open(lab, *ASK, options=options) as run:
        assert run.ask().startswith(ADDRESS)
        lab.resolv_conf(new, link=new_link)

        def asks(server):
            before = names.asked()
            return (run.ask().startswith(ADDRESS)
                    and names.asked()[server] > before[server])

        # With --dns the program has its own again as soon as keeper notices.
        if options:
            wait_for(lambda: asks(address), what="the given server again")
        for _ in range(3):
            assert asks(address)
    assert queries(run.path)[-1] == (address, "udp")
    assert lab.path("/etc/resolv.conf").is_symlink() == bool(new_link)
    assert lab.sh("cat /etc/resolv.conf") == new


DNS = {
    # --dns, the host's resolv.conf and its link, who is asked
    "remote": ("192.0.2.1", "nameserver 127.0.0.53\n", None),
    "remote-v6": ("2001:db8:1::1", "nameserver 127.0.0.53\n", None),
    "loopback": ("127.0.0.1", "nameserver 127.0.0.53\n", None),
    "loopback-v6": ("::1", "nameserver 192.0.2.1\n", None),
    "link": ("192.0.2.1", "nameserver 127.0.0.53\n", STUB),
    "missing": ("192.0.2.1", None, None),
}


@pytest.mark.parametrize("how", DNS)
def test_dns_option(names, how):
    """--dns: the program asks these, and the host's file stays as it is."""
    address, text, link = DNS[how]
    lab = names.lab
    lab.resolv_conf(text, link=link)
    before, state = names.asked(), settled(lab)
    done = trace(lab, "sh", "-c", f"{GETENT}; cat /etc/resolv.conf || true",
                 options=["--dns", address])
    assert done.stdout.startswith(ADDRESS)
    if text:
        assert [line for line in done.stdout.splitlines()
                if line.startswith("nameserver")] == [f"nameserver {address}"]
    only(names, before, names.server_of(address))
    # Where there is no such file, the C library asks its own host (resolv.conf(5)).
    assert queries(done.path) == [(address if text else "127.0.0.1", "udp")]
    done.path.unlink()
    lab.wait_state(state)


def test_dns_option_list(names):
    """--dns A,B: in this order, with the host's other settings kept."""
    lab = names.lab
    lab.resolv_conf("search example.test\nnameserver 127.0.0.1\n"
                    "options attempts:1 timeout:1\n")
    done = trace(lab, "sh", "-c", "getent ahostsv4 www; cat /etc/resolv.conf",
                 options=["--dns", "127.0.0.54,192.0.2.1"])
    assert done.stdout.startswith(ADDRESS)
    assert [line for line in done.stdout.splitlines() if "nameserver" in line
            ] == ["nameserver 127.0.0.54", "nameserver 192.0.2.1"]
    assert "search example.test\n" in done.stdout


def test_public_dns(names):
    """--use-public-dns: Quad9, Cloudflare, Google and OpenDNS."""
    names.lab.resolv_conf("nameserver 127.0.0.53\n")
    before = names.asked()
    done = trace(names.lab, "sh", "-c", f"{GETENT}; cat /etc/resolv.conf",
                 options=["--use-public-dns"])
    assert done.stdout.startswith(ADDRESS)
    # glibc takes the first three.
    told = [line.split()[1] for line in done.stdout.splitlines()
            if line.startswith("nameserver")]
    assert told == PUBLIC[:len(told)] and len(told) >= 3
    only(names, before, PUBLIC[0])
    assert queries(done.path) == [(PUBLIC[0], "udp")]


@pytest.mark.parametrize("bad", ["nonsense", "192.0.2.1,", "300.1.1.1",
                                 "192.0.2.1;127.0.0.1"])
def test_bad_dns(names, bad):
    """An address that is none: refused before anything is built."""
    done = names.lab.nsntrace("--dns", bad, "-o", "bad.pcap", "true")
    assert done.returncode == 125
    assert not (names.lab.dir / "bad.pcap").exists()


class Services:
    """Name services with sockets that would answer behind the capture."""

    def __init__(self, lab):
        self.lab = lab
        self.file = lab.dir / "services.log"
        with open(self.file, "w", encoding="utf-8") as log:
            self.process = lab.popen(
                [*program("unix_server.py"), NSCD, RESOLVED], stdin=-1,
                stdout=log)
        for path in (NSCD, RESOLVED):
            wait_for(lambda: self.told("listening", path), what=path)
            lab.path(path + ".beside").write_text("beside\n")

    def told(self, what, path):
        return self.file.read_text().splitlines().count(f"{what} {path}")

    def restart(self, path):
        before = self.told("listening", path)
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        wait_for(lambda: self.told("listening", path) > before, what=path)

    def stop(self):
        self.process.kill()
        self.lab.sh("rm -rf /run/nscd /run/systemd")


@pytest.fixture
def services(names):
    services = Services(names.lab)
    yield services
    services.stop()


def test_name_services_hidden(names, services):
    """glibc does not reach nscd, but asks over the network, in the trace."""
    lab = names.lab
    lab.resolv_conf("nameserver 127.0.0.53\n")
    lab.sh(GETENT)
    assert services.told("host", NSCD), "the host's programs use it"
    # So does the same program inside, if nothing hides the socket.
    lab.server.run(["getent", "ahostsv4", NAME])
    reached = services.told("inside", NSCD)
    assert reached
    mounts = lab.state()["mounts"]
    done = trace(lab, "sh", "-c", f"{GETENT}; cat {NSCD}.beside"
                 f" {RESOLVED}.beside", options=["-u", "alice"])
    assert done.stdout.startswith(ADDRESS)
    assert done.stdout.endswith("beside\nbeside\n"), "only sockets are hidden"
    assert queries(done.path) == [("127.0.0.53", "udp")]
    assert lab.state()["mounts"] == mounts
    assert services.told("inside", NSCD) == reached


@pytest.mark.parametrize("anew", ["socket", "directory"])
@pytest.mark.parametrize("path", [NSCD, RESOLVED], ids=["nscd", "resolved"])
def test_name_services_restart(names, services, path, anew):
    """A service that binds its socket anew during the run stays hidden."""
    lab = names.lab
    lab.resolv_conf("nameserver 127.0.0.53\n")
    connect = [*program("unix_connect.py"), path]
    with Open(lab, *connect) as run:
        assert lab.run(connect, input="\n").stdout == "connected\n"
        assert run.ask() != "connected"
        for _ in range(3):
            if anew == "directory":
                lab.sh(f"rm -r {path.rpartition('/')[0]}")
            services.restart(path)
            # A directory made anew is covered as soon as it is noticed.
            if anew == "directory":
                wait_for(lambda: run.ask() != "connected", what="cover")
            for _ in range(20):
                assert run.ask() != "connected"
            assert lab.run(connect, input="\n").stdout == "connected\n"


def test_no_query_left_behind(names):
    """The relay ends with the run: nothing of it is left on the host."""
    lab = names.lab
    lab.resolv_conf("nameserver 127.0.0.53\n")
    state = settled(lab)
    with Open(lab, *ASK) as run:
        assert run.ask().startswith(ADDRESS)
        assert "nsntrace" not in lab.sh("ss -Hlntup"), "we listen on the host"
    run.path.unlink()
    lab.wait_state(state)
