# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways out that are no plain interface, or not the same one all the time."""

import pytest

from lab import INTERNET
from tracing import program, settled, trace
from waiting import wait_for

MARK = 51820
PORT = 5555
FAR = ("10.99.0.1", "2001:db8:99::1")
NEAR = ("10.99.0.2", "2001:db8:99::2")

# What wg-quick does for AllowedIPs = 0.0.0.0/0, ::/0.
WG_QUICK = f"""
ip -4 route add 0.0.0.0/0 dev tun0 table {MARK}
ip -4 rule add not fwmark {MARK} table {MARK}
ip -4 rule add table main suppress_prefixlength 0
ip -6 route add ::/0 dev tun0 table {MARK}
ip -6 rule add not fwmark {MARK} table {MARK}
ip -6 rule add table main suppress_prefixlength 0
sysctl -qw net.ipv4.conf.all.src_valid_mark=1
nft -f - <<'EOF'
add table ip wg-quick-tun0
add chain ip wg-quick-tun0 preraw {{ type filter hook prerouting priority -300; }}
add chain ip wg-quick-tun0 premangle {{ type filter hook prerouting priority -150; }}
add chain ip wg-quick-tun0 postmangle {{ type filter hook postrouting priority -150; }}
add rule ip wg-quick-tun0 preraw iifname != "tun0" ip daddr {NEAR[0]} fib saddr type != local drop
add rule ip wg-quick-tun0 postmangle meta l4proto udp mark {MARK} ct mark set mark
add rule ip wg-quick-tun0 premangle meta l4proto udp meta mark set ct mark
EOF
"""


def tunnel(net, peer, near):
    """The end of a tunnel, up and with its addresses."""
    end = net.popen([*program("tunnel.py"), "tun0", str(MARK), peer, str(PORT)])
    assert end.stdout.readline() == "made\n"
    net.run(["ip", "-batch", "-"], check=True, input=f"""
link set tun0 addrgenmode none mtu 1420 up
addr add {near[0]}/24 dev tun0
addr add {near[1]}/64 dev tun0 nodad
""")
    return end


@pytest.fixture
def vpn(lab):
    """A host with a tunnel to the server, and no traffic through it yet."""
    lab.http()
    ends = [tunnel(lab.host, lab.server.addresses[0], NEAR),
            tunnel(lab.server, "192.0.2.2", FAR)]
    # By nothing but the tunnel is the host let in.
    for family in ("ip", "ip6"):
        lab.server.run(["nft", f"add table {family} gate; add chain {family} gate"
                        " in { type filter hook input priority 0; };"
                        f" add rule {family} gate in iifname eth0"
                        " tcp dport 80 reject with tcp reset"], check=True)
    lab.ends = ends
    yield lab
    for end in ends:
        end.kill()


def fetches(lab, address, *options):
    """Whether the program gets a page from there, all in the trace."""
    host = f"[{address}]" if ":" in address else address
    done = lab.nsntrace("-o", "try.pcap", *options, "curl", "-sf", "-m5",
                        "-o", "/dev/zero", f"http://{host}/small")
    return done.returncode == 0


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_vpn_by_rules(vpn, v6):
    """wg-quick: all but the tunnel's own packets goes by it, and so does ours."""
    assert not fetches(vpn, INTERNET[v6])
    vpn.sh(WG_QUICK)
    before = settled(vpn)
    done = trace(vpn, "curl", "-sf", "-m5", "-o", "got",
                 f"http://{('[%s]' if v6 else '%s') % INTERNET[v6]}/large")
    assert done.packets > 20
    assert "on interface tun0.\n" in done.stderr
    for file in ("got", "trace.pcap"):
        (vpn.dir / file).unlink()
    vpn.wait_state(before)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_vpn_by_device(vpn, v6):
    """-d tun0: by the tunnel, although the host's own way is another."""
    version = 6 if v6 else 4
    vpn.sh(f"ip -{version} route add default dev tun0 metric 5000")
    assert not fetches(vpn, INTERNET[v6])
    assert fetches(vpn, INTERNET[v6], "-d", "tun0")
    vpn.sh(f"ip -{version} route del default dev tun0")


def test_around_the_vpn(vpn):
    """-d eth0: by the cable, although rules lead all into the tunnel."""
    vpn.sh(WG_QUICK)
    done = trace(vpn, "ping", "-nc1", "-W5", INTERNET[0], options=["-d", "eth0"])
    assert done.packets == 2
    assert not fetches(vpn, INTERNET[0], "-d", "eth0")
    assert fetches(vpn, INTERNET[0])


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_vpn_comes_again(vpn, v6):
    """-d tun0: an error while it is gone, and on by the one that comes then."""
    version = 6 if v6 else 4
    route = f"ip -{version} route add default dev tun0 metric 5000"
    # Else what is left of the first connection may use up the errors that the
    # kernel allows itself for each host.
    for name in "net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit":
        vpn.sysctl(name, 0)
    vpn.sh(route)
    before = settled(vpn)
    run = vpn.popen_nsntrace("-d", "tun0", "-o", "vpn.pcap",
                             *program("connect.py"), INTERNET[v6], stdin=-1)

    def attempt():
        run.stdin.write("try\n")
        run.stdin.flush()
        return run.stdout.readline().strip()

    assert attempt() == "connected"
    vpn.ends[0].kill()
    wait_for(lambda: attempt() in ("ENETUNREACH", "EHOSTUNREACH"), 60, "error")
    vpn.ends[0] = tunnel(vpn.host, vpn.server.addresses[0], NEAR)
    vpn.sh(route)
    wait_for(lambda: attempt() == "connected", 60, "connection by the new one")
    run.communicate(timeout=10)
    assert run.returncode == 0
    (vpn.dir / "vpn.pcap").unlink()
    after = settled(vpn)
    for name in ("nft", "rules", "sysctls", "files", "cgroups", "mounts"):
        assert after[name] == before[name], name


@pytest.fixture
def bridged(lab):
    """A host whose addresses are those of a bridge that has the cable."""
    lab.http()
    lab.sh("""
ip link add br0 type bridge
ip link set br0 addrgenmode none
ip -6 route del default
ip addr flush dev eth0
ip link set eth0 master br0
ip link set br0 up
ip addr add 192.0.2.2/24 dev br0
ip addr add 2001:db8:1::2/64 dev br0 nodad
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8:1::1 dev br0
""")
    return lab


@pytest.mark.parametrize("options", [(), ("-d", "br0")], ids=["any", "device"])
@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_bridge(bridged, v6, options):
    """The bridge is the uplink, not its port."""
    before = settled(bridged)
    done = trace(bridged, "ping", "-nc2", "-i.01", "-W5", INTERNET[v6],
                 options=options)
    assert done.packets == 4 and "on interface br0.\n" in done.stderr
    (bridged.dir / "trace.pcap").unlink()
    bridged.wait_state(before)


@pytest.mark.parametrize("behind", ["cable", "bridge"])
@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_network_beside(lab, behind, v6):
    """A network on another interface answers too, on a host that forwards not."""
    lab.add_uplink("eth1", gateway=False)
    if behind == "bridge":
        lab.sh("""
ip link add br1 type bridge
ip link set br1 addrgenmode none
ip addr flush dev eth1
ip link set eth1 master br1
ip link set br1 up
ip addr add 198.51.100.2/24 dev br1
ip addr add 2001:db8:2::2/64 dev br1 nodad
""")
    assert lab.sysctl("net.ipv4.ip_forward") == "0"
    before = settled(lab)
    near = lab.uplinks["eth1"].addresses[v6]
    done = trace(lab, "sh", "-c", f"ping -nc1 -W5 {near} &&"
                 f" ping -nc1 -W5 {INTERNET[v6]}")
    assert done.packets == 4
    (lab.dir / "trace.pcap").unlink()
    lab.wait_state(before)


# Sends by an old socket and by a new one, and a lot, for each line read.
GOES_ON = """
import socket, sys
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
old = socket.socket(family, socket.SOCK_DGRAM)
for line in sys.stdin:
    try:
        old.sendto(b"old", (address, 7000))
        socket.socket(family, socket.SOCK_DGRAM).sendto(b"new", (address, 7000))
        with socket.create_connection((address, 7007), timeout=2) as to:
            to.sendall(bytes(1000000))
            to.shutdown(socket.SHUT_WR)
            print(to.recv(100).split()[0].decode(), flush=True)
    except OSError as error:
        print(error, flush=True)
"""


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_cable_for_wifi(lab, v6):
    """Another device, which was not there before, takes over: all goes on."""
    def serve(net):
        net.serve(f"{net.addresses[0]} upload", [
            *program("echo.py"), INTERNET[v6], "7007", "sum"], tcp=[7007])

    serve(lab.server)
    before = settled(lab)
    run = lab.popen_nsntrace("-o", "go.pcap", "/usr/bin/python3", "-c", GOES_ON,
                             INTERNET[v6], stdin=-1)

    def works():
        run.stdin.write("\n")
        run.stdin.flush()
        return run.stdout.readline() == "1000000\n"

    assert works()
    cable = lab.add_uplink("eth1")
    serve(cable)
    sink = cable.udp_sink(7000)
    # Packets have to be smaller there than the program believes.
    lab.sh("""
ip link set eth1 mtu 1400
ip route del default dev eth0
ip -6 route del default dev eth0
ip addr flush dev eth0
ip link set eth0 down""")
    wait_for(works, 20, "the other way")
    wait_for(lambda: {b"old", b"new"} <= {
        text for text, sender in sink.datagrams()
        if sender[0] in ("::ffff:198.51.100.2", "2001:db8:2::2")},
        what="datagrams of both sockets from the new address")
    sink.close()
    assert lab.sysctl("net.ipv4.conf.eth1.forwarding") == "1"
    run.communicate(timeout=10)
    assert run.returncode == 0
    (lab.dir / "go.pcap").unlink()
    after = settled(lab)
    for name in ("nft", "rules", "files", "cgroups", "mounts"):
        assert after[name] == before[name], name
    for name in "eth0", "eth1":
        assert lab.sysctl(f"net.ipv4.conf.{name}.forwarding") == "0"
