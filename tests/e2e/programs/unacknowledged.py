# SPDX-License-Identifier: GPL-2.0-or-later
"""unacknowledged.py HOST PORT: connect, wait for a line, send and exit."""

import socket
import sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("connected", flush=True)
sys.stdin.readline()
connection.sendall(b"last words")
