#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A daemon that gets away from whoever watches it: daemon.py [OPTION...]

    --double         fork twice and leave the session, as daemon(3); the first one exits with 0
    --brood N        N more processes, each in a session of its own, as another user where we
                     may, with an empty environment, ignoring TERM
    --fill           more of them, until no pid is left
    --pidfile PATH   of the process that stays
    --late S         seconds between the start and the pid file
    --lock PATH      hold a lock as long as any of us lives, or exit with 9
    --exit N         the status on TERM
    --die N          exit with N when the file `die` appears
    --ignore         TERM
"""
import argparse
import fcntl
import os
import signal
import sys
import time


def daemonize():
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)


def escape():
    """A grandchild that has nothing in common with us any more."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        os.setresuid(12345, 12345, 12345)
    except OSError:  # not as root, or in a namespace without such users
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.execve("/bin/sleep", ["brood", "1000"], {})


def fill():
    try:
        while True:
            if os.fork() == 0:
                os.execve("/bin/sleep", ["fill", "1000"], {})
    except BlockingIOError:
        print("full", flush=True)


def lock(path):
    """Like a port that is listened on: all have it, and nobody else can."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(fd, True)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(9)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--brood", type=int, default=0)
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--pidfile")
    parser.add_argument("--late", type=float, default=0)
    parser.add_argument("--lock")
    parser.add_argument("--exit", type=int, default=0)
    parser.add_argument("--die", type=int)
    parser.add_argument("--ignore", action="store_true")
    options = parser.parse_args()
    if options.double:
        daemonize()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore else lambda *_: sys.exit(options.exit))
    if options.lock:
        lock(options.lock)
    for _ in range(options.brood):
        escape()
    if options.fill:
        fill()
    time.sleep(options.late)
    if options.pidfile:
        with open(options.pidfile + ".new", "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.rename(options.pidfile + ".new", options.pidfile)
    print("daemon", os.getpid(), flush=True)
    while options.die is None or not os.path.exists("die"):
        time.sleep(0.01)
    os.unlink("die")
    os._exit(options.die)


main()
