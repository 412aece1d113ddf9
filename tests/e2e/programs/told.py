# SPDX-License-Identifier: GPL-2.0-or-later
"""Say the name of each signal that comes, and live on; end with USR2 twice."""

import signal

names = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT"]
signals = {getattr(signal, f"SIG{name}") for name in names}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
enough = 2
while enough:
    got = signal.sigwaitinfo(signals).si_signo
    print(signal.Signals(got).name, flush=True)
    enough -= got == signal.SIGUSR2
