# SPDX-License-Identifier: MIT
"""list = of fs.volume: an image that was not split when it was built is split at the first boot
of a container. Here the container's files are a folder, which outlives its boots."""
import os
import shutil
from signal import SIGKILL

import pytest

from moonrise import IS_ROOT, eventually, needs_root, run as moonrise

SCRIPT = """
local init, fs = require "moonrise", require "moonrise.fs"
local top = os.getenv "TOP"
local data = fs.volume(top .. "/data", { list = %s })
print(fs.read(data:path(top .. "/etc/app/app.conf")))
if os.getenv "STAY" then init.sleep("1h") end
init.exit(0)
"""
PATHS = """{ top .. "/etc/app", top .. "/etc/mo*", top .. "/var/log/app/" }"""


class Place:
    """The files of a container, and the volume."""

    def __init__(self, top):
        self.top, self.data, self.template = top, top / "data", top / "data-template"
        self.data.mkdir()

    def make(self, path, text):
        at = self.top / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)

    def new_container(self, version):
        for path in ("etc", "var", "data-template"):
            shutil.rmtree(self.top / path, ignore_errors=True)
        self.make("etc/app/app.conf", f"app {version}\n")
        self.make("etc/app/sub/more.conf", "more\n")
        self.make("etc/motd", f"hello {version}\n")
        self.make("etc/other", "other\n")

    def inside(self, path):
        """What is kept of it in the volume."""
        return self.data / str(self.top / path)[1:]

    def leads_to_the_volume(self, *paths):
        return [os.readlink(self.top / path) for path in paths] == [str(self.inside(path)) for path in paths]


@pytest.fixture
def place(open_path):
    made = Place(open_path)
    made.new_container(1)
    return made


@pytest.fixture
def run(boot, place):
    def start(paths=PATHS, status=0, **options):
        c = begin(paths, **options)
        assert c.wait() == status, c.err
        return c

    def begin(paths=PATHS, inside="", **env):
        return boot(SCRIPT % paths, inside=inside, env={"TOP": str(place.top), **env})

    start.begin = begin
    return start


def tree(top):
    return {str(path.relative_to(top)): (path.lstat().st_mode, path.lstat().st_ctime_ns) for path in top.rglob("*")}


def test_the_first_boot_moves_what_is_listed(run, place):
    c = run()
    assert "app 1" in c.printed
    assert place.leads_to_the_volume("etc/app", "etc/motd", "var/log/app")
    assert (place.top / "etc/app/sub/more.conf").read_text() == "more\n"
    assert (place.top / "var/log/app").is_dir() and (place.top / "etc/other").read_text() == "other\n"
    assert f"moved 3 paths of the image to {place.template}, and linked them to {place.data}" in c.err
    assert (place.template / ".moonrise/manifest").exists()


def test_names_are_no_words_of_the_worker(run, place):
    place.make("etc/default site moved denied", "x\n")
    run('{ top .. "/etc/app", top .. "/etc/default site moved denied" }')
    assert place.leads_to_the_volume("etc/app", "etc/default site moved denied")


def test_a_container_that_is_started_again_is_left_alone(run, place):
    run()
    (place.top / "etc/app/app.conf").write_text("mine\n")
    place.make("etc/mood", "made since, in the container\n")
    before = tree(place.template)
    c = run()
    assert "mine" in c.printed and "moved" not in c.err
    assert tree(place.template) == before and not (place.top / "etc/mood").is_symlink()


def test_a_new_container_follows_its_image(run, place):
    run()
    (place.top / "etc/motd").write_text("mine\n")
    place.new_container(2)
    c = run()
    assert "app 2" in c.printed and "upgraded" in c.err
    assert place.leads_to_the_volume("etc/app", "etc/motd", "var/log/app")
    assert (place.top / "etc/motd").read_text() == "mine\n"
    assert place.inside("etc/motd.image-new").read_text() == "hello 2\n"


def test_a_new_container_of_the_same_image(run, place):
    run()
    (place.top / "etc/motd").write_text("mine\n")
    place.new_container(1)
    c = run()
    assert "upgraded" not in c.err and (place.top / "etc/motd").read_text() == "mine\n"
    assert not os.path.lexists(place.inside("etc/motd.image-new"))


def test_a_longer_list_and_a_template_that_is_there(run, place):
    place.template.mkdir()
    (place.template / "given").write_text("given\n")
    run("""{ top .. "/etc/motd" }""", status=74)  # there is no app in it
    assert (place.data / "given").exists()
    assert "app 1" in run().printed
    assert place.leads_to_the_volume("etc/app", "etc/motd")


def test_an_image_that_was_split_when_it_was_built(run, place):
    done = moonrise("volume", "split", "--template", str(place.template), "--data", str(place.data),
                    str(place.top / "etc/app"), str(place.top / "etc/motd"), str(place.top / "var/log/app") + "/")
    assert done.returncode == 0, done.stderr
    before = (place.template / ".moonrise/manifest").stat().st_ino
    c = run()
    assert "app 1" in c.printed and "moved" not in c.err
    assert (place.template / ".moonrise/manifest").stat().st_ino == before


def test_faults_are_listed_and_nothing_is_changed(run, place):
    (place.top / "list").write_text(f"# all\n{place.top}/etc/motd\n{place.top}/etc/nothing\n\n{place.top}/etc/no*\n/proc/x\n")
    before = tree(place.top / "etc")
    c = run("""top .. "/list" """, status=74)
    for line in (f"{place.top}/list:3: {place.top}/etc/nothing: there is none",
                 f"{place.top}/list:5: {place.top}/etc/no*: nothing fits this pattern",
                 f"{place.top}/list:6: /proc/x: it belongs to the kernel",
                 f"boot.lua:3: cannot split the image into {place.template} and {place.data}: "
                 "the list has faults, and nothing was changed\n"):
        assert line in c.err
    assert tree(place.top / "etc") == before and not place.template.exists()
    assert [path.name for path in place.data.iterdir()] == [".moonrise"]


def test_a_list_that_is_not_there(run, place):
    c = run("""top .. "/list" """, status=70)
    assert f"cannot read the list {place.top}/list: No such file or directory" in c.err


@pytest.mark.parametrize("list, message", [
    ("42", "'list' of fs.volume is an integer; it takes paths, such as"),
    ("{ 42 }", "'list' of fs.volume has 42 in it; it takes paths, such as"),
    ('{ "/x", y = 1 }', "'list' of fs.volume has [\"y\"] = ...; it takes paths"),
])
def test_mistakes_are_explained(run, list, message):
    assert message in run(list, status=70).err


READ_ONLY = 'mount --bind "$TOP/etc" "$TOP/etc"\nmount -o remount,bind,ro "$TOP/etc"\n'
AS_ANYBODY = """chmod 755 .\nexec setpriv --reuid 12345 --regid 0 --clear-groups "$@"\n"""
HINT = "the list has faults, and nothing was changed; run `moonrise volume split` when the image is built"


def test_a_read_only_image_is_refused(run, place):
    before = tree(place.top / "etc")
    c = run(status=74, inside=READ_ONLY)
    assert f"{place.top}/etc/motd: cannot change {place.top}/etc: Read-only file system" in c.err and HINT in c.err
    assert tree(place.top / "etc") == before and not place.template.exists()
    place.template.mkdir()  # once it was split, that is no longer needed
    run()
    assert "app 1" in run(inside=READ_ONLY).printed


@needs_root
def test_rights_that_are_missing_are_said(run, place):
    place.data.chmod(0o775)
    for path in ("", "etc", "etc/app", "etc/app/sub"):
        (place.top / path).chmod(0o775)
    (place.top / "etc/app/app.conf").chmod(0o600)
    (place.top / "etc/app/sub").chmod(0o555)
    before = tree(place.top / "etc")
    c = run(status=74, inside=AS_ANYBODY)
    for path in ("etc/app/app.conf", "etc/app/sub"):
        assert f"cannot take {place.top}/{path}: Permission denied" in c.err
    assert HINT in c.err and tree(place.top / "etc") == before and not place.template.exists()

    (place.top / "etc/app/app.conf").chmod(0o640)
    os.chmod(place.top / "etc/app/sub", 0o775)
    assert "app 1" in run(inside=AS_ANYBODY).printed
    assert place.leads_to_the_volume("etc/app", "etc/motd", "var/log/app") or not IS_ROOT


def test_a_rehearsal_changes_nothing(run, place):
    script = place.top / "boot.lua"
    script.write_text(SCRIPT % PATHS)
    env = {"TOP": str(place.top)}

    def plan():
        before = tree(place.top)
        done = moonrise("check", str(script), env=env)
        assert done.returncode in (0, 70), done.stderr  # what it reads is not there
        assert tree(place.top) == before
        return [line.split(None, 1)[1] for line in done.stdout.splitlines() if line]

    what = f"split the image into {place.template} and {place.data}"
    assert plan()[1:5] == [what + ":", *(f"move {place.top}/{path}" for path in ("etc/app", "etc/motd", "var/log/app"))]
    os.rename(place.top / "etc/app", place.top / "etc/gone")
    assert f"(now: {place.top}/etc/app: there is none; with a '/' at its end, an empty folder is made)" in plan()
    os.rename(place.top / "etc/gone", place.top / "etc/app")
    run()
    assert what + ": it was done" in plan()


def test_what_was_killed_is_continued(run, place):
    for number in range(300):
        place.make(f"etc/files/{number}", str(number))
    paths = """{ top .. "/etc/app", top .. "/etc/files/*", top .. "/etc/motd" }"""
    c = run.begin(paths, STAY="1")
    eventually(lambda: len(os.listdir(place.template / str(place.top / "etc/files")[1:])) > 10)
    c.signal(SIGKILL)
    c.wait()
    assert "app 1" in run(paths).printed
    assert place.leads_to_the_volume("etc/app", "etc/motd", *(f"etc/files/{number}" for number in range(300)))
    assert all((place.top / f"etc/files/{number}").read_text() == str(number) for number in range(300))


def test_a_stop_in_the_middle_ends_clean(run, place):
    for number in range(300):
        place.make(f"etc/files/{number}", str(number))
    paths = """{ top .. "/etc/app", top .. "/etc/files/*", top .. "/etc/motd" }"""
    c = run.begin(paths, STAY="1")
    eventually(lambda: len(os.listdir(place.template / str(place.top / "etc/files")[1:])) > 10)
    assert c.stop() == 143
    assert "app 1" in run(paths).printed
    assert place.leads_to_the_volume("etc/app", *(f"etc/files/{number}" for number in range(300)))
