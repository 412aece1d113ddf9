# SPDX-License-Identifier: GPL-2.0-or-later
"""Real servers for the lab, ready as soon as they are returned.

Everything they need is written below lab.base/servers; lab.py tells what there
is. What a server says is in its log, server.log().
"""

import hashlib
import os
import socket
import struct
import time
from pathlib import Path

from waiting import wait_for

# A dnsmasq that binds its port as systemd-resolved does: to a device.
_BIND_TO_DEVICE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	int (*next)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t))
			dlsym(RTLD_NEXT, "bind");
	const char *device = getenv("BIND_TO_DEVICE");

	/* sin_port and sin6_port are at the same place. */
	if ((in->sin_family == AF_INET || in->sin_family == AF_INET6) &&
	    in->sin_port == htons(53) &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)))
		abort();
	return next(fd, address, length);
}
"""

_HTTP = """
daemon off; user root; worker_processes 1; pid {dir}/pid;
events {{ worker_connections 1024; }}
http {{
	access_log {dir}/access.log;
	client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2;
	fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4;
	scgi_temp_path {dir}/t5;
	sendfile on;
	server {{ listen {port}; listen [::]:{port}; root {dir}/www; }}
}}
"""

_SSHD = """
Port 22
HostKey {dir}/host
AuthorizedKeysFile {dir}/user.pub
PidFile none
StrictModes no
PermitRootLogin prohibit-password
"""

HTTP_FILES = {"empty": 0, "small": 1000, "medium": 300_000, "large": 10_000_000}
SOCKET_LISTENS, SOCKET_UNCONNECTED = "0A", "07"
SO_MEMINFO, SK_MEMINFO_DROPS = 55, 8


def _bound(pid, protocol, port):
    """Whether a socket of this process' namespace waits on the port."""
    state = SOCKET_LISTENS if protocol == "tcp" else SOCKET_UNCONNECTED
    for name in (protocol, protocol + "6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == state:
                return True
    return False


def _has_worker(pid):
    """Whether nginx is complete: its port is there before its other process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(b"worker" in Path(f"/proc/{child}/cmdline").read_bytes()
               for child in children)


class Server:
    """A running server: process (a Popen), dir, log()."""

    def __init__(self, net, process, directory):
        self.net = net
        self.process = process
        self.dir = directory

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Http(Server):
    port = 80
    files = {}  # name: SHA-256 of what is served

    def url(self, name, v6=False):
        v4_address, v6_address = self.net.addresses
        address = f"[{v6_address}]" if v6 else v4_address
        port = "" if self.port == 80 else f":{self.port}"
        return f"http://{address}{port}/{name}"

    def git(self, name="repository.git"):
        """Publish a git repository with one commit; returns its name."""
        self.net.lab.sh(
            'cd "$1"; git init -q -b main w; cd w; echo hello >file; git add .\n'
            'git -c user.name=a -c user.email=a@example.test commit -qm one\n'
            'cd ..; git clone -q --bare w "$2"; rm -r w; cd "$2"\n'
            'git update-server-info', str(self.dir / "www"), name)
        return name


class Sshd(Server):
    def command(self, *argv, v6=False):
        """The command that runs argv on the server, as root."""
        return ["ssh", "-q", "-i", str(self.dir / "user"), "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes",
                "-o", "UserKnownHostsFile=/dev/null",
                f"root@{self.net.addresses[bool(v6)]}", *argv]


class UdpSink:
    """Counts datagrams; the count is wrong only if it says so."""

    def __init__(self, net, port):
        self._received = []
        with net.here():
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        so_rcvbufforce = 33
        self.socket.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 128 << 20)
        self.socket.bind(("::", port))
        self.socket.setblocking(False)

    def datagrams(self):
        """All that has come so far: a list of (bytes, sender)."""
        while True:
            try:
                self._received.append(self.socket.recvfrom(65536))
            except BlockingIOError:
                break
        memory = self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64)
        dropped = struct.unpack_from("I", memory, 4 * SK_MEMINFO_DROPS)[0]
        assert dropped == 0, f"the sink itself dropped {dropped} datagrams"
        return self._received

    def count(self):
        return len(self.datagrams())

    def forget(self):
        self._received.clear()

    def close(self):
        self.socket.close()


class Servers:
    """What a network namespace of the lab can be asked to serve."""

    def serve(self, name, argv, tcp=(), udp=(), kind=Server, **options):
        """Start a server, and wait until it has its TCP and UDP ports."""
        directory = self._directory(name)
        with open(directory / "log", "wb") as log:
            process = self.popen(argv, stdout=log, stderr=log, cwd=directory,
                                 **options)
        server = kind(self, process, directory)
        wanted = [("tcp", port) for port in tcp] + [("udp", port) for port in udp]
        deadline = time.monotonic() + 10
        # Another server on the port must not be taken for this one: a server
        # that could not bind ends.
        while not all(_bound(process.pid, *one) for one in wanted):
            assert process.poll() is None, f"{name} ended:\n{server.log()}"
            assert time.monotonic() < deadline, f"{name} hangs:\n{server.log()}"
            time.sleep(0.005)
        return server

    def _directory(self, name):
        directory = self.lab.base / "servers" / name
        directory.mkdir(exist_ok=True)
        return directory

    def _name(self, kind):
        """A directory's name that no other server of the lab has."""
        taken = len(list((self.lab.base / "servers").iterdir()))
        return f"{kind}-{taken}"

    def http(self, port=80):
        name = self._name("http")
        directory = self._directory(name)
        (directory / "www").mkdir()
        (directory / "nginx.conf").write_text(_HTTP.format(dir=directory,
                                                           port=port))
        files = {}
        for file, size in HTTP_FILES.items():
            content = os.urandom(size)
            (directory / "www" / file).write_bytes(content)
            files[file] = hashlib.sha256(content).hexdigest()
        server = self.serve(name, ["nginx", "-p", directory, "-c",
                                   directory / "nginx.conf", "-e", "stderr"],
                            tcp=[port], kind=Http)
        wait_for(lambda: _has_worker(server.process.pid), what="nginx worker")
        server.port = port
        server.files = files
        return server

    def _dnsmasq(self, addresses, extra, env=None):
        v4, v6 = self.lab.server.addresses
        return self.serve(self._name("dns"), [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
            "--no-hosts", "--no-resolv", "--user=root", "--pid-file=",
            "--bind-interfaces", "--log-queries", "--log-facility=-",
            "--local-ttl=60", f"--host-record=www.example.test,{v4},{v6}",
            "--txt-record=big.example.test," + ",".join(["x" * 250] * 20),
            *[f"--listen-address={address}" for address in addresses], *extra],
            tcp=[53], udp=[53], env=env)

    def dns_server(self):
        return self._dnsmasq(self.addresses, [])

    def dnsmasq(self, addresses=("127.0.0.53",), device="lo"):
        if not device:
            return self._dnsmasq(addresses, [])
        shim = self.lab.base / "servers" / "bind-to-device.so"
        if not shim.exists():
            self.lab.run(["gcc", "-shared", "-fPIC", "-o", shim, "-xc", "-"],
                         input=_BIND_TO_DEVICE, check=True)
        return self._dnsmasq(addresses, [], {"LD_PRELOAD": shim,
                                             "BIND_TO_DEVICE": device})

    def iperf3(self, port=5201):
        return self.serve(self._name("iperf3"),
                          ["iperf3", "-s", "-p", port], tcp=[port])

    def sshd(self):
        name = self._name("sshd")
        directory = self._directory(name)
        for key in ("host", "user"):
            self.lab.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                          "-f", directory / key], check=True)
        (directory / "config").write_text(_SSHD.format(dir=directory))
        return self.serve(name, ["/usr/sbin/sshd", "-D", "-e", "-f",
                                 directory / "config"], tcp=[22], kind=Sshd)

    def udp_sink(self, port):
        return UdpSink(self, port)
