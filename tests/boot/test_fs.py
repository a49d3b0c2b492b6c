# SPDX-License-Identifier: MIT
"""moonrise.fs in a boot script: each word, and what it says when the world refuses."""
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile

import moonrise
from moonrise import eventually, needs_root

TMPFS = "mount -t tmpfs -o size=64k,mode=755 tmpfs /mnt\n"
AS_ANYBODY = 'chmod 755 .\nexec setpriv --reuid 12345 --regid 0 --clear-groups "$@"\n'

# Run the words that follow; `refused(f, ...)` prints the message.
PRELUDE = """
local init, fs = require "moonrise", require "moonrise.fs"
local function refused(f, ...)
  local ok, err = pcall(f, ...)
  print(ok and "IT DID" or err)
end
"""


def run(boot, script, **options):
    c = boot(PRELUDE + script + "\ninit.exit(0)\n", **options)
    status = c.wait()
    assert status == 0, c.err
    return c.printed


def test_words_for_content(boot):
    out = run(boot, """
        fs.write("file", "one\\n", { mode = "0640" })
        fs.append("file", "two\\n")
        fs.append("new", 3)
        assert(fs.read("file") == "one\\ntwo\\n" and fs.read("new") == "3")
        assert(fs.replace("file", "o", "%0") == 2 and fs.read("file") == "%0ne\\ntw%0\\n")
        assert(fs.replace("file", "%%(%d)", "<%1>", { pattern = true }) == 2)
        assert(fs.replace("file", "none", "x") == 0)
        assert(fs.read("file") == "<0>ne\\ntw<0>\\n" and fs.stat("file").mode == "0640")

        assert(fs.line("conf", "Listen 80") and not fs.line("conf", "Listen 80"))
        assert(fs.line("conf", "User x") and fs.line("conf", "Listen 81", { match = "^Listen " }))
        assert(not fs.line("conf", "Listen 81", { match = "^Listen " }))
        assert(fs.read("conf") == "Listen 81\\nUser x\\n")
        assert(fs.line("conf", "User x", { absent = true }) and not fs.line("conf", "User x", { absent = true }))
        assert(fs.line("conf", "", { match = "^Lis", absent = true }) and fs.read("conf") == "")

        fs.copy("file", "copy")
        assert(fs.read("copy") == fs.read("file") and fs.stat("copy").mode == "0640")
        fs.write("abc", "abc")
        print(fs.hash("abc"))

        fs.write("conf.in", "Listen {{PORT}}\\n")
        assert(fs.render("conf.in", "conf", { PORT = 8080 }) and not fs.render("conf.in", "conf", { PORT = 8080 }))
        assert(fs.read("conf") == "Listen 8080\\n")
    """)
    assert out == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"


def test_words_for_names(boot):
    run(boot, """
        fs.mkdir("a/b/c", { mode = "2750" })
        fs.mkdir("a/b/c")
        assert(fs.stat("a/b/c").mode == "2750" and fs.stat("a/b").type == "folder")
        fs.link("nowhere", "a/link")
        fs.link("b", "a/link")
        assert(fs.stat("a/link").type == "folder" and fs.stat("a/link", { follow = false }).type == "link")
        fs.write("a/x.conf", "")
        fs.write("a/.hidden.conf", "")
        assert(table.concat(fs.list("a"), " ") == ".hidden.conf b link x.conf")
        assert(table.concat(fs.glob("a/*.conf"), " ") == "a/x.conf" and #fs.glob("none/*") == 0)
        fs.move("a/x.conf", "a/y.conf")
        fs.move("a/y.conf", "/run/y.conf")
        assert(not fs.exists("a/y.conf") and fs.exists("/run/y.conf"))
        fs.chmod("/run/y.conf", "600")
        assert(fs.stat("/run/y.conf").mode == "0600" and fs.stat("none") == nil)
        assert(fs.remove("a/link") and fs.exists("a/b") and not fs.remove("a/link"))
        assert(fs.remove("a", { recursive = true }) and not fs.exists("a"))
    """)


def test_free_space(boot):
    run(boot, """
        local bytes, files = fs.space("/mnt")
        assert(bytes <= 1 << 20 and bytes >= 1 << 19 and files < 50, bytes .. " " .. files)
        fs.write("/mnt/file", ("x"):rep(65536))
        local rest, one_less = fs.space("/mnt")
        assert(rest <= bytes - 65536 and one_less == files - 1)
    """, inside="mount -t tmpfs -o size=1m,nr_inodes=50 tmpfs /mnt")


@needs_root
def test_owners(boot):
    run(boot, """
        fs.write("file", "", { owner = "www-data" })
        assert(fs.stat("file").uid == 33 and fs.stat("file").gid == 33)
        fs.write("file", "", { owner = 12, group = "daemon" })
        assert(fs.stat("file").uid == 12 and fs.stat("file").gid == 1)
        fs.write("file", "x")
        assert(fs.stat("file").uid == 12 and fs.stat("file").gid == 1)
        fs.chown("file", nil, 34)
        fs.mkdir("folder", { owner = "www-data", group = 0, mode = "0770" })
        assert(fs.stat("file").gid == 34 and fs.stat("folder").uid == 33 and fs.stat("folder").gid == 0)
        fs.move("file", "/run/file")
        assert(fs.stat("/run/file").uid == 12)
    """)


def test_mistakes_are_explained(boot):
    out = run(boot, """
        refused(fs.write, nil, "")
        refused(fs.write, "x", {})
        refused(fs.write, "x", "", { mode = 640 })
        refused(fs.write, "x", "", { mode = "0999" })
        refused(fs.write, "x", "", { mdoe = "0640" })
        refused(fs.write, "x", "", { owner = "nobdy" })
        refused(fs.read, "none")
        refused(fs.read, "/")
        refused(fs.read, "/dev/null")
        refused(fs.copy, "none", "x")
        refused(fs.hash, "none")
        refused(fs.list, "none")
        refused(fs.space, "none")
        refused(fs.space, 1)
        refused(fs.mkdir, "boot.lua")
        refused(function() return fs.wriet end)
        refused(fs.replace, "boot.lua", "[", "", { pattern = true })
        refused(fs.replace, "boot.lua", "", "x")
        refused(fs.line, "boot.lua", "", { match = "[" })
        refused(fs.line, "boot.lua", "a\\nb")
        refused(fs.volume, "relative")
        refused(fs.volume, "/mnt", { templat = "/x" })
        refused(fs.volume, "/mnt", { dirs = { "../x" } })
        refused(fs.volume, "/mnt", { dirs = { x = { mode = 7 } } })
    """)
    messages = [line.split("boot.lua:", 1)[1].split(": ", 1)[1] for line in out.splitlines()]
    assert messages == [
        "fs.write takes a path, not nil",
        "fs.write takes a text to write, not a table",
        "'mode' of fs.write is 640; it takes octal digits in quotes, such as \"0640\"",
        "'mode' of fs.write is \"0999\"; it takes octal digits in quotes, such as \"0640\"",
        "unknown option 'mdoe' of fs.write; did you mean 'mode'?",
        "'owner' of fs.write: there is no user 'nobdy'",
        "cannot read none: No such file or directory",
        "cannot read /: Is a directory",
        "cannot read /dev/null: it is no regular file",
        "cannot copy none to x: none: No such file or directory",
        "cannot hash none: none: No such file or directory",
        "cannot list none: No such file or directory",
        "cannot look for space at none: No such file or directory",
        "fs.space takes a path, not 1",
        "cannot make the folder boot.lua: there is a file",
        "moonrise.fs has no word 'wriet'; did you mean 'write'?",
        "the pattern of fs.replace is \"[\": malformed pattern (missing ']')",
        'fs.replace takes the text to look for, not ""',
        "'match' of fs.line is \"[\": malformed pattern (missing ']')",
        "fs.line takes one line, not several",
        'fs.volume takes an absolute path, not "relative"',
        "unknown option 'templat' of fs.volume; did you mean 'template'?",
        "'dirs' of fs.volume has \"../x\"; it takes paths in the volume",
        "'mode' of 'x' in 'dirs' of fs.volume is 7; it takes octal digits in quotes, such as \"0640\"",
    ]


def test_an_unknown_name_in_a_template_ends_the_boot(boot):
    c = boot("""
        local fs = require "moonrise.fs"
        fs.write("conf.in", "Listen {{PORT}}\\nServerName {{SERVR}}\\n")
        fs.write("conf", "old")
        fs.render("conf.in", "conf", { PORT = 80, SERVER = "x" })
    """)
    assert c.wait() == 70
    assert "boot.lua:4: conf.in:2: unknown name 'SERVR'; did you mean 'SERVER'?" in c.err
    assert c.read("conf") == "old"


def test_a_full_disk_leaves_the_old_content(boot):
    out = run(boot, """
        refused(fs.write, "/mnt/file", ("x"):rep(1 << 20))
        refused(fs.append, "/mnt/file", ("x"):rep(1 << 20))
        fs.write("big", ("x"):rep(1 << 20))
        refused(fs.copy, "big", "/mnt/file")
        print(table.concat(fs.list("/mnt"), " "), fs.read("/mnt/file"))
    """, inside=TMPFS + "echo old > /mnt/file")
    assert "cannot write /mnt/file: No space left on device" in out
    assert "cannot append to /mnt/file: No space left on device" in out
    assert "cannot copy big to /mnt/file: /mnt/file: No space left on device" in out
    assert out.endswith("file\told\n")


def test_a_read_only_disk_leaves_the_old_content(boot):
    out = run(boot, """
        refused(fs.write, "/mnt/file", "new")
        refused(fs.write, "/mnt/new", "new")
        refused(fs.remove, "/mnt/file")
        refused(fs.mkdir, "/mnt/a/b")
        refused(fs.link, "x", "/mnt/file")
        print(fs.read("/mnt/file"))
    """, inside=TMPFS + "echo old > /mnt/file; mount -o remount,bind,ro /mnt")
    for what in ("write /mnt/file", "write /mnt/new", "remove /mnt/file", "make the folder /mnt/a/b", "link /mnt/file to x"):
        assert f"cannot {what}: Read-only file system" in out
    assert out.endswith("old\n")


def test_a_mount_point_is_written_in_place(boot):
    """As /etc/resolv.conf and /etc/hosts are in a container."""
    out = run(boot, """
        fs.write("/mnt/resolv.conf", "new\\n")
        fs.copy("/mnt/resolv.conf", "/mnt/read-only/hosts")
        print(fs.read("/run/resolv"), fs.read("/run/hosts"), #fs.list("/mnt"))
    """, inside=TMPFS + """
        echo old and longer > /run/resolv; touch /mnt/resolv.conf; mount --bind /run/resolv /mnt/resolv.conf
        mkdir /mnt/read-only; mount -t tmpfs tmpfs /mnt/read-only; touch /mnt/read-only/hosts /run/hosts
        mount -o remount,bind,ro /mnt/read-only; mount --bind /run/hosts /mnt/read-only/hosts
    """)
    assert out == "new\n\tnew\n\t2\n"


@needs_root
def test_a_file_is_written_in_place_where_the_folder_cannot_be(boot):
    """As /etc/passwd is for a random uid, in images that let its group write it."""
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        fs.append("/mnt/passwd", "more\\n")
        fs.replace("/mnt/passwd", "old", "new")
        print(fs.read("/mnt/passwd"), fs.stat("/mnt/passwd").uid)
        fs.write("/mnt/other", "")
    """, inside=TMPFS + "echo old > /mnt/passwd; chmod 664 /mnt/passwd\n" + AS_ANYBODY)
    assert c.wait() == 70
    assert "new\nmore\n\t0\n" in c.printed
    assert "cannot write /mnt/other: Permission denied" in c.err


@needs_root
def test_without_the_capability_owners_are_left(boot):
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        fs.write("/mnt/file", "", { owner = "www-data", mode = "0600" })
        fs.mkdir("/mnt/folder", { owner = "www-data" })
        print(fs.stat("/mnt/file").uid, fs.stat("/mnt/folder").uid)
        init.exit(0)
    """, inside=TMPFS + "chmod 777 /mnt\n" + AS_ANYBODY)
    assert c.wait() == 0, c.err
    assert c.printed == "12345\t12345\n"


def test_heavy_work_does_not_keep_the_init_from_its_own(boot):
    """The file is 4 TB long, so its hash is not there before the test ends."""
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        print("begin")
        fs.hash("/run/sparse")
    """, inside="truncate -s 4T /run/sparse")
    c.says("begin")
    eventually(lambda: c.moonrise("eval", "6 * 7").stdout.strip(), "42")
    eventually(lambda: len(c.processes()), 2)
    c.stop()


def test_a_rehearsal_changes_nothing(tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "conf.in").write_text("Listen {{PORT}}\n")
    script = tmp_path / "boot.lua"
    script.write_text("""
local fs = require "moonrise.fs"
local data = fs.volume("/data", { template = "/none", dirs = { "logs" }, owner = "root" })
fs.write("a", "", { mode = "0600" })
fs.append("a", "")
fs.line("a", "x")
fs.replace("conf.in", "Listen", "Port")
fs.render("conf.in", "conf", { PORT = 80 })
fs.copy("a", "b")
fs.move("a", "b")
fs.link("a", "b")
fs.mkdir("c/d")
fs.remove("conf.in")
fs.remove("volume", { recursive = true })
fs.chmod("conf.in", "0600")
fs.chown("conf.in", "root")
assert(fs.space("/data") > 1 << 40)
assert(fs.read("not-yet") == "" and fs.hash("a") == "")
assert(data:once("step", function() fs.write("e", "") end))
""")
    result = moonrise.run("check", str(script), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    notes = [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()]
    assert notes == [
        "use the volume /data", "populate /data from /none  (now: there is no /data)", "change the owner of /data",
        "make the folder /data/logs", "write a", "append to a", "set a line in a", "replace in conf.in, 1 times",
        "render conf.in to conf", "copy a to b", "move a to b", "link b to a", "make the folder c/d",
        "remove conf.in", "remove volume", "change the mode of conf.in", "change the owner of conf.in",
        "look for space at /data  (now: not there)", "read not-yet  (now: not there)", "hash a", 'once "step":', "write e",
    ]
    assert sorted(os.listdir(tmp_path)) == ["boot.lua", "conf.in", "volume"]
    assert (tmp_path / "conf.in").read_text() == "Listen {{PORT}}\n"


def test_edit(boot):
    text = "[PHP]\n; how much\nmemory_limit = 128M ; enough\nengine = On\n"
    c = boot(PRELUDE + """
        fs.chmod("php.ini", "0640")
        local inode = fs.stat("php.ini").inode
        assert(not fs.edit("php.ini", { PHP = { engine = "On" } }, "php") and fs.stat("php.ini").inode == inode)
        assert(fs.edit("php.ini", { PHP = { memory_limit = "1G", engine = "On", new = 1 } }, "php"))
        assert(fs.stat("php.ini").mode == "0640")
        assert(fs.edit("settings.json", function(doc) doc:add("list", "b") end, { mode = "0600" }))
        assert(fs.stat("settings.json").mode == "0600")
        refused(fs.edit, "none.ini", {})
        refused(fs.edit, "motd", {})
        refused(fs.edit, "motd", {}, "jsn")
        refused(fs.edit, "motd", { A = " x" }, "keyvalue")
        refused(fs.edit, "motd", {}, "json")
        refused(fs.edit, "motd", 1)
        fs.edit("motd", function() error("mine") end, "keyvalue")
    """, files={"php.ini": text, "settings.json": '{"list": ["a"]}\n', "motd": "# hello\nA = b\n"})
    assert c.wait() == 70
    assert c.read("php.ini") == text.replace("128M", "1G") + "new = 1\n"
    assert c.read("settings.json") == '{"list": ["a","b"]}\n'
    assert c.read("motd") == "# hello\nA = b\n"
    for line in [
        "edit php.ini: PHP memory_limit, PHP new",
        "edit settings.json: list",
        "cannot read none.ini: No such file or directory",
        "what format motd has can't be told from its name; `format` is one of apache, ini, json,",
        "there is no format 'jsn'; did you mean 'json'?",
        "cannot edit motd: 'A': keyvalue can't hold this name or value",
        "cannot edit motd: line 1: this is no value",
        "fs.edit takes a table of changes or a function, not an integer",
        "mine",
    ]:
        assert line in c.err


def test_edit_watch_and_lock_rehearsed(tmp_path):
    (tmp_path / "a.ini").write_text("[a]\nb = 1\n")
    (tmp_path / "boot.lua").write_text(f"""
local fs = require "moonrise.fs"
fs.edit("{tmp_path}/a.ini", {{ a = {{ b = 2, c = 3 }} }})
fs.edit("{tmp_path}/made.json", {{ a = 1 }})
local watch = fs.watch("{tmp_path}/a.ini", error)
assert(not watch:wait("1h"))
local lock <close> = fs.lock("{tmp_path}/lock")
""")
    done = moonrise.run("check", str(tmp_path / "boot.lua"))
    assert (done.returncode, done.stderr) == (0, "")
    for line in ["edit {}/a.ini: a b, a c", "edit {}/made.json  (now: not there)", "watch {}/a.ini", "lock {}/lock"]:
        assert line.format(tmp_path) in done.stdout
    assert (tmp_path / "a.ini").read_text() == "[a]\nb = 1\n" and not (tmp_path / "lock").exists()


def test_edit_five_megabytes(boot):
    entry = "dn: cn=entry%d,cn=config\nobjectClass: top\ncn: entry%d\nnsslapd-port: 389\n" + "x: %s\n" % ("y" * 60) * 8
    text = "\n".join(entry % (n, n) for n in range(9000))
    assert len(text) > 5 << 20
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        fs.edit("dse.ldif", { ["cn=entry5000,cn=config"] = { ["nsslapd-port"] = 1389 } })
        init.exit(0)
    """, files={"dse.ldif": text})
    assert c.wait() == 0
    assert c.read("dse.ldif") == text.replace("cn: entry5000\nnsslapd-port: 389", "cn: entry5000\nnsslapd-port: 1389")


def test_watch(boot):
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        local calls = 0
        fs.write("file", "one")
        local watch = fs.watch("file", function(path)
          calls = calls + 1
          print(path, fs.exists(path) and fs.read(path) or "gone")
          if calls == 1 then error("the first time") end
        end)
        local folder <close> = fs.watch("folder")
        assert(not folder:wait("10ms"))
        init.on("USR1", function() watch:stop() fs.mkdir("folder") print("stopped") end)
        fs.write("started", "")
        assert(folder:wait())
        print("folder")
    """)
    eventually(lambda: os.path.exists(c.path("started")))
    c.write("file", "two\n")
    c.says("file\ttwo")
    c.says("boot.lua:7: the first time")
    os.rename(c.write("new", "three\n"), c.path("file"))
    c.says("file\tthree")
    os.unlink(c.path("file"))
    c.says("file\tgone")
    c.signal(signal.SIGUSR1)
    c.says("stopped")
    c.says("folder")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def test_lock(boot):
    c = boot("""
        local init, fs = require "moonrise", require "moonrise.fs"
        do
          local lock <close> = fs.lock("lock", { timeout = 5 })
          print(pcall(fs.lock, "lock", { timeout = "20ms" }))
        end
        local shared = fs.lock("lock", { shared = true, timeout = 0 })
        local too = fs.lock("lock", { shared = true, timeout = 0 })
        shared, too = shared:release(), too:release()
        fs.lock("lock")
        collectgarbage()
        fs.write("held", "")
        print(pcall(fs.lock, "none/lock"))
        print(pcall(fs.lock, "lock", { timeuot = 1 }))
        fs.lock("other")
        print("got it")
    """)
    eventually(lambda: os.path.exists(c.path("held")))
    held = subprocess.run(["flock", "-n", c.path("lock"), "true"], check=False)
    assert held.returncode == 1
    c.says("got it")
    assert "cannot lock lock: somebody else holds it" in c.err
    assert "cannot lock none/lock: No such file or directory" in c.err
    assert "unknown option 'timeuot' of fs.lock; did you mean 'timeout'?" in c.err
    assert c.stop() == 0


def test_lock_waits_for_another_process(boot):
    folder = tempfile.mkdtemp(prefix="moonrise-")
    try:
        with open(folder + "/lock", "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            c = boot(f"""
                local fs = require "moonrise.fs"
                fs.write("started", "")
                fs.lock("{folder}/lock")
                print("got it")
            """)
            eventually(lambda: os.path.exists(c.path("started")))
            assert "got it" not in c.err
        c.says("got it")
        assert c.stop() == 0
    finally:
        shutil.rmtree(folder)
