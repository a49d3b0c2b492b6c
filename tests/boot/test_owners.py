# SPDX-License-Identifier: MIT
"""What is in a volume belongs to names: in an image where they have other numbers, it is given
to these. Images differ in /etc/passwd and /etc/group, which are mounted over the machine's."""
import os
import struct
from signal import SIGKILL

import pytest

from moonrise import eventually, needs_root

pytestmark = needs_root

SCRIPT = """
local init, fs = require "moonrise", require "moonrise.fs"
local top = os.getenv "TOP"
local data = fs.volume(top .. "/data", {
  template = os.getenv "TEMPLATE", owners_by = os.getenv "OWNERS_BY",
})
for _, change in ipairs(os.getenv "TEMPLATE" and data:changed() or {}) do print(change.change, change.path) end
if os.getenv "STAY" then init.sleep("1h") end
init.exit(0)
"""
IMAGE = 'for file in passwd group; do mount --bind "$TOP/$file" /etc/$file; done\n'
WITHOUT_RIGHTS = IMAGE + 'exec setpriv --bounding-set=-chown --inh-caps=-chown "$@"\n'


class Place:
    def __init__(self, top):
        self.top, self.data = top, top / "data"
        self.data.mkdir()

    def make(self, path, uid, gid=0, mode=0o644):
        at = self.data / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(path)
        os.chown(at, uid, gid)
        at.chmod(mode)

    def image(self, groups=None, **users):
        """An image in which these users, and groups of the same names, have these numbers."""
        for file, names, more in ("passwd", users, ":0::/:/bin/sh"), ("group", groups or users, ":"):
            lines = [f"root:x:0{more}", *(f"{name}:x:{number}{more}" for name, number in names.items())]
            (self.top / file).write_text("\n".join(lines) + "\n")

    def owners(self, *paths):
        return [((st := (self.data / path).lstat()).st_uid, st.st_gid) for path in paths]


@pytest.fixture
def place(open_path):
    return Place(open_path)


@pytest.fixture
def run(boot, place):
    def start(status=0, **options):
        c = begin(**options)
        assert c.wait() == status, c.err
        return c

    def begin(inside=IMAGE, **env):
        return boot(SCRIPT, inside=inside, env={"TOP": str(place.top), **env})

    start.begin = begin
    return start


def test_another_number(run, place):
    place.image(dirsrv=101, other=55)
    for path in ("db/rows", "db/more"):
        place.make(path, 101, 101)
    place.make("other", 55, 101)
    place.make("own", 4711, 4711)
    os.symlink("/etc/passwd", place.data / "link")
    os.chown(place.data / "link", 101, 0, follow_symlinks=False)
    os.link(place.data / "db/rows", place.data / "same")
    os.mkfifo(place.data / "fifo")
    os.chown(place.data / "fifo", 0, 101)
    os.chown(place.data / "db", 101, 101)
    run()
    passwd = (place.top / "passwd").stat()
    place.image(dirsrv=102, other=55)
    c = run()
    assert place.owners("db", "db/rows", "db/more", "other", "own", "link", "same", "fifo") == [
        (102, 102), (102, 102), (102, 102), (55, 102), (4711, 4711), (102, 0), (102, 102), (0, 102)]
    assert f"gave what is in {place.data} to new numbers: group dirsrv from 101 to 102 (5), " \
        "user dirsrv from 101 to 102 (4)\n" in c.err
    assert (place.top / "passwd").stat().st_uid == passwd.st_uid
    assert "gave" not in run().err


def test_nothing_is_touched_when_nothing_changed(run, place):
    place.image(dirsrv=101)
    place.make("rows", 101)
    run()
    note = place.data / ".moonrise/owners"
    before = note.stat().st_ino, (place.data / "rows").stat().st_ctime_ns
    place.image(dirsrv=101)
    run()
    assert (note.stat().st_ino, (place.data / "rows").stat().st_ctime_ns) == before


# image one, image two: the files of a, b, c, d belong to these names in both
WAYS = {
    "swap": ({"a": 101, "b": 102}, {"a": 102, "b": 101}),
    "chain": ({"a": 101, "b": 102, "c": 103}, {"a": 102, "b": 103, "c": 104}),
    "circle and chain": ({"a": 101, "b": 102, "c": 103, "d": 104}, {"a": 103, "b": 101, "c": 102, "d": 101}),
    "two circles": ({"a": 101, "b": 102, "c": 103, "d": 104}, {"a": 102, "b": 101, "c": 104, "d": 103}),
    "together": ({"a": 101, "b": 102}, {"a": 102, "b": 102}),
}


@pytest.mark.parametrize("way", WAYS)
def test_numbers_that_change_places(run, place, way):
    one, two = WAYS[way]
    place.image(**one)
    for name, number in one.items():
        for count in range(3):
            place.make(f"{name}/{count}", number, number)
    place.make("own", 1, 1)  # the first number that could be used in between
    run()
    place.image(**two)
    run()
    for name, number in two.items():
        assert set(place.owners(*(f"{name}/{count}" for count in range(3)))) == {(number, number)}, name
    assert place.owners("own") == [(1, 1)]
    place.image(**one)  # and back, unless two have become one
    run()
    if way not in ("together", "circle and chain"):
        assert [place.owners(f"{name}/0") for name in one] == [[(number, number)] for number in one.values()]


def test_a_name_that_is_gone(run, place):
    place.image(a=101, b=102, c=103)
    for name, number in ("a", 101), ("b", 102), ("c", 103):
        place.make(name, number)
    run()
    place.image(c=104)
    run()
    assert place.owners("a", "b", "c") == [(101, 0), (102, 0), (104, 0)]
    place.image(a=105, c=102)  # a is back; b's number is c's, so what was b's is
    run()
    assert place.owners("a", "b", "c") == [(105, 0), (102, 0), (102, 0)]
    place.image(a=105, b=106, c=102)
    run()
    assert place.owners("a", "b", "c") == [(105, 0), (102, 0), (102, 0)]


def test_without_the_right_it_is_said_and_left(run, place):
    place.image(dirsrv=101)
    place.make("rows", 101)
    run()
    place.image(dirsrv=102)
    c = run(inside=WITHOUT_RIGHTS)
    assert f"what is in {place.data} stays with its numbers, since we may not change owners: " \
        "group dirsrv from 101 to 102, user dirsrv from 101 to 102\n" in c.err
    assert place.owners("rows") == [(101, 0)]
    assert "user dirsrv from 101 to 102 (1)" in run().err
    assert place.owners("rows") == [(102, 0)]


def test_numbers_can_be_kept(run, place):
    place.image(dirsrv=101)
    place.make("rows", 101)
    run()
    place.image(dirsrv=102)
    run(OWNERS_BY="number")
    assert place.owners("rows") == [(101, 0)]
    assert """'owners_by' of fs.volume is "names"; it takes "name" or "number\"""" in run(OWNERS_BY="names", status=70).err


def test_root_and_nobody_are_what_they_are(run, place):
    place.image(a=101, nobody=65534)
    for path, number in ("root", 0), ("nobody", 65534), ("a", 101):
        place.make(path, number)
    run()
    place.image(a=0, nobody=99)
    run()
    assert place.owners("root", "nobody", "a") == [(0, 0), (65534, 0), (101, 0)]


def test_programs_keep_what_they_may(run, place):
    place.image(dirsrv=101)
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    place.make("setuid", 101, 101, 0o6755)
    place.make("able", 101, 101, 0o755)
    os.setxattr(place.data / "able", "security.capability", capability)
    place.make("several", 101, 101, 0o755)
    os.link(place.data / "several", place.data / "names")
    os.mkdir(place.data / "setgid")
    os.chown(place.data / "setgid", 0, 101)
    (place.data / "setgid").chmod(0o2770)
    run()
    place.image(dirsrv=102)
    run()
    modes = [(place.data / path).stat().st_mode & 0o7777 for path in ("setuid", "able", "several", "setgid")]
    assert modes == [0o6755, 0o755, 0o755, 0o2770]
    assert place.owners("setuid", "able", "several", "setgid") == [(102, 102)] * 3 + [(0, 102)]
    assert os.getxattr(place.data / "able", "security.capability") == capability
    assert (place.data / "several").stat().st_nlink == 2


def test_a_template_is_followed_all_the_same(run, place):
    place.image(a=101, b=102)
    for version, number in ("one", 101), ("two", 102):
        for path in ("same", "changed", "user's", "gone", "deleted"):
            at = place.top / version / path
            at.parent.mkdir(exist_ok=True)
            at.write_text(version if path in ("changed", "user's") else "same")
            os.chown(at, number, number)
            os.utime(at, (1e9, 1e9))
    (place.top / "two/gone").unlink()
    one, two = ({"TEMPLATE": str(place.top / version)} for version in ("one", "two"))
    run(**one)
    (place.data / "user's").write_text("mine")
    (place.data / "deleted").unlink()
    place.image(a=102, b=101)
    c = run(**two)
    assert f"upgraded {place.data}" in c.err and c.err.count("is no longer in the image") == 0
    assert sorted(os.listdir(place.data)) == [".moonrise", "changed", "same", "user's", "user's.image-new"]
    assert set(place.owners("changed", "same", "user's", "user's.image-new")) == {(102, 102)}
    assert (place.data / "changed").read_text() == "two"
    assert run(**two).printed.splitlines() == ["removed\tdeleted", "changed\tuser's", "created\tuser's.image-new"]


def test_what_is_mounted_is_left_alone(run, place):
    place.image(a=101)
    place.make("rows", 101)
    (place.data / "mounted").mkdir()
    (place.top / "elsewhere").mkdir()
    (place.top / "elsewhere/file").write_text("")
    for path in ("elsewhere", "elsewhere/file"):
        os.chown(place.top / path, 101, 101)
    inside = IMAGE + 'mount --bind "$TOP/elsewhere" "$TOP/data/mounted"\n'
    run(inside=inside)
    place.image(a=102)
    run(inside=inside)
    assert place.owners("rows") == [(102, 0)]
    assert [(place.top / path).stat().st_uid for path in ("elsewhere", "elsewhere/file")] == [101, 101]


def forge(place, uid):
    note = place.data / ".moonrise/owners"
    os.chown(note, uid, 0)
    return note


def test_a_record_of_somebody_else_is_not_believed(run, place):
    place.image(a=101, b=102)
    place.make("b's", 102)
    run()
    note = forge(place, 101)
    place.image(a=103, b=104)
    run()
    assert place.owners("b's") == [(102, 0)] and note.stat().st_uid == 0  # it is a new one
    place.image(a=103, b=105)
    os.chown(place.data / ".moonrise", 101, 0)
    before = note.stat().st_ino
    run()
    assert place.owners("b's") == [(102, 0)] and note.stat().st_ino == before


@pytest.mark.parametrize("damage", [b"", b"junk\n", b"moonrise-volume 1\n00000000 user 101 a\n", b"moonrise-volume 9\n"])
def test_a_damaged_record_is_made_anew(run, place, damage):
    place.image(a=101)
    place.make("rows", 101)
    run()
    note = place.data / ".moonrise/owners"
    good = note.read_bytes()
    note.write_bytes(damage)
    run()
    assert note.read_bytes() == good and place.owners("rows") == [(101, 0)]


def test_what_was_killed_is_continued(run, place):
    place.image(a=101, b=102)
    for number in range(400):
        place.make(f"files/{number}", 101 + number % 2, 101 + number % 2)
    run()
    place.image(a=102, b=101)
    c = run.begin(STAY="1")
    eventually(lambda: place.owners("files/0") != [(101, 101)])
    c.signal(SIGKILL)
    c.wait()
    run()
    assert place.owners(*(f"files/{number}" for number in range(400))) == [(102, 102), (101, 101)] * 200
    place.image(a=101, b=102)
    run()
    assert place.owners(*(f"files/{number}" for number in range(400))) == [(101, 101), (102, 102)] * 200
