# SPDX-License-Identifier: GPL-2.0-or-later
"""connect.py ADDRESS: for each line read, try UDP port 7000 and TCP port 80.

Answers with a line: "connected", or the name of what the connection met.
"""

import errno
import socket
import sys

address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
for _ in sys.stdin:
    result = "connected"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"connect", (address, 7000))
        with socket.create_connection((address, 80), timeout=10):
            pass
    except TimeoutError:
        result = "timeout"
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(result, flush=True)
