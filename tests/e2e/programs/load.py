# SPDX-License-Identifier: GPL-2.0-or-later
"""load.py ADDRESS PORT: all kinds of traffic with a server, until killed.

It asks over HTTP, asks the resolver, sends datagrams to PORT and pings, all of
it marked "load-of-others".
"""

import errno
import itertools
import socket
import struct
import sys
import time

address, port = sys.argv[1], int(sys.argv[2])
QUERY = (struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\16load-of-others\7example\4test\0"
         + struct.pack(">2H", 1, 1))


# Below what the kernel chooses from: the server remembers a connection for a
# minute, and would doubt that of a traced program that has the same port.
ports = itertools.cycle(range(10000, 30000))


def connect():
    while True:
        try:
            return socket.create_connection((address, 80),
                                            source_address=("", next(ports)))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise


def http():
    with connect() as connection:
        connection.sendall(b"GET /load-of-others HTTP/1.0\r\n\r\n")
        while connection.recv(65536):
            pass


def ping(raw):
    head = struct.pack(">BBHHH", 8, 0, 0, 77, 1) + b"load-of-others"
    total = sum(struct.unpack(">11H", head))
    total = (total & 0xffff) + (total >> 16)
    raw.sendto(head[:2] + struct.pack(">H", ~total & 0xffff) + head[4:],
               (address, 0))


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
while True:
    http()
    udp.sendto(QUERY, (address, 53))
    udp.sendto(b"load-of-others", (address, port))
    ping(icmp)
    time.sleep(0.02)  # other tests want the processor too
