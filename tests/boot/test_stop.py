# SPDX-License-Identifier: MIT
"""The way down on bad days: what hangs, who asks twice, who asks for the opposite."""
import signal
from concurrent.futures import ThreadPoolExecutor

from moonrise import eventually

# daemon(name, options): is ready when its trap is set. WAITS is told to stop, and does so
# when it is let go.
PRELUDE = '''
local init = require "moonrise"
local probe = require "moonrise.probe"
local OBEYS = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1 & wait $!; done"
local WAITS = "trap ': >told; until [ -e go ]; do sleep 0.05; done; echo bye; exit 0' TERM; echo up; while :; do sleep 0.1 & wait $!; done"
local function daemon(name, options, script)
  options = options or {}
  options.name, options.sh, options.ready = name, script or OBEYS, probe.log("up")
  return init.service(options):start()
end
'''


def told(c):
    """The service that WAITS has been told to stop."""
    eventually(lambda: c.read("told"), "")


def test_one_that_had_to_be_killed_earlier_does_not_count(boot):
    c = boot(PRELUDE + '''
        local one = daemon("one", { stop = { grace = "3s" } },
          "trap '[ ! -e obey ] || exit 0' TERM; echo up; while :; do sleep 0.1 & wait $!; done")
        one:restart()
        init.run { "touch", "obey" }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.says("one did not stop in time and is killed")
    assert c.stop() == 0


def test_the_first_term_leaves_a_stop_its_time(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "1h"
        daemon("db", { stop = { grace = "1h" } }, WAITS)
        daemon("web")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.moonrise("shutdown", "--status=3").returncode == 0
    told(c)
    c.signal(signal.SIGTERM)
    c.says("TERM: stopping already")
    c.write("go", "")
    assert c.wait() == 3
    assert "db: bye" in c.out


def test_a_stop_ends_a_restart_that_is_under_way(boot):
    c = boot(PRELUDE + '''
        local db = daemon("db", { stop = { grace = "1h" } }, WAITS)
        init.all(function()
          local ok, err = pcall(db.restart, db)
          assert(not ok and tostring(err):find("db was stopped while it was restarted"), tostring(err))
        end, function()
          assert(db:wait("stopping", "20s"))
          init.run { "touch", "go" }
          db:stop()
        end)
        assert(db.state == "stopped", db.state)
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


def test_a_start_while_it_stops_starts_it_afterwards(boot):
    c = boot(PRELUDE + '''
        local db = daemon("db", { stop = { grace = "1h" } }, WAITS)
        init.all(function() db:stop() end,
          function() assert(db:wait("stopping", "20s")) init.run { "touch", "go" } db:start() end)
        assert(db.state == "ready" and db.starts == 2, db.state)
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


def test_jobs_that_do_not_end_share_their_patience(boot):
    c = boot(PRELUDE + '''
        daemon("one")
        for i = 1, 8 do
          init.every("10ms", function() while true do pcall(init.sleep, "1h") end end, { name = "stuck" .. i })
        end
        init.sleep("100ms")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert "one: bye" in c.out


def test_a_script_that_does_not_end_leaves_time_for_the_services(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "2s"
        daemon("one")
        init.log("notice", "up")
        while true do pcall(init.sleep, "1h") end
    ''')
    c.says("up")
    assert c.stop() == 143
    assert "one: bye" in c.out


def test_a_stop_without_a_deadline(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "1000000d"
        daemon("one", { stop = { grace = "1h" } }, WAITS)
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.signal(signal.SIGTERM)
    told(c)
    c.write("go", "")
    assert c.wait() == 0
    assert "one: bye" in c.out


def test_a_stop_command_that_hangs(boot):
    c = boot(PRELUDE + '''
        init.stop_timeout = "3s"
        daemon("one", { stop = { command = { sh = "trap '' TERM; echo hangs; : >asked; while :; do sleep 1; done", name = "ask" } } },
          "echo up; until [ -e asked ]; do sleep 0.05; done; echo bye")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert "one: bye" in c.out


def test_no_handover_while_everything_is_stopped(boot):
    c = boot(PRELUDE + '''
        daemon("db", { stop = { grace = "1h" } }, WAITS)
        init.on("USR1", function() init.handover { "true" } end)
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.signal(signal.SIGTERM)
    told(c)
    c.signal(signal.SIGUSR1)
    c.says("on USR1")
    c.write("go", "")
    assert c.wait() == 0
    assert "db: bye" in c.out


def test_many_that_end_as_they_are_stopped(boot):
    c = boot(PRELUDE + '''
        for i = 1, 20 do
          init.start { sh = "trap 'exit 0' TERM; until [ -e end ]; do sleep 0.02; done", name = "s" .. i,
            restart = i % 2 == 0 and "always" or "no", essential = false }
        end
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.write("end", "")
    assert c.stop() == 0


def test_clients_that_want_the_opposite(boot):
    c = boot(PRELUDE + '''
        daemon("one")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    words = ("restart", "stop", "restart", "start", "stop")
    for _ in range(3):
        with ThreadPoolExecutor(len(words)) as pool:
            list(pool.map(lambda word: c.moonrise(word, "one"), words))
        assert c.moonrise("start", "one").returncode == 0
        assert c.moonrise("eval", "services.one.state").stdout == "ready\n"
    assert c.stop() == 0
