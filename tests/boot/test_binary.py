# SPDX-License-Identifier: MIT
"""The file that is released."""
import os
import subprocess

from moonrise import BINARY, run


def test_version():
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("moonrise ")


def test_size():
    if "asan" not in BINARY and "glibc" not in BINARY:
        assert os.path.getsize(BINARY) < 1 << 20


def test_static():
    headers = subprocess.run(["readelf", "--program-headers", BINARY], capture_output=True, text=True, check=True)
    if "glibc" not in BINARY:
        assert "INTERP" not in headers.stdout
