# SPDX-License-Identifier: GPL-2.0-or-later
"""numbered.py HOST PORT SIZE: for each N read, send N datagrams and say so.

Each begins with its number, from 0 on, in eight digits.
"""

import socket
import sys

host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = 0
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        sender.sendto(f"{number:08}".ljust(size).encode(), (host, port))
        number += 1
    print("sent", line.strip(), flush=True)
