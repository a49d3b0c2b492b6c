# SPDX-License-Identifier: MIT
"""volume:upgrade: steps for a new image, and what they left half-made put back."""
from signal import SIGKILL, SIGTERM

import pytest

from moonrise import eventually

PRELUDE = """
local init, fs = require "moonrise", require "moonrise.fs"
local data = fs.volume(os.getenv "VOLUME", { template = os.getenv "TEMPLATE" })
"""


@pytest.fixture
def place(open_path):
    for name in "one", "two", "three":
        (open_path / name).mkdir()
        (open_path / name / "version").write_text(name)
    (open_path / "volume").mkdir()
    return open_path


@pytest.fixture
def run(boot, place):
    def begin(image, script):
        env = {"VOLUME": str(place / "volume"), "TEMPLATE": str(place / image)}
        return boot(PRELUDE + script + "\ninit.exit(0)\n", env=env)

    def start(image, script, status=0):
        c = begin(image, script)
        assert c.wait() == status, c.err
        return c

    start.begin = begin
    return start


STEP = """
print(data:upgrade("schema", function(old, new) print(#old, #new, old ~= new, fs.read(data:path "version")) end))
"""


def test_a_step_is_done_for_each_new_image(run):
    assert run("one", STEP).printed == "false\n"
    assert run("one", STEP).printed == "false\n"
    assert run("two", STEP).printed.endswith("64\t64\ttrue\ttwo\ntrue\n")
    assert run("two", STEP).printed == "false\n"
    assert run("one", STEP).printed.endswith("64\t64\ttrue\tone\ntrue\n")


def test_a_new_step_is_done_when_the_volume_is_older(run):
    run("one", "")
    run("two", "")
    assert run("two", STEP).printed.endswith("true\ttwo\ntrue\n")


def test_a_step_that_fails_is_done_again(run):
    run("one", STEP)
    c = run("two", """data:upgrade("schema", function() error("no") end)""", status=70)
    assert "boot.lua:3: no" in c.err
    assert run("two", STEP).printed.endswith("true\ttwo\ntrue\n")


def test_a_step_that_is_stopped_is_done_again(run):
    run("one", STEP)
    c = run.begin("two", """data:upgrade("schema", function() print("begun") init.sleep("1h") end)""")
    eventually(lambda: "begun" in c.printed)
    c.signal(SIGTERM)
    assert c.wait() != 0
    assert run("two", STEP).printed.endswith("true\ttwo\ntrue\n")


WITH_SNAPSHOT = """
data:upgrade("schema", { snapshot = { "db", "link", "none", "version" } }, function()
  fs.write(data:path "db/rows", "new")
  fs.write(data:path "db/more", "new")
  fs.remove(data:path "link")
  fs.mkdir(data:path "none/deep")
  fs.write(data:path "version", "broken")
  %s
end)
"""


def make_database(place):
    (place / "volume" / "db").mkdir()
    (place / "volume" / "db" / "rows").write_text("old")
    (place / "volume" / "db" / "rows").chmod(0o640)
    (place / "volume" / "link").symlink_to("db/rows")


def assert_put_back(place):
    volume = place / "volume"
    assert [path.name for path in (volume / "db").iterdir()] == ["rows"]
    assert (volume / "db" / "rows").read_text() == "old"
    assert (volume / "db" / "rows").stat().st_mode & 0o777 == 0o640
    assert (volume / "link").readlink().as_posix() == "db/rows" and not (volume / "none").exists()
    assert not [path for path in (volume / ".moonrise").iterdir() if "snapshot" in path.name]


def test_what_a_failed_step_did_is_put_back(run, place):
    run("one", "")
    make_database(place)
    c = run("two", WITH_SNAPSHOT % 'error("no")', status=70)
    assert 'is as it was before the upgrade "schema"' in c.err and "no" in c.err
    assert_put_back(place)
    assert (place / "volume" / "version").read_text() == "two"


@pytest.mark.parametrize("image, version", [("two", "two"), ("one", "one"), ("three", "three")])
def test_what_a_killed_step_did_is_put_back_first(run, place, image, version):
    run("one", "")
    make_database(place)
    c = run.begin("two", WITH_SNAPSHOT % 'print("begun") init.sleep("1h")')
    eventually(lambda: "begun" in c.printed)
    c.signal(SIGKILL)
    c.wait()
    assert (place / "volume" / "none").exists()
    c = run(image, "")
    assert 'is as it was before the upgrade "schema"' in c.err
    assert_put_back(place)
    assert (place / "volume" / "version").read_text() == version


def test_a_step_that_succeeds_leaves_no_snapshot(run, place):
    run("one", "")
    make_database(place)
    run("two", WITH_SNAPSHOT % "")
    run("two", WITH_SNAPSHOT % 'error("again")')
    assert (place / "volume" / "db" / "more").read_text() == "new"
    assert (place / "volume" / "version").read_text() == "broken"
    assert not [path for path in (place / "volume" / ".moonrise").iterdir() if "snapshot" in path.name]


def test_mistakes_are_explained(run):
    c = run("one", """
        print(pcall(data.upgrade, data, "", print))
        print(pcall(data.upgrade, data, "x"))
        print(pcall(data.upgrade, data, "x", { snapshot = { "../x" } }, print))
        print(pcall(data.upgrade, data, "x", { snapshots = {} }, print))
        print(pcall(fs.volume("/run/data").upgrade, fs.volume("/run/data"), "x", print))
    """)
    for line, text in zip(c.printed.splitlines(), (
            'volume:upgrade takes a name first, not ""', "volume:upgrade takes a function, not",
            "'snapshot' of volume:upgrade has \"../x\"; it takes paths in the volume",
            "unknown option 'snapshots' of volume:upgrade; did you mean 'snapshot'?", "has no 'template'")):
        assert line.startswith("false\t") and text in line, line
