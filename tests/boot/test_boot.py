# SPDX-License-Identifier: MIT
"""The life of a container: boot, ready, signals, the ways to end, and what each exits with."""
import signal
import socket

import pytest
from moonrise import eventually

# A daemon is ready when its trap is set: a TERM that comes earlier would just kill it.
SERVICE = '''
local init = require "moonrise"
local probe = require "moonrise.probe"
local function daemon(name, options)
  options = options or {}
  options.name = name
  if not options.sh then
    options.sh = "trap 'echo bye; exit 0' TERM; echo up; : >" .. name .. ".up; while :; do sleep 0.1 & wait $!; done"
    options.ready = probe.file(name .. ".up")
  end
  return init.start(options)
end
'''


def test_a_script_that_returns_leaves_a_ready_container(boot):
    c = boot(SERVICE + '''
        daemon("one")
        init.log("notice", "told %s", "all")
    ''')
    c.says("told all")
    assert eventually(lambda: c.moonrise("health").returncode, 0) == 0
    assert c.stop() == 0
    assert "one: bye" in c.out


def test_services_stop_in_the_reverse_order_of_their_start(boot):
    c = boot(SERVICE + '''
        daemon("one") daemon("two") daemon("three")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    for name in ("one", "two", "three"):
        c.says(f"{name}: up")
    assert c.stop() == 0
    assert c.out.index("three: bye") < c.out.index("two: bye") < c.out.index("one: bye")


def test_of_those_started_together_dependents_stop_first(boot):
    c = boot('''
        local init = require "moonrise"
        local probe = require "moonrise.probe"
        local function declare(name, after)
          local sh = "trap 'echo bye; exit 0' TERM; echo up; : >" .. name .. ".up; while :; do sleep 0.1 & wait $!; done"
          return init.service { sh = sh, name = name, after = after, ready = probe.file(name .. ".up") }
        end
        local db = declare("db")
        init.all(declare("web", { "db" }), db)
        init.log("notice", "booted")
    ''')
    for text in ("booted", "db: up", "web: up"):
        c.says(text)
    assert c.stop() == 0
    assert c.out.index("web: bye") < c.out.index("db: bye")


def receive_until(server, message):
    """All messages up to and with this one."""
    told = []
    while message not in told:
        told.append(server.recv(4096))
    return told


def test_whoever_started_the_container_is_notified(boot, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(30)
        c = boot(SERVICE + '''
            init.run { "true" }
            daemon("one", { sh = "trap 'until [ -e go ]; do sleep 0.01; done; exit 0' TERM; : >one.up; " ..
              "while :; do sleep 0.1 & wait $!; done", ready = probe.all { probe.file "one.up", probe.file "ready" } })
        ''', env={"NOTIFY_SOCKET": path})
        assert b"STATUS=booting: running true" in receive_until(server, b"STATUS=booting: starting one")
        c.write("ready", "")
        assert b"READY=1" in receive_until(server, b"STATUS=ready")
        c.signal(signal.SIGTERM)
        assert b"STOPPING=1" in receive_until(server, b"STATUS=stopping: stopping one")
        c.write("go", "")
        assert c.wait() == 0


# ---- how it ends


@pytest.mark.parametrize("ending, status, message", [
    ("exit 0", 0, "one exited with status 0"),
    ("exit 3", 3, "one exited with status 3"),
    ("kill -9 $$", 137, "one was killed by KILL"),
    ("kill -15 $$", 143, "one was killed by TERM"),
])
def test_a_service_that_ends_by_itself_ends_the_container(boot, ending, status, message):
    c = boot(SERVICE + f'''
        daemon("other")
        daemon("one", {{ sh = "read line </proc/self/fd/0; while [ ! -e go ]; do sleep 0.05; done; {ending}" }})
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.says("other: up")
    c.write("go", "")
    assert c.wait() == status
    assert message in c.err
    assert "other: bye" in c.out


def test_an_optional_service_may_end(boot):
    c = boot(SERVICE + '''
        daemon("one")
        local extra = daemon("extra", { sh = "sleep 0.1; exit 4", essential = false })
        assert(extra:wait("failed", "20s"))
        init.log("notice", "still here: %s", extra.status)
    ''')
    c.says("still here: 4")
    assert c.stop() == 0


def test_restart_always_starts_it_again(boot):
    c = boot(SERVICE + '''
        local one = daemon("one", { restart = "always" })
        one:signal("KILL")
        while one.restarts == 0 or one.state ~= "ready" do init.sleep("10ms") end
        init.log("notice", "again: %s %d", one.state, one.restarts)
    ''')
    c.says("again: ready 1")
    assert c.stop() == 0


def test_restart_on_failure_lets_a_success_end(boot):
    c = boot('''
        local init = require "moonrise"
        init.start { sh = "echo run; [ -e go ] && exit 0; touch go; exit 1", name = "one", restart = "on-failure" }
    ''')
    assert c.wait() == 0
    assert c.out.count("one: run") == 2


def test_exit_stops_in_order_first(boot):
    c = boot(SERVICE + '''
        daemon("one")
        init.exit(5)
        init.log("error", "not reached")
    ''')
    assert c.wait() == 5
    assert "not reached" not in c.err


def test_one_that_ignores_term_is_killed_and_that_is_said(boot):
    c = boot(SERVICE + '''
        daemon("deaf", { sh = "trap '' TERM; echo up; while :; do sleep 0.1; done", stop = { grace = "200ms" } })
        init.log("notice", "booted")
    ''')
    c.says("deaf: up")
    c.says("booted")
    assert c.stop() == 137
    assert "deaf did not stop in time and is killed" in c.err


def test_a_second_term_ends_the_patience(boot):
    c = boot(SERVICE + '''
        init.stop_timeout = "1h"
        daemon("deaf", { sh = "trap '' TERM; echo up; while :; do sleep 0.1; done", stop = { grace = "1h" } })
        init.log("notice", "booted")
    ''')
    c.says("deaf: up")
    c.says("booted")
    c.signal(signal.SIGTERM)
    c.says("TERM: stopping")
    assert c.stop() == 137


def test_the_whole_stop_has_one_deadline(boot):
    c = boot(SERVICE + '''
        init.stop_timeout = "1s"
        for i = 1, 3 do
          daemon("deaf" .. i, { sh = "trap '' TERM; echo up; while :; do sleep 0.1; done", stop = { grace = "1h" } })
        end
        init.log("notice", "booted")
    ''')
    for text in ("booted", "deaf1: up", "deaf2: up", "deaf3: up"):
        c.says(text)
    assert c.stop() == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, 34 + 3, 34 + 4, 34 + 5, 34 + 6])
def test_these_signals_stop_it(boot, number):
    c = boot(SERVICE + 'daemon("one") init.log("notice", "booted")')
    c.says("one: up")
    c.says("booted")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop(number) == 0
    assert "one: bye" in c.out


def test_a_handler_of_the_script_acts_on_a_signal(boot):
    c = boot('''
        local init = require "moonrise"
        init.on("USR1", function() init.sleep("1ms") init.log("notice", "got it") end)
        init.on("SIGUSR2", function() error("oh no") end)
        init.log("notice", "booted")
    ''')
    c.says("booted")
    c.signal(signal.SIGUSR1)
    c.says("got it")
    c.signal(signal.SIGUSR2)
    c.says("on USR2: ")
    c.says("oh no")
    assert c.stop() == 0


@pytest.mark.parametrize("how", [
    '{ signal = "USR1" }',
    'function(service) init.run { "true" } service:signal("USR1") end',
])
def test_hup_reloads_the_services_that_can(boot, how):
    c = boot(SERVICE + f'''
        daemon("one", {{ sh = "trap 'echo again' USR1; echo up; while :; do sleep 0.1; done", reload = {how} }})
        init.log("notice", "booted")
    ''')
    c.says("one: up")
    c.says("booted")
    eventually(lambda: c.moonrise("health").returncode, 0)
    c.signal(signal.SIGHUP)
    c.says("one: again")


# ---- a boot that is cut short or fails


def test_term_during_the_boot_closes_the_script_then_stops(boot):
    c = boot(SERVICE + '''
        daemon("one")
        local guard <close> = setmetatable({}, { __close = function() init.log("notice", "closed") end })
        init.run { sh = "trap 'echo interrupted; exit 1' TERM; echo running; while :; do sleep 0.1 & wait $!; done", name = "step" }
        init.log("error", "not reached")
    ''')
    c.says("step: running")
    assert c.stop() == 143
    assert "closed" in c.err
    assert "not reached" not in c.err
    assert c.out.index("step: interrupted") < c.out.index("one: bye")


def test_a_failing_step_stops_what_was_started(boot):
    c = boot(SERVICE + '''
        daemon("one")
        daemon("two")
        init.run { sh = "echo to stderr >&2; exit 9", name = "step" }
    ''')
    assert c.wait() == 70
    assert "boot.lua:15: step failed with exit status 9:\n" in c.err
    assert "  to stderr" in c.err
    assert c.out.index("two: bye") < c.out.index("one: bye")


def test_a_readiness_that_never_comes(boot):
    c = boot('''
        local init = require "moonrise"
        local probe = require "moonrise.probe"
        init.start { "sleep", "60", ready = probe.tcp("127.0.0.1", 1), start_timeout = "200ms" }
    ''')
    assert c.wait() == 75
    assert "sleep was not ready after 0.2s: waited for 127.0.0.1 port 1; the last answer was: Connection refused" in c.err


def test_a_service_that_ends_before_it_is_ready(boot):
    c = boot('''
        local init = require "moonrise"
        local probe = require "moonrise.probe"
        init.start { "true", ready = probe.tcp(1) }
    ''')
    assert c.wait() == 75
    assert "boot.lua:3: true exited with status 0 before it was ready" in c.err


def test_a_failed_boot_is_held_when_asked(boot):
    c = boot('error("no way")', env={"MOONRISE_HOLD": "1"})
    c.says("held by MOONRISE_HOLD=1")
    assert "no way" in c.err
    assert c.stop() == 70


def test_the_last_error_is_written_where_kubernetes_reads_it(boot):
    c = boot('error("no way")', inside="mount -t tmpfs tmpfs /dev; touch /dev/termination-log; mknod -m 666 /dev/null c 1 3 || touch /dev/null",
             env={"MOONRISE_HOLD": "1"})
    c.says("held by")
    assert eventually(lambda: c.exec("cat", "/dev/termination-log").stdout, lambda text: "no way" in text)


@pytest.mark.parametrize("script, message", [
    ("init.strat {}", "moonrise has no word 'strat'; did you mean 'start'?"),
    ('init.start { "true", redy = 1 }', "unknown option 'redy' of start; did you mean 'ready'?"),
    ('init.run { "true", tiemout = 1 }', "unknown option 'tiemout' of run; did you mean 'timeout'?"),
    ('inti.run { "true" }', "unknown global 'inti'"),
    ('init.run { "no-such-program" }', "cannot start no-such-program: "),
    ("init.run {}", 'run needs the program and its arguments: run{ "program", "argument" }'),
    ('init.run { "true", true }', "argument 2 of run is a boolean; it takes a string or an integer"),
    ('init.run { "true", nil, "x" }', "argument 2 of run is nil: the list of arguments has a hole"),
    ('init.run { "true", user = "nobody-here" }', "cannot start true: there is no user 'nobody-here'"),
    ('init.run { "sleep", "60", timeout = "50ms" }', "sleep was not done after 0.05s and is ended"),
    ('init.on("TERM", print)', "init.on: TERM stops the container"),
    ('init.on("TREM", print)', 'the signal of init.on is "TREM", which is no signal'),
    ('init.sleep("5 parsecs")', "5 parsecs"),
    ('init.start { "sleep", "9", restart = "allways" }', '"allways"; it takes "no", "on-failure" or "always"'),
    ('init.start { "sleep", "9", name = "a", after = { "b" } }', "'after' of a names 'b', and there is no such service"),
    ('init.start { "sleep", "9", name = "a", after = { "a" } }', "'after' of a names itself"),
])
def test_what_is_wrong_in_a_script_is_said_with_its_line(boot, script, message):
    c = boot(f'local init = require "moonrise"\n{script}\n')
    assert c.wait() in (70, 75, 126, 127)
    assert "moonrise: " in c.err
    assert message in c.err
    assert "boot.lua:2: " in c.err


def test_services_that_wait_for_each_other_are_refused(boot):
    c = boot('''
        local init = require "moonrise"
        local a = init.service { "sleep", "9", name = "a", after = { "b" } }
        local b = init.service { "sleep", "9", name = "b", after = { "a" } }
        init.all(a, b)
    ''')
    assert c.wait() == 70
    assert "these wait for each other: a -> b -> a" in c.err


@pytest.mark.parametrize("script, status, message", [
    ("", 70, "boot.lua is empty"),
    ("  \n\n", 70, "boot.lua is empty"),
    ("local x = = 1", 70, "boot.lua:1: unexpected symbol near '='"),
    ("\x1bLua", 70, "boot.lua"),
    ("#!/bin/sh -e\ncase x in x) exit;; esac\n", 70, "this is not Lua: a program is run by 'moonrise -- "),
    ("\x7fELF\x02\x01", 70, "this is not Lua: a program is run by 'moonrise -- "),
])
def test_a_script_that_is_none(boot, script, status, message):
    c = boot(script)
    assert c.wait() == status
    assert message in c.err


def test_a_script_may_begin_with_a_hash_bang_line(boot):
    c = boot('#!/usr/bin/env moonrise\nrequire("moonrise").exit(7)\n')
    assert c.wait() == 7


# ---- a script that misbehaves


def test_a_spinning_script_leaves_the_init_alive(boot):
    c = boot(SERVICE + '''
        daemon("one")
        init.log("notice", "spinning")
        while true do end
    ''')
    c.says("spinning")
    c.says("one: up")
    answer = c.moonrise("eval", "1 + 1")
    assert answer.stdout == "2\n", answer
    assert c.stop() == 143
    assert "one: bye" in c.out


def test_a_script_that_eats_memory_meets_its_limit(boot):
    c = boot(SERVICE + '''
        daemon("one")
        local hoard = {}
        while true do hoard[#hoard + 1] = ("x"):rep(100000) .. #hoard end
    ''', options=["--memory", "8M"])
    assert c.wait() == 70
    assert "not enough memory: the script used more than its limit of 8M" in c.err
    assert "one: bye" in c.out


@pytest.mark.parametrize("script, message", [
    ("local function f() return f() + 1 end f()", "stack overflow"),
    ("local s = ('x'):rep(300) local p = ('('):rep(100) s:find(p)", "too many captures"),
    ("xpcall(error, function() error('again') end) error('after')", "after"),
    ("setmetatable({}, { __gc = function() error('in a finalizer') end }) collectgarbage() init.sleep(60)", "in a finalizer"),
    ("error({})", "error value: a table"),
    ("error()", "error value: nil"),
    ("coroutine.wrap(function() error('inside') end)()", "inside"),
])
def test_errors_of_every_kind_end_in_an_orderly_stop(boot, script, message):
    c = boot(SERVICE + f'daemon("one")\n{script}\n', options=["--memory", "256M"])
    assert c.wait() == 70
    assert message in c.err
    assert "one: bye" in c.out


# ---- words


def test_all_and_any(boot):
    c = boot('''
        local init = require "moonrise"
        local done = {}
        init.all(function() init.sleep("20ms") done[#done + 1] = "slow" end, function() done[#done + 1] = "quick" end)
        assert(table.concat(done, " ") == "quick slow")
        assert(init.any(function() init.sleep("1h") end, function() return "first" end) == "first")
        local ok, err = pcall(init.all, function() init.sleep("1h") end, function() error("one of them") end)
        assert(not ok and tostring(err):find("one of them"), tostring(err))
        ok, err = pcall(init.any, function() error("none") end)
        assert(not ok and tostring(err):find("none"), tostring(err))
        init.exit(0)
    ''')
    assert c.wait() == 0


def test_run_returns_what_happened(boot):
    c = boot('''
        local init = require "moonrise"
        local r = init.run { sh = "cat; echo err >&2; exit 3", stdin = { text = "text\\n" }, ok = { 3 } }
        assert(r.status == 3 and r.stdout == "text\\n" and r.stderr == "err\\n" and r.duration >= 0, r.stdout)
        r = init.run { "printf", "%s", ("x"):rep(100000), stdout = "capture" }
        assert(#r.stdout == 100000)
        local ok, err = pcall(init.run, { sh = "kill -9 $$", name = "it" })
        assert(tostring(err):find("it was killed by signal KILL"), tostring(err))
        init.exit(0)
    ''')
    assert c.wait() == 0


def test_a_run_that_writes_without_end_is_ended(boot):
    c = boot('local init = require "moonrise"\ninit.run { "sh", "-c", "trap : PIPE; yes", stdout = "capture" }\n')
    assert c.wait() == 70
    assert "boot.lua:2: sh wrote more than 16M to its captured stdout; send it to a file or to the log" in c.err


def test_a_wait_inside_a_coroutine_of_the_script(boot):
    c = boot('''
        local init = require "moonrise"
        local steps = coroutine.wrap(function()
          for i = 1, 3 do init.sleep("1ms") coroutine.yield(i) end
        end)
        assert(steps() == 1 and steps() == 2 and steps() == 3)
        local co = coroutine.create(function(a) init.sleep("1ms") local b = coroutine.yield(a + 1) return b * 2 end)
        local _, x = coroutine.resume(co, 1)
        local _, y = coroutine.resume(co, 5)
        assert(x == 2 and y == 10)
        init.exit(0)
    ''')
    assert c.wait() == 0


def test_tables_of_services_are_values(boot):
    c = boot('''
        local init = require "moonrise"
        local s = init.service { "sleep", "60", name = "nap" }
        assert(s.state == "stopped" and tostring(s) == "service nap (stopped)")
        s:start()
        assert(s.state == "ready" and math.type(s.pid) == "integer")
        local pid = s.pid
        s:restart()
        assert(s.pid ~= pid)
        s:stop()
        assert(s.state == "stopped" and s.pid == nil)
        init.exit(0)
    ''')
    assert c.wait() == 0


def test_the_environment_of_a_process(boot):
    c = boot('''
        local init = require "moonrise"
        local out = init.run { "env", env = { A = "1", B = false, N = 7 }, stdout = "capture" }.stdout
        assert(out:find("A=1\\n") and out:find("N=7\\n") and not out:find("B=") and not out:find("NOTIFY_SOCKET"), out)
        out = init.run { "/usr/bin/env", clear_env = true, env = { ONLY = "x" }, stdout = "capture" }.stdout
        assert(out:find("ONLY=x") and not out:find("KEPT"), out)
        init.exit(0)
    ''', env={"B": "there", "KEPT": "yes", "NOTIFY_SOCKET": "/nowhere"})
    assert c.wait() == 0, c.err


def test_arguments_of_the_script(boot):
    c = boot('local a, b = ... require("moonrise").exit(a == "x" and b == "y z" and 0 or 1)', args=["x", "y z"])
    assert c.wait() == 0


def test_lua_paths_of_the_environment_are_ignored(boot, tmp_path):
    (tmp_path / "evil.lua").write_text("error('loaded')")
    c = boot('''
        local ok, err = pcall(require, "evil")
        require("moonrise").exit(not ok and tostring(err):find("no module 'evil'") and 0 or 1)
    ''', env={"LUA_PATH": str(tmp_path) + "/?.lua", "LUA_PATH_5_4": str(tmp_path) + "/?.lua"})
    assert c.wait() == 0, c.err


def test_a_library_beside_the_script(boot):
    c = boot('require("moonrise").exit(require("lib.answer") - 42)', files={"lib/answer.lua": "return 42\n"})
    assert c.wait() == 0, c.err


def test_nothing_dangerous_is_within_reach(boot):
    c = boot('''
        for _, name in ipairs { "execute", "exit", "remove", "rename", "tmpname", "setlocale" } do assert(os[name] == nil, name) end
        for _, name in ipairs { "popen", "read", "lines", "input", "stdin" } do assert(io[name] == nil, name) end
        assert(debug.sethook == nil)
        assert(not pcall(load, string.dump(function() end)) or load(string.dump(function() end)) == nil)
        require("moonrise").exit(0)
    ''')
    assert c.wait() == 0, c.err
