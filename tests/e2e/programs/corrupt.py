# SPDX-License-Identifier: GPL-2.0-or-later
"""corrupt.py ADDRESS PORT: a TCP segment and a UDP datagram with the checksum
0xbad1, which is not theirs."""

import socket
import struct
import sys

address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
tcp = struct.pack(">HHIIBBHHH", 5000, port, 1, 1, 5 << 4, 16, 0, 0xbad1, 0)
udp = struct.pack(">4H", 5000, port, 8 + 4, 0xbad1) + b"data"
for protocol, data in ((socket.IPPROTO_TCP, tcp), (socket.IPPROTO_UDP, udp)):
    raw = socket.socket(family, socket.SOCK_RAW, protocol)
    raw.sendto(data, (address, 0))
