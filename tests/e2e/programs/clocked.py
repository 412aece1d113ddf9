# SPDX-License-Identifier: GPL-2.0-or-later
"""clocked.py HOST PORT COUNT: slow datagrams that tell when they were sent."""

import socket
import struct
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(count):
    # The traffic is to be slow: at uneven times, so that no timer's beat hides.
    time.sleep(0.1 + (time.monotonic_ns() % 29) / 1000)
    sender.sendto(b"sent at " + struct.pack("=q", time.monotonic_ns()),
                  (host, port))
