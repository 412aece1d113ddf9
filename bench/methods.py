# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to write a file, in memory and on a disk: see write-methods.c."""

import subprocess
import tempfile
from pathlib import Path

ROUNDS = 5
MEDIA = ("/dev/shm", "/var/tmp")


def records(settings):
    if settings.rows and "methods" not in settings.rows:
        return
    for number, medium in enumerate(MEDIA):
        directory = tempfile.mkdtemp(dir=medium)
        try:
            done = subprocess.run(
                [settings.build / "bench/write-methods",
                 "-r", str(settings.rounds), directory],
                check=True, text=True, stdout=subprocess.PIPE)
        finally:
            Path(directory).rmdir()
        yield {"round": number, "row": "methods", "tracer": medium,
               "table": done.stdout.replace(directory, medium)}


def works(_record):
    return True


def line(record):
    return "measured"


def summary(found):
    """One table: the head of each but the first is left out."""
    return "".join(one["table"] if not number else
                   "".join(one["table"].splitlines(True)[2:])
                   for number, one in enumerate(found))
