# SPDX-License-Identifier: MIT
"""Readiness: each probe comes to a yes, and says what it last saw when it does not."""
import pytest
from moonrise import free_port

PRELUDE = '''
local init = require "moonrise"
local probe = require "moonrise.probe"
local function up(options) options.name = "one"; return init.start(options) end
'''

# What a service does, its probe; `go` is a file that the second service waits for.
READY = {
    "notify": ('sh = "until [ -e go ]; do sleep 0.01; done; systemd-notify --ready; exec sleep infinity"',
               "probe.notify()"),
    "fd": ('sh = "until [ -e go ]; do sleep 0.01; done; echo >&5; exec sleep infinity"', "probe.fd(5)"),
    "pidfile": ('sh = "until [ -e go ]; do sleep 0.01; done; echo $$ >one.pid; exec sleep infinity"',
                'probe.pidfile("one.pid")'),
    "log": ('sh = "echo early; until [ -e go ]; do sleep 0.01; done; echo now accepting on 5; exec sleep infinity"',
            'probe.log("^now .* on %d+$")'),
    "file": ('sh = "until [ -e go ]; do sleep 0.01; done; mkdir -p deep/er; : >deep/er/up; exec sleep infinity"',
             'probe.file("deep/er/up")'),
    "file in a folder that comes and goes": (
        'sh = "mkdir -p d; until [ -e go ]; do sleep 0.01; done; rmdir d; mkdir d; : >d/up; exec sleep infinity"',
        'probe.file("d/up")'),
    "all": ('sh = "echo one; until [ -e go ]; do sleep 0.01; done; echo >&5; exec sleep infinity"',
            'probe.all { probe.fd(5), probe.log "one" }'),
    "any": ('sh = "until [ -e go ]; do sleep 0.01; done; echo >&5; exec sleep infinity"',
            'probe.any { probe.fd(5), probe.notify(), probe.tcp(9) }'),
    "function": ('"sleep", "infinity"', 'function(service) return service.pid and require("moonrise.fs").exists("go") end'),
}


@pytest.mark.parametrize("kind", READY)
def test_a_service_is_ready_when_it_is_and_not_before(boot, kind):
    what, probe = READY[kind]
    c = boot(PRELUDE + '''
        local one = init.service { WHAT, name = "one", ready = PROBE }
        local before
        init.all(one, function()
          one:wait("starting")
          init.sleep("50ms")
          before = one.state
          require("moonrise.fs").write("go", "")
        end)
        assert(before == "starting", before)
        require("moonrise.fs").remove("d", { recursive = true })
        one:restart() -- each run is asked anew
        init.exit(0)
    '''.replace("WHAT", what).replace("PROBE", probe))
    assert c.wait() == 0, c.err


LATE = {
    "notify": ('sh = "systemd-notify --status=\'reading 3 files\'; exec sleep infinity"', "probe.notify()",
               "waited for its READY=1; its last status was: reading 3 files"),
    "notify, silent": ('"sleep", "infinity"', "probe.notify()",
                       "waited for its READY=1; it has not said anything of its status"),
    "fd": ('"sleep", "infinity"', "probe.fd(4)", "waited for a newline on descriptor 4; the last answer was: nothing was written"),
    "fd, closed": ('sh = "exec 4>&-; exec sleep infinity"', "probe.fd(4)",
                   "the last answer was: it has closed the descriptor without a newline"),
    "fd, other": ('sh = "printf no >&4; exec sleep infinity"', "probe.fd(4)", 'the last answer was: it wrote "no"'),
    "pidfile": ('sh = "echo x >bad.pid; exec sleep infinity"', 'probe.pidfile("bad.pid")',
                'waited for the pid file bad.pid; the last answer was: no pid, but "x'),
    "pidfile, dead": ('sh = "echo 29999 >one.pid; exec sleep infinity"', 'probe.pidfile("one.pid")',
                      "the last answer was: process 29999 does not live"),
    "file": ('"sleep", "infinity"', 'probe.file("no/such")',
             "waited for the file no/such; the last answer was: No such file or directory"),
    "unix": ('"sleep", "infinity"', 'probe.unix("/run/no.socket")',
             "waited for the socket /run/no.socket; the last answer was: No such file or directory"),
    "log": ('sh = "echo this; echo that; exec sleep infinity"', 'probe.log("other")',
            "waited for a line of its output with 'other'; the last answer was: its last line was \"that\""),
    "log, silent": ('"sleep", "infinity"', 'probe.log("other")', "the last answer was: it wrote nothing"),
    "all": ('"sleep", "infinity"', 'probe.all { probe.fd(4), probe.file("no") }',
            "waited for a newline on descriptor 4; the last answer was: nothing was written; waited for the file no;"),
    "function": ('"sleep", "infinity"', 'function() return false end', "waited for its ready function; the last answer was: false"),
}


def test_one_that_is_late_says_what_was_last_seen(boot):
    """All kinds at once, since each one takes its time."""
    parts = [f'''{{ {what}, name = "{kind}", ready = {probe} }}''' for kind, (what, probe, _) in LATE.items()]
    c = boot(PRELUDE + "local all = { " + ", ".join(parts) + ''' }
        for i, options in ipairs(all) do
          options.start_timeout = "3s"
          local service = init.service(options)
          all[i] = function()
            local _, fault = pcall(service.start, service)
            init.log("notice", "%s", fault)
          end
        end
        init.all(table.unpack(all))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    for kind, (_, _, says) in LATE.items():
        line = next(line for line in c.err.splitlines() if f": {kind} was not ready after 3s: " in line)
        assert says in line


def test_what_was_said_in_an_earlier_run_does_not_count(boot):
    c = boot(PRELUDE + '''
        local function again(name, say, ready)
          return function()
            local service = init.start { sh = ("[ -e %s ] || { : >%s; %s; }; exec sleep infinity"):format(name, name, say),
              name = name, ready = ready, start_timeout = "3s" }
            local ok, fault = pcall(service.restart, service)
            assert(not ok and tostring(fault):find("was not ready after 3s"), tostring(fault))
          end
        end
        init.all(again("a", "echo up", probe.log "up"), again("b", "systemd-notify --ready", probe.notify()),
          again("c", "echo >&4", probe.fd(4)))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


def test_a_socket_may_be_asked(boot):
    c = boot(PRELUDE + '''
        local port = math.tointeger(os.getenv "PORT")
        local at = "127.0.0.1:" .. port
        init.start { "cat", name = "echo", listen = { "/run/echo.sock", at }, accept = { stdio = true } }
        probe.unix("/run/echo.sock", { send = "are you\\0 there?\\n", expect = "%z there%?" }):wait("30s")
        probe.tcp(port, { send = "hello", expect = "^hello$" }):wait("30s")
        probe.tcp("127.0.0.1", port, { send = "x" }):wait("30s")
        init.start { "sleep", "infinity", name = "next", ready = probe.tcp(at, { send = "a", expect = "a" }) }
        local big = ("x"):rep(3000000)
        probe.tcp(port, { send = big, expect = "x$" }):wait("30s")
        init.exit(0)
    ''', env={"PORT": str(free_port())})
    assert c.wait() == 0, c.err


def test_an_answer_that_is_not_expected_is_said(boot):
    ports = free_port(), free_port()
    c = boot(PRELUDE + '''
        local ports = { os.getenv("NO"), os.getenv("MUTE") }
        init.start { sh = "read x; printf 'no\\1 no'", name = "no", listen = "127.0.0.1:" .. ports[1], accept = { stdio = true } }
        init.start { sh = "read x; exit 0", name = "mute", listen = "127.0.0.1:" .. ports[2], accept = { stdio = true } }
        for _, port in ipairs(ports) do
          local _, fault = pcall(function()
            local p = probe.tcp(math.tointeger(port), { send = "?\\n", expect = "yes" })
            p:wait("300ms")
          end)
          init.log("notice", "%s", fault)
        end
        init.exit(0)
    ''', env={"NO": str(ports[0]), "MUTE": str(ports[1])})
    assert c.wait() == 0, c.err
    assert f'waited for 127.0.0.1 port {ports[0]}; the last answer was: it said "no. no"' in c.err
    assert f"waited for 127.0.0.1 port {ports[1]}; the last answer was: it hung up" in c.err


BAD = {
    'probe.tcp(80, { expect = "[" })': '\'expect\' of probe.tcp is "[": malformed pattern',
    'probe.unix("/run/x", { sent = "x" })': "unknown option 'sent' of probe.unix; did you mean 'send'?",
    'probe.fd(2)': "probe.fd takes the number of a descriptor, 3 to 1023, not 2",
    'probe.log(5)': "probe.log takes a pattern, not 5",
    'probe.log("[")': 'the pattern of probe.log is "[": malformed pattern (missing \']\')',
    'probe.all {}': "probe.all takes a list of probes",
    'probe.any { probe.tcp(80), 7 }': "number 2 of probe.any is an integer; it takes a probe",
    'probe.file("")': 'probe.file takes a path, not ""',
    'probe.notify():wait("1s")': "only a service can wait for its READY=1, as its 'ready'",
    'init.start { "true", ready = probe.notify(), notify = false }': "true is to send messages, and its 'notify' is false",
    'init.start { "true", notify = "some" }': "'notify' of start is \"some\"; it takes \"main\", \"all\" or false",
    'init.start { "true", reload = { command = { "true" }, notify = true } }':
        "'notify' in 'reload' of true goes with 'signal' alone",
    'init.start { "sleep", "9", stdout = "null", stderr = "null", ready = probe.log("x") }':
        "a line of its output with 'x' can't be seen: the output of sleep does not go to the log",
}


@pytest.mark.parametrize("script", BAD)
def test_what_is_wrong_is_said_with_its_line(boot, script):
    c = boot(PRELUDE + script + "\n")
    assert c.wait() == 70
    assert BAD[script] in c.err
    assert "boot.lua:4" in c.err
