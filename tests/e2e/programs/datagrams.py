# SPDX-License-Identifier: GPL-2.0-or-later
"""datagrams.py ADDRESS PORT: small, odd and empty ones, one of fragments, and
what the device is to cut into datagrams of 1,200 bytes."""

import socket
import sys

UDP_SEGMENT = 103

address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
for data in (b"", b"o", b"even", bytes(range(255)), bytes(60000)):
    sender.sendto(data, (address, port))
sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
sender.sendto(bytes(range(256)) * 100 + b"odd", (address, port))
