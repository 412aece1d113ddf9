# SPDX-License-Identifier: GPL-2.0-or-later
"""unix_connect.py PATH: for each line read, say how connecting there went."""

import errno
import socket
import sys

for _ in sys.stdin:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        result = client.connect_ex(sys.argv[1])
    print(errno.errorcode.get(result, "connected"), flush=True)
