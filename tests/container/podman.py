# SPDX-License-Identifier: MIT
"""Containers for the tests, by podman and runc. Every name has a process id of the test
run in it, so that two runs on one machine keep apart and nothing is removed that the run
did not make."""
import fcntl
import functools
import itertools
import json
import os
import pty
import subprocess

from moonrise import BINARY, DEADLINE, ROOT, _Reader, eventually, set_window_size

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = {**os.environ, "CONTAINERS_CONF": HERE + "/containers.conf"}
NUMBER = itertools.count(1)
RUN = os.environ.setdefault("MOONRISE_RUN", str(os.getpid()))  # what all workers of pytest-xdist share


def podman(*argv, timeout=DEADLINE, check=False, **options):
    done = subprocess.run(["podman", *argv], env=ENVIRONMENT, timeout=timeout, text=True, errors="replace",
                          check=False, capture_output=True, stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    assert not check or done.returncode == 0, f"podman {' '.join(argv)}: {done.stderr}{done.stdout}"
    return done


@functools.cache
def base_image(release):
    done = subprocess.run([HERE + "/base-image", release], env=ENVIRONMENT, check=False, text=True,
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return f"moonrise-base:{release}"


def build(name, containerfile, *options, context):
    """An image of a Containerfile, given by its path or as its text."""
    tag = f"moonrise-test-{name}-{RUN}"
    text = None
    if "\n" in containerfile:
        containerfile, text = "-", containerfile
    done = subprocess.run(["podman", "build", "--quiet", "--format", "docker", "--network", "host",
                           "--ulimit", "nofile=20000:20000", "--file", containerfile, "--tag", tag, *options, context],
                          env=ENVIRONMENT, input=text, text=True, capture_output=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return tag


def build_once(folder, name, containerfile, *options, context):
    """The same, for all workers of pytest-xdist: the first one builds it, the others wait."""
    with open(f"{folder}/image-{name}", "a+", encoding="utf-8") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        record.seek(0)
        tag = record.read()
        if not tag:
            tag = build(name, containerfile, *options, context=context)
            record.write(tag)
        return tag


class Container:
    """A running container. `volume` gives it one of its own at /data; `terminal` makes
    it run in the foreground of a terminal, as `podman run -it` does."""

    def __init__(self, image, *command, volume=False, terminal=False, options=(), env=None):
        self.name = f"moonrise-test-{os.getpid()}-{next(NUMBER)}"
        self.volume = self.name if volume else None
        argv = ["run", "--name", self.name, "--ulimit", "host", *options]
        for name, value in (env or {}).items():
            argv += ["--env", f"{name}={value}"]
        if volume:
            argv += ["--volume", f"{self.volume}:/data"]
        self.terminal = self.process = None
        if terminal:
            self._run_in_terminal([*argv, "--interactive", "--tty", image, *command])
        else:
            podman(*argv, "--detach", image, *command, check=True, timeout=2 * DEADLINE)

    def _run_in_terminal(self, argv):
        self.terminal, slave = pty.openpty()
        set_window_size(self.terminal, 24, 80)
        self.reader = _Reader(os.dup(self.terminal))
        self.process = subprocess.Popen(["podman", *argv], env=ENVIRONMENT, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)

    # ---- what it says

    def inspect(self, template):
        return podman("inspect", "--format", template, self.name, check=True).stdout.strip()

    @property
    def address(self):
        return eventually(lambda: self.inspect("{{.NetworkSettings.IPAddress}}"))

    @property
    def log(self):
        if self.terminal is not None:
            return self.reader.data.decode(errors="replace")
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def says(self, text):
        return eventually(lambda: self.log, lambda log: text in log)

    # ---- what it does

    def exec(self, *argv, **options):
        return podman("exec", self.name, *argv, **options)

    def in_volume(self, name):
        """The path, on this machine, of a file in the container's volume."""
        done = podman("volume", "inspect", "--format", "{{.Mountpoint}}", self.volume, check=True)
        return os.path.join(done.stdout.strip(), name)

    def status(self):
        """`moonrise status --json`, as soon as there is an answer."""
        return eventually(lambda: json.loads(self.exec("moonrise", "status", "--json").stdout), lambda s: "state" in s)

    def service(self, name):
        """What the status says of one service; {} while it says nothing."""
        return next((s for s in self.status().get("services", []) if s.get("name") == name), {})

    def pid_of(self, name):
        """The pid of a ready service, as seen inside."""
        found = eventually(lambda: self.service(name), lambda s: s.get("state") == "ready" and s.get("pid"))
        return found.get("pid")

    def is_running(self):
        return self.inspect("{{.State.Running}}") == "true"

    def wait_ready(self):
        """Until `moonrise health` succeeds, or the container has ended."""
        eventually(lambda: self.exec("moonrise", "health").returncode == 0 or not self.is_running(),
                   deadline=2 * DEADLINE)
        assert self.is_running(), self.log
        return self

    # ---- its end

    def kill(self, signal):
        podman("kill", "--signal", signal, self.name, check=True)

    def stop(self, timeout=90):
        """As `podman stop`; the exit status."""
        podman("stop", "--time", str(timeout), self.name, check=True, timeout=timeout + DEADLINE)
        return self.wait()

    def wait(self):
        return int(podman("wait", self.name, check=True).stdout.split()[-1])

    def start(self):
        podman("start", self.name, check=True)

    def remove(self):
        print(f"---- log of {self.name}\n{self.log}")
        podman("rm", "--force", "--time", "0", "--volumes", self.name, timeout=2 * DEADLINE)
        if self.volume:
            podman("volume", "rm", "--force", self.volume)
        if self.process:
            self.process.kill()
            self.process.wait()
            os.close(self.terminal)
