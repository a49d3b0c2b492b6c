# SPDX-License-Identifier: MIT
"""Owners that change places, and their template with them: stopped at each call that changes
the volume, and booted again."""
import hashlib
import os
import struct
import subprocess

import pytest
from moonrise import BINARY, DEADLINE, environment
from test_crash import (Stage, pytestmark, test_failing_at_any_call, test_killed_at_any_call,
                        test_nothing_is_recorded_before_it_is_on_disk, write)

__all__ = ["pytestmark", "test_failing_at_any_call", "test_killed_at_any_call",
           "test_nothing_is_recorded_before_it_is_on_disk"]

NAMES = {"first": (101, 102, 103), "": (102, 101, 104)}  # of a, b and c


def write_names(top, numbers):
    for file, more in ("passwd", ":0::/:/bin/sh"), ("group", ":"):
        write(f"{top}/{file}", "".join(f"{name}:x:{number}{more}\n" for name, number in zip("abc", numbers)))


def make_template(top, numbers, text):
    os.makedirs(top + "/conf")
    for name, number in zip("abc", numbers):
        for path in (name, "conf/" + name):
            write(f"{top}/{path}", text if path == name else "the same\n")
            os.chown(f"{top}/{path}", number, number)
        os.chown(top + "/conf", number, number)


class Owners:
    KEPT = set()

    # Boots see the names of the second image.
    SETUP = 'for file in passwd group; do mount --bind "$2/../$file" /etc/$file || exit; done; '

    SCRIPT = """
        local dir = ...
        require("moonrise.fs").volume(dir .. "/volume", { template = dir .. "/template" })
        require("moonrise").exit(0)
    """

    @classmethod
    def prepare(cls, top):
        first = top + "/first"
        make_template(first + "/template", NAMES["first"], "of the first image\n")
        make_template(top + "/template", NAMES[""], "of the second image\n")
        write_names(first, NAMES["first"])
        write_names(top, NAMES[""])
        write(first + "/boot.lua", cls.SCRIPT)
        os.mkdir(first + "/volume")
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", cls.SETUP + 'shift 2; exec "$@"', "sh",
                        first, first + "/volume", BINARY, first + "/boot.lua", first],
                       env=environment(), check=True, timeout=DEADLINE)
        os.rename(first + "/volume", top + "/start")
        cls.change_as_a_user(top + "/start")

    @staticmethod
    def change_as_a_user(top):
        for name, number in zip("abc", NAMES["first"]):
            write(f"{top}/{name}-own", "of the user\n")
            os.chown(f"{top}/{name}-own", number, number)
            os.chmod(f"{top}/{name}-own", 0o6755)
        os.setxattr(top + "/c-own", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
        os.link(top + "/conf/a", top + "/same")
        os.symlink("conf", top + "/link")
        os.chown(top + "/link", 101, 102, follow_symlinks=False)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(Owners, tmp_path_factory.mktemp("owners"))


def test_all_of_it_is_given(stage):
    """What the undisturbed boot makes is right; all the others are compared with it."""
    owners = {path: entry[1:3] for path, entry in stage.expected.items()}
    for name, number in zip("abc", NAMES[""]):
        for path in (name, "conf/" + name, name + "-own"):
            assert owners[path.encode()] == (number, number), path
    assert owners[b"same"] == (102, 102) and owners[b"link"] == (102, 101)
    assert {stage.expected[name.encode() + b"-own"][0] for name in "abc"} == {"0o106755"}
    assert stage.expected[b"a"][4] == hashlib.sha256(b"of the second image\n").hexdigest()
