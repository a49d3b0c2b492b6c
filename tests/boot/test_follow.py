# SPDX-License-Identifier: MIT
"""Log files that services insist on writing come out as their lines."""
import json
import os
from signal import SIGCONT, SIGSTOP

import pytest
from moonrise import eventually, needs_root

@pytest.fixture
def app(boot):
    """`logs` are relative to the folder of the test; `inside` runs there before."""
    def start(logs, inside="", **options):
        c = boot("""
            local init = require "moonrise"
            local here = os.getenv("HERE")
            app = init.service { "sleep", "infinity", name = "app", logs = { here .. "/%s" } }
            app:start()
            init.log("notice", "started")
        """ % logs, inside='export HERE="$PWD"\n' + inside, **options)
        c.says("started")
        return c
    return start


def append(c, name, text):
    os.makedirs(os.path.dirname(c.path(name)), exist_ok=True)
    with open(c.path(name), "ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def lines(*texts):
    return "".join(f"app: {text}\n" for text in texts)


def expect(c, *texts):
    eventually(lambda: c.out, lines(*texts))


def test_what_was_there_is_old(app):
    c = app("x.log", "printf 'old\\nbegun' > x.log")
    append(c, "x.log", " and ended\nnew\n")
    expect(c, " and ended", "new")
    assert c.stop() == 0
    assert c.out == lines(" and ended", "new")


def test_neither_the_file_nor_its_folders_are_there(app):
    c = app("a/b/x.log")
    append(c, "a/b/x.log", "one\n")
    expect(c, "one")
    append(c, "a/b/x.log", "two\nthree\n")
    expect(c, "one", "two", "three")


def test_a_line_comes_out_when_it_is_whole(app):
    c = app("x.log")
    append(c, "x.log", "one\ntw")
    expect(c, "one")
    append(c, "x.log", "o\n")
    expect(c, "one", "two")
    append(c, "x.log", "no end")
    assert c.stop() == 0
    assert c.out == lines("one", "two", "no end")


def test_rotation(app):
    """The writer has the old file open, and is told later to open the new one."""
    c = app("x.log")
    with open(c.path("x.log"), "ab", buffering=0) as old:
        old.write(b"1\n")
        expect(c, 1)
        os.rename(c.path("x.log"), c.path("x.log.1"))
        old.write(b"2\n")
        expect(c, 1, 2)
        append(c, "x.log", "3\n")
        expect(c, 1, 2, 3)
        old.write(b"4\nno end")
        expect(c, 1, 2, 3, 4)
    expect(c, 1, 2, 3, 4, "no end")
    os.rename(c.path("x.log"), c.path("x.log.1"))
    append(c, "x.log", "5\n")
    expect(c, 1, 2, 3, 4, "no end", 5)
    assert c.stop() == 0


def test_the_rest_of_the_old_file_comes_first(app):
    c = app("x.log", "touch x.log")
    append(c, "x.log", "".join(f"{n}\n" for n in range(20000)))
    os.rename(c.path("x.log"), c.path("x.log.1"))
    append(c, "x.log", "".join(f"{n}\n" for n in range(20000, 40000)))
    expected = lines(*range(40000))
    eventually(lambda: c.out == expected)


def test_rotations_that_are_quicker_than_we(app):
    """PID 1 stands still meanwhile. Each file is moved on, as logrotate does it; the last but one goes."""
    c = app("x.log", "echo old > x.log.1")
    append(c, "x.log", "0\n")
    expect(c, 0)
    c.signal(SIGSTOP)
    for n in range(1, 4):
        for number in (2, 1):
            if os.path.exists(c.path(f"x.log.{number}")):
                os.rename(c.path(f"x.log.{number}"), c.path(f"x.log.{number + 1}"))
        os.rename(c.path("x.log"), c.path("x.log.1"))
        append(c, "x.log", f"{n}\n")
    c.signal(SIGCONT)
    expect(c, 0, 1, 2, 3)
    assert c.stop() == 0
    assert c.out == lines(0, 1, 2, 3)


def test_many_quick_rotations(app):
    """None is lost, whatever PID 1 sees first."""
    c = app("*/x.log", "mkdir a")
    for n in range(100):
        append(c, "a/x.log", f"{n}\n")
        os.rename(c.path("a/x.log"), c.path(f"a/x.log.{n}"))
    eventually(lambda: sorted(c.out.splitlines()), sorted(lines(*range(100)).splitlines()))
    assert "cannot follow" not in c.err  # what is no folder, such as the script
    assert c.stop() == 0


def test_truncation(app):
    """copytruncate: the file is copied, then made empty."""
    c = app("x.log")
    append(c, "x.log", "one\ntwo\n")
    expect(c, "one", "two")
    os.truncate(c.path("x.log"), 0)
    append(c, "x.log", "3\n")
    expect(c, "one", "two", "3")


def test_truncation_that_is_seen_late(app):
    """The file is longer again by then than it was."""
    c = app("x.log")
    append(c, "x.log", "one\ntwo\n")
    expect(c, "one", "two")
    c.signal(SIGSTOP)
    os.truncate(c.path("x.log"), 0)
    append(c, "x.log", "3\n4\n5\n6\n7\n")
    c.signal(SIGCONT)
    expect(c, "one", "two", *range(3, 8))


def test_truncation_under_a_writer_that_goes_on_where_it_was(app):
    """Without O_APPEND: a hole and NUL bytes, which nobody has written."""
    c = app("x.log")
    with open(c.path("x.log"), "wb", buffering=0) as file:
        file.write(b"x" * 10000 + b"\n")
        expect(c, "x" * 10000)
        os.truncate(c.path("x.log"), 0)
        file.seek(9000)  # shorter than it was, whenever that is looked at
        file.write(b"after\n")
        expect(c, "x" * 10000, "after")


def test_deletion(app):
    c = app("a/x.log")
    append(c, "a/x.log", "one\n")
    expect(c, "one")
    os.remove(c.path("a/x.log"))
    append(c, "a/x.log", "two\n")
    expect(c, "one", "two")
    os.remove(c.path("a/x.log"))
    os.rmdir(c.path("a"))
    append(c, "a/x.log", "three\n")
    expect(c, "one", "two", "three")
    os.rename(c.path("a"), c.path("b"))
    append(c, "a/x.log", "four\n")
    expect(c, "one", "two", "three", "four")


def open_files(c):
    return [target for target in c.exec("sh", "-c", "readlink /proc/1/fd/*").stdout.split() if ".log" in target]


def test_files_that_are_gone_are_let_go(app):
    c = app("*.log")
    for n in range(20):
        append(c, f"{n}.log", f"{n}\n")
        expect(c, *range(n + 1))
        os.remove(c.path(f"{n}.log"))
    eventually(lambda: len(open_files(c)) <= 5)


def test_patterns(app):
    c = app("*/app-[0-9].log", "mkdir one; echo old > one/app-1.log")
    append(c, "one/app-1.log", "one\n")
    expect(c, "one")
    append(c, "two/app-2.log", "two\n")
    expect(c, "one", "two")
    append(c, "two/app-x.log", "no\n")
    append(c, "two/.app-1.log", "no\n")
    append(c, "one/app-3.log", "three\n")
    expect(c, "one", "two", "three")
    os.rename(c.path("one/app-3.log"), c.path("one/app-4.log"))  # the same file, which is known
    append(c, "one/app-4.log", "four\n")
    expect(c, "one", "two", "three", "four")


def test_levels_and_the_ring(app):
    c = app("x.log", env={"MOONRISE_LOG": "json"})
    append(c, "x.log", "<3>bad\nplain\n")
    eventually(lambda: [(entry["name"], entry["stream"], entry.get("level"), entry["message"])
                        for entry in map(json.loads, c.out.splitlines())],
               [("app", "file", "error", "bad"), ("app", "file", None, "plain")])
    assert c.moonrise("logs").stdout == lines("bad", "plain")


def test_any_bytes(app):
    c = app("x.log")
    text = bytes(range(256)).replace(b"\n", b"") * 100 + b"\n"
    append(c, "x.log", text)
    eventually(lambda: len(c.out_bytes), len(text) + 2 * len(b"app: ") + len(b"\\\n"))
    assert c.out_bytes.replace(b"\\\napp: ", b"") == b"app: " + text


def test_a_flood_waits_for_its_reader(app):
    """Nobody reads: PID 1 waits, and the file is rotated and deleted meanwhile."""
    read, write = os.pipe()
    c = app("x.log", stdout=write)
    os.close(write)
    for first in range(0, 60000, 20000):
        append(c, "x.log", "".join(f"{n:0100d}\n" for n in range(first, first + 20000)))
        eventually(lambda: len(open_files(c)) == first / 20000 + 1)
        eventually(lambda: c.moonrise("health").returncode, 0)
        os.rename(c.path("x.log"), c.path("x.log.1"))
    expected = b"".join(b"app: %0100d\n" % n for n in range(60000))
    data = b""
    with open(read, "rb", buffering=0) as reader:
        while len(data) < len(expected) and (chunk := reader.read(65536)):
            data += chunk
        assert data == expected, data[:100]
        assert c.stop() == 0
        assert reader.read() == b""


def test_what_is_not_followed(app):
    """A fifo is not opened: who writes to it would wait for ever once we had been there."""
    c = app("*.log", "mkfifo fifo.log; mkdir folder.log; ln -s /dev/zero zero.log; ln -s $PWD/gone dangling.log")
    append(c, "x.log", "one\n")
    expect(c, "one")
    with pytest.raises(OSError):  # ENXIO: nobody reads it
        os.close(os.open(c.path("fifo.log"), os.O_WRONLY | os.O_NONBLOCK))
    append(c, "gone", "two\n")
    expect(c, "one", "two")
    assert c.err.count("cannot follow") == 0


def test_our_own_output_is_not_followed(boot):
    """That would never end."""
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"moonrise-test-{os.getpid()}.log")
    with open(path, "wb") as out:
        try:
            c = boot(f"""
                local init = require "moonrise"
                init.start {{ sh = "echo one; exec sleep infinity", name = "app", logs = {{ "{path}" }} }}
                init.log("notice", "started")
            """, stdout=out)
            c.says("started")
            with open(path, encoding="utf-8") as text:
                eventually(lambda: text.seek(0) or text.read(), "app: one\n")
                assert c.stop() == 0
                assert not text.read()
        finally:
            os.remove(path)


def test_links_out_of_a_volume(boot):
    """The volume belongs to the app, and what it links to does not."""
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        local data = require("moonrise.fs").volume(here .. "/data")
        init.start { "sleep", "infinity", name = "app", logs = { data:path("*.log") } }
        init.log("notice", "started")
    """, inside='export HERE="$PWD"; mkdir data; ln -s ../secret data/out.log; ln -s in data/in.log')
    c.says("started")
    append(c, "secret", "secret\n")
    append(c, "data/in", "one\n")
    expect(c, "one")
    c.says("cannot follow")
    assert c.stop() == 0
    assert c.out == lines("one")


def test_over_a_restart(app):
    c = app("x.log")
    append(c, "x.log", "one\n")
    expect(c, "one")
    assert c.moonrise("restart", "app").returncode == 0
    append(c, "x.log", "two\n")
    expect(c, "one", "two")


@pytest.mark.parametrize("folder", ["", "new/"])
def test_what_is_written_last_comes_out(boot, folder):
    """Although the container ends at once, and nothing has been heard of the file."""
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        init.start { sh = ("mkdir -p %%s/new; seq 50000 > %%s/%sx.log"):format(here, here), name = "app",
          logs = { here .. "/%sx.log" } }
    """ % (folder, folder), inside='export HERE="$PWD"')
    assert c.wait() == 0
    expected = lines(*range(1, 50001))
    assert c.out == expected, c.out[:100] + " ... " + c.out[-100:]


def test_what_is_written_during_the_stop_comes_out(boot):
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        init.start { sh = ("trap 'printf end >> %s/x.log; exit 0' TERM; echo up; while :; do sleep 0.05; done"):format(here),
          name = "app", logs = { here .. "/x.log" } }
    """, inside='export HERE="$PWD"')
    c.says("up")
    assert c.stop() == 0
    assert c.out == lines("up", "end")


@needs_root
def test_a_user_who_may_not_read_it(boot):
    c = boot("""
        local init = require "moonrise"
        init.start { "sleep", "infinity", name = "app", logs = { "/run/x.log" } }
        init.log("notice", "started")
    """, inside='chmod 755 .; mkdir -m 777 run; touch /run/x.log; chmod 600 /run/x.log; '
                'exec setpriv --reuid 12345 --regid 0 --clear-groups "$@"')
    c.says("app: cannot follow /run/x.log: Permission denied")
    c.says("started")
    assert c.stop() == 0


def test_many_services_follow_one_folder(boot):
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        for i = 1, 5 do
          init.start { "sleep", "infinity", name = "app" .. i, logs = { here .. "/x.log" } }
        end
        init.log("notice", "started")
    """, inside='export HERE="$PWD"')
    c.says("started")
    append(c, "x.log", "one\n")
    eventually(lambda: sorted(c.out.splitlines()), [f"app{i}: one" for i in range(1, 6)])


@pytest.mark.parametrize("logs, message", [
    ('"/x"', "'logs' of start is a string; it takes a list of paths"),
    ('{ "x.log" }', """'logs' of start has "x.log"; it takes absolute paths of files"""),
    ('{ "/x/" }', """'logs' of start has "/x/"; it takes absolute paths of files"""),
    ('{ 1 }', "'logs' of start has 1 in it; it takes a list of paths"),
    ('{ file = "/x" }', """'logs' of start has ["file"] = ...; it takes a list of paths"""),
])
def test_wrong_options(boot, logs, message):
    c = boot('require("moonrise").start { "true", logs = %s }' % logs)
    assert c.wait() == 70
    assert message in c.err
