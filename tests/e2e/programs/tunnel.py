# SPDX-License-Identifier: GPL-2.0-or-later
"""One end of a tunnel: tunnel.py DEVICE MARK PEER PORT

Packets of the tun DEVICE go in datagrams from and to PORT of PEER, which carry
the firewall mark MARK, as WireGuard's do.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

device, mark, peer, port = sys.argv[1:]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF,
            struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
far.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(mark))
far.bind(("", int(port)))
print("made", flush=True)

while True:
    for ready in select.select([tun, far], [], [])[0]:
        if ready is far:
            try:
                os.write(tun, far.recv(65536))
            except OSError:
                pass  # the device is down
        else:
            far.sendto(os.read(tun, 65536), (peer, int(port)))
