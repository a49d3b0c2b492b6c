# SPDX-License-Identifier: MIT
"""Days on which everything goes wrong at once. PID 1 takes little memory, does not spin, and
obeys TERM in time.

More of them: orphans by the thousand in test_storm.py; what forks faster than it is killed, and
no pids, in test_descend.py; forged and garbled messages in test_notify.py; a stdout that nobody
reads in test_log.py; D-Bus in test_bus.py; a script that spins or eats memory in test_engine.py.
"""
import json
import os
import socket
import time
from signal import SIGUSR1

from moonrise import BINARY, DEADLINE, eventually

MOST_MEMORY = 8 << 20  # bytes of PID 1; ASan takes more for itself
PRELUDE = 'local init = require "moonrise"\nlocal fs = require "moonrise.fs"\n'


def memory(c):
    """Bytes that PID 1 has in memory for itself."""
    with open(f"/proc/{c.pid}/smaps_rollup", encoding="utf-8") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private_Dirty:"))


def cpu_ticks(c):
    with open(f"/proc/{c.pid}/stat", encoding="utf-8") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def services(c):
    return {one["name"]: one for one in json.loads(c.moonrise("status", "--json").stdout)["services"]}


def is_at_rest(c):
    """PID 1 uses no CPU over some time: it waits. Nothing but a spin lasts until the deadline."""
    def looks():
        before = cpu_ticks(c)
        time.sleep(0.2)
        return cpu_ticks(c) - before
    eventually(looks, 0)


def stays_small(c, more=0):
    if "asan" not in BINARY:
        assert memory(c) < MOST_MEMORY + more


# ---- whoever starts us does not behave


def test_no_stdin_stdout_and_stderr(boot):
    """What is opened first must not be taken for them."""
    c = boot(PRELUDE + 'init.start { "sleep", "infinity" }', inside="exec <&- >&- 2>&-")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert [os.readlink(f"/proc/{c.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    assert c.stop() == 0


# ---- services that do not behave


def test_one_that_closes_its_output(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "echo last words; exec >&- 2>&- <&-; exec sleep infinity", name = "mute" }
        init.start { sh = "echo up; exec sleep infinity", name = "other" }
    ''')
    c.says("mute: last words")
    c.says("other: up")
    eventually(lambda: c.moonrise("health").returncode, 0)
    is_at_rest(c)
    stays_small(c)
    assert c.stop() == 0


def test_one_that_never_reads_its_input(boot):
    c = boot(PRELUDE + '''
        init.start { "sleep", "infinity", name = "deaf", stdin = { text = ("x"):rep(2 << 20) } }
        init.start { sh = "exec <&-; exec sleep infinity", name = "closed", stdin = { text = ("y"):rep(1 << 20) } }
        init.run { "cat", stdin = { text = "read" }, name = "reader" }
    ''')
    c.says("reader: read")
    eventually(lambda: c.moonrise("health").returncode, 0)
    is_at_rest(c)
    stays_small(c, 4 << 20)
    assert c.stop() == 0


def test_one_that_ignores_term(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "2s"
        init.start { sh = "trap '' TERM INT HUP; echo up; while :; do sleep 1000; done", name = "deaf" }
    ''')
    c.says("deaf: up")
    assert c.stop() == 137


def test_one_that_stops_itself(boot):
    """SIGSTOP is no end, and TERM does not wake it."""
    c = boot(PRELUDE + '''
        init.start { sh = "echo up; kill -STOP $$; exec sleep infinity", name = "still", stop = { grace = "500ms" } }
    ''')
    c.says("still: up")
    eventually(lambda: [state for state, _, name in c.processes().values() if name == "sh"], ["T"])
    is_at_rest(c)
    assert c.stop() == 137


def test_a_thousand_of_which_every_third_crashes_at_once(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "100s" -- not the machine's speed is to be seen here
        local all, crashed = {}, 0
        for i = 1, 1000 do
          local crashes = i % 3 == 0
          local again = { when = "on-failure", burst = 3, interval = "1h", backoff = { first = "10ms", max = "20ms" } }
          local service = init.service { crashes and "false" or "sleep", "infinity", name = "s" .. i,
            essential = false, start_timeout = "5min", restart = crashes and again or "no" }
          if crashes then service:on("failed", function() crashed = crashed + 1 end) end
          all[i] = function() service:start() end
        end
        init.all(table.unpack(all))
        init.log("notice", "all are started")
        while crashed < 333 do init.sleep("50ms") end
        init.log("notice", "%d have failed", crashed)
    ''', inside="ulimit -Sn 256")
    c.says("all are started")
    c.says("333 have failed")
    states = [one["state"] for one in services(c).values()]
    assert (states.count("ready"), states.count("failed")) == (667, 333)
    is_at_rest(c)
    stays_small(c, 24 << 20)
    assert c.stop() == 0


# ---- nothing left to be had


FULL = PRELUDE + '''
    local one = init.start { "sleep", "infinity", name = "one", restart = "always" }
    local many = init.start { sh = "setsid sleep 1000 & sleep 1000 & : >/run/up; wait", name = "many",
      essential = false, stdout = "null", stderr = "null", ready = require("moonrise.probe").file "/run/up" }
    init.start { "cat", name = "echo", listen = "/run/echo", accept = { stdio = true } }
    local files, file = {}, nil
    repeat
      file = io.open "/dev/null"
      table.insert(files, file)
    until not file
    init.log("notice", "full")
    init.on("USR1", function()
      for _, file in ipairs(files) do file:close() end
      init.run { "true" }
      init.log("notice", "there is room")
    end)
'''
FEW = "ulimit -n 60"


def client_at(c, path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(f"/proc/{c.pid}/root{path}")
    return client


def test_without_descriptors(boot):
    """What runs goes on, what is new fails; with some free again, all is well."""
    c = boot(FULL + '''
        local ok, err = pcall(init.run, { "true" })
        assert(not ok)
        init.log("notice", "no: %s", err)
        ok = pcall(init.start, { "true", name = "another", essential = false })
        assert(not ok)
    ''', inside=FEW)
    c.says("moonrise: full")
    assert "cannot start true: " in c.says("moonrise: no: ")
    with client_at(c, "/run/echo") as client:
        client.send(b"hello\n")
        c.says("echo cannot take a connection")
        assert c.moonrise("status").returncode == 69  # nor one of ours
        is_at_rest(c)
        stays_small(c)
        c.signal(SIGUSR1)
        assert client.recv(100) == b"hello\n"
    c.says("there is room")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.moonrise("restart", "one").returncode == 0
    assert c.stop() == 0


def test_all_of_a_service_is_found_without_descriptors(boot):
    c = boot(FULL + '''
        many:stop()
        init.log("notice", "many has stopped")
    ''', inside=FEW)
    c.says("many has stopped")
    assert [name for _, _, name in c.processes().values() if name == "sleep"] == ["sleep"]
    assert c.stop() == 0


def test_term_without_descriptors(boot):
    c = boot(FULL, inside=FEW)
    c.says("moonrise: full")
    assert c.stop() == 0


def test_the_limit_of_descriptors_is_for_pid_1_alone(boot):
    """It takes what it may have, since each service needs some; its children get what it was given."""
    c = boot(PRELUDE + '''
        for i = 1, 50 do init.start { "sleep", "infinity", name = "s" .. i } end
        init.run { sh = "ulimit -Sn; ulimit -Hn", name = "usual" }
        init.run { sh = "ulimit -Sn; ulimit -Hn", name = "own", limits = { nofile = 70 } }
        init.handover { "sh", "-c", "ulimit -Sn; ulimit -Hn" }
    ''', inside="ulimit -Sn 60; ulimit -Hn 400")
    assert c.wait() == 0, c.err
    assert "usual: 60\nusual: 400\nown: 70\nown: 70\n60\n400\n" in c.out


# ---- the clock

# A clock of our own, that a client can set: `jump(seconds)`.
CLOCK = PRELUDE + '''
    local loop, net = require "sys.loop", require "sys.net"
    local true_time, shift, changes, changed = loop.realtime, 0, net.pipe()
    function loop.realtime() return true_time() + shift end
    function loop.clock_changes() return changes end
    function jump(seconds)
      shift = shift + seconds
      changed:write("changed!")
    end
    runs = { nightly = 0, often = 0 }
    init.at("*-*-* 00:00 UTC", function() runs.nightly = runs.nightly + 1 end, { name = "nightly" })
    init.at("*-*-* *:*:* UTC", function() runs.often = runs.often + 1 end, { name = "often" })
    init.every("1h", function() error("no hour has passed") end)
    shift = 1790000000 + 12 * 3600 - 1790000000 % 86400 - true_time() -- noon
    local one = init.start { "sleep", "infinity", name = "one" }
'''


def ask(c, expression):
    return c.moonrise("eval", expression).stdout.strip()


def test_the_clock_is_set_forth_and_back(boot):
    c = boot(CLOCK)
    eventually(lambda: c.moonrise("health").returncode, 0)
    ask(c, "jump(0)")
    ask(c, "jump(86400)")  # over one midnight
    eventually(lambda: ask(c, "runs.nightly"), "1")
    ask(c, "jump(-600)")  # a little back, not over it
    ask(c, "jump(600)")
    ask(c, "for i = 1, 2000 do jump(i % 2 == 0 and 300 or -300) end")
    ask(c, "jump(-10 * 86400)")
    ask(c, "jump(86400 * 365 * 20)")  # twenty years: what was missed is done once
    eventually(lambda: ask(c, "runs.nightly"), "2")
    ask(c, "jump(-86400 * 365 * 40)")
    often = int(ask(c, "runs.often"))
    eventually(lambda: int(ask(c, "runs.often")), lambda count: count > often)
    assert ask(c, "runs.nightly") == "2"
    assert services(c)["one"]["state"] == "ready" and services(c)["one"]["seconds"] < 3600
    assert "no hour has passed" not in c.err
    stays_small(c)
    assert c.stop() == 0
