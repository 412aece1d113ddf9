# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of the lab on a terminal of its own."""

import fcntl
import os
import re
import select
import struct
import termios
import time

from waiting import wait_for

TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431


class Pty:
    """A program with a terminal of its own, of which the test is the other end."""

    def __init__(self, lab, argv, size=(24, 80), **options):
        self.master = os.open(lab.path("/dev/pts/ptmx"), os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(self.master, TIOCSPTLCK, struct.pack("i", 0))
        number = struct.unpack("i", fcntl.ioctl(self.master, TIOCGPTN, b"...."))
        slave = os.open(lab.path(f"/dev/pts/{number[0]}"), os.O_RDWR | os.O_NOCTTY)
        self.name = f"/dev/pts/{number[0]}"
        self.output = b""  # all that was read and not yet matched
        self.resize(*size)
        self.process = lab.popen(argv, stdin=slave, stdout=slave, stderr=slave,
                                 controlling=True, **options)
        self.pid = self.process.pid
        os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def _read(self, timeout):
        if not select.select([self.master], [], [], max(timeout, 0))[0]:
            return None
        try:
            return os.read(self.master, 65536)
        except OSError:  # EIO: the last holder of the terminal is gone
            return b""

    def expect(self, pattern, timeout=10):
        """Read until the pattern matches; what comes after it is kept."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.output)
            if match:
                self.output = self.output[match.end():]
                return match
            read = self._read(deadline - time.monotonic())
            assert read, (f"no {pattern!r} "
                          f"{'before the end' if read == b'' else 'in time'}; "
                          f"got {self.output!r}")
            self.output += read

    def foreground(self):
        """The foreground process group, numbered as seen from outside."""
        return struct.unpack(
            "i", fcntl.ioctl(self.master, termios.TIOCGPGRP, b"...."))[0]

    def wait(self, timeout=10):
        """Wait for the program, reading on meanwhile; returns its status."""
        def ended():
            self.output += self._read(0) or b""
            return self.process.poll() is not None
        wait_for(ended, timeout, f"end of {self.process.args}")
        return self.process.returncode

    def close(self):
        if self.master >= 0:
            os.close(self.master)
        self.master = -1
