# SPDX-License-Identifier: GPL-2.0-or-later
"""send_udp.py ADDRESS PORT COUNT [TAG]: send datagrams "TAG NUMBER", and exit."""

import socket
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tag = sys.argv[4] if len(sys.argv) > 4 else "datagram"
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
for number in range(count):
    sender.sendto(f"{tag} {number:06}".encode(), (address, port))
