#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Owns a name on a message bus: owner.py ADDRESS NAME. Gives it up on USR1, takes it again on USR2."""
import signal
import sys

import dbus.bus

address, name = sys.argv[1:]
bus = dbus.bus.BusConnection(address)
wanted = {signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
bus.request_name(name)
while True:
    if signal.sigwait(wanted) == signal.SIGUSR1:
        bus.release_name(name)
    else:
        bus.request_name(name)
