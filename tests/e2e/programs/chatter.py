# SPDX-License-Identifier: GPL-2.0-or-later
"""chatter.py: multicast and broadcast on every interface, until killed.

Prints the interface's name for each round of datagrams that it has sent there.
"""

import errno
import socket
import struct
import time

GROUPS4 = [("224.0.0.251", 5353), ("224.0.0.252", 5355),
           ("239.255.255.250", 1900), ("255.255.255.255", 67)]
GROUPS6 = [("ff02::fb", 5353), ("ff02::1", 9999), ("ff05::c", 1900)]
# Not usable (any more), or without such an address: no way to send there.
NO_WAY = (errno.ENODEV, errno.ENETUNREACH, errno.ENETDOWN, errno.ENXIO,
          errno.EADDRNOTAVAIL)


def chat(index, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as v4:
        v4.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        v4.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        v4.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                      struct.pack("@4s4si", bytes(4), bytes(4), index))
        for to in GROUPS4:
            v4.sendto(b"chatter", to)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as v6:
        for address, port in GROUPS6:
            v6.sendto(b"chatter", (address, port, 0, index))


while True:
    for index, name in socket.if_nameindex():
        try:
            chat(index, name)
            print(name, flush=True)
        except PermissionError:
            print(name, flush=True)  # a firewall's answer: it was on its way
        except OSError as error:
            if error.errno not in NO_WAY:
                raise
    time.sleep(0.05)
