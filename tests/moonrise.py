# SPDX-License-Identifier: MIT
"""What the tests share: the real binary as PID 1 of a namespace of its own.

    def test_it_says_hello(boot):
        c = boot('''
            local init = require "moonrise"
            init.run { "echo", "hello" }
        ''')
        assert c.wait() == 0
        assert "hello" in c.out

A test waits for events with `eventually` and never sleeps and hopes. As a normal
user everything runs in a user namespace; without those the tests are skipped.
"""
import fcntl
import functools
import os
import pty
import shutil
import socket
import subprocess
import tempfile
import termios
import textwrap
import threading
import time
from signal import SIGKILL, SIGTERM

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.path.abspath(os.environ.get("MOONRISE", ROOT + "/build/moonrise"))
DEADLINE = 120  # seconds; generous, since only a failure waits that long
IS_ROOT = os.geteuid() == 0

# /dev is the machine's own, and root may write there.
KEEP_DEV = "mount -o rbind,ro /dev /dev" if IS_ROOT else ""

# For `inside`: a /dev to write to, for those who want to log to /dev/log.
PRIVATE_DEV = """
    mkdir /run/dev
    for name in null zero full; do
      touch /run/dev/$name
      mount --bind /dev/$name /run/dev/$name
    done
    mount --rbind /run/dev /dev
"""

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")


def _may_mount():
    return IS_ROOT and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


# Root of a container may not.
needs_mounts = pytest.mark.skipif(not _may_mount(), reason="needs root with mounts of its own")


def eventually(question, expected=bool, deadline=DEADLINE):
    """Ask until the answer is `expected` (a value, or a predicate); the answer.

    An exception is an answer like any other: whoever asks early finds no file,
    no key, half a document.
    """
    is_expected = expected if callable(expected) else lambda answer: answer == expected
    end = time.monotonic() + deadline
    while True:
        try:
            answer = question()
            if is_expected(answer):
                return answer
        except Exception as error:  # pylint: disable=broad-except
            answer = error
        if time.monotonic() > end:
            raise AssertionError(f"in {deadline} s the answer did not come; the last one: {answer!r}")
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(extra=None):
    """A small, known environment: nothing of the caller's leaks into a test."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    env.update((k, v) for k, v in os.environ.items() if k.endswith("SAN_OPTIONS"))
    env.update(extra or {})
    return env


def run(*argv, env=None, program=BINARY, timeout=DEADLINE, **options):
    """`moonrise ARGV...` outside of any namespace, to its end."""
    return subprocess.run([program, *argv], env=environment(env), timeout=timeout, text=True, check=False,
                          errors="replace", stdin=options.pop("stdin", subprocess.DEVNULL),
                          capture_output=True, **options)


def _unshare():
    flags = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    return flags if IS_ROOT else flags + ["--user", "--map-root-user"]


@functools.cache
def _why_no_namespaces():
    probe = subprocess.run([*_unshare(), "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True,
                           text=True, check=False)
    return probe.stderr.strip() if probe.returncode else None


class _Reader(threading.Thread):
    """Collects what comes through a pipe or a terminal until its end."""

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.fd, self._taken = fd, bytearray()  # bytes would be copied with each chunk
        self.start()

    @property
    def data(self):
        return bytes(self._taken)

    def run(self):
        while True:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:  # a terminal without a writer
                chunk = b""
            if not chunk:
                break
            self._taken += chunk
        os.close(self.fd)


class Container:
    """A pid and mount namespace, /proc and /run of its own, moonrise as PID 1.

    script   text of the boot script, or None
    argv     arguments instead of a script: argv=["--", "sleep", "1"]
    options  what goes before the script: ["--memory", "16M"]
    args     what goes behind it
    env      added to environment()
    files    {name: text} written beside the script in `dir`
    inside   shell commands run in the namespace before moonrise
    program  another path to the binary (a link called tini, say)
    stdin, stdout, stderr   as for subprocess; by default nothing, and collected in out and err
    tty      stdin, stdout and stderr are a terminal of which `terminal` is the other end
    """

    def __init__(self, script=None, *, argv=None, options=(), args=(), env=None, files=None, inside="",
                 program=BINARY, stdin=subprocess.DEVNULL, stdout=None, stderr=None, tty=False):
        why = _why_no_namespaces()
        if why:
            pytest.skip("NO NAMESPACES ON THIS MACHINE: " + why)
        self.dir = tempfile.mkdtemp(prefix="moonrise-")
        self.rundir = self.dir + "/run"
        self.closed = False
        for name, text in (files or {}).items():
            self.write(name, text)
        if script is not None:
            argv = [*options, self.write("boot.lua", script), *args]
        setup = f"mount -t tmpfs tmpfs /run\n{KEEP_DEV}\n{inside}\nexec \"$@\""
        command = [*_unshare(), "sh", "-ec", setup, "sh", *(["setsid", "-c"] if tty else []), program, *argv]
        self._start(command, environment({"MOONRISE_RUNDIR": self.rundir, **(env or {})}),
                    [stdin, stdout, stderr], tty)

    def _start(self, command, env, fds, tty):
        self.terminal, self._readers, ours = None, [None] * 3, []
        if tty:
            self.terminal, slave = pty.openpty()
            ours, fds = [slave], [slave] * 3
            self._readers[1] = self._readers[2] = _Reader(os.dup(self.terminal))
        for number in (1, 2):
            if fds[number] is None:
                read, fds[number] = os.pipe()
                ours.append(fds[number])
                self._readers[number] = _Reader(read)
        self.process = subprocess.Popen(command, env=env, cwd=self.dir, stdin=fds[0], stdout=fds[1], stderr=fds[2])
        for fd in ours:
            os.close(fd)

    # ---- files

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """Write a file in `dir`; indentation in common goes, so line 1 is the first line."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text.removeprefix("\n")))
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- output

    def _text(self, number):
        reader = self._readers[number]
        return reader.data.decode(errors="replace") if reader else ""

    @property
    def out(self):
        return self._text(1)

    @property
    def err(self):
        return self._text(2)

    @property
    def printed(self):
        """What the script has printed, and moonrise's own messages: without the name in front."""
        return "".join(line.removeprefix("moonrise: ") for line in self.err.splitlines(keepends=True))

    @property
    def out_bytes(self):
        return self._readers[1].data

    def says(self, text, deadline=DEADLINE):
        """Wait until `text` is in what came out (of stdout or stderr): all that came out."""
        eventually(lambda: text in self.out + self.err or not any(r and r.is_alive() for r in self._readers),
                   deadline=deadline)
        assert text in self.out + self.err
        return self.out + self.err

    # ---- processes

    @property
    def pid(self):
        """PID 1, as it is called outside."""
        assert self.process.poll() is None, "the container has ended"
        task = self.process.pid
        return eventually(lambda: int(_read(f"/proc/{task}/task/{task}/children").split()[0]))

    def processes(self):
        """{pid: (state, parent, name)} as seen inside; zombies have state Z."""
        found = {}
        proc = f"/proc/{self.pid}/root/proc"
        # Until the namespace has a /proc of its own, this is the machine's.
        started = [_read(path).rsplit(")", 1)[1].split()[19] for path in (f"{proc}/1/stat", f"/proc/{self.pid}/stat")]
        assert started[0] == started[1], "the container is not set up yet"
        for entry in filter(str.isdigit, os.listdir(proc)):
            try:
                name, rest = _read(f"{proc}/{entry}/stat").split("(", 1)[1].rsplit(")", 1)
            except OSError:  # gone meanwhile
                continue
            state, parent = rest.split()[:2]
            found[int(entry)] = (state, int(parent), name)
        return found

    def zombies(self):
        return [pid for pid, (state, _, _) in self.processes().items() if state == "Z"]

    def signal(self, number, pid=None):
        """From outside, as `docker kill` does. `pid` is one seen outside; PID 1 if left out."""
        os.kill(pid or self.pid, number)

    def exec(self, *argv, timeout=DEADLINE, **options):
        """Run a program inside, as `docker exec` does."""
        user = [] if IS_ROOT else ["--user", "--preserve-credentials"]
        command = ["nsenter", "--target", str(self.pid), "--pid", "--mount", *user, *argv]
        return subprocess.run(command, timeout=timeout, text=True, errors="replace", check=False,
                              env=environment({"MOONRISE_RUNDIR": self.rundir}), capture_output=True,
                              stdin=options.pop("stdin", None if "input" in options else subprocess.DEVNULL),
                              **options)

    def moonrise(self, *argv, **options):
        """A client: c.moonrise("status", "--json").stdout"""
        return self.exec(BINARY, *argv, **options)

    # ---- the end

    def wait(self, deadline=DEADLINE):
        """The exit status of PID 1 (-N: killed by signal N), when all output has come."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running after {deadline} s: {self.processes()}") from error
        for reader in filter(None, self._readers):
            reader.join(deadline)
        return status

    def stop(self, number=SIGTERM, deadline=DEADLINE):
        """Send TERM and wait: the exit status."""
        self.signal(number)
        return self.wait(deadline)

    def close(self):
        """End everything in it at once and remove its files."""
        if self.closed:
            return
        self.closed = True
        self.process.kill()  # with it goes PID 1, with that the namespace
        self.process.wait()
        if self.terminal is not None:
            os.close(self.terminal)
        for name, reader in zip(("stdout", "stderr"), self._readers[1:]):
            if reader:
                reader.join(DEADLINE)
                print(f"---- {name} of the container\n{reader.data.decode(errors='replace')}")
        shutil.rmtree(self.dir, ignore_errors=True)


def set_window_size(fd, rows, columns):
    """What a terminal emulator does when its window changes."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4))


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# ---- nothing is left


def children_of_ours():
    """{pid: command line} of all our children; zombies nobody waits for are reaped."""
    found = {}
    for task in os.listdir("/proc/self/task"):
        for pid in _read(f"/proc/self/task/{task}/children").split():
            try:
                found[int(pid)] = _read(f"/proc/{pid}/cmdline").replace("\0", " ")
                if _read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] == "Z":
                    os.waitpid(int(pid), os.WNOHANG)
            except OSError:  # gone meanwhile
                continue
    return found


def left_since(before):
    """What runs now and did not then, once it has had the time to go; it is ended."""
    try:
        eventually(lambda: set(children_of_ours()) <= set(before), deadline=10)
        return {}
    except AssertionError:
        left = {pid: line for pid, line in children_of_ours().items() if pid not in before}
        for pid in left:
            os.kill(pid, SIGKILL)
        return left
