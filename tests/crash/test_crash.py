# SPDX-License-Identifier: MIT
"""A volume survives anything, whatever the instant.

Each scenario is a boot on a volume. An undisturbed run says how many system
calls change the volume (strike.c numbers them) and what the volume is in the end.
Then, at each of these calls, the container is killed, or the call fails; a boot
afterwards, undisturbed, must end with the same volume.

CRASH_STEP=N tries every Nth point only.
"""
import errno
import hashlib
import os
import random
import re
import shutil
import stat
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from moonrise import BINARY, DEADLINE, IS_ROOT, environment

STRIKE = os.environ.get("STRIKE", "build/glibc/strike")
STEP = int(os.environ.get("CRASH_STEP", "1"))
AT_ONCE = 4  # a boot mostly waits for the disk
OWN = ".moonrise"  # moonrise's notes, which tell how it came about and so may differ

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="needs root")

# ---- what is compared


def content(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def photograph(top):
    """{path: all that has to be the same}, hard links by the first of their names."""
    result, first = {}, {}
    for folder, folders, names in os.walk(os.fsencode(top)):
        folders.sort()
        if OWN.encode() in folders:
            folders.remove(OWN.encode())
        for name in [b"."] + sorted(folders + names):
            path = os.path.join(folder, name)
            if name == b"." and folder != os.fsencode(top):
                continue
            st, relative = os.lstat(path), os.path.relpath(path, os.fsencode(top))
            xattrs = {key: os.getxattr(path, key, follow_symlinks=False)
                      for key in os.listxattr(path, follow_symlinks=False)}
            same = first.setdefault(st.st_ino, relative) if not stat.S_ISDIR(st.st_mode) else None
            result[relative] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_rdev, content(path, st.st_mode),
                                tuple(sorted(xattrs.items())), same)
    return result


def difference(expected, found):
    return [f"{path!r}: {expected.get(path, 'nothing')} became {found.get(path, 'nothing')}"
            for path in sorted(expected.keys() | found.keys()) if expected.get(path) != found.get(path)]


# ---- scenarios


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def acl(user):
    """An access list with one named user, as setfacl(1) would lay it down."""
    entries = [(0x01, 6, 0xffffffff), (0x02, 4, user), (0x04, 4, 0xffffffff), (0x10, 4, 0xffffffff), (0x20, 0, 0xffffffff)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def make_template(top):
    """Every type of file, and what belongs to files besides their bytes."""
    os.makedirs(top + "/conf/deep")
    os.makedirs(top + "/empty")
    os.chmod(top + "/empty", 0o1777)
    write(top + "/conf/site.conf", "port = 80\n")
    write(top + "/conf/secret", "hush\n", 0o600)
    write(top + "/conf/deep/big", "0123456789abcdef" * 20000)
    write(top + "/conf/quote'\n\"name", "a name\n")
    with open(os.fsencode(top) + b"/conf/\xff\xfe", "wb") as file:
        file.write(b"\0\1\2")
    for name in ("both", "updated", "deleted", "mode", "gone", "gone-but-changed", "file-to-link"):
        write(f"{top}/conf/{name}", "of the first image\n")
    os.mkdir(top + "/conf/folder-to-file")
    write(top + "/conf/folder-to-file/x", "x\n")
    os.link(top + "/conf/site.conf", top + "/conf/deep/same")
    os.symlink("conf/site.conf", top + "/link")
    os.mkfifo(top + "/fifo", 0o620)
    os.mknod(top + "/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with open(top + "/sparse", "wb") as file:
        file.write(b"start")
        file.truncate(1 << 20)
    os.setxattr(top + "/conf/site.conf", "user.note", b"kept")
    os.setxattr(top + "/conf/secret", "system.posix_acl_access", acl(4242))
    write(top + "/setuid", "#!/bin/sh\n")
    os.setxattr(top + "/setuid", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    os.chown(top + "/conf", 7, 8)
    os.chown(top + "/conf/secret", 33, 34)
    os.chown(top + "/link", 9, 9, follow_symlinks=False)


class FirstBoot:
    """populate, a step that is safe to repeat, a step with undo"""

    KEPT = set()  # what differs from the template in the end

    SCRIPT = """
        local init = require "moonrise"
        local fs = require "moonrise.fs"
        local dir = ...
        local data = fs.volume(dir .. "/volume", {
          template = dir .. "/template", dirs = { "logs", run = { mode = "0750", owner = 5 } },
        })
        data:once("key", function() fs.write(data:path("conf/key"), "key\\n", { mode = "0600" }) end)
        data:once("database", { undo = function() fs.remove(data:path("db"), { recursive = true }) end }, function()
          fs.mkdir(data:path("db"))
          fs.append(data:path("db/rows"), "one\\n")
          fs.append(data:path("db/rows"), "two\\n")
          fs.link("db/rows", data:path("rows"))
        end)
        init.exit(0)
    """

    @staticmethod
    def prepare(top):
        make_template(top + "/template")
        os.mkdir(top + "/start")


class Upgrade:
    """a new image on a volume that its user has changed"""

    KEPT = {b"conf/both", b"conf/deleted", b"conf/mode"}

    SCRIPT = """
        local init = require "moonrise"
        local fs = require "moonrise.fs"
        local dir = ...
        local data = fs.volume(dir .. "/volume", { template = dir .. "/template" })
        data:upgrade("schema", { snapshot = { "db" } }, function()
          fs.append(data:path("db/rows"), "another\\n")
          fs.write(data:path("db/version"), "2\\n", { mode = "0600" })
          fs.remove(data:path("db/old"))
        end)
        init.exit(0)
    """

    @classmethod
    def prepare(cls, top):
        make_template(top + "/first/template")
        write(top + "/first/boot.lua", cls.SCRIPT)
        os.mkdir(top + "/first/volume")
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", BINARY, top + "/first/boot.lua", top + "/first"],
                       env=environment(), check=True, timeout=DEADLINE)
        cls.change_as_a_user(top + "/first/volume")
        os.rename(top + "/first/volume", top + "/start")
        make_template(top + "/template")
        cls.change_as_an_image(top + "/template")

    @staticmethod
    def change_as_a_user(top):
        write(top + "/conf/both", "the user's\n")
        write(top + "/conf/gone-but-changed", "the user's\n")
        write(top + "/conf/users", "of the user alone\n")
        os.mkdir(top + "/db", 0o750)
        write(top + "/db/rows", "one\n", 0o640)
        write(top + "/db/old", "1\n")
        os.setxattr(top + "/db/rows", "user.table", b"kept")
        os.remove(top + "/conf/deleted")
        os.chmod(top + "/conf/mode", 0o600)

    @staticmethod
    def change_as_an_image(top):
        for name in ("gone", "gone-but-changed", "folder-to-file/x"):
            os.remove(f"{top}/conf/{name}")
        os.rmdir(top + "/conf/folder-to-file")
        os.remove(top + "/conf/file-to-link")
        os.symlink("site.conf", top + "/conf/file-to-link")
        for name in ("both", "updated", "deleted", "mode", "deep/big", "folder-to-file"):
            write(f"{top}/conf/{name}", "of the second image\n" * 5000)
        os.makedirs(top + "/new/folder")
        write(top + "/new/folder/file", "new\n")
        os.chmod(top + "/conf/deep", 0o711)
        os.setxattr(top + "/conf/site.conf", "user.note", b"of the second image")


SCENARIOS = [FirstBoot, Upgrade]


IN_PLACE = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


class Stage:
    """A scenario made ready; each run gets a copy of the volume as it is before, and sees
    it at the same path."""

    def __init__(self, scenario, top):
        self.top = str(top)
        self.here = self.top + "/here"
        os.mkdir(self.here)
        self.kept = scenario.KEPT
        self.setup = getattr(scenario, "SETUP", "") + IN_PLACE
        scenario.prepare(self.top)
        self.script = self.top + "/boot.lua"
        write(self.script, scenario.SCRIPT)
        self.calls = self.run("undisturbed")[2]
        self.expected = photograph(self.top + "/undisturbed/volume")

    def run(self, name, *strike, again=False):
        """(status, stderr, [(call, path, text)]) of one boot on the volume in the folder `name`."""
        place = f"{self.top}/{name}"
        if not again:
            os.mkdir(place)
            os.symlink(self.top + "/template", place + "/template")
            subprocess.run(["cp", "-a", self.top + "/start", place + "/volume"], check=True)
        log = place + "/calls"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", self.setup, "sh", place, self.here, os.path.abspath(STRIKE),
                               *strike, "-o", log, self.here + "/volume", BINARY, self.script, self.here],
                              env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=10 * DEADLINE)
        with open(log, "rb") as file:
            fields = iter(file.read().split(b"\0")[:-1])
        return done.returncode, done.stderr.decode(errors="replace"), list(zip(fields, fields, fields))

    def boots_again(self, name, what):
        """An undisturbed boot ends as if nothing had happened; what is wrong, if anything."""
        status, said, _ = self.run(name, again=True)
        wrong = difference(self.expected, photograph(f"{self.top}/{name}/volume"))
        shutil.rmtree(f"{self.top}/{name}")
        if status:
            return [f"{what}: the next boot ended with {status}: {said}"]
        return [f"{what}: {line}" for line in wrong]

    def points(self):
        """The numbers of the calls to be tried; the first one differs from run to run."""
        first = random.randint(1, STEP)
        return range(first, len(self.calls) + 1, STEP)


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.__name__)
def stage(request, tmp_path_factory):
    return Stage(request.param, tmp_path_factory.mktemp("crash"))


def each_point(stage, attempt, record_property):
    points = stage.points()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [line for lines in pool.map(attempt, points) for line in lines]
    record_property("points", f"{len(points)} of {len(stage.calls)}")
    assert not wrong, "\n".join(wrong[:20])


# ---- the tests


def test_the_template_arrives_whole(stage):
    """What the undisturbed boot makes is right; all the others are compared with it."""
    model = photograph(stage.top + "/template")
    kept = {path: entry for path, entry in model.items() if stage.expected.get(path) != entry}
    assert kept.keys() - {b"."} == stage.kept

def test_killed_at_any_call(stage, record_property):
    def attempt(point):
        status, said, calls = stage.run(f"kill-{point}", "-k", str(point))
        what = f"killed at {point}, {calls[-1]!r}"
        wrong = [] if status == 137 or len(calls) < point else [f"{what}: ended with {status}: {said}"]
        return wrong + stage.boots_again(f"kill-{point}", what)

    each_point(stage, attempt, record_property)


# A full disk and a read-only one stay so; others come and go. What musl and glibc call them:
FAULTS = {
    "ENOSPC": (["-p"], "No space left on device"),
    "EDQUOT": (["-p"], "Quota exceeded|Disk quota exceeded"),
    "EROFS": (["-p"], "Read-only file system"),
    "EMFILE": (["-p"], "No file descriptors available|Too many open files"),
    "EIO": ([], "I/O error|Input/output error"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_at_any_call(stage, record_property, fault):
    options, reasons = FAULTS[fault]

    def attempt(point):
        name = f"{fault}-{point}"
        status, said, calls = stage.run(name, "-e", str(point), "-E", str(getattr(errno, fault)), *options)
        what, wrong = f"{name}, {calls[min(point, len(calls)) - 1]}", []
        if status == 0:  # what failed did not matter, or was done in another way
            wrong = [f"{what}, ended with 0: {line}"
                     for line in difference(stage.expected, photograph(f"{stage.top}/{name}/volume"))]
        elif f"{stage.here}/volume" not in said or not re.search(reasons, said):
            wrong = [f"{what}: the error does not say where and why: {said}"]
        return wrong + stage.boots_again(name, what)

    each_point(stage, attempt, record_property)


def test_nothing_is_recorded_before_it_is_on_disk(stage):
    """What a power cut would take must not have been written down as done."""
    volume = os.fsencode(f"{stage.here}/volume")
    notes, dirty, records = volume + b"/" + OWN.encode(), set(), 0
    for name, path, text in stage.calls:
        if name == b"syncfs":
            dirty.clear()
        elif name in (b"fsync", b"fdatasync"):
            dirty.discard(path)
        elif not path.startswith((notes, volume + b"/." + OWN.encode())):  # the latter: the folder in the making
            dirty.add(os.path.dirname(path) if name.startswith((b"rename", b"unlink", b"mkdir")) else path)
        elif b" done " in text or (name.startswith(b"rename") and path in (notes + b"/manifest", notes + b"/owners")):
            records += 1
            assert not dirty, f"{text!r} is written to {path!r} before {dirty} is on disk"
    assert records > 0 and not dirty
