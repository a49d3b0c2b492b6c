# SPDX-License-Identifier: MIT
"""What services have written, as `moonrise logs` shows it."""
import json
import os
import subprocess

import pytest
from moonrise import BINARY, DEADLINE, _Reader, environment, eventually, run

TWO = """
    local init = require "moonrise"
    one = init.start { sh = "echo first; echo second >&2; exec sleep 1000", name = "one" }
    two = init.service { sh = "echo third; exec sleep 1000", name = "two" }
    init.service { "true", name = "never" }
"""


def logs(c, *argv):
    done = c.moonrise("logs", *argv)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def two(boot):
    c = boot(TWO)
    c.says("one: first")
    eventually(lambda: logs(c), "one: first\none: second\n")
    c.moonrise("start", "two")
    c.says("two: third")
    return c


@pytest.fixture
def follow():
    """Starts clients that go on: what they print is in .data of the reader."""
    clients = []

    def start(c, *argv):
        read, write = os.pipe()
        clients.append(subprocess.Popen([BINARY, "logs", "-f", *argv], stdout=write, stdin=subprocess.DEVNULL,
                                        env=environment({"MOONRISE_RUNDIR": c.rundir})))
        os.close(write)
        reader = _Reader(read)
        reader.client = clients[-1]
        return reader

    yield start
    for client in clients:
        client.kill()
        client.wait(DEADLINE)


def test_all_and_one(two):
    assert logs(two) == "one: first\none: second\ntwo: third\n"
    assert logs(two, "two") == "two: third\n"
    assert logs(two, "two", "never") == "two: third\n"
    assert logs(two, "never") == ""


def test_the_last_lines(two):
    assert logs(two, "-n", "2") == "one: second\ntwo: third\n"
    assert logs(two, "--lines=1", "one") == "one: second\n"
    assert logs(two, "-n", "0") == ""
    assert logs(two, "-n", "100").count("\n") == 3


def test_json(two):
    lines = [json.loads(line) for line in logs(two, "--json").splitlines()]
    assert [(line["name"], line["stream"], line["message"]) for line in lines] == [
        ("one", "stdout", "first"), ("one", "stderr", "second"), ("two", "stdout", "third")]
    assert sorted(line["time"] for line in lines) == [line["time"] for line in lines]


def test_levels(boot):
    """The ring has what was written; what is hidden in the container's output is shown here."""
    c = boot("""
        local init = require "moonrise"
        init.start { sh = [[printf '<3>'; head -c 16381 /dev/zero | tr '\\0' x; printf '<7>y\\n<4>look\\nplain\\n'; exec sleep 1000]],
          name = "one" }
    """, env={"MOONRISE_LOG_LEVEL": "warning"})
    c.says("one: look")
    lines = eventually(lambda: [json.loads(line) for line in logs(c, "--json").splitlines()], lambda lines: len(lines) == 4)
    assert [(line["message"][-5:], line.get("level")) for line in lines] == [
        ("xxxxx", "error"), ("<7>y", "error"), ("look", "warning"), ("plain", None)]
    assert logs(c, "-n", "2") == "one: look\none: plain\n"
    assert "plain" not in c.out


def test_over_a_restart(two):
    assert two.moonrise("restart", "one").returncode == 0
    eventually(lambda: logs(two, "one"), "one: first\none: second\n" * 2)
    assert two.moonrise("why", "one").stdout.startswith("one is ready")


@pytest.mark.parametrize("argv, status, message", [
    (["-n", "-1"], 1, "the number of lines is '-1'; it takes 0 or more\n"),
    (["-n", "many"], 1, "the number of lines is 'many'; it takes 0 or more\n"),
    (["tow"], 1, "there is no service 'tow'; did you mean 'two'?\n"),
])
def test_what_can_not_be_shown(two, argv, status, message):
    done = two.moonrise("logs", *argv)
    assert (done.returncode, done.stdout) == (status, "") and message in done.stderr


def test_wrong_arguments():
    done = run("logs", "-x")
    assert (done.returncode, done.stderr) == (
        64, "moonrise: unknown option '-x' of logs; usage: moonrise logs [-f] [-n N] [--json] [NAME...]\n")


def test_the_ring(boot):
    c = boot("""require("moonrise").start { sh = "seq 100000; exec sleep 1000", name = "much" }""")
    c.says("much: 100000\n")
    lines = eventually(lambda: logs(c).splitlines(), lambda lines: lines[-1] == "much: 100000")
    assert lines == [f"much: {n}" for n in range(100001 - len(lines), 100001)]
    assert 8000 < len(lines) < 11000  # 64 KiB of 7 bytes each


def test_long_lines_and_any_bytes(boot):
    c = boot("""
        require("moonrise").start { sh = [[head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'a\\0b\\377\\n'; exec sleep 1000]],
          name = "odd" }
    """)
    c.says("b\ufffd\n")
    lines = eventually(lambda: logs(c).splitlines(), lambda lines: len(lines) == 4)
    assert [len(line) for line in lines[:3]] == [16384 + 5, 16384 + 5, 40000 - 2 * 16384 + 5]
    assert lines[3] == "odd: a\0b\ufffd"


def test_follow(two, follow):
    out = follow(two, "-n", "1")
    eventually(lambda: out.data, b"two: third\n")
    two.moonrise("eval", "require('moonrise').start { sh = 'echo new; exec sleep 1000', name = 'new' }")
    eventually(lambda: out.data, b"two: third\nnew: new\n")
    two.moonrise("restart", "two")
    eventually(lambda: out.data, b"two: third\nnew: new\ntwo: third\n")
    assert out.client.poll() is None


def test_follow_a_line_that_has_no_end(boot, follow):
    c = boot("""require("moonrise").start { sh = "echo first; printf unfinished; exec sleep 1000", name = "one" }""")
    c.says("first")
    eventually(lambda: logs(c), "one: first\none: unfinished\n")
    out = follow(c, "one", "--json")
    eventually(lambda: out.data.count(b"\n"), 1)
    c.moonrise("restart", "one")
    eventually(lambda: [json.loads(line)["message"] for line in out.data.splitlines()],
               ["first", "unfinished", "first"])


def test_followers_end_with_the_container(two, follow):
    out = follow(two)
    eventually(lambda: out.data.count(b"\n"), 3)
    assert two.stop() == 0
    eventually(lambda: out.client.poll() is not None)


def test_a_client_that_does_not_read_misses_lines_and_holds_nobody(boot):
    """The memory that it may take is bounded: 16 MiB is what Lua has here."""
    c = boot("""
        local init = require "moonrise"
        init.start { sh = "echo before; read x < go; seq -f '%090.0f' 30000; exec sleep 1000", name = "flood" }
    """, options=["--memory", "16M"], inside="mkfifo go")
    eventually(lambda: c.moonrise("health").returncode, 0)
    client = subprocess.Popen([BINARY, "logs", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                              env=environment({"MOONRISE_RUNDIR": c.rundir}))
    try:
        assert client.stdout.readline() == b"flood: before\n"
        with open(c.path("go"), "w", encoding="utf-8") as go:
            go.write("\n")
        c.says(f"{30000:090d}\n")
        eventually(lambda: logs(c, "-n", "1"), f"flood: {30000:090d}\n")
        out, err = (_Reader(os.dup(pipe.fileno())) for pipe in (client.stdout, client.stderr))
        eventually(lambda: f"{30000:090d}\n".encode() in out.data)
        eventually(lambda: b"flood: lines are missing here: they came faster than they were read\n" in err.data)
    finally:
        client.kill()
        client.wait(DEADLINE)
        client.stdout.close()
        client.stderr.close()
    assert c.moonrise("health").returncode == 0
