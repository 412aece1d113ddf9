# SPDX-License-Identifier: GPL-2.0-or-later
"""dial.py ADDRESS PORT: for each line read, do it, and answer with a line.

tcp TEXT    connect, send, end that direction, read to the end: what came
udp TEXT    the same with one datagram each, sent anew if it seems lost
crowd N     N connections at once, something of its own through each
pour N      N MiB, with an end: what the other side says of them
stall       send until nothing more is taken: how much that was
Whatever is met instead is answered by its name, "ECONNREFUSED".
"""

import contextlib
import errno
import resource
import select
import socket
import sys
import zlib

ADDRESS = (sys.argv[1], int(sys.argv[2]))
FAMILY = socket.AF_INET6 if ":" in ADDRESS[0] else socket.AF_INET
SECONDS = 20


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def tcp(text):
    with socket.create_connection(ADDRESS, SECONDS) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection).decode()


def udp(text):
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect(ADDRESS)
        for _ in range(2 * SECONDS):
            client.send(text.encode())
            with contextlib.suppress(TimeoutError):
                return client.recv(65536).decode()
    return "timeout"


def crowd(number):
    wanted = int(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    many = [socket.create_connection(ADDRESS, SECONDS) for _ in range(wanted)]
    for i, connection in enumerate(many):
        connection.sendall(b"%06d" % i)
    good = sum(connection.recv(6, socket.MSG_WAITALL) == b"%06d" % i
               for i, connection in enumerate(many))
    for connection in many:
        connection.close()
    return good


def pour(mebibytes):
    length = crc = 0
    block = bytes(range(256)) * 4096
    with socket.create_connection(ADDRESS, SECONDS) as connection:
        for i in range(int(mebibytes)):
            data = i.to_bytes(8, "big") + block[8:]
            crc = zlib.crc32(data, crc)
            length += len(data)
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        told = read_all(connection).decode().strip()
    return "same" if told == f"{length} {crc}" else f"{told}, not {length} {crc}"


def stall(_):
    sent = 0
    with socket.create_connection(ADDRESS, SECONDS) as connection:
        connection.setblocking(False)
        while select.select([], [connection], [], 0.5)[1]:
            sent += connection.send(bytes(65536))
    return sent


for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    try:
        answer = globals()[word](rest)
    except TimeoutError:
        answer = "timeout"
    except OSError as error:
        answer = errno.errorcode.get(error.errno, error)
    print(answer, flush=True)
