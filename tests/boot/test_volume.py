# SPDX-License-Identifier: MIT
"""fs.volume: what outlives the container is prepared once, and survives being killed."""
import os
import re
import shutil
from signal import SIGKILL

import pytest

from moonrise import eventually, needs_root

AS_ANYBODY = 'chmod 755 .\nexec setpriv --reuid 12345 --regid 0 --clear-groups "$@"\n'
AS_ROOT_WITHOUT_CAPABILITIES = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"\n'

PRELUDE = """
local init, fs = require "moonrise", require "moonrise.fs"
local volume, template = os.getenv("VOLUME"), os.getenv("TEMPLATE")
"""


@pytest.fixture
def place(open_path):
    """A volume and a template, reachable for everybody."""
    (open_path / "volume").mkdir()
    template = open_path / "template"
    (template / "etc" / "deep").mkdir(parents=True)
    (template / "etc" / "one").write_text("one\n")
    (template / "etc" / "deep" / "two").write_text("two\n")
    (template / "etc" / "deep" / "two").chmod(0o640)
    (template / "link").symlink_to("etc/one")
    os.utime(template / "etc" / "one", (1e9, 1e9))
    return open_path


@pytest.fixture
def run(boot, place):
    """Boot on the volume; the container, ended."""

    def start(script, status=0, **options):
        c = begin(script, **options)
        assert c.wait() == status, c.err
        return c

    def begin(script, **options):
        env = {"VOLUME": str(place / "volume"), "TEMPLATE": str(place / "template")}
        return boot(PRELUDE + script + "\ninit.exit(0)\n", env=env, **options)

    start.begin = begin
    return start


def tree(top):
    """{path: (type and mode, owner, content)} of all that is below."""
    found = {}
    for path in top.rglob("*"):
        st = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else None
        found[str(path.relative_to(top))] = (st.st_mode, st.st_uid, st.st_gid, content)
    return found


POPULATE = "fs.volume(volume, { template = template })"


def test_what_is_missing_is_populated(run, place):
    volume = place / "volume"
    run(POPULATE)
    assert (volume / "etc" / "deep" / "two").read_text() == "two\n"
    assert (volume / "etc" / "deep" / "two").stat().st_mode & 0o777 == 0o640
    assert (volume / "etc" / "one").stat().st_mtime == 1e9
    assert os.readlink(volume / "link") == "etc/one"

    (volume / "etc" / "one").write_text("mine\n")
    (volume / "link").unlink()
    run(POPULATE)
    assert (volume / "etc" / "one").read_text() == "mine\n"
    assert not os.path.lexists(volume / "link")


def test_what_was_there_before_stays(run, place):
    volume = place / "volume"
    (volume / "etc").mkdir(mode=0o700)
    (volume / "etc" / "one").write_text("mine\n")
    (volume / "link").mkdir()
    run(POPULATE)
    assert (volume / "etc").stat().st_mode & 0o777 == 0o700 and (volume / "link").is_dir()
    assert (volume / "etc" / "one").read_text() == "mine\n"
    assert (volume / "etc" / "deep" / "two").read_text() == "two\n"


@pytest.mark.parametrize("count", [1, 200, 600, 1200])
def test_a_populate_that_is_killed_is_continued(run, place, count):
    for number in range(600):
        (place / "template" / "etc" / f"file-{number}").write_text(str(number) * 100)
    c = run.begin(POPULATE + """\ninit.sleep("1h")""")
    eventually(lambda: (place / "volume" / ".moonrise").exists() or
               sum(len(files) for _, _, files in os.walk(place / "volume")) >= count)
    c.signal(SIGKILL)
    c.wait()
    run(POPULATE)
    shutil.rmtree(place / "volume" / ".moonrise")
    assert tree(place / "volume") == tree(place / "template")


def test_a_volume_that_nobody_mounted_is_made(run, place):
    (place / "volume").rmdir()
    run(POPULATE)
    assert (place / "volume" / "etc" / "one").exists()


def test_dirs_and_paths(run, place):
    c = run("""
        local data = fs.volume(volume .. "/", { dirs = { "logs/old", run = { mode = "0750" } } })
        assert(data:path() == volume and data:path("logs") == volume .. "/logs")
        print(tostring(data) == "volume " .. volume, pcall(function() return data.onc end))
    """)
    assert (place / "volume" / "logs" / "old").is_dir()
    assert (place / "volume" / "run").stat().st_mode & 0o777 == 0o750
    assert c.printed.startswith("true\tfalse\t") and "a volume has no 'onc'; did you mean 'once'?" in c.printed


@needs_root
def test_owner(run, place):
    (place / "template" / "etc").chmod(0o700)
    os.chown(place / "template" / "etc", 12, 34)
    run("""fs.volume(volume, { template = template, owner = "www-data",
                               dirs = { "logs", root = { owner = 0, group = 0 } } })""")
    volume = place / "volume"
    assert (volume.stat().st_uid, volume.stat().st_gid) == (33, 33)
    assert (volume / "logs").stat().st_uid == 33
    assert (volume / "root").stat().st_uid == 0
    assert ((volume / "etc").stat().st_uid, (volume / "etc").stat().st_gid) == (12, 34)


@needs_root
@pytest.mark.parametrize("become", [AS_ANYBODY, AS_ROOT_WITHOUT_CAPABILITIES])
def test_no_privilege_is_needed(run, place, become):
    (place / "volume").chmod(0o775)
    os.chown(place / "template" / "etc", 12, 0)
    (place / "template" / "etc" / "deep" / "two").chmod(0o444)
    (place / "template" / "etc" / "deep").chmod(0o555)
    script = """
        local data = fs.volume(volume, { template = template, owner = "www-data", dirs = { "logs" } })
        print(data:once("step", function() end), fs.read(data:path("etc/deep/two")))
    """
    assert run(script, inside=become).printed == "true\ttwo\n"
    assert run(script, inside=become).printed == "false\ttwo\n"


@needs_root
def test_the_next_random_uid_goes_on(run, place):
    (place / "volume").chmod(0o775)
    script = """
        local data = fs.volume(volume, { dirs = { logs = { mode = "0770" } } })
        print(data:once("first", function() end), data:once(tostring(init.now()), function() end))
    """
    assert run(script, inside=AS_ANYBODY).printed == "true\ttrue\n"
    assert run(script, inside=AS_ANYBODY.replace("12345", "54321")).printed == "false\ttrue\n"


# ---- once

ONCE = """
local data = fs.volume(volume)
print("ran", data:once("site certificate", function(try)
  print("interrupted", try.interrupted)
end))
"""
AGAIN = "volume {}: 'site certificate' was cut short; it is done again\n"


def test_once_is_once(run):
    assert run(ONCE).printed == "interrupted\tfalse\nran\ttrue\n"
    assert run(ONCE).printed == "ran\tfalse\n"


def test_a_step_that_fails_is_done_again(run, place):
    c = run("""fs.volume(volume):once("site certificate", function() error("no luck") end)""", status=70)
    assert "no luck" in c.err
    assert run(ONCE).printed == AGAIN.format(place / "volume") + "interrupted\ttrue\nran\ttrue\n"
    assert run(ONCE).printed == "ran\tfalse\n"


def test_a_step_that_is_killed_is_undone_and_done_again(run, place):
    c = run.begin("""
        fs.volume(volume):once("site certificate", function()
          fs.write(volume .. "/half", "half")
          print("in the middle")
          init.sleep("1h")
        end)
    """)
    c.says("in the middle")
    c.signal(SIGKILL)
    c.wait()
    script = """
        local data = fs.volume(volume)
        local undo = function() print("undo", fs.remove(data:path("half"))) end
        print("ran", data:once("site certificate", { undo = undo }, function(try)
          print("interrupted", try.interrupted, fs.exists(data:path("half")))
        end))
    """
    again = AGAIN.format(place / "volume").replace("done", "undone and done")
    assert run(script).printed == again + "undo\ttrue\ninterrupted\ttrue\tfalse\nran\ttrue\n"
    assert run(script).printed == "ran\tfalse\n"


def test_steps_are_told_apart(run):
    script = """
        local data = fs.volume(volume)
        for _, name in ipairs { "a", "b", "a b", "a%20b", "ü\\n" } do
          data:once(name, function() print(name) end)
        end
        init.all(function() data:once("slow", function() init.sleep(0.1) end) end, function()
          print(pcall(data.once, data, "slow", function() end))
        end)
    """
    c = run(script)
    assert c.printed.startswith("a\nb\na b\na%20b\nü\nfalse\t")
    assert "volume:once: 'slow' is being done already" in c.printed


def test_mistakes_in_once_are_explained(run):
    c = run("""
        local data = fs.volume(volume)
        print(pcall(data.once, data, "", print))
        print(pcall(data.once, data, "x"))
        print(pcall(data.once, data, "x", { udno = print }, print))
    """)
    assert 'volume:once takes a name first, not ""' in c.printed
    assert "volume:once takes a function, not nil" in c.printed
    assert "unknown option 'udno' of volume:once; did you mean 'undo'?" in c.printed


# ---- the record

def journal(place):
    return place / "volume" / ".moonrise" / "journal"


def test_a_torn_record_is_continued(run, place):
    run(ONCE)
    text = journal(place).read_bytes()
    journal(place).write_bytes(text[:-1])  # the end of "done"
    assert run(ONCE).printed == AGAIN.format(place / "volume") + "interrupted\ttrue\nran\ttrue\n"
    assert journal(place).read_bytes() == text
    journal(place).write_bytes(b"moonr")
    assert run(ONCE).printed == "interrupted\tfalse\nran\ttrue\n"


def test_a_damaged_record_is_refused(run, place):
    run(ONCE)
    text = journal(place).read_bytes()
    journal(place).write_bytes(text.replace(b"begin", b"bEgin"))
    c = run(POPULATE, status=74)
    assert "boot.lua:3: the record " in c.err and "can't be used: line 2 is damaged" in c.err
    journal(place).write_bytes(b"moonrise-volume 2\n")
    c = run(POPULATE, status=74)
    assert "it was written by a newer moonrise (format 2; this one reads up to 1)" in c.err
    assert sorted(os.listdir(place / "volume")) == [".moonrise"]


# ---- volumes that can't be used

MOUNTED = """fs.volume("/mnt", { template = template, dirs = { "logs" } })"""


def test_a_read_only_volume_is_refused(run):
    c = run(MOUNTED, status=74, inside="mount -t tmpfs -o ro tmpfs /mnt")
    assert "boot.lua:3: the volume /mnt is read-only" in c.err


def test_a_full_volume_is_refused(run):
    c = run(MOUNTED, status=74,
            inside="mount -t tmpfs -o size=16k tmpfs /mnt; dd if=/dev/zero of=/mnt/x bs=4k count=4 2>/dev/null")
    assert "the volume /mnt is full: no bytes are free" in c.err


def test_a_volume_without_inodes_is_refused(run):
    c = run(MOUNTED, status=74, inside="mount -t tmpfs -o nr_inodes=2 tmpfs /mnt; touch /mnt/x")
    assert "the volume /mnt is full: no more files can be made" in c.err


def test_a_volume_that_is_too_small_is_refused(run, place):
    (place / "template" / "big").write_bytes(bytes(100000))
    c = run(MOUNTED, status=74, inside="mount -t tmpfs -o size=64k tmpfs /mnt")
    assert re.search(rf"is too small: {place}/template takes 98 KiB more, and \d+ KiB are free", c.err)


def test_a_volume_in_use_is_refused(run, place):
    first = run.begin(POPULATE + """\nprint("ours")\ninit.sleep("1h")""")
    eventually(lambda: "ours" in first.printed)
    (place / "volume" / "etc" / "one").write_text("mine\n")
    c = run("fs.volume(volume)\nfs.volume(volume)", status=74)
    assert "boot.lua:3: the volume " in c.err and "is in use by another container: " in c.err and ", since 20" in c.err
    first.signal(SIGKILL)
    first.wait()
    run("fs.volume(volume)\nfs.volume(volume)")


def test_a_file_is_no_volume(run, place):
    (place / "volume").rmdir()
    (place / "volume").write_text("")
    assert "is no folder, but a file" in run(POPULATE, status=74).err


@needs_root
def test_a_volume_of_somebody_else_is_refused(run, place):
    os.chown(place / "volume", 33, 33)
    c = run(POPULATE, status=74, inside=AS_ANYBODY)
    assert (f"the volume {place}/volume can't be written: we are uid 12345, gid 0 (root); "
            "it belongs to uid 33 (www-data), gid 33 (www-data) and has mode 0755") in c.err
    assert not os.listdir(place / "volume")


def test_a_disk_that_fills_up_is_trouble_with_the_volume(run):
    c = run(MOUNTED + """:once("step", function() fs.write("/mnt/big", ("x"):rep(1 << 20)) end)""", status=74,
            inside="mount -t tmpfs -o size=128k tmpfs /mnt")
    assert "cannot write /mnt/big: No space left on device" in c.err


def test_a_missing_template_is_named(run, place):
    c = run("""fs.volume(volume, { template = "/none" })""", status=74)
    assert f"cannot populate {place}/volume from /none: /none: No such file or directory" in c.err


# ---- links that lead out

@pytest.mark.parametrize("link", ["logs", "logs/deep", ".moonrise", ".moonrise/journal"])
def test_no_link_leads_out_of_the_volume(run, place, link):
    outside = place / "outside"
    outside.mkdir()
    (outside / "journal").write_text("")
    at = place / "volume" / link
    at.parent.mkdir(exist_ok=True)
    at.symlink_to(outside / "journal" if link.endswith("journal") else outside)
    c = run("""
        local data = fs.volume(volume, { dirs = { ["logs/deep/more"] = { mode = "0700" } } })
        data:once("step", function() end)
    """, status=74)
    assert "a symbolic link on the way leads out of the volume" in c.err
    assert os.listdir(outside) == ["journal"] and (outside / "journal").read_text() == ""


def test_every_word_stays_in_the_volume(run, place):
    (place / "outside").mkdir()
    (place / "outside" / "secret").write_text("secret")
    (place / "volume" / "out").symlink_to("../outside")
    (place / "volume" / "file").symlink_to("../outside/secret")
    c = run("""
        local data = fs.volume(volume)
        fs.write("x", "x")
        for _, try in ipairs {
          { fs.read, "out/secret" }, { fs.read, "file" }, { fs.write, "out/new", "x" }, { fs.write, "file", "x" },
          { fs.append, "file", "x" }, { fs.mkdir, "out/new" }, { fs.remove, "out/secret" }, { fs.chmod, "file", "0777" },
          { fs.chmod, "out/secret", "0777" }, { fs.list, "out" }, { fs.hash, "file" }, { fs.stat, "file" },
          { fs.line, "file", "x" }, { fs.remove, "out/secret", { recursive = true } },
        } do
          local f = try[1]
          try[1] = data:path(try[2])
          table.remove(try, 2)
          print(pcall(f, table.unpack(try)))
        end
        print(pcall(fs.copy, "x", data:path("out/copy")))
        print(pcall(fs.copy, data:path("file"), "copy"))
        print(pcall(fs.move, "x", data:path("out/moved")))
        print(pcall(fs.link, "x", data:path("out/link")))
    """)
    lines = c.printed.splitlines()
    assert len(lines) == 18
    for line in lines:
        assert line.startswith("false") and "leads out of the volume" in line, line
    assert os.listdir(place / "outside") == ["secret"]
    assert (place / "outside" / "secret").read_text() == "secret"
