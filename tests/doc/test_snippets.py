# SPDX-License-Identifier: MIT
"""What the manual and the README show works: snippets marked with `test: HOW` in a
comment above them are run with the real binary.

    check       a script that `moonrise check` has nothing to say against
    boot        a script that gets ready, and then stops with 0
    fails N     a script that ends with status N; a block marked `says` right behind it
                has the lines that are then in the log
    shell       commands behind "$ ", each followed by what it prints
"""
import glob
import os
import re
import subprocess
import tempfile

import pytest

from moonrise import BINARY, ROOT, environment, eventually, run

MARK = re.compile(r"^(?:; |<!-- )test: (\w+)(?: (\d+))?(?: -->)?\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCES = sorted(glob.glob(ROOT + "/doc/*.scd")) + [ROOT + "/README.md"]


def find_snippets():
    for path in SOURCES:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = list(MARK.finditer(text))
        for match, behind in zip(found, found[1:] + [None]):
            how, status, snippet = match.groups()
            if how == "says":
                continue
            says = behind.group(3).splitlines() if behind and behind.group(1) == "says" else []
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(how, int(status or 0), snippet, says, id=f"{os.path.basename(path)}:{line}")


def run_check(boot, snippet, status, says):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(snippet)
        script.flush()
        done = run("check", script.name)
    assert (done.returncode, done.stderr) == (0, "")


def run_boot(boot, snippet, status, says):
    c = boot(snippet)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def run_fails(boot, snippet, status, says):
    c = boot(snippet)
    assert c.wait() == status
    for line in says:
        assert line in c.err


def run_shell(boot, snippet, status, says):
    for part in re.split(r"^\$ ", snippet, flags=re.MULTILINE)[1:]:
        command, expected = part.split("\n", 1)
        path = os.path.dirname(BINARY) + ":" + environment()["PATH"]
        done = subprocess.run(["sh", "-c", command], env=environment({"PATH": path}), text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.stdout == expected, command


WAYS = {"check": run_check, "boot": run_boot, "fails": run_fails, "shell": run_shell}


@pytest.mark.parametrize("how, status, snippet, says", find_snippets())
def test_snippet(boot, how, status, snippet, says):
    WAYS[how](boot, snippet, status, says)
