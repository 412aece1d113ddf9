# SPDX-License-Identifier: GPL-2.0-or-later
"""Firewalls as strangers' machines have them, each on the lab's host.

    FIREWALLS       {name: Firewall}
    firewall.start(lab), firewall.reload(lab)    as the machine's owner does
    firewall.rules(lab)     the text of all rules, ours and counters left out
    our_rules(lab)          the lines of the rules that runs have put in

None of them lets anything through that is forwarded. What the host itself does
goes on: answers, name resolution, IPv6 neighbours.
"""

import re
from collections import namedtuple

from waiting import wait_for

Firewall = namedtuple("Firewall", "start reload")

_NFT = """
table inet mine {
	chain forward {
		type filter hook forward priority filter + 5; policy drop;
		ct state established,related accept comment "mine"
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
	}
}
"""

# What dockerd 27 makes for a bridge on which nothing runs, by iptables.
_DOCKER = """
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {subnet} ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""

# dockerd 28 and later: jumps in another order, direct access closed in raw.
_DOCKER28 = """
*raw
-A PREROUTING -d {address} ! -i docker0 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {subnet} ! -o docker0 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
"""

_V4 = {"loopback": "127.0.0.0/8", "subnet": "172.17.0.0/16",
       "address": "172.17.0.2/32"}
_V6 = {"loopback": "::1/128", "subnet": "fd00:d0c::/64",
       "address": "fd00:d0c::2/128"}


def _load(lab, command, rules):
    lab.run([command], input=rules, check=True)


def _nft(lab):
    lab.run(["nft", "-f", "-"], input="flush ruleset" + _NFT, check=True)


def _iptables(variant):
    def start(lab):
        for command in f"iptables-{variant}", f"ip6tables-{variant}":
            _load(lab, f"{command}-restore", "*filter\n:FORWARD DROP\n"
                  "-A FORWARD -i eth9 -m comment --comment mine -j ACCEPT\n"
                  "COMMIT\n")
    return start


def _docker(rules):
    def start(lab):
        _load(lab, "iptables-nft-restore", rules.format(**_V4))
        _load(lab, "ip6tables-nft-restore", rules.format(**_V6))

    return Firewall(start, start)


def _firewalld(flush):
    """The daemon, and the bus on which it is spoken to."""
    def start(lab):
        lab.sh("""
mkdir -p /run/dbus
sed -i "s/^FlushAllOnReload=.*/FlushAllOnReload=$1/" /etc/firewalld/firewalld.conf
""", flush)
        lab.popen(["dbus-daemon", "--system", "--nofork", "--nopidfile"])
        lab.popen(["firewalld", "--nofork", "--nopid"])
        wait_for(lambda: lab.run(["firewall-cmd", "--state"]).returncode == 0,
                 20, "firewalld")

    def reload(lab):
        lab.sh("firewall-cmd --reload")
    return Firewall(start, reload)


def _ufw_start(lab):
    lab.sh("ufw --force enable")


def _ufw_reload(lab):
    lab.sh("ufw reload")


FIREWALLS = {
    "nft": Firewall(_nft, _nft),
    "iptables-nft": Firewall(_iptables("nft"), _iptables("nft")),
    "iptables-legacy": Firewall(_iptables("legacy"), _iptables("legacy")),
    "docker": _docker(_DOCKER),
    "docker28": _docker(_DOCKER28),
    "firewalld": _firewalld("yes"),
    "firewalld-noflush": _firewalld("no"),
    "ufw": Firewall(_ufw_start, _ufw_reload),
}


def _all_rules(lab):
    text = lab.sh("nft list ruleset")
    for name in "ip", "ip6":
        # To look for a table would make one.
        if lab.sh(f"cat /proc/self/net/{name}_tables_names"):
            text += lab.sh(f"{name}tables-legacy-save")
    return text


def rules(lab):
    """All rules there are, but those of runs; counters are no news."""
    return re.sub(r"^.*nsntrace:.*\n|^#.*\n|counter packets.*?bytes \d+|\[.*?\]", "",
                  _all_rules(lab), flags=re.M)


def our_rules(lab):
    return re.findall(r"^.*nsntrace:nsn-.*$", _all_rules(lab), re.M)
