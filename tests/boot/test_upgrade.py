# SPDX-License-Identifier: MIT
"""A new image on a used volume: a test for each row of the table in moonrise-boot(5)."""
import hashlib
import os
import shutil
import struct

import pytest

from moonrise import IS_ROOT, needs_root

SCRIPT = """
local fs = require "moonrise.fs"
fs.volume(os.getenv "VOLUME", { template = os.getenv "TEMPLATE", on_conflict = os.getenv "WAY" })
require("moonrise").exit(0)
"""


class Image:
    """A template, and what is done to it or to a volume, written down shortly."""

    def __init__(self, top):
        self.top = top

    def __truediv__(self, path):
        return self.top / path

    def make(self, tree):
        """{path: text of a file, "-> target", None for a folder, or what is told apart by type}"""
        for path, what in tree.items():
            at = self.top / path
            at.parent.mkdir(parents=True, exist_ok=True)
            if what is None:
                at.mkdir(exist_ok=True)
            elif what.startswith("-> "):
                at.symlink_to(what[3:])
            else:
                at.write_text(what)

    def found(self):
        """The same, of what is there, but moonrise's own."""
        found = {}
        for folder, folders, names in os.walk(self.top):
            if ".moonrise" in folders:
                folders.remove(".moonrise")
            for name in folders + names:
                path = os.path.join(folder, name)
                where = os.path.relpath(path, self.top)
                if os.path.islink(path):
                    found[where] = "-> " + os.readlink(path)
                elif os.path.isdir(path):
                    found[where] = None
                else:
                    with open(path, encoding="utf-8") as file:
                        found[where] = file.read()
        return found


@pytest.fixture
def upgrade(boot, open_path):
    """A volume with image "one" laid down; boot() boots an image on it."""

    class Upgrade:
        volume = Image(open_path / "volume")

        def __init__(self):
            self.volume.top.mkdir()

        @staticmethod
        def image(name, tree):
            image = Image(open_path / name)
            image.top.mkdir()
            image.make(tree)
            return image

        @staticmethod
        def boot(name, way="keep", status=0, inside=""):
            c = boot(SCRIPT, inside=inside, env={"VOLUME": str(open_path / "volume"), "TEMPLATE": str(open_path / name), "WAY": way})
            assert c.wait() == status, c.err
            return c

    return Upgrade()


def remove(volume, *paths):
    for path in paths:
        at = volume / path
        if at.is_dir() and not at.is_symlink():
            shutil.rmtree(at)
        else:
            at.unlink()


def edit(tree):
    return lambda volume: volume.make(tree)


def delete(*paths):
    return lambda volume: remove(volume, *paths)


def instead(path, tree):
    def act(volume):
        remove(volume, path)
        volume.make(tree)
    return act


def nothing(_):
    pass


# what the last image had, what the new one has, what the user did, what comes of it
ROWS = {
    "changed by the image": ({"f": "1"}, {"f": "2"}, nothing, {"f": "2"}),
    "changed by the user": ({"f": "1"}, {"f": "1"}, edit({"f": "u"}), {"f": "u"}),
    "changed by both": ({"f": "1"}, {"f": "2"}, edit({"f": "u"}), {"f": "u", "f.image-new": "2"}),
    "changed by both alike": ({"f": "1"}, {"f": "2"}, edit({"f": "2"}), {"f": "2"}),
    "added by the image": ({}, {"f": "2", "d/f": "2"}, nothing, {"f": "2", "d": None, "d/f": "2"}),
    "added by the user": ({}, {}, edit({"f": "u"}), {"f": "u"}),
    "added by both": ({}, {"f": "2"}, edit({"f": "u"}), {"f": "u", "f.image-new": "2"}),
    "removed by the image": ({"f": "1"}, {}, nothing, {}),
    "removed by the image, changed by the user": ({"f": "1"}, {}, edit({"f": "u"}), {"f": "u"}),
    "removed by the user": ({"f": "1"}, {"f": "1"}, delete("f"), {}),
    "removed by the user, changed by the image": ({"f": "1"}, {"f": "2"}, delete("f"), {}),
    "folder removed by the image": ({"d/f": "1"}, {}, nothing, {}),
    "folder removed by the image, with the user's": (
        {"d/f": "1"}, {}, edit({"d/own": "u"}), {"d": None, "d/own": "u"}),
    "folder removed by the user": ({"d/f": "1"}, {"d/f": "2", "d/g": "2"}, delete("d"), {}),
    "folder moved by the user": (
        {"d/f": "1"}, {"d/f": "2"}, instead("d", {"d": "-> e", "e/f": "u"}), {"d": "-> e", "e": None, "e/f": "u"}),
    "link turned by the image": ({"l": "-> 1"}, {"l": "-> 2"}, nothing, {"l": "-> 2"}),
    "link turned by both": (
        {"l": "-> 1"}, {"l": "-> 2"}, instead("l", {"l": "-> u"}), {"l": "-> u", "l.image-new": "-> 2"}),
    "file becomes link": ({"f": "1"}, {"f": "-> g"}, nothing, {"f": "-> g"}),
    "link becomes file": ({"f": "-> g"}, {"f": "2"}, nothing, {"f": "2"}),
    "file becomes folder": ({"f": "1"}, {"f/g": "2"}, nothing, {"f": None, "f/g": "2"}),
    "file becomes folder, changed by the user": (
        {"f": "1"}, {"f/g": "2"}, edit({"f": "u"}), {"f": "u", "f.image-new": None, "f.image-new/g": "2"}),
    "link becomes folder": ({"f": "-> g"}, {"f/g": "2"}, nothing, {"f": None, "f/g": "2"}),
    "folder becomes file": ({"d/f": "1"}, {"d": "2"}, nothing, {"d": "2"}),
    "folder becomes link": ({"d/f": "1"}, {"d": "-> 2"}, nothing, {"d": "-> 2"}),
    "folder becomes file, with the user's": (
        {"d/f": "1"}, {"d": "2"}, edit({"d/own": "u"}), {"d": None, "d/own": "u", "d.image-new": "2"}),
    "file becomes folder, removed by the user": ({"f": "1"}, {"f/g": "2"}, delete("f"), {"f": None, "f/g": "2"}),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("manifest", [False, True], ids=["scanned", "split"])
def test_each_row(upgrade, row, manifest):
    one, two, act, expected = ROWS[row]
    for name, tree in ("one", one), ("two", two):
        make_manifest(upgrade.image(name, tree), manifest)
    upgrade.boot("one")
    act(upgrade.volume)
    upgrade.boot("two")
    assert upgrade.volume.found() == expected
    upgrade.boot("two")
    assert upgrade.volume.found() == expected


def make_manifest(image, wanted=True):
    """As `moonrise volume split` leaves one; see core/manifest.h."""
    if not wanted:
        return
    lines = []
    owner = (lambda st: f"{st.st_uid} {st.st_gid}") if IS_ROOT else (lambda st: "0 0")  # as the namespace shows us

    def add(folder):
        for path in sorted(os.path.join(folder, name) for name in os.listdir(folder)):
            st, kind, content, size = os.lstat(path), "f", "-", 0
            if os.path.islink(path):
                kind, content = "l", os.readlink(path)
            elif os.path.isdir(path):
                kind = "d"
            else:
                size = st.st_size
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            time = f"{st.st_mtime_ns // 10**9}.{st.st_mtime_ns % 10**9:09}"
            lines.append(f"{kind} {st.st_mode & 0o7777:04o} {owner(st)} {size} {time} - - {content} "
                         f"{os.path.relpath(path, image.top)}\n")
            if kind == "d":
                add(path)

    add(image.top)
    entries, header = "".join(lines), f"moonrise-manifest 1 {image.top.name}\n"
    checksum = hashlib.sha256((entries + header).encode()).hexdigest()
    (image / ".moonrise").mkdir()
    (image / ".moonrise" / "manifest").write_text(f"{header}{entries}end {len(lines)} {checksum}\n")


REPLACED = {
    "changed by both": {"f": "2", "f.user-old": "u"},
    "added by both": {"f": "2", "f.user-old": "u"},
    "link turned by both": {"l": "-> 2", "l.user-old": "-> u"},
    "file becomes folder, changed by the user": {"f": None, "f/g": "2", "f.user-old": "u"},
}


@pytest.mark.parametrize("row", REPLACED)
def test_the_image_wins(upgrade, row):
    one, two, act, _ = ROWS[row]
    upgrade.image("one", one)
    upgrade.image("two", two)
    upgrade.boot("one")
    act(upgrade.volume)
    c = upgrade.boot("two", way="replace")
    assert upgrade.volume.found() == REPLACED[row]
    assert "was changed by both you and the image; the image's is used, yours is kept as" in c.err


def test_older_changes_are_kept_too(upgrade):
    for name in "one", "two", "three":
        upgrade.image(name, {"f": name})
        upgrade.boot(name, way="replace")
        upgrade.volume.make({"f": "after " + name})
    assert upgrade.volume.found() == {"f": "after three", "f.user-old": "after one", "f.user-old-2": "after two"}


def test_conflicts_are_refused(upgrade):
    upgrade.image("one", {"f": "1", "g": "1"})
    upgrade.image("two", {"f": "2", "g": "2"})
    upgrade.boot("one")
    upgrade.volume.make({"f": "u"})
    c = upgrade.boot("two", way="fail", status=74)
    assert "is not upgraded, since both you and the image have changed f" in c.err
    assert upgrade.volume.found() == {"f": "u", "g": "1"}
    upgrade.volume.make({"f": "2"})
    upgrade.boot("two", way="fail")
    assert upgrade.volume.found() == {"f": "2", "g": "2"}


def test_what_was_decided_is_said_once(upgrade):
    upgrade.image("one", {"f": "1", "g": "1", "h": "1"})
    upgrade.image("two", {"f": "2", "h": "2"})
    upgrade.boot("one")
    upgrade.volume.make({"f": "u", "g": "u"})
    c = upgrade.boot("two")
    top = upgrade.volume.top
    assert f"{top}/f was changed by both you and the image; yours is kept, the image's is {top}/f.image-new" in c.err
    assert f"{top}/g is no longer in the image, but stays, since you have changed it" in c.err
    assert "1 updated" in c.err
    assert upgrade.boot("two").err == ""


@needs_root
def test_mode_and_owner_are_judged_apart_from_the_content(upgrade):
    files = {name: "1" for name in ("image", "user", "both", "content", "new")}
    one, two = upgrade.image("one", files), upgrade.image("two", {**files, "content": "2", "new": "2"})
    upgrade.boot("one")
    for name in "image", "both", "new":
        (two / name).chmod(0o600)
        os.chown(two / name, 12, 34)
    for name in "user", "both", "content":
        (upgrade.volume / name).chmod(0o640)
        os.chown(upgrade.volume / name, 56, 78)
    upgrade.boot("two")

    def look(name):
        st = (upgrade.volume / name).stat()
        return (upgrade.volume / name).read_text(), oct(st.st_mode & 0o7777), st.st_uid, st.st_gid

    assert look("image") == ("1", "0o600", 12, 34)
    assert look("user") == ("1", "0o640", 56, 78)
    assert look("both") == ("1", "0o640", 56, 78)
    assert look("content") == ("2", "0o640", 56, 78)
    assert look("new") == ("2", "0o600", 12, 34)
    assert (one / "image").exists()


@needs_root
def test_folders_get_a_new_mode_too(upgrade):
    upgrade.image("one", {"d/f": "1", "e/f": "1"})
    two = upgrade.image("two", {"d/f": "1", "d/g": "2", "e/f": "1"})
    (two / "d").chmod(0o750)
    (two / "e").chmod(0o750)
    upgrade.boot("one")
    (upgrade.volume / "e").chmod(0o700)
    upgrade.boot("two")
    assert (upgrade.volume / "d").stat().st_mode & 0o777 == 0o750
    assert (upgrade.volume / "e").stat().st_mode & 0o777 == 0o700
    assert (upgrade.volume / "d" / "g").read_text() == "2"


def test_extended_attributes_are_the_users_or_the_images(upgrade):
    one = upgrade.image("one", {"image": "1", "user": "1", "content": "1"})
    two = upgrade.image("two", {"image": "1", "user": "1", "content": "2"})
    try:
        os.setxattr(one / "image", "user.old", b"1")
        os.setxattr(two / "image", "user.new", b"2")
    except OSError:
        pytest.skip("no extended attributes here")
    upgrade.boot("one")
    for name in "user", "content":
        os.setxattr(upgrade.volume / name, "user.own", b"u")
    upgrade.boot("two")
    assert os.listxattr(upgrade.volume / "image") == ["user.new"]
    assert os.listxattr(upgrade.volume / "user") == ["user.own"]
    assert (upgrade.volume / "content").read_text() == "2"
    assert os.listxattr(upgrade.volume / "content") == ["user.own"]


@needs_root
def test_what_nobody_could_set_is_no_change_of_the_users(upgrade):
    """Capabilities, set-id bits and owners, which a normal user leaves out."""
    one, two = upgrade.image("one", {"d/gone": "1", "d/same": "1", "e/f": "1"}), upgrade.image("two", {"d/same": "2"})
    os.chown(upgrade.volume.top, 12345, 0)
    for path in one / "d/gone", one / "d/same", two / "d/same":
        os.chown(path, 33, 33)
        path.chmod(0o4755)
        os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    for name in "one", "two":
        c = upgrade.boot(name, inside='chmod 755 .\nexec setpriv --reuid 12345 --regid 0 --clear-groups "$@"\n')
    assert upgrade.volume.found() == {"d": None, "d/same": "2"}
    assert "stays" not in c.err and "1 updated, 3 removed" in c.err


def test_hard_links_stay_together(upgrade):
    for name in "one", "two":
        image = upgrade.image(name, {"a": name, "d/c": "x"})
        os.link(image / "a", image / "b")
        os.link(image / "a", image / "d" / "a")
    upgrade.boot("one")
    upgrade.boot("two")
    assert upgrade.volume.found() == {"a": "two", "b": "two", "d": None, "d/a": "two", "d/c": "x"}
    assert (upgrade.volume / "a").stat().st_nlink == 3


@pytest.mark.parametrize("manifest", [False, True], ids=["scanned", "split"])
def test_touched_files_count_as_unchanged(upgrade, manifest):
    make_manifest(upgrade.image("one", {"f": "1"}), manifest)
    make_manifest(upgrade.image("two", {"f": "2"}), manifest)
    upgrade.boot("one")
    os.utime(upgrade.volume / "f", (5, 5))
    upgrade.boot("two")
    assert upgrade.volume.found() == {"f": "2"}


def test_an_image_that_is_built_again_is_the_same(upgrade):
    for name, time in ("one", 5), ("two", 6):
        image = upgrade.image(name, {"f": "1", "d/f": "2", "d/link": "-> f"})
        for path in "f", "d/f", "d":
            os.utime(image / path, (time, time))
    journal = upgrade.volume / ".moonrise" / "journal"
    upgrade.boot("one")
    images = journal.read_bytes()
    upgrade.boot("two")
    assert journal.read_bytes() == images


def test_files_of_one_time_and_size_are_told_apart(upgrade):
    for name in "one", "two":
        image = upgrade.image(name, {"f": name})
        os.utime(image / "f", (5, 5))
        make_manifest(image)
    upgrade.boot("one")
    upgrade.boot("two")
    assert upgrade.volume.found() == {"f": "two"}


def test_back_and_forth(upgrade):
    upgrade.image("one", {"f": "1", "old": "1", "d/f": "1"})
    upgrade.image("two", {"f": "2", "new": "2"})
    for name, expected in (("one", {"f": "1", "old": "1", "d": None, "d/f": "1"}), ("two", {"f": "2", "new": "2"})) * 2:
        upgrade.boot(name)
        assert upgrade.volume.found() == expected


def test_an_upgrade_that_was_cut_short_ends_in_another_image(upgrade):
    upgrade.image("one", {"f": "1", "g": "1", "h": "1"})
    two = upgrade.image("two", {"f": "2", "g": "2", "k": "2"})
    upgrade.image("three", {"f": "3", "g": "3"})
    upgrade.boot("one")
    note = upgrade.volume / ".moonrise" / "manifest"
    kept = note.read_bytes()
    upgrade.boot("two")
    note.rename(upgrade.volume / ".moonrise" / "manifest-1")  # as if all but its end had been done
    note.write_bytes(kept)
    upgrade.volume.make({"g": "u"})
    shutil.rmtree(two.top)
    upgrade.boot("one")
    assert upgrade.volume.found() == {"f": "1", "g": "u", "h": "1"}
    upgrade.boot("three")
    assert upgrade.volume.found() == {"f": "3", "g": "u", "g.image-new": "3"}


def test_long_names_that_begin_alike(upgrade):
    files = {letter * 200 + "x" * 54 + end: end for letter in "ab" for end in "12"}
    upgrade.image("one", files)
    upgrade.boot("one")
    assert upgrade.volume.found() == files


def test_what_the_user_has_changed(boot, upgrade, tmp_path):
    upgrade.image("one", {"a b": "1", "c": "1", "d/f": "1", "e": "1", "gone/f": "1", "l": "-> a", "t": "1"})
    upgrade.boot("one")
    upgrade.volume.make({"a b": "u", "d/new": "u", "new": "u"})
    (upgrade.volume / "c").chmod(0o600)
    os.utime(upgrade.volume / "t", (5, 5))
    remove(upgrade.volume, "gone", "l")
    c = boot("""
        local data = require("moonrise.fs").volume(os.getenv "VOLUME")
        for _, entry in ipairs(data:changed()) do print(entry.change, entry.path) end
        require("moonrise").exit(0)
    """, env={"VOLUME": str(tmp_path / "volume")})
    assert c.wait() == 0, c.err
    assert c.printed.replace("\t", " ").splitlines() == [
        "changed a b", "changed c", "created d/new", "removed gone", "removed gone/f", "removed l", "created new"]


# ---- damaged notes

def spoil_header(text):
    return text.replace(b"moonrise-manifest 1", b"moonrise-manifest 2", 1)


def flip(text):
    return text.replace(b"\nf 0", b"\nf 1", 1)


@pytest.mark.parametrize("spoil, why", [
    (flip, "the checksum is wrong"),
    (spoil_header, "written by a newer moonrise (format 2; this one reads up to 1)"),
    (lambda text: text[:-20], "is cut off"),
    (lambda text: b"x" * 1000, "it does not begin as a manifest does"),
    (lambda text: b"", "it does not begin as a manifest does"),
], ids=["flipped", "newer", "torn", "garbage", "empty"])
def test_a_damaged_note_is_refused(upgrade, spoil, why):
    upgrade.image("one", {"f": "1"})
    upgrade.image("two", {"f": "2"})
    upgrade.boot("one")
    note = upgrade.volume / ".moonrise" / "manifest"
    whole = note.read_bytes()
    before = spoil(whole)
    assert before != whole
    note.write_bytes(before)
    c = upgrade.boot("two", status=74)
    assert why in c.err and "/.moonrise/manifest: " in c.err
    assert upgrade.volume.found() == {"f": "1"} and note.read_bytes() == before


@pytest.mark.parametrize("name", ["manifest", "manifest-1", "journal"])
def test_an_endless_note_is_refused(upgrade, name):
    upgrade.image("one", {"f": "1"})
    upgrade.boot("one")
    with open(upgrade.volume / ".moonrise" / name, "wb") as file:
        file.truncate(1 << 30)
    upgrade.image("two", {"f": "2"})
    upgrade.boot("two", status=74)
    assert upgrade.volume.found() == {"f": "1"}


@pytest.mark.parametrize("name", ["manifest", "manifest-1", "journal"])
def test_a_fifo_as_a_note_is_refused(upgrade, name):
    upgrade.image("one", {"f": "1"})
    upgrade.boot("one")
    (upgrade.volume / ".moonrise" / name).unlink(missing_ok=True)
    os.mkfifo(upgrade.volume / ".moonrise" / name)
    upgrade.image("two", {"f": "2"})
    upgrade.boot("two", status=74)
    assert upgrade.volume.found() == {"f": "1"}
