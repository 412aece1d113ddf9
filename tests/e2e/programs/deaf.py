# SPDX-License-Identifier: GPL-2.0-or-later
"""deaf.py PORT: accept connections and never read from them."""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
kept = []
while True:
    kept.append(listener.accept())
