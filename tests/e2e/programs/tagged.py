# SPDX-License-Identifier: GPL-2.0-or-later
"""tagged.py ADDRESS...: a UDP datagram to each address in frames with a VLAN
tag and with two, their checksums left to the device."""

import socket
import struct
import sys

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM = 1
TAGS = (struct.pack(">HH", 0x8100, 5),
        struct.pack(">HHHH", 0x88A8, 7, 0x8100, 5))


def packet(address, data):
    """The IP packet, and where in it UDP begins."""
    v6 = ":" in address
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.connect((address, 9))
        ends = b"".join(socket.inet_pton(family, one) for one in (
            asked.getsockname()[0], address))
    size = 8 + len(data)
    pseudo = ends + struct.pack(">HH", size, socket.IPPROTO_UDP)
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    udp = struct.pack(">4H", 4444, 9, size, total % 0xffff or 0xffff) + data
    if v6:
        return struct.pack(">IHBB", 6 << 28, size, 17, 64) + ends + udp, 40
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 0, 0, 64, 17)
    total = sum(struct.unpack(">9H", head + ends))
    return head + struct.pack(">H", 0xffff - total % 0xffff) + ends + udp, 20


device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
device.bind(("eth0", 0))
device.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
own = device.getsockname()[4]
for word in sys.argv[1:]:
    ip, start = packet(word, b"in a tag")
    kind = struct.pack(">H", 0x86DD if ":" in word else 0x0800)
    for tags in TAGS:
        head = bytes(6) + own + tags + kind
        device.send(struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0,
                                len(head) + start, 6) + head + ip)
