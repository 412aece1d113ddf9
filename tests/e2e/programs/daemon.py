# SPDX-License-Identifier: GPL-2.0-or-later
"""daemon.py ADDRESS PORT COUNT FILE: send datagrams from the background.

Forks, leaves the session and exits, as daemons do. What lives on sends COUNT
datagrams, makes FILE, and waits for its end.
"""

import os
import signal
import socket
import sys

address, port, count, done = *sys.argv[1:2], *map(int, sys.argv[2:4]), sys.argv[4]
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(count):
    sender.sendto(f"daemon {number:06}".encode(), (address, port))
with open(done, "w", encoding="utf-8") as file:
    file.write(str(os.getpid()))
signal.pause()
