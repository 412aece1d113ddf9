# SPDX-License-Identifier: GPL-2.0-or-later
"""Counting what is in a capture file of either format, quickly.

Only heads of records are looked at, so a file of gigabytes takes a moment. The
file was made on this machine: its integers are in the machine's order.
"""

import mmap
import struct
from collections import namedtuple

Count = namedtuple("Count", "packets bytes truncated whole files")

_PCAP_MAGICS = (0xA1B2C3D4, 0xA1B23C4D)
_PCAP_HEAD, _PCAP_RECORD = 24, 16
_SHB, _EPB = 0x0A0D0D0A, 6


def _pcap(data):
    """(offset of the next record, kept, length) of each packet."""
    lengths = struct.Struct("=8xII")
    at = _PCAP_HEAD
    while at + _PCAP_RECORD <= len(data):
        kept, length = lengths.unpack_from(data, at)
        at += _PCAP_RECORD + kept
        yield at, kept, length


def _pcapng(data):
    block, packet = struct.Struct("=II"), struct.Struct("=20xII")
    at = 0
    while at + 12 <= len(data):
        kind, size = block.unpack_from(data, at)
        kept, length = (packet.unpack_from(data, at)
                        if kind == _EPB and at + 28 <= len(data) else (None, 0))
        at += max(size, 12)
        yield at, kept, length


def count(path, wanted=None):
    """What is in the file, or what of it has the length that is wanted.

    whole says whether the file ends with a whole record.
    """
    packets = size = truncated = end = 0
    with open(path, "rb") as file:
        if not file.seek(0, 2):
            return Count(0, 0, 0, False, 1)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            magic, = struct.unpack_from("=I", data)
            if magic not in (*_PCAP_MAGICS, _SHB):
                raise ValueError(f"{path}: no capture file")
            if magic in _PCAP_MAGICS:
                end = _PCAP_HEAD
            records = _pcapng(data) if magic == _SHB else _pcap(data)
            for end, kept, length in records:
                if end > len(data):
                    break
                if kept is not None and wanted in (None, length):
                    packets += 1
                    size += kept
                    truncated += kept < length
            return Count(packets, size, truncated, end == len(data), 1)


def count_all(paths, wanted=None):
    """The same of several files together."""
    counts = [count(path, wanted) for path in paths]
    return Count(*(sum(one[i] for one in counts) for i in range(3)),
                 all(one.whole for one in counts), len(counts))
