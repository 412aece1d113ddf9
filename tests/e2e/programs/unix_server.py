# SPDX-License-Identifier: GPL-2.0-or-later
"""unix_server.py PATH...: name services that take connections, and only tell.

Prints "listening PATH" when it does, and for each connection "host PATH", or
"inside PATH" if the client is in another network namespace. A path that comes
in by the standard input is bound anew, as by a daemon that was restarted.
"""

import os
import selectors
import socket
import struct
import sys

poll = selectors.DefaultSelector()


def bind(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen()
    poll.register(listener, selectors.EVENT_READ, path)
    print("listening", path, flush=True)


def where(client):
    pid, _, _ = struct.unpack("3i", client.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        theirs = os.readlink(f"/proc/{pid}/ns/net")
    except FileNotFoundError:
        return "gone"
    return "host" if theirs == os.readlink("/proc/self/ns/net") else "inside"


for one in sys.argv[1:]:
    bind(one)
poll.register(sys.stdin, selectors.EVENT_READ, None)
while True:
    for key, _ in poll.select():
        if key.data:
            with key.fileobj.accept()[0] as client:
                print(where(client), key.data, flush=True)
            continue
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        bind(line.strip())
