# SPDX-License-Identifier: MIT
"""Services: order, restart, stop and reload in all their ways, and hooks."""
import pytest
from moonrise import eventually

# up(name, options): a daemon that is ready when its trap is set.
PRELUDE = '''
local init = require "moonrise"
local probe = require "moonrise.probe"
local function declare(name, options)
  options = options or {}
  options.name = name
  options.sh = options.sh or "trap 'echo bye; exit 0' TERM; echo up; : >" .. name .. ".up; while :; do sleep 0.1 & wait $!; done"
  options.ready = options.ready or probe.file(name .. ".up")
  return init.service(options)
end
local function up(name, options) return declare(name, options):start() end
'''


def test_one_restarted_by_hand_keeps_its_place_in_the_order(boot):
    c = boot(PRELUDE + '''
        local db = up("db")
        up("web")
        db:restart()
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert c.out.rindex("web: bye") < c.out.rindex("db: bye")


def test_what_another_comes_after_stops_after_it_whichever_was_begun_first(boot):
    c = boot(PRELUDE + '''
        local db = declare("db")
        local web = declare("web", { after = { "db" } })
        init.all(function() web:start() end, function() db:start() end)
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert c.out.index("web: bye") < c.out.index("db: bye")


def test_two_starts_at_once_wait_for_one(boot):
    c = boot(PRELUDE + '''
        local one = declare("one")
        init.all(function() one:start() end, function() one:start() end)
        init.exit(0)
    ''')
    assert c.wait() == 0
    assert c.out.count("one: up") == 1


def test_what_comes_after_one_that_fails_fails_too(boot):
    c = boot(PRELUDE + '''
        local db = declare("db", { sh = "exit 3" })
        local web = declare("web", { after = { "db" } })
        local ok, err = pcall(init.all, db, web)
        assert(not ok and tostring(err):find("db exited with status 3 before it was ready"), tostring(err))
        assert(web:wait("failed", "20s"))
        assert(tostring(web.fault):find("web needs db, which has failed"), tostring(web.fault))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


def test_what_requires_one_that_fails_is_stopped(boot):
    c = boot(PRELUDE + '''
        local db = up("db", { essential = false })
        local web = up("web", { requires = { "db" }, essential = false })
        db:signal("KILL")
        assert(web:wait("failed", "20s"))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    assert "web: bye" in c.out


def test_what_it_requires_is_started_with_it(boot):
    c = boot(PRELUDE + '''
        local disk = declare("disk")
        local db = declare("db", { requires = { disk } })
        local web = declare("web", { after = { "db" }, requires = { "db" } })
        web:start()
        assert(disk.state == "ready" and db.state == "ready")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert c.out.index("web: bye") < c.out.index("db: bye") < c.out.index("disk: bye")


def test_what_it_requires_is_started_again_with_it(boot):
    c = boot(PRELUDE + '''
        local disk, db = init.service { "sleep", "1000", name = "disk" }, declare("db", {
          sh = "test -e fixed || exit 3; : >db.up; exec sleep 1000" })
        local web = init.service { "sleep", "1000", name = "web", after = { db }, requires = { "disk", db } }
        local ok, err = pcall(web.start, web)
        assert(not ok and tostring(err):find("web needs db, which has failed"), tostring(err))
        require("moonrise.fs").write("fixed", "")
        web:start()
        assert(db.state == "ready")
    ''')
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.moonrise("stop", "web", "db").returncode == 0
    assert c.moonrise("start", "web").returncode == 0
    assert c.moonrise("eval", "services.db.state, services.disk.state").stdout == "ready\nready\n"


def test_one_that_waits_for_ever_says_for_whom(boot):
    c = boot(PRELUDE + '''
        declare("db")
        up("web", { after = { "db" }, start_timeout = "200ms" })
    ''')
    assert c.wait() == 75
    assert "web could not be started within 0.2s: it waits for db, which is stopped" in c.err


def test_a_start_that_is_cut_short_stops_what_it_began(boot):
    c = boot(PRELUDE + '''
        up("db")
        up("web", { ready = probe.file("never"), sh = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1 & wait $!; done" })
    ''')
    c.says("web: up")
    assert c.stop() == 143
    assert c.out.index("web: bye") < c.out.index("db: bye")


# ---- restart


def test_a_burst_of_restarts_is_enough(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "echo run; exit 5", name = "one", restart = { when = "always", burst = 3 } }
    ''')
    assert c.wait() == 5
    assert c.out.count("one: run") == 4
    assert "one was started again 3 times within 10s: that is enough" in c.err


def test_the_delay_grows(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "exit 5", name = "one", restart = { backoff = { first = "10ms", factor = 3 }, burst = 3 } }
    ''')
    assert c.wait() == 5
    for delay in ("in 0.01s", "in 0.03s", "in 0.09s"):
        assert f"starting it again {delay}" in c.err


def test_what_a_killed_daemon_leaves_behind_goes_before_it_is_started_again(boot):
    c = boot(PRELUDE + '''
        local one = up("one", { restart = "always", essential = false,
          sh = "echo up; rm -f one.up; : >one.up; (trap '' TERM; while :; do sleep 0.1; done) & wait" })
        local pid = one.pid
        one:signal("KILL")
        while one.restarts == 0 or one.state ~= "ready" do init.sleep("10ms") end
        local left = init.run { sh = "ps -o sid= -e | grep -cw " .. pid .. " || :", stdout = "capture" }.stdout
        assert(left == "0\\n", left)
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


# ---- stop and reload


def test_stop_by_a_command(boot):
    c = boot(PRELUDE + '''
        up("one", { stop = { command = { "sh", "-c", "echo asked; : >quit", name = "ask" } },
          sh = "echo up; : >one.up; while [ ! -e quit ]; do sleep 0.05; done; echo bye" })
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert "ask: asked" in c.out


def test_stop_by_a_function_of_the_script(boot):
    c = boot(PRELUDE + '''
        up("one", { stop = function(service) init.log("notice", "stopping %s", service.name) service:signal("TERM") end })
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert c.stop() == 0
    assert "stopping one" in c.err
    assert "one: bye" in c.out


@pytest.mark.parametrize("how", [
    'reload = { signal = "HUP" }',
    'reload = { command = { "sh", "-c", "kill -HUP $(cat one.pid)" } }',
    'reload = function(service) service:signal("HUP") end',
])
def test_reload(boot, how):
    c = boot(PRELUDE + f'''
        local one = up("one", {{ {how},
          sh = "trap 'echo again' HUP; echo $$ >one.pid; echo up; : >one.up; while :; do sleep 0.1; done" }})
        one:reload()
        assert(one.state == "ready")
        init.log("notice", "booted")
    ''')
    c.says("one: again")
    c.says("booted")


def test_a_service_without_reload_says_so(boot):
    c = boot(PRELUDE + 'up("one"):reload()')
    assert c.wait() == 70
    assert "one has no 'reload' option that says how it is done" in c.err


# ---- hooks


def test_hooks_hear_of_everything(boot):
    c = boot(PRELUDE + '''
        local one = declare("one", { sh = ": >one.up; until [ -e go ]; do sleep 0.05; done; exit 7", restart = { burst = 1 }, essential = false })
        for _, event in ipairs { "ready", "exit", "restart", "failed" } do
          one:on(event, function(service, status) init.log("notice", "heard %s of %s %s", event, service.name, status) end)
        end
        one:start()
        require("moonrise.fs").write("go", "")
        one:wait("failed")
        init.log("notice", "booted")
    ''')
    for text in ("heard ready of one", "heard exit of one 7", "heard restart of one", "heard failed of one", "booted"):
        c.says(text)


@pytest.mark.parametrize("options, message", [
    ('restart = { whn = "always" }', "unknown option 'whn'"),
    ('restart = { when = "sometimes" }', '"sometimes"; it takes "no", "on-failure" or "always"'),
    ('restart = { backoff = { jitter = 2 } }', "it takes 0 to 1"),
    ('stop = { signal = "TREM" }', '"TREM", which is no signal'),
    ('stop = { grace = "5 parsecs" }', "5 parsecs"),
    ('stop = "TERM"', "'stop' of service is a string"),
    ("reload = {}", "'reload' of one takes one of 'signal' and 'command'"),
    ('reload = { command = { "true", tiemout = 1 } }', "unknown option 'tiemout'"),
    ("start_timeout = true", "'start_timeout' of service is a boolean"),
    ('after = { "nobody" }', "'after' of one names 'nobody', and there is no such service"),
    ("ready = 80", "'ready' of service is an integer"),
])
def test_bad_options_are_refused_with_their_line(boot, options, message):
    c = boot(PRELUDE + f'up("one", {{ {options} }})')
    assert c.wait() == 70
    assert message in c.err
    assert "boot.lua:" in c.err
