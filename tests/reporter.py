#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Says which signals reach it: "child ready", then "child got 15" for each one.

With `fork` a child of its own, in the same process group, does the same as
"grandchild". Signals that come at the same time are said from the lowest on.
Only KILL ends it, or its standard input's end with `until-eof`.
"""
import os
import signal
import sys
import threading

NAME = "child"


def say(text):
    os.write(1, f"{NAME} {text}\n".encode())


signals = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
if "fork" in sys.argv and os.fork() == 0:
    NAME = "grandchild"
elif "until-eof" in sys.argv:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
say(f"ready {os.getpid()}")
while True:
    say(f"got {int(signal.sigwait(signals))}")
