# SPDX-License-Identifier: GPL-2.0-or-later
"""What others' programs say about a capture file; never our own reader.

    tshark(path, *args)          -> its lines
    fields(path, filter, *names) -> a tuple of fields for each packet
    packets(path)                -> how many there are
    interfaces(path)             -> for each interface of a pcapng file, the
                                    dict of what capinfos says of it
    blocks(path)                 -> the lines of a pcapng file's own blocks
    capinfos(path)               -> dict of what capinfos says of the file
    each(paths)                  -> (type, packets) of each file, in one go
    merged(path, paths)          put all their packets into one new file
    tcpdump_reads(path, *args)   -> tcpdump's lines; much quicker than tshark

Each fails if the program complains about the file in any way.
"""

import re
import subprocess

# What is said of ourselves or of the program, not of the file.
_NOT_ABOUT_THE_FILE = re.compile(
    r'^(Running as user "root" and group "root"\. This could be dangerous\.'
    r"|reading from file .*, link-type .*"
    r"|dropped privs to .*)?$")


def _tool(argv, **options):
    done = subprocess.run([str(word) for word in argv], text=True,
                          errors="replace", timeout=120, check=False,
                          capture_output=True, stdin=subprocess.DEVNULL,
                          **options)
    complaints = [line for line in done.stderr.splitlines()
                  if not _NOT_ABOUT_THE_FILE.match(line)]
    assert done.returncode == 0 and not complaints, (
        f"{argv}: status {done.returncode}\n{done.stderr}")
    return done.stdout.splitlines()


def tshark(path, *args):
    return _tool(["tshark", "-n", "-r", path, *args])


def fields(path, display_filter, *names):
    wanted = [word for name in names for word in ("-e", name)]
    lines = tshark(path, "-Y", display_filter, "-T", "fields",
                   "-E", "separator=/t", *wanted)
    return [tuple(line.split("\t")) for line in lines]


def capinfos(path):
    """Numbers in full; of what is told once per interface, the first."""
    found = {}
    for line in _tool(["capinfos", "-M", path]):
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def interfaces(path):
    found = []
    for line in _tool(["capinfos", "-M", path]):
        if line.startswith("Interface #"):
            found.append({})
        elif found:
            name, _, value = line.partition(" = ")
            found[-1][name.strip()] = value.strip()
    return found


def blocks(path):
    return tshark(path, "-X", "read_format:MIME Files Format", "-V")


def packets(path):
    return int(capinfos(path)["Number of packets"])


def each(paths):
    said = _tool(["capinfos", "-M", "-t", "-c", *paths])
    kinds, counts = ([line.partition(":")[2].strip() for line in said
                      if line.startswith(name)]
                     for name in ("File type:", "Number of packets:"))
    return list(zip(kinds, map(int, counts), strict=True))


def merged(path, paths):
    _tool(["mergecap", "-w", path, *paths])


def tcpdump_reads(path, *args):
    return _tool(["tcpdump", "-nn", "-r", path, *args])
