# SPDX-License-Identifier: GPL-2.0-or-later
"""talk.py ADDRESS PORT: send over TCP what nobody takes, and end."""

import contextlib
import socket
import sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while True:
        connection.send(bytes(65536))
