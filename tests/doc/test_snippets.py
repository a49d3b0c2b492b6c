# SPDX-License-Identifier: MIT
"""What the manual and the README show works: snippets marked with `test: HOW` in a
comment above them are run with the real binary.

    check       a script that `moonrise check` has nothing to say against
    boot        a script that gets ready, and then stops with 0; `boot root`: as root alone
    fails N     a script that ends with status N; a block marked `says` right behind it
                has the lines that are then in the log
    shell       commands behind "$ ", each followed by what it prints
    file PATH   a file for the next script, in /opt, /run, /srv or /var/log

Further comments under that say what a container has:

    env: NAME=VALUE     a variable; {port} in any of these is a port that is free
    program: NAME TEXT  a program in $PATH, in shell
    before: LUA         in front of the script; `after` behind it
    says: TEXT          what comes out
"""
import glob
import os
import re
import subprocess
import tempfile

import pytest

from moonrise import BINARY, IS_ROOT, ROOT, environment, eventually, free_port, run

MARK = re.compile(r"^(?:; |<!-- )test: (\w+)(?: (\S+))?(?: -->)?\n((?:; \w+: [^\n]*\n)*)\n*```\w*\n(.*?)^```$",
                  re.MULTILINE | re.DOTALL)
SOURCES = sorted(glob.glob(ROOT + "/doc/*.scd")) + [ROOT + "/README.md"]
OURS = "/opt", "/srv", "/var/log"  # folders that are the container's own


class Snippet:
    """A script, or other text, and what it needs."""

    def __init__(self, how, argument, needs, text):
        self.how, self.argument, self.text, self.says, self.files = how, argument, text, [], {}
        self.needs = re.findall(r"^; (\w+): (.*)$", needs, re.MULTILINE)
        assert {key for key, _ in self.needs} <= {"env", "program", "before", "after", "says"}, needs

    def all(self, key):
        return [value for name, value in self.needs if name == key]

    @property
    def script(self):
        return "\n".join([*self.all("before"), self.text, *self.all("after")])

    def boot(self, boot):
        """A container that runs the script."""
        port = str(free_port())
        self.needs = [(key, value.replace("{port}", port)) for key, value in self.needs]
        files, inside = {}, [f"mount -t tmpfs tmpfs {folder}" for folder in OURS] + ["mkdir /opt/bin"]
        programs = {f"/opt/bin/{name}": f"#!/bin/sh\n{text}\n"
                    for name, text in (program.split(" ", 1) for program in self.all("program"))}
        for number, (path, text) in enumerate({**self.files, **programs}.items()):
            files[f"file{number}"] = text
            inside += [f"mkdir -p {os.path.dirname(path)}", f"cp file{number} {path}"]
        inside += [f"chmod +x {path}" for path in programs]
        env = dict(item.split("=", 1) for item in self.all("env"))
        env["PATH"] = "/opt/bin:" + environment()["PATH"]
        return boot(self.script, files=files, inside="\n".join(inside), env=env)


def find_snippets():
    for path in SOURCES:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        last, files = None, {}
        for match in MARK.finditer(text):
            snippet = Snippet(*match.groups())
            if snippet.how == "says":
                last.says = snippet.text.splitlines()
            elif snippet.how == "file":
                files[snippet.argument] = snippet.text
            else:
                last, snippet.files, files = snippet, files, {}
                line = text.count("\n", 0, match.start()) + 1
                yield pytest.param(snippet, id=f"{os.path.basename(path)}:{line}")


def run_check(boot, snippet):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(snippet.text)
        script.flush()
        done = run("check", script.name, env=dict(item.split("=", 1) for item in snippet.all("env")))
    assert (done.returncode, done.stderr) == (0, "")


def run_boot(boot, snippet):
    if snippet.argument == "root" and not IS_ROOT:
        pytest.skip("needs root")
    c = snippet.boot(boot)
    eventually(lambda: c.moonrise("health").returncode, 0)
    for text in snippet.all("says"):
        c.says(text)
    assert c.stop() == 0


def run_fails(boot, snippet):
    c = snippet.boot(boot)
    assert c.wait() == int(snippet.argument)
    for line in snippet.says:
        assert line in c.err


def run_shell(boot, snippet):
    for part in re.split(r"^\$ ", snippet.text, flags=re.MULTILINE)[1:]:
        command, expected = part.split("\n", 1)
        path = os.path.dirname(BINARY) + ":" + environment()["PATH"]
        done = subprocess.run(["sh", "-c", command], env=environment({"PATH": path}), text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.stdout == expected, command


WAYS = {"check": run_check, "boot": run_boot, "fails": run_fails, "shell": run_shell}


@pytest.mark.parametrize("snippet", find_snippets())
def test_snippet(boot, snippet):
    WAYS[snippet.how](boot, snippet)
