# SPDX-License-Identifier: MIT
"""moonrise volume status: how a template and a volume stand, whether or not an init runs."""
import json
import zlib

import pytest

from moonrise import run

SCRIPT = """
local init, fs = require "moonrise", require "moonrise.fs"
local dir = ...
local data = fs.volume(dir .. "/data", { template = dir .. "/data-template" })
data:once("site certificate", function() end)
data:once("odd\\n name", function() init.exit(0) end)
"""


@pytest.fixture
def top(tmp_path):
    for name, content in {"one": "1\n", "two/three": "33\n"}.items():
        (tmp_path / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc" / name).write_text(content)
    done = run("volume", "split", "--root", str(tmp_path), "--id", "site:1", "/etc/one", "/etc/two", "--all")
    assert done.returncode == 0, done.stderr
    return tmp_path


def status(*paths, code=0):
    done = run("volume", "status", *map(str, paths))
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines()


def as_json(*paths, code=0):
    return json.loads("\n".join(status("--json", *paths, code=code)))


def seal(*entries):
    """A record, as lua/moonrise/journal.lua makes it."""
    return "moonrise-volume 1\n" + "".join(f"{zlib.crc32(x.encode()):08x} {x}\n" for x in entries)


def record(top, text):
    notes = top / "data/.moonrise"
    notes.mkdir(exist_ok=True)
    (notes / "journal").write_text(text)


def test_a_template(top):
    assert status(top / "data-template") == [
        f"{top}/data-template: template, format 1",
        "  image       site:1",
        "  entries     4: 2 files of 5 bytes, 2 folders, 0 links",
        "  whole image 8: 2 files of 5 bytes, 4 folders, 2 links"]
    [found] = as_json(top / "data-template")
    assert (found["kind"], found["image"], found["faults"]) == ("template", "site:1", [])
    assert found["entries"] == {"all": 4, "files": 2, "folders": 2, "links": 0, "bytes": 5}
    assert found["whole_image"]["all"] == 8


def test_a_volume(top, boot):
    c = boot(SCRIPT, args=[str(top)])
    assert c.wait() == 0, c.err
    (top / "data/etc/one.image-new").write_text("")
    assert status(top / "data") == [
        f"{top}/data: volume, format 1",
        "  image       site:1",
        "  entries     4: 2 files of 5 bytes, 2 folders, 0 links",
        "  begun       odd\\012 name",
        "  done        site certificate",
        "  booted with site:1",
        "  beside      etc/one.image-new"]
    template, volume = as_json(top / "data-template", top / "data")
    assert (template["kind"], volume["kind"]) == ("template", "volume")
    assert (volume["done"], volume["begun"], volume["images"]) == (["site certificate"], ["odd\n name"], ["site:1"])
    assert (volume["beside"], volume["unfinished"]) == (["etc/one.image-new"], [])


def test_the_last_word_on_a_step_counts(top):
    record(top, seal("begin b", "begin a", "image 1", "done b", "image 2", "begin b") + "torn")
    [found] = as_json(top / "data")
    assert (found["begun"], found["done"], found["images"]) == (["a", "b"], [], ["1", "2"])


def test_steps_of_an_upgrade(top):
    record(top, seal("done a", "upgraded 1 a", "keep a", "keep b", "back b", "upgraded 1%20c", "keep c", "upgraded 2 c",
                     "keep d%20e", "keep f", "back f", "upgraded 1 f"))
    [found] = as_json(top / "data")
    assert found["done"] == ["a"]
    assert found["upgraded"] == [{"step": "a", "image": "1"}, {"step": "c", "image": "2"}, {"step": "f", "image": "1"}]
    assert found["upgrading"] == ["a", "d e"]
    assert status(top / "data")[1:] == ["  done        a", "  upgraded    a, for 1", "  upgrading   a",
                                        "  upgraded    c, for 2", "  upgrading   d e", "  upgraded    f, for 1"]


@pytest.mark.parametrize("text, why", [
    ("something else\n", "it does not begin as a record does"),
    ("moonrise-volume 2\n", "it was written by a newer moonrise (format 2; this one reads up to 1)"),
    (seal("begin a", "done a").replace("begin", "begun"), "line 2 is damaged"),
    (seal("begin a").replace("a", "a\0"), "there is a NUL in it"),
    (seal("begin a") + "x\nx\n", "line 3 is damaged"),
])
def test_a_damaged_record(top, text, why):
    record(top, text)
    assert status(top / "data", code=74) == [f"{top}/data: volume, format 1", "  record      " + why]
    assert as_json(top / "data", code=74)[0]["faults"] == [why]


@pytest.mark.parametrize("text", ["", "moonrise-vol", seal(), seal("begin a")[:-1], seal() + "x\n"])
def test_a_torn_record_is_none(top, text):
    record(top, text)
    assert status(top / "data") == [f"{top}/data: volume, format 1"]


def test_a_record_without_an_end(top):
    record(top, "moonrise-volume 1\n")
    with open(top / "data/.moonrise/journal", "a", encoding="utf-8") as file:
        file.truncate(1 << 30)
    done = run("volume", "status", str(top / "data"))
    assert done.returncode == 74 and "File too large" in done.stderr


def test_a_damaged_manifest(top):
    manifest = top / "data-template/.moonrise/manifest"
    manifest.write_text(manifest.read_text().replace("etc/one", "etc/non"))
    assert status(top / "data-template", code=74)[2] == "  entries     its manifest is damaged: line 6: the checksum is wrong"


def test_neither(top):
    done = run("volume", "status", str(top))
    assert (done.returncode, done.stderr) == (66, f"moonrise: {top} is neither a template nor a volume of moonrise\n")
    done = run("volume", "status", str(top / "none"), str(top / "data-template"))
    assert done.returncode == 74 and "No such file" in done.stderr and "template, format 1" in done.stdout
