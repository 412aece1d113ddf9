# SPDX-License-Identifier: GPL-2.0-or-later
"""echo.py ADDRESS PORT [HOW]: serve TCP and UDP, many clients at once.

Sends back what it gets; if HOW is "sum", at the end of a connection its length
and CRC-32 instead; if "slow", likewise, but it reads in small sips.
"""

import asyncio
import sys
import zlib

address, port = sys.argv[1], int(sys.argv[2])
how = sys.argv[3] if len(sys.argv) > 3 else "echo"


async def serve(reader, writer):
    length = crc = 0
    while data := await reader.read(4096 if how == "slow" else 1 << 18):
        length += len(data)
        if how == "slow":
            await asyncio.sleep(0.001)
        if how == "echo":
            writer.write(data)
            await writer.drain()
        else:
            crc = zlib.crc32(data, crc)
    if how != "echo":
        print(length, crc, flush=True)
        writer.write(f"{length} {crc}\n".encode())
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def main():
    server = await asyncio.start_server(serve, address, port, backlog=4096)
    await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, (address, port))
    await server.serve_forever()


asyncio.run(main())
