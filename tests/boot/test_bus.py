# SPDX-License-Identifier: MIT
"""D-Bus by way of moonrise-bus: names on a real bus, and what becomes of a probe when the
bus, or moonrise-bus itself, comes late, goes, or talks nonsense."""
import os
import shutil
import socket
import subprocess
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from moonrise import BINARY, environment, eventually, needs_root

HERE = os.path.dirname(os.path.abspath(__file__))
BUS = BINARY + "-bus"

# `daemon` is a bus at SOCKET, `owner` a service that owns a name on it.
PRELUDE = f'''
local init = require "moonrise"
local probe = require "moonrise.probe"
local fs = require "moonrise.fs"
local SOCKET = "/run/deep/er/bus"
local ADDRESS = "unix:path=" .. SOCKET
local function service(argv, options)
  table.move(argv, 1, #argv, 1, options)
  options.essential = false
  return init.service(options)
end
local function daemon(options)
  fs.mkdir "/run/deep/er"
  options.name = options.name or "bus"
  return service({{ "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=" .. ADDRESS }}, options)
end
local function owner(name, options)
  options.name = options.name or name:match("%w+$")
  return service({{ "/usr/bin/python3", "{HERE}/owner.py", ADDRESS, name }}, options)
end
'''


def bus_process(c):
    """moonrise-bus, as its pid is inside; None when there is none."""
    return next((pid for pid, (state, _, name) in c.processes().items() if name == "moonrise-bus" and state != "Z"), None)


def signal_bus(c, number, pid=None):
    c.exec("kill", f"-{int(number)}", str(pid or eventually(lambda: bus_process(c))))


# ---- ready


def test_a_service_is_ready_when_its_name_has_an_owner(boot):
    c = boot(PRELUDE + '''
        daemon{ ready = probe.dbus("org.freedesktop.DBus", { bus = SOCKET }) }:start()
        local one = owner("org.example.One", { ready = probe.dbus("org.example.One", { bus = ADDRESS, owner = "service" }) })
        one:start()
        one:restart() -- each run is asked anew
        init.log("notice", "both are ready")
    ''')
    c.says("both are ready")
    eventually(lambda: bus_process(c) is None)  # nobody wants to know anything any more
    assert c.stop() == 0, c.err


def test_the_bus_may_come_last_and_its_folder_too(boot):
    c = boot(PRELUDE + '''
        init.all(function() probe.dbus("org.example.One", { bus = SOCKET }):wait() end, function()
          probe.dbus("org.freedesktop.DBus", { bus = SOCKET }):wait()
          owner("org.example.One", {}):start()
        end, function()
          probe.file("go"):wait()
          daemon{}:start()
        end)
        init.log("notice", "there it is")
    ''')
    eventually(lambda: bus_process(c))
    c.write("go", "")
    c.says("there it is")
    assert c.stop() == 0, c.err


@needs_root
def test_the_system_bus_and_a_service_of_systemd(boot):
    c = boot(PRELUDE + '''
        fs.mkdir "/run/dbus"
        init.start { "dbus-daemon", "--system", "--nofork", "--nopidfile", ready = probe.dbus "org.freedesktop.DBus" }
        init.start { "/lib/systemd/systemd-hostnamed", essential = false,
          ready = probe.dbus("org.freedesktop.hostname1", { owner = "service" }) }
        init.log("notice", "all is there")
    ''')
    c.says("all is there")
    assert c.stop() == 0, c.err


# ---- late


LATE = {
    "unreachable": ('"sleep", "infinity"', 'probe.dbus("org.example.X")',
                    "waited for the name org.example.X on the bus /run/dbus/system_bus_socket; the last answer was: "
                    "the bus /run/dbus/system_bus_socket can't be reached: No such file or directory"),
    "nobody": ('"sleep", "infinity"', 'probe.dbus("org.example.X", { bus = SOCKET })',
               "the last answer was: nobody owns org.example.X"),
    "another": ('"sleep", "infinity"', 'probe.dbus("org.example.One", { bus = SOCKET, owner = "service" })',
                "the last answer was: it is owned by process PID of One"),
    "a socket of something else": ('sh = "exec sleep infinity"', 'probe.dbus("org.example.X", { bus = "/run/other" })',
                                   "the bus /run/other can't be reached: it "),
}


def test_one_that_is_late_says_what_was_last_seen(boot):
    parts = [f'{{ {what}, name = "{name}", ready = {ready}, start_timeout = "3s" }}'
             for name, (what, ready, _) in LATE.items()]
    c = boot(PRELUDE + '''
        daemon{ ready = probe.unix(SOCKET) }:start()
        local one = owner("org.example.One", { ready = probe.dbus("org.example.One", { bus = SOCKET }) }):start()
        init.service { "sleep", "infinity", name = "other", listen = { unix = "/run/other" } }:start()
        local all = {''' + ", ".join(parts) + '''}
        for i, options in ipairs(all) do
          local late = init.service(options)
          all[i] = function()
            local _, fault = pcall(late.start, late)
            init.log("notice", "%s", (tostring(fault):gsub("process " .. one.pid .. " ", "process PID ")))
          end
        end
        init.all(table.unpack(all))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    for name, (_, _, says) in LATE.items():
        line = next(line for line in c.err.splitlines() if f": {name} was not ready after 3s: " in line)
        assert says in line


BAD = {
    'probe.dbus(7)': 'probe.dbus takes a name such as "org.freedesktop.Avahi", not 7',
    'probe.dbus "avahi"': 'probe.dbus takes a name such as "org.freedesktop.Avahi", not "avahi"',
    'probe.dbus "org.1x"': 'not "org.1x"',
    'probe.dbus "org..x"': 'not "org..x"',
    'probe.dbus("a.b", { bus = "systm" })': '\'bus\' of probe.dbus is "systm"; it takes "system", "session", a path',
    'probe.dbus("a.b", { bus = "session" })': "neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR says where",
    'probe.dbus("a.b", { owner = "me" })': '\'owner\' of probe.dbus is "me"; it takes "any" or "service"',
    'probe.dbus("a.b", { ownr = "any" })': "unknown option 'ownr' of probe.dbus; did you mean 'owner'?",
}


@pytest.mark.parametrize("script", BAD)
def test_what_is_wrong_is_said_with_its_line(boot, script):
    c = boot('local probe = require "moonrise.probe"\n' + script + "\n")
    assert c.wait() == 70
    assert BAD[script] in c.err
    assert "boot.lua:2" in c.err


# ---- moonrise-bus is not there, or not what it should be


def alone(boot, script, bus=None, **options):
    """Boot by a copy of moonrise that has no moonrise-bus beside it, or this one."""
    folder = options.pop("folder")
    program = shutil.copy(BINARY, folder / "moonrise")
    if bus:
        (folder / "moonrise-bus").write_text(bus)
        (folder / "moonrise-bus").chmod(0o755)
    return boot(script, program=str(program), **options)


@pytest.mark.parametrize("words", [[], ["check"]])
def test_an_image_without_it_loses_dbus_alone(boot, tmp_path, words):
    script = 'local probe = require "moonrise.probe"\nprobe.dbus "org.example.X"\n'
    c = alone(boot, script, folder=tmp_path, options=words, env={"PATH": "/usr/bin:/bin"})
    assert c.wait() == 70
    assert (f"boot.lua:2: probe.dbus needs the program moonrise-bus, which is neither beside moonrise in {tmp_path} "
            "nor in /usr/libexec/moonrise nor in $PATH") in c.err


WAIT = PRELUDE + 'probe.dbus("org.example.X", { bus = SOCKET }):wait()\n'


def test_one_that_does_not_work_fails_the_probe(boot, tmp_path):
    c = alone(boot, WAIT, "#!/bin/sh\necho cannot find libsystemd >&2; exit 127\n", folder=tmp_path)
    assert c.wait() == 70
    assert "the name org.example.X on the bus /run/deep/er/bus: moonrise-bus does not work: it ended with exit status 127" in c.err
    assert "moonrise-bus: cannot find libsystemd" in c.out


NONSENSE = f"""#!/usr/bin/python3
import os, socket, sys
s = socket.socket(fileno=0)
def say(*words):
    s.send("\\0".join(words).encode())
say("hello", "0")
for i in range(300):
    s.send(os.urandom(1 + i * 40))
    say("owner"); say("owner", "x", "1"); say("nobody", "99999999"); say("bus", "1")
    say("owner", "2" * 1000, "1"); say("forgotten", "1"); say(*["a"] * 2000)
say("bus", "1", "nonsense is over")
s.recv(4096)
say("hello", "again")
sys.stdin.read()
"""


def test_nonsense_from_it_is_only_nonsense(boot, tmp_path):
    c = alone(boot, PRELUDE + '''
        init.start { "sleep", "infinity", ready = probe.dbus("org.example.X", { bus = SOCKET }) }
    ''', NONSENSE, folder=tmp_path)
    eventually(lambda: c.moonrise("why", "sleep").stdout, lambda text: "can't be reached: nonsense is over" in text)
    assert c.stop() == 143


def test_one_that_closes_its_socket_is_ended(boot, tmp_path):
    c = alone(boot, WAIT, "#!/bin/sh\nprintf 'hello\\0' >&0; exec 0</dev/null; exec sleep infinity\n", folder=tmp_path)
    c.says("moonrise-bus ended with signal KILL and is started again")
    assert c.stop() == 143


def test_nonsense_to_it_is_only_nonsense():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    with subprocess.Popen([BUS], stdin=theirs, stderr=subprocess.DEVNULL, env=environment()) as process:
        theirs.close()
        assert ours.recv(4096).startswith(b"hello\0")
        for i in range(200):
            ours.send(os.urandom(1 + i * 50))
            for text in (b"\0", b"watch", b"watch\0001\0unix:path=/x", b"watch\0001\0\0\0", b"watch\0-1\0x\0a.b\0more",
                         b"watch\0001\0unix:path=/x\0no name", b"forget", b"forget\0x"):
                ours.send(text)
            while ours.recv(4096) != b"forgotten\0" b"0":
                pass
        ours.send(b"watch\0" b"7\0unix:path=/no/where\0org.example.X")
        assert ours.recv(4096) == b"bus\0" b"7\0No such file or directory"
        ours.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE])
def test_it_is_not_for_people(stdin):
    done = subprocess.run([BUS], stdin=stdin, capture_output=True, text=True, env=environment(), timeout=30, check=False)
    assert done.returncode == 64
    assert done.stderr == "moonrise-bus is started by moonrise, when a boot script needs D-Bus.\n"


# ---- bad days


def test_it_is_killed_and_started_again(boot):
    c = boot(PRELUDE + '''
        daemon{}:start()
        init.all(function() probe.dbus("org.example.One", { bus = SOCKET }):wait() end, function()
          probe.file("go"):wait()
          owner("org.example.One", {}):start()
        end)
        init.log("notice", "there it is")
    ''')
    for _ in range(3):
        pid = eventually(lambda: bus_process(c))
        signal_bus(c, SIGKILL, pid)
        eventually(lambda pid=pid: bus_process(c) not in (None, pid))
    c.write("go", "")
    c.says("there it is")
    assert "moonrise-bus ended with signal KILL and is started again" in c.err
    assert c.stop() == 0, c.err


def test_the_bus_is_killed_and_comes_again(boot):
    c = boot(PRELUDE + '''
        local bus = daemon{ restart = "always", ready = probe.dbus("org.freedesktop.DBus", { bus = SOCKET }) }
        bus:start()
        bus:on("restart", function() init.log("notice", "killed") end)
        init.all(function() probe.dbus("org.example.One", { bus = SOCKET }):wait() end, function()
          for _ = 1, 3 do
            local pid = bus.pid
            bus:signal("KILL")
            while bus.pid == pid or bus.state ~= "ready" do bus.changed:wait() end
          end
          owner("org.example.One", {}):start()
        end)
        init.log("notice", "there it is")
    ''')
    c.says("there it is")
    assert c.stop() == 0, c.err


def test_more_requests_than_fit_while_it_does_not_read(boot):
    c = boot(PRELUDE + '''
        daemon{}:start()
        local function wait() probe.dbus("org.example.One", { bus = SOCKET }):wait() end
        init.all(wait, function()
          probe.file("go"):wait()
          owner("org.example.One", {}):start()
        end, function()
          probe.file("more"):wait()
          local waits = {}
          for i = 1, 1500 do waits[i] = wait end
          init.log("notice", "all wait")
          init.all(table.unpack(waits))
        end)
        init.log("notice", "there it is")
    ''')
    signal_bus(c, SIGSTOP)
    c.write("more", "")
    c.says("all wait")
    assert c.moonrise("status").stdout
    signal_bus(c, SIGCONT)
    c.write("go", "")
    c.says("there it is")
    assert c.stop() == 0, c.err


def test_term_while_it_is_stopped(boot):
    c = boot(WAIT)
    signal_bus(c, SIGSTOP)
    assert c.stop() == 143
