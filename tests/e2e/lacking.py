# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that have less than this one, as programs/lacks.c makes them.

    lacking(lab, *what)   every nsntrace of this lab is on such a kernel from now
                          on; its programs are too
    LINUX_5_10            what that of Debian 11 lacks of what can be lacking
    LINUX_6_1             likewise, of Debian 12
"""

from runs import program

LINUX_6_1 = ("force_forwarding", "6.2")
LINUX_5_10 = (*LINUX_6_1, "owner", "egress", "cgroup.kill", "cookie")


def lacking(lab, *what):
    path = lab.base / "lacks"
    if not path.exists():
        lab.run(["gcc", "-O", "-o", path, program("lacks.c"), "-lmnl"], check=True)
    lab.kernel = [path, ",".join(what)]
