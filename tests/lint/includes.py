#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hold every #include below src/ against the table in includes.txt."""

import fnmatch
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SRC = pathlib.Path(os.environ.get("top_srcdir", HERE.parents[1])) / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', re.M)

# Only these need permission; other headers in angle brackets are the system's.
LIBRARIES = ("<pcap*", "<libmnl/*", "<libnftnl/*", "<cap-ng.h>", "<seccomp*")


def read_table():
    table = []
    for line in (HERE / "includes.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            who, whom = line.split(":")
            table.append((who.strip(), whom.split()))
    return table


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def findings(path, table):
    name = path.relative_to(SRC).as_posix()
    allowed = next((whom for who, whom in table
                    if fnmatch.fnmatchcase(name, who)), None)
    if allowed is None:
        yield f"{name}: no line of includes.txt is about this file"
        return

    own = name[:-2] + ".h"
    for ours, theirs in INCLUDE.findall(path.read_text()):
        if theirs:
            if matches(theirs, LIBRARIES) and not matches(theirs, allowed):
                yield f"{name}: may not include {theirs}"
        elif not (SRC / ours).is_file():
            yield f"{name}: {ours} is no path below src/"
        elif ours != own and not matches(ours, allowed):
            yield f"{name}: may not include {ours}"


def main():
    table = read_table()
    files = sorted(SRC.rglob("*.[ch]"))
    if not files:
        sys.exit(f"no sources below {SRC}")
    found = [line for path in files for line in findings(path, table)]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
