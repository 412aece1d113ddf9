#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Report long functions and files that give no reason in lengths.txt.

The format is checked by clang-format, so a function's body is what lies between
a brace alone in the first column and the next closing one.
"""

import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(os.environ.get("top_srcdir", HERE.parents[1]))
FILE_LINES = 500
FUNCTION_LINES = 60
NAME = re.compile(r"(\w+)\(")


def functions(lines):
    """Yield the name and the number of lines of each function."""
    head = opened = None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            yield head, number - opened + 1
            opened = None
        elif opened is None and line[:1].isalpha() and NAME.search(line):
            head = NAME.search(line).group(1)


def too_long(path):
    """Yield what is too long in a file: its name, its length."""
    name = path.relative_to(TOP).as_posix()
    lines = path.read_text().splitlines()
    if len(lines) > FILE_LINES:
        yield name, len(lines)
    for function, length in functions(lines):
        if length > FUNCTION_LINES:
            yield f"{name}:{function}", length


def main():
    excused = {line.split()[0]: line.split()[1:]
               for line in (HERE / "lengths.txt").read_text().splitlines()
               if line.strip() and not line.startswith("#")}
    found = []
    paths = sorted((TOP / "src").rglob("*.[ch]"))
    if not paths:
        sys.exit(f"no sources below {TOP}")
    for path in paths:
        for name, length in too_long(path):
            if not excused.pop(name, None):
                found.append(f"{name}: {length} lines, and no reason given")
    found += [f"{name}: listed in lengths.txt without need" for name in excused]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
