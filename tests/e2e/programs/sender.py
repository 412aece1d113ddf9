# SPDX-License-Identifier: GPL-2.0-or-later
"""sender.py HOST PORT SIZE: for each N read, send N datagrams and say so."""

import socket
import sys

host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        sender.sendto(b"x" * size, (host, port))
    print("sent", line.strip(), flush=True)
