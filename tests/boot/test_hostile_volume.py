# SPDX-License-Identifier: MIT
"""Whoever owns a volume may have laid anything into it: nothing outside is touched, and
nothing is waited for."""
import os
import stat
import threading

import pytest

from moonrise import needs_root

SCRIPT = """
local fs = require "moonrise.fs"
local ok, why = pcall(fs.volume, os.getenv "VOLUME", { template = os.getenv "TEMPLATE", on_conflict = os.getenv "WAY" })
print(ok, why)
require("moonrise").exit(0)
"""


@pytest.fixture
def place(open_path):
    for name in "one", "two":
        for path in "a/b/c/file", "a/b/other", "a/top", "file":
            at = open_path / name / path
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(name)
    (open_path / "two" / "a" / "b" / "added").write_text("two")
    (open_path / "volume").mkdir()
    (open_path / "outside").mkdir()
    return open_path


@pytest.fixture
def start(boot, place):
    def begin(image, way="keep"):
        return boot(SCRIPT, env={"VOLUME": str(place / "volume"), "TEMPLATE": str(place / image), "WAY": way})
    return begin


def finish(c):
    assert c.wait() == 0, c.err
    return c


@pytest.mark.parametrize("way", ["keep", "replace"])
@pytest.mark.parametrize("path", ["a", "a/b", "a/b/c", "a/b/c/file", "file", ".a.moonrise-new", "a/.b.moonrise-new",
                                  "file.image-new", "file.user-old", ".moonrise/manifest-1"])
@pytest.mark.parametrize("used", [False, True], ids=["empty", "used"])
def test_no_link_is_followed(start, place, path, used, way):
    for name in "c", "b", "file":
        (place / "outside" / name).write_text("outside")
    volume = place / "volume"
    if used:
        finish(start("one"))
        (volume / "file").write_text("user")
        if os.path.lexists(volume / path):
            (volume / path).rename(place / "moved")
    (volume / path).parent.mkdir(parents=True, exist_ok=True)
    target = "outside/file" if path.endswith(("file", "-new", "-old", "-1")) else "outside"
    (volume / path).symlink_to(place / target)
    finish(start("two", way))
    assert sorted(os.listdir(place / "outside")) == ["b", "c", "file"]
    assert all((place / "outside" / name).read_text() == "outside" for name in ("c", "b", "file"))


def test_nothing_is_followed_while_the_copy_runs(start, place):
    for number in range(300):
        (place / "one" / "a" / "b" / f"file-{number}").write_text("one")
        (place / "two" / "a" / "b" / f"file-{number}").write_text("two")
    volume, over = place / "volume", threading.Event()
    finish(start("one"))
    (volume / "link").symlink_to(place / "outside")

    def swap():
        while not over.is_set():
            os.rename(volume / "a" / "b", volume / "kept")
            os.rename(volume / "link", volume / "a" / "b")
            os.rename(volume / "a" / "b", volume / "link")
            os.rename(volume / "kept", volume / "a" / "b")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for image in "two", "one", "two":
            finish(start(image))  # may well fail, but nowhere else
    finally:
        over.set()
        swapper.join()
    assert not os.listdir(place / "outside")
    finish(start("one"))
    finish(start("two"))
    assert (volume / "a" / "b" / "added").read_text() == "two"


def make_fifo(path):
    os.mkfifo(path)


def make_device(path):
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 8))


@pytest.mark.parametrize("make", [make_fifo, pytest.param(make_device, marks=needs_root)])
@pytest.mark.parametrize("way", ["keep", "replace"])
def test_nothing_but_files_is_opened(start, place, make, way):
    finish(start("one"))
    for path in "file", "a/b/c/file":
        (place / "volume" / path).unlink()
        make(place / "volume" / path)
    assert finish(start("two", way)).printed.endswith("true\tvolume " + str(place / "volume") + "\n")
    found = {path: stat.S_ISREG((place / "volume" / path).stat().st_mode)
             for path in ("file", "file.image-new" if way == "keep" else "file.user-old")}
    assert list(found.values()) == ([False, True] if way == "keep" else [True, False])


NAMES = [b"new\nline", b"quote'\"`$(x)\\", b"\xff\xfe", b"-rf", b" ", b"%41", b"\x01\x7f", b"a" * 255]


def test_any_name_is_only_a_name(start, place):
    for image in "one", "two":
        top = os.fsencode(place / image)
        for name in NAMES:
            os.mkdir(top + b"/" + name)
            with open(top + b"/" + name + b"/" + name, "wb") as file:
                file.write(image.encode())
    volume = os.fsencode(place / "volume")
    finish(start("one"))
    with open(volume + b"/" + NAMES[0] + b"/" + NAMES[0], "wb") as file:
        file.write(b"user")
    c = finish(start("two"))
    for name in NAMES:
        with open(volume + b"/" + name + b"/" + name, "rb") as file:
            assert file.read() == (b"user" if name == NAMES[0] else b"two")
    assert os.path.exists(volume + b"/" + NAMES[0] + b"/" + NAMES[0] + b".image-new")
    assert "new?line/new?line was changed by both" in c.err
