# SPDX-License-Identifier: GPL-2.0-or-later
"""raw.py ADDRESS PORT COUNT: datagrams whose IP header the program makes."""

import socket
import struct
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for number in range(count):
    payload = f"raw {number:06}".encode()
    udp = struct.pack(">4H", 4444, port, 8 + len(payload), 0) + payload
    # The kernel fills in source, identification and checksum where 0.
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17,
                         0, bytes(4), socket.inet_aton(address))
    raw.sendto(header + udp, (address, 0))
