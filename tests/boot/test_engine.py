# SPDX-License-Identifier: MIT
"""The Lua state may spin, eat memory, crash or be broken: PID 1 still stops its daemons in order."""
import contextlib
import os
import re
import signal
import subprocess

import pytest
from moonrise import ROOT, eventually

# The daemon says goodbye, so that it shows whether it was asked or killed.
DAEMON = '''
local init = require "moonrise"
init.start {
  name = "daemon",
  sh = "trap 'echo bye; exit 0' TERM; echo up; : >daemon.up; while :; do sleep 0.1 & wait $!; done",
  ready = require("moonrise.probe").file("daemon.up"),
}
init.log("notice", "goes on")
'''


def source(module):
    with open(f"{ROOT}/lua/moonrise/{module}.lua", encoding="utf-8") as file:
        return file.read()


SPINNING = {
    "a loop": "while true do end",
    "a loop of pcall": "while true do pcall(error) end",
    "inside a coroutine": "coroutine.wrap(function() while true do end end)()",
    "new coroutines for ever":
        "while true do coroutine.wrap(function() for _ = 1, 1e6 do end end)() end",
    "the callback of sort, caught":
        "while true do pcall(table.sort, { 1, 2, 3 }, function() while true do end end) end",
    "closing a coroutine": '''
        while true do
          local co = coroutine.create(function()
            local x <close> = setmetatable({}, { __close = function() while true do end end })
            coroutine.yield()
          end)
          coroutine.resume(co)
          coroutine.close(co)
        end''',
}


@pytest.mark.parametrize("how", SPINNING)
def test_a_spinning_script_is_stopped_by_term(boot, how):
    # It takes up to two seconds of CPU time, which are many more on a busy machine.
    c = boot('require("moonrise").stop_timeout = 100\n' + DAEMON + SPINNING[how])
    c.says("goes on")
    assert c.stop() == 128 + signal.SIGTERM  # the boot was not done
    assert "daemon: bye" in c.out


def test_a_script_that_holds_all_memory_can_be_stopped(boot):
    """Whatever allocates next fails. That may be the scheduler, before TERM or after it: then C ends it."""
    c = boot(DAEMON + '''
        T = {}
        local function grow() T[#T + 1] = ("x"):rep(1000) .. #T end
        while true do pcall(grow) end
    ''', options=["--memory", "4M"])
    pid = c.pid
    c.says("goes on")

    def is_full():
        if c.process.poll() is not None:
            return True
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # an error: asked again
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") > 4 << 20

    eventually(is_full)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    assert c.wait() in (70, 128 + signal.SIGTERM)


def test_a_stop_that_does_not_end_is_ended(boot):
    """The deadline holds also when the Lua side has lost its way."""
    broken = source("boot").replace('task.spawn("stop", stop_in_order)',
                                    'task.spawn("stop", function() task.sleep(1000) end)')
    assert broken != source("boot")
    c = boot('require("moonrise").stop_timeout = 1\n' + DAEMON, options=["--lua", "lua"],
             files={"lua/moonrise/boot.lua": broken})
    c.says("goes on")
    assert c.stop() == 70
    assert "the stop does not come to its end" in c.err


def test_children_are_reaped_while_a_script_spins(boot):
    c = boot(DAEMON + 'init.start { "/bin/sh", "-c", "sleep 0.1", name = "short", essential = false }\n' +
             "while true do end")
    c.says("goes on")
    c.exec("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.1 &) ; done")
    eventually(lambda: [name for _, _, name in c.processes().values() if name == "sleep"], lambda names: len(names) < 2)
    assert eventually(c.zombies, []) == []


LOST = {
    "a pattern that takes for ever":
        ('string.find(("a"):rep(40), ("a-"):rep(30) .. "b")', "engine lost: a C function or a finalizer"),
    "a finalizer that spins":
        ("setmetatable({}, { __gc = function() while true do end end }) collectgarbage()", "engine lost: a C function"),
}


@pytest.mark.parametrize("how", LOST)
def test_what_never_comes_back_to_lua_loses_the_state_only(boot, how):
    code, message = LOST[how]
    c = boot(DAEMON + code)
    assert c.wait() == 70
    assert message in c.err
    assert "daemon: bye" in c.out


@pytest.mark.parametrize("number, name", [(signal.SIGSEGV, "segmentation fault"), (signal.SIGBUS, "bus error"),
                                          (signal.SIGABRT, "abort"), (signal.SIGFPE, "arithmetic exception")])
def test_a_fatal_signal_loses_the_state_only(boot, number, name):
    c = boot(DAEMON + "while true do end")
    c.says("goes on")
    assert c.stop(number) == 70
    assert f"engine lost: {name}" in c.err
    assert "daemon: bye" in c.out


def test_a_fatal_signal_while_the_loop_waits(boot):
    c = boot(DAEMON)
    c.says("goes on")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop(signal.SIGSEGV) == 70
    assert "daemon: bye" in c.out


def test_a_fatal_signal_from_inside_is_none(boot):
    c = boot(DAEMON + '''
        for _, name in ipairs { "SEGV", "BUS", "FPE", "ILL", "ABRT", "SYS" } do
          init.run { sh = ("kill -%s 1"):format(name) }
        end
        init.log("notice", "all were sent")
    ''')
    c.says("all were sent")
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def test_a_daemon_that_does_not_listen_is_killed_when_the_state_is_lost(boot):
    c = boot('''
        local init = require "moonrise"
        init.start { sh = "trap '' TERM; : >up; while :; do sleep 0.1; done", name = "deaf",
                     ready = require("moonrise.probe").file("up") }
        init.log("notice", "goes on")
    ''')
    c.says("goes on")
    assert c.stop(signal.SIGSEGV) == 70


ORDERLY = {
    "memory": ('local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end', "not enough memory"),
    "memory that is never given back":
        ('T = {} while true do T[#T + 1] = ("x"):rep(1000) .. #T end', "not enough memory"),
    "small pieces of memory": ("T = {} while true do T = { T } end", "not enough memory"),
    "one huge string": ('local _ = ("x"):rep(1 << 27)', "not enough memory"),
    "C stack overflow": ('local function f() return string.gsub("x", "x", f) end f()', "C stack overflow"),
    # Lua's own limit of the stack and the limit of memory are close to each other.
    "stack overflow": ("local function f() return 1 + f() end f()", "stack overflow|not enough memory"),
    "the callback of sort": ("table.sort({ 1, 2, 3 }, function() while true do end end)",
                             "used the CPU for too long where it cannot be suspended"),
    "an error in an error handler": ('assert(xpcall(error, function() error("again") end))', "boot.lua"),
    "an error in a finalizer": ('setmetatable({}, { __gc = function() error("broken gc") end }) '
                                "collectgarbage() init.sleep(60)", "broken gc"),
    "an error value that raises when shown":
        ("error(setmetatable({}, { __tostring = function() error('shown') end }))", "moonrise:"),
}


@pytest.mark.parametrize("how", ORDERLY)
def test_an_error_of_any_kind_stops_in_order(boot, how):
    code, message = ORDERLY[how]
    c = boot(DAEMON + code)
    assert c.wait() == 70
    assert re.search(message, c.err)
    assert "daemon: bye" in c.out


def test_the_memory_limit_is_an_option(boot):
    c = boot(DAEMON + 'local _ = ("x"):rep(10 << 20)', options=["--memory", "8M"])
    assert c.wait() == 70
    assert "limit of 8M" in c.err


@pytest.mark.parametrize("where, code", [("boot", "error('broken engine')"), ("boot", "return { main = 1 }"),
                                         ("task", "while true do end"), ("boot", "x x")])
def test_a_broken_engine_ends_with_70(boot, where, code):
    c = boot(DAEMON, options=["--lua", "lua"], files={f"lua/moonrise/{where}.lua": code})
    assert c.wait() == 70
    assert "engine" in c.err


def test_an_engine_that_breaks_later_still_stops_the_daemons(boot):
    broken = source("boot").replace("function task.on_event.signal(name)",
                                    "function task.on_event.signal(name) error('broken engine')")
    assert broken != source("boot")
    c = boot(DAEMON, options=["--lua", "lua"], files={"lua/moonrise/boot.lua": broken})
    c.says("goes on")
    assert c.stop() == 70
    assert re.search("engine failed: moonrise/boot.lua:.*broken engine", c.err)
    assert "daemon: bye" in c.out


def test_what_could_block_or_end_pid_1_is_absent(boot):
    c = boot('''
        local init = require "moonrise"
        local names = {}
        for library, words in pairs {
          os = "execute exit remove rename setlocale tmpname",
          io = "close input lines output popen read stdin tmpfile",
          debug = "debug gethook getregistry getupvalue setcstacklimit sethook setlocal setmetatable setupvalue " ..
            "upvalueid upvaluejoin",
        } do
          for word in words:gmatch("%S+") do
            if rawget(_G[library] or require(library), word) then names[#names + 1] = library .. "." .. word end
          end
        end
        init.log("notice", "left: [%s]", table.concat(names, " "))
        init.exit(0)
    ''')
    assert c.wait() == 0
    assert "left: []" in c.err


def test_what_a_script_prints_is_a_message(boot):
    c = boot('''
        print("printed", 1, nil)
        io.write("written ", 2, "\\n")
        io.stderr:write("one"):write("two")
        warn("@on")
        warn("mind ", "the gap")
        require("moonrise").exit(0)
    ''')
    assert c.wait() == 0
    assert c.err.splitlines()[:5] == ["moonrise: printed\t1\tnil", "moonrise: written 2", "moonrise: one",
                                      "moonrise: two", "moonrise: mind the gap"]


def test_printing_never_blocks(boot):
    """A full pipe that nobody reads: TERM still stops the container."""
    read, write = os.pipe()
    c = boot(DAEMON + 'while true do print(("x"):rep(1000)) io.write(("y"):rep(1000)) end', stdout=write, stderr=write)
    os.close(write)
    assert os.read(read, 10)
    eventually(lambda: os.path.exists(c.path("daemon.up")))
    assert c.stop() == 128 + signal.SIGTERM
    os.close(read)


def test_files_that_would_block_are_refused(boot):
    c = boot('''
        local init = require "moonrise"
        local function say(_, reason) init.log("notice", "%s", tostring(reason)) end
        say(io.open("fifo"))
        say(io.open("fifo", "w"))
        say(io.open("."))
        say(loadfile("fifo"))
        say(pcall(dofile, "fifo"))
        say(pcall(require, "pipe"))
        say(load(string.dump(function() end), "bytecode", "b"))
        local file <close> = assert(io.open("text", "w"))
        assert(file:write("written"))
        file:close()
        init.log("notice", "%s", io.open("text"):read("a"))
        init.exit(0)
    ''', inside="mkfifo fifo pipe.lua")
    assert c.wait() == 0
    said = c.err.splitlines()
    for part in ("fifo: not a regular file", "fifo: No such device", ".: Is a directory",
                 "cannot read fifo: not a regular file", "pipe.lua: not a regular file", "attempt to load a binary chunk", "written"):
        assert any(part in line for line in said), part


def test_require_finds_the_script_folder_and_may_wait(boot):
    c = boot('''
        local site = require "site"
        local init = require "moonrise"
        init.log("notice", "%s %s", site.name, select(2, require("lib.deep")))
        package.loaded.fresh = nil
        package.preload.fresh = function(name) return name .. "!" end
        init.log("notice", require "fresh")
        require "nowhere"
    ''', files={"site.lua": 'local init = require "moonrise" init.sleep(0.01) init.run { "true" } return { name = "here" }',
                "lib/deep/init.lua": "return 1"}, env={"LUA_PATH": "/nowhere/?.lua"})
    assert c.wait() == 70
    assert "lib/deep/init.lua" in c.err and "here" in c.err and "fresh!" in c.err
    assert "boot.lua:7: no module 'nowhere'" in c.err


def test_a_traceback_names_the_modules_by_their_real_names(boot):
    c = boot(DAEMON + 'init.run { "/nonexistent" }', env={"MOONRISE_LOG_LEVEL": "debug"})
    c.wait()
    assert "moonrise/process.lua:" in c.err


def test_the_scheduler_alone_may_wait_for_events(boot):
    c = boot('require("sys.loop").wait(1000)')
    assert c.wait() == 70
    assert "only the scheduler" in c.err


def test_an_idle_init_sleeps(boot):
    """No timer of ours wakes PID 1 while nothing happens."""
    c = boot(DAEMON.replace("while :; do sleep 0.1 & wait $!; done", "sleep 1000 & wait $!"))
    c.says("goes on")
    eventually(lambda: c.moonrise("health").returncode, 0)

    def switches():
        text = open(f"/proc/{c.pid}/status", encoding="ascii").read()
        return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)

    def is_still():
        first = switches()
        subprocess.run(["sleep", "0.5"], check=True)
        return switches() == first

    assert eventually(is_still, True)
    os.kill(c.pid, signal.SIGTERM)
    assert c.wait() == 0
