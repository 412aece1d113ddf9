# SPDX-License-Identifier: GPL-2.0-or-later
"""alternate.py ADDRESS PORT COUNT: datagrams out and to itself, by turns."""

import socket
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inside.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(count):
    to = (address, port) if number % 2 else inside.getsockname()
    sender.sendto(f"{number:06}".encode(), to)
