# SPDX-License-Identifier: MIT
"""Lines of services that go elsewhere than to the container's stdout."""
import os

import pytest
from moonrise import eventually


def script(service, log):
    return """
        local init = require "moonrise"
        local here = os.getenv("HERE")
        web = init.start { sh = [[%s]], name = "web", log = { %s } }
        init.log("notice", "started")
    """ % (service, log)


@pytest.fixture
def web(boot):
    """One service; `service` is a line of shell, `log` its option. HERE is the folder of the test."""
    def start(service, log, inside="", **options):
        return boot(script(service, log), inside='export HERE="$PWD"\n' + inside, **options)
    return start


# ---- files


def test_a_file(web):
    c = web("printf '<3>one\\ntwo'; echo three >&2; exec sleep infinity", 'file = here .. "/x.log"', "echo old > x.log")
    c.says("started")
    eventually(lambda: sorted(c.read("x.log").splitlines()), ["old", "one", "three"])
    assert c.moonrise("logs").stdout.splitlines() != []  # which is kept all the same
    assert c.stop() == 0
    assert sorted(c.read("x.log").splitlines()) == ["old", "one", "three", "two"]
    assert c.out == ""


@pytest.mark.parametrize("how, text", [("prefix", "web: one\n"), ("plain", "one\n")])
def test_formats(web, how, text):
    c = web("echo one", f'file = here .. "/x.log", format = "{how}"')
    assert c.wait() == 0
    assert c.read("x.log") == text


def test_json_with_a_name(web):
    c = web("echo '<4>one'", 'file = here .. "/x.log", format = "json", name = "site"')
    assert c.wait() == 0
    assert '"name":"site","stream":"stdout","level":"warning","message":"one"}' in c.read("x.log")


def test_rotation(web):
    """Between lines, and nothing is lost but what is older than `keep` files."""
    c = web("seq 1000 9999", 'file = here .. "/x.log", max_size = "10000", keep = 3', "printf '1\\n' > x.log.3")
    assert c.wait() == 0
    assert sorted(name for name in os.listdir(c.dir) if name.startswith("x.log")) == [
        "x.log", "x.log.1", "x.log.2", "x.log.3"]
    text = "".join(c.read(name) for name in ("x.log.3", "x.log.2", "x.log.1", "x.log"))
    numbers = [int(line) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 10000))
    assert [len(c.read(f"x.log.{n}")) for n in (1, 2, 3)] == [10000] * 3
    assert len(c.read("x.log")) == 5000


def test_rotation_without_old_files(web):
    c = web("seq 1000 9999", 'file = here .. "/x.log", max_size = 10000, keep = 0')
    assert c.wait() == 0
    assert [name for name in os.listdir(c.dir) if name.startswith("x.log")] == ["x.log"]
    assert c.read("x.log").splitlines() == [str(n) for n in range(9000, 10000)]


def test_no_rotation(web):
    c = web("seq 100000", 'file = here .. "/x.log", max_size = 0')
    assert c.wait() == 0
    assert c.read("x.log") == "".join(f"{n}\n" for n in range(1, 100001))


def test_two_services_share_a_file(boot):
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        for i = 1, 2 do
          init.start { sh = "seq 5000; exec sleep infinity", name = "s" .. i,
            log = { file = here .. "/x.log", format = "prefix", max_size = "16K", keep = 100 } }
        end
        init.log("notice", "started")
    """, inside='export HERE="$PWD"')
    c.says("started")
    names = lambda: [name for name in os.listdir(c.dir) if name.startswith("x.log")]
    everything = lambda: [line for name in names() for line in c.read(name).splitlines()]
    eventually(lambda: sorted(everything()), sorted(f"s{i}: {n}" for i in (1, 2) for n in range(1, 5001)))
    assert c.stop() == 0


def test_a_full_disk(web):
    """The service goes on; what was lost is said, and that it works again."""
    c = web("trap 'exit 0' TERM; while :; do echo 0123456789; read x < go; done", 'file = "/run/small/x.log"',
            "mkfifo go; mkdir /run/small; mount -t tmpfs -o size=8k tmpfs /run/small; head -c 8192 /dev/zero > /run/small/fill")
    go = lambda: c.write("go", "x\n")
    c.says("lines are lost, since nothing can be written to /run/small/x.log: No space left on device")
    go()
    c.exec("rm", "/run/small/fill")
    go()
    c.says("/run/small/x.log is written again")
    assert "0123456789" in c.exec("cat", "/run/small/x.log").stdout
    assert c.err.count("No space left") == 1
    assert c.stop() == 0


def test_a_file_that_can_not_be_opened(web):
    c = web("echo one", 'file = "/nowhere/x.log"')
    assert c.wait() == 70
    assert "cannot start web: /nowhere/x.log: No such file or directory" in c.err


def test_followed_files_go_there_too(boot):
    """And the file that is written is not read again, although the pattern names it."""
    c = boot("""
        local init = require "moonrise"
        local here = os.getenv("HERE")
        init.start { sh = "echo from the pipe; echo from the file > $HERE/a.log; exec sleep infinity", name = "web",
          logs = { here .. "/*.log" }, log = { file = here .. "/x.log" } }
        init.log("notice", "started")
    """, inside='export HERE="$PWD"')
    c.says("started")
    eventually(lambda: sorted(c.read("x.log").splitlines()), ["from the file", "from the pipe"])
    assert c.stop() == 0
    assert len(c.read("x.log").splitlines()) == 2


# ---- commands


def test_a_command(web):
    c = web("seq 10000", 'command = { "sh", "-c", "cat > got; echo end >> got" }')
    assert c.wait() == 0
    expected = "".join(f"{n}\n" for n in range(1, 10001)) + "end\n"
    assert c.read("got") == expected
    assert c.out == ""


def test_its_own_output_is_the_containers(web):
    c = web("echo one", 'command = { "sed", "s/^/got /" }, name = "site", format = "prefix"')
    assert c.wait() == 0
    assert c.out == "web.log: got site: one\n"


def test_it_is_started_again_and_nothing_is_lost(web):
    """What it had not read when it was killed is in the pipe for the next one."""
    c = web("read x < go; seq 5000; read x < end; exec sleep infinity",
            'command = { "sh", "-c", "echo started >> starts; read x < more; cat >> got" }', "mkfifo go more end")
    eventually(lambda: c.read("starts"), "started\n")
    c.write("go", "x\n")
    c.says("started")
    assert c.moonrise("signal", "KILL", "web.log").returncode == 0
    eventually(lambda: c.read("starts"), "started\nstarted\n")
    c.write("more", "x\n")
    expected = "".join(f"{n}\n" for n in range(1, 5001))
    eventually(lambda: c.read("got") == expected)
    c.write("end", "x\n")
    assert c.stop() == 0
    assert c.read("got") == expected


def test_one_that_does_not_read_holds_nobody(web):
    """The service waits for it, PID 1 does not, and the stop neither."""
    c = web("seq 1000000", 'command = { "sleep", "infinity" }')
    c.says("started")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def test_restarted_by_hand(web):
    c = web("while :; do read x < go && echo $x; done", 'command = { "sh", "-c", "cat >> got" }', "mkfifo go")
    c.says("started")
    c.write("go", "one\n")
    eventually(lambda: c.read("got"), "one\n")
    assert c.moonrise("restart", "web.log").returncode == 0
    c.write("go", "two\n")
    eventually(lambda: c.read("got"), "one\ntwo\n")
    assert c.moonrise("restart", "web").returncode == 0
    c.write("go", "three\n")
    eventually(lambda: c.read("got"), "one\ntwo\nthree\n")
    assert c.moonrise("stop", "web").returncode == 0
    assert c.moonrise("restart", "web.log").returncode == 0
    assert c.moonrise("start", "web").returncode == 0
    c.write("go", "four\n")
    eventually(lambda: c.read("got"), "one\ntwo\nthree\nfour\n")
    assert c.stop() == 0


def test_one_that_can_not_be_started(web):
    c = web("echo one", 'command = { "no-such-program" }')
    assert c.wait() == 70
    assert "web needs web.log, which has failed: cannot start web.log: no-such-program: not found" in c.err
    assert c.out == ""


def test_connections_share_it(boot):
    c = boot("""
        local init = require "moonrise"
        init.start { sh = "echo hello >&2; cat", name = "web", listen = "/run/web.sock", accept = { stdio = true },
          stderr = "log", log = { command = { "sed", "s/^/got /" }, format = "prefix" } }
        init.log("notice", "started")
    """)
    c.says("started")
    for _ in range(2):
        c.exec("/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/web.sock'); "
               "s.shutdown(socket.SHUT_WR); s.recv(1)")
    assert c.stop() == 0
    assert c.out == "web.log: got web@1: hello\nweb.log: got web@2: hello\n"


@pytest.mark.parametrize("log, message", [
    ("", "'log' of start needs 'file', 'command' or 'journal'"),
    ('file = "/x", command = { "cat" }', "'log' of start takes one of 'file', 'command' and 'journal'"),
    ('file = "x"', """'file' of 'log' of start is "x"; it takes an absolute path"""),
    ('command = { "cat" }, keep = 5', "unknown option 'keep' of 'log' of start"),
    ('file = "/x", keep = -1', "'keep' of 'log' of start is -1; it takes 0 to 1000"),
    ('file = "/x", format = "xml"', """'format' of 'log' of start is "xml"; it takes "plain", "prefix" or "json\""""),
    ('command = { "cat", restart = "no" }', "'command' in 'log' of web can't have 'restart'"),
    ('command = { "cat", cdw = "/" }', "unknown option 'cdw' of 'command' in 'log' of web; did you mean 'cwd'?"),
])
def test_wrong_options(web, log, message):
    c = web("true", log)
    assert c.wait() == 70
    assert message in c.err
