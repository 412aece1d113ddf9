# SPDX-License-Identifier: GPL-2.0-or-later
"""segments.py ADDRESS PORT FLAGS...: a bare TCP segment with each of the flags."""

import socket
import struct
import sys

FLAGS = {"fin": 1, "syn": 2, "rst": 4, "ack": 16}


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return ~(total + total // 65535) & 0xffff


address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
asked = socket.socket(family, socket.SOCK_DGRAM)
asked.connect((address, port))
ends = b"".join(socket.inet_pton(family, one.split("%")[0]) for one in (
    asked.getsockname()[0], address))
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
for number, word in enumerate(sys.argv[3:]):
    flags = sum(FLAGS[flag] for flag in word.split("+"))
    head = struct.pack(">HHIIBBH", 5000 + number, port, 1, 1, 5 << 4, flags, 0)
    value = checksum(ends + struct.pack(">HH", socket.IPPROTO_TCP, 20) + head
                     + bytes(4))
    raw.sendto(head + struct.pack(">HH", value, 0), (address, 0))
