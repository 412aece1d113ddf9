# SPDX-License-Identifier: GPL-2.0-or-later
"""timers.py: waits in every way while a child floods loopback; none is early.

Says "timers are right" if so. Each is long enough to be held up meanwhile.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

WAIT = 0.2


def flood():
    sink, to = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
    sink.bind(("127.0.0.1", 0))
    while True:
        to.sendto(bytes(1400), sink.getsockname())


def by_alarm():
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    assert signal.sigwait([signal.SIGALRM]) == signal.SIGALRM


child = os.fork()
if not child:
    flood()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGUSR1])
ways = [
    lambda: time.sleep(WAIT),
    lambda: select.select([], [], [], WAIT),
    lambda: select.poll().poll(WAIT * 1000),
    lambda: select.epoll().poll(WAIT),
    lambda: threading.Event().wait(WAIT),
    lambda: signal.sigtimedwait([signal.SIGUSR1], WAIT),
    by_alarm,
]
for way in ways:
    began = time.monotonic()
    way()
    took = time.monotonic() - began
    if took < WAIT - 0.002:
        sys.exit(f"number {ways.index(way)} took {took} s")
os.kill(child, signal.SIGKILL)
os.wait()
print("timers are right", flush=True)
