# SPDX-License-Identifier: GPL-2.0-or-later
"""itself.py COUNT: a TCP server and its client in one, over 127.0.0.1."""

import socket
import sys

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for number in range(int(sys.argv[1])):
    client.sendall(f"{number:06}".encode())
    server.sendall(server.recv(6))
    client.recv(6)
