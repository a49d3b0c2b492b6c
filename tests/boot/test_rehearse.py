#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""moonrise check and moonrise settings: the script runs, and nothing happens."""
import json
import os

import pytest

from moonrise import needs_root, run

SCRIPT = '''local init = require "moonrise"
local env = require "moonrise.env"
local fs = require "moonrise.fs"
local probe = require "moonrise.probe"
local cfg = env.read {
  PORT = { type = "port", default = 80, doc = "where it listens" },
  PW = { type = "secret", min = 8 },
}
local data = fs.volume("FOLDER/data", { template = "FOLDER/template", dirs = { "logs" } })
data:once("site key", function()
  init.run { "touch", "FOLDER/key" }
end)
fs.write("FOLDER/motd", "hello")
fs.remove("FOLDER/template/index.html") io.open("FOLDER/plain", "w"):write("x"):close()
init.sleep("1h")
local httpd = init.start { "/no/httpd", "-p", cfg.PORT, ready = probe.tcp("127.0.0.1", cfg.PORT) }
local other = init.service { "sleep", "1000", name = "other", after = { "httpd" } }
init.all(other, function() init.run { "touch", "FOLDER/side" } end)
httpd:signal("HUP")
init.on("HUP", function() httpd:signal("USR1") end)
init.exit(3)
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "template").mkdir()
    (tmp_path / "template/index.html").write_text("hello")
    (tmp_path / "data").mkdir()
    return tmp_path


def script(folder, text=SCRIPT):
    path = folder / "boot.lua"
    path.write_text(text.replace("FOLDER", str(folder)))
    return str(path)


def tree(folder):
    return sorted(os.path.join(where, name) for where, folders, files in os.walk(folder) for name in folders + files)


def test_check_says_what_would_be_done_and_does_nothing(folder):
    path = script(folder)
    before = tree(folder)
    done = run("check", path, env={"PW": "hunter2!"})
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(folder) == before
    plan = [line.split(None, 1) for line in done.stdout.splitlines()]
    for number, start in [(10, 'once "site key"'), (11, f"run touch {folder}/key"), (13, f"write {folder}/motd"),
                          (14, f"remove {folder}/template/index.html"),
                          (14, f"open {folder}/plain for writing"), (15, "sleep 1h"),
                          (16, "start httpd: /no/httpd -p 80, probe of 127.0.0.1 port 80"),
                          (18, "start other: sleep 1000"), (18, f"run touch {folder}/side"),
                          (19, "send HUP to httpd"), (21, "stop everything and exit with status 3")]:
        assert any(where.endswith(f"boot.lua:{number}") and what.startswith(start) for where, what in plan), (number, start)
    assert "hunter2" not in done.stdout


VOLUME = """
local fs = require "moonrise.fs"
local data = fs.volume("FOLDER/data", { template = "FOLDER/template" })
data:once("first", function() end)
data:once("second", { undo = function() end }, function()
  local stop <const> = os.getenv "STOP"
  if stop then error("stop", 0) end
end)
data:upgrade("schema", function() fs.write(data:path "schema", "new") end)
require("moonrise").exit(0)
"""


@needs_root  # who is outside of the namespace sees another owner than was laid down
def test_check_rehearses_the_volume_as_it_is(folder, boot):
    (folder / "new").mkdir()
    (folder / "new/index.html").write_text("hello, all")
    (folder / "new/more.html").write_text("more")
    old, new = script(folder, VOLUME), folder / "new.lua"
    new.write_text(VOLUME.replace("FOLDER/template", "FOLDER/new").replace("FOLDER", str(folder)))
    text = VOLUME.replace("FOLDER", str(folder))

    def plan(path):
        before = tree(folder)
        done = run("check", str(path))
        assert (done.returncode, done.stderr) == (0, "") and tree(folder) == before
        return [line.split(None, 1)[1] for line in done.stdout.splitlines()]

    def common(name):
        return [f"use the volume {folder}/data", f"populate {folder}/data from {folder}/{name}"]

    def assert_plan(found, name, populate, *more):
        first, second = common(name)
        assert found[:2] == [first, second + populate] and found[2:-1] == list(more), found

    step = ['upgrade "schema", for a new image:', f"write {folder}/data/schema"]
    assert_plan(plan(old), "template", ": 1 entry, 1 KiB", 'once "first":', 'once "second":', *step)
    c = boot(text, env={"STOP": "1"})
    assert c.wait() != 0
    assert_plan(plan(old), "template", ": it has all of it", 'once "second", after undoing what was cut short:', *step)
    assert boot(text).wait() == 0
    assert_plan(plan(old), "template", ": it has all of it", *step)
    (folder / "data/index.html").write_text("mine")
    assert_plan(plan(new), "new", ": 2 entries, 1 KiB", "keep index.html, and lay the image's beside it",
                "make more.html", *step)


def test_what_check_writes_down_goes_to_tmpdir(folder):
    path = script(folder, 'require("moonrise.fs").volume("FOLDER/data", { template = "FOLDER/template" })')
    assert run("check", path, env={"TMPDIR": str(folder)}).returncode == 0
    assert sorted(os.listdir(folder)) == ["boot.lua", "data", "template"]
    done = run("check", path, env={"TMPDIR": str(folder / "gone")})
    assert done.returncode == 70
    assert f"no folder can be made in {folder}/gone: No such file or directory" in done.stderr


def test_check_reports_all_that_is_wrong(folder):
    text = SCRIPT.replace("init.exit(3)", 'env.read { MODE = { type = "enum", values = { "a" } } }')
    done = run("check", script(folder, text), env={"PORT": "x"})
    assert done.returncode == 78
    for message in ('PORT is "x"; it takes a port', "PW is missing: it takes a secret", "MODE is missing: it takes a;"):
        assert message in done.stderr


@pytest.mark.parametrize("word", ["check", "settings"])
@pytest.mark.parametrize("text, status, message", [
    (None, 66, "no such script: "),
    ("", 70, "is empty"),
    ("local = 1", 70, "boot.lua:1: <name> expected near '='"),
    ("\n\nnonsense()", 70, "boot.lua:3: unknown global 'nonsense'"),
    ('require("moonrise").run { "true", cwdd = "/" }', 70,
     "boot.lua:1: unknown option 'cwdd' of run; did you mean 'cwd'?"),
])
def test_wrong_scripts(folder, word, text, status, message):
    path = script(folder, text) if text is not None else str(folder / "gone.lua")
    done = run(word, path)
    assert done.returncode == status
    assert message in done.stderr


def test_settings_of_a_script_as_text(folder):
    path = script(folder)
    before = tree(folder)
    done = run("settings", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:3] == [
        "PORT  a port, a number from 1 to 65535; default 80",
        "      where it listens",
        "PW    a secret, at least 8 characters; required",
    ]
    assert tree(folder) == before


def test_settings_of_a_script_for_machines(folder):
    listed = json.loads(run("settings", "--json", script(folder)).stdout)
    assert [(one["name"], one["type"], one["required"]) for one in listed] == [
        ("PORT", "port", False), ("PW", "secret", True)]
    assert listed[0]["default"] == "80"


def test_settings_of_a_script_as_markdown(folder):
    done = run("settings", "--markdown", script(folder))
    assert "| `PORT` | a port, a number from 1 to 65535 | `80` | where it listens |" in done.stdout


def test_settings_that_come_late_are_found(folder):
    path = script(folder, SCRIPT.replace("init.exit(3)", "env.read { LATE = { optional = true } }"))
    assert "LATE  a text; optional" in run("settings", path).stdout


def test_settings_before_a_fault_are_listed(folder):
    done = run("settings", script(folder, SCRIPT.replace("init.exit(3)", "boom()")))
    assert done.returncode == 70
    assert "PORT" in done.stdout
    assert "boot.lua:21: unknown global 'boom'" in done.stderr
    assert "the list may lack settings that are read after this line" in done.stderr
