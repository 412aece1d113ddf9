# SPDX-License-Identifier: GPL-2.0-or-later
"""What a terminal shows: a Pty behind a terminal emulator.

    Screen(lab, argv, size=(24, 80), ...)   as lab.pty(argv, ...)
    screen.wait_for(predicate, ...)  reading on meanwhile
    screen.rows()      the rows that are to be seen, without what trails them
    screen.text()      all rows that were written, those scrolled away included,
                       the bottom one left out while it does not scroll
    screen.bottom()    the bottom row
    screen.live()      what the live line says, as a match, or None
    screen.cursor()    the row in which the cursor is, the first being 0
    screen.scrolls()   whether all of the terminal scrolls
"""

import os
import re
import select

import pyte

from waiting import wait_for

LIVE = re.compile(r"(?P<packets>[\d,]+) packets, (?P<bytes>[\d.]+ \w+), "
                  r"(?P<dropped>[\d,]+) dropped, (?P<time>[\d:]+)")


class Terminal(pyte.HistoryScreen):
    """What pyte has otherwise than terminals do."""

    def set_margins(self, top=None, bottom=None):
        if not top and not bottom:
            self.margins = None
            if top is not None:  # it was no change of size
                self.cursor_position()
        else:
            super().set_margins(top, bottom)

    def resize(self, lines, columns):
        """As xterm: the row of the cursor stays, others go up or away."""
        above = max(self.cursor.y + 1 - lines, 0)
        rows = [self.buffer.pop(y, None) for y in range(self.lines)]
        self.history.top.extend(row for row in rows[:above] if row)
        for y, row in enumerate(rows[above:above + lines]):
            if row:
                self.buffer[y] = row
        self.cursor.y -= above
        self.lines, self.columns, self.margins = lines, columns, None

    def select_graphic_rendition(self, *attributes, private=False):
        if not private:
            super().select_graphic_rendition(*attributes)


class Screen:
    def __init__(self, lab, argv, size=(24, 80), **options):
        self._screen = Terminal(size[1], size[0], history=10000)
        self._stream = pyte.ByteStream(self._screen)
        self.pty = lab.pty(argv, size=size, **options)
        self.bytes = b""  # all that was written

    def _read(self):
        while select.select([self.pty.master], [], [], 0)[0]:
            try:
                read = os.read(self.pty.master, 65536)
            except OSError:  # EIO: the last holder of the terminal is gone
                return
            self.bytes += read
            self._stream.feed(read)

    def wait_for(self, predicate, timeout=10, what="sight"):
        def look():
            self._read()
            return predicate()

        try:
            return wait_for(look, timeout, what)
        except AssertionError as failed:
            shown = "\n".join(self.rows())
            raise AssertionError(f"{failed}; the screen shows:\n{shown}"
                                 ) from None

    def wait_end(self, timeout=20):
        self.wait_for(lambda: self.pty.process.poll() is not None, timeout,
                      "end of the program")
        self._read()
        return self.pty.process.returncode

    def resize(self, rows, columns):
        self._read()
        self._screen.resize(rows, columns)
        self.pty.resize(rows, columns)

    def rows(self):
        return [row.rstrip() for row in self._screen.display]

    def text(self):
        gone = ["".join(row[column].data for column in range(
            self._screen.columns)).rstrip()
            for row in self._screen.history.top]
        return gone + (self.rows() if self.scrolls() else self.rows()[:-1])

    def bottom(self):
        return self.rows()[-1]

    def live(self):
        return LIVE.fullmatch(self.bottom())

    def cursor(self):
        return self._screen.cursor.y

    def scrolls(self):
        return self._screen.margins is None
