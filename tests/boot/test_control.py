# SPDX-License-Identifier: MIT
"""Talking to the init: health, status, eval; and clients that do not play by the rules."""
import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest
from moonrise import BINARY, DEADLINE, environment, eventually, needs_root, run

IDLE = """
    local init = require "moonrise"
    visits = 0
    function greet(name) return "hello " .. name end
    init.start { "/bin/sleep", "1000", name = "sleeper" }
"""

UNFINISHED = """
    local init = require "moonrise"
    init.start { "/bin/sleep", "1000", name = "sleeper" }
    go_on = false
    while not go_on do init.sleep(0.01) end
"""


@pytest.fixture
def ready(boot):
    """A container that is ready, from IDLE."""
    return until_ready(boot(IDLE))


def until_ready(c):
    eventually(lambda: c.moonrise("health").returncode, 0)
    return c


def evaluate(c, expression):
    """What `moonrise eval` prints; it has to succeed."""
    done = c.moonrise("eval", expression)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def client(c, *argv, **options):
    """A client that goes on while the test does; started from outside, over the same socket."""
    return subprocess.Popen([BINARY, *argv], env=environment({"MOONRISE_RUNDIR": c.rundir}), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def dial(c):
    """A bare connection."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    s.connect(c.rundir + "/control")
    return s


def frame(kind, payload=b""):
    return kind + struct.pack(">I", len(payload)) + payload


def receive(s):
    """The next frame: (kind, payload); (b"", b"") at the end of the connection."""
    header = exactly(s, 5)
    if not header:
        return b"", b""
    return header[:1], exactly(s, struct.unpack(">I", header[1:])[0])


def exactly(s, size):
    data = b""
    while len(data) < size:
        try:
            chunk = s.recv(size - len(data))
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            break
        data += chunk
    return data


# ---- health and status


def test_health_tells_when_the_container_is_ready(boot):
    c = boot(UNFINISHED)
    early = eventually(lambda: c.moonrise("health"), lambda done: "booting" in done.stderr)
    assert early.returncode == 1 and early.stdout == ""
    assert early.stderr.startswith("not ready: booting for ") and early.stderr.count("\n") == 1
    evaluate(c, "go_on = true")
    eventually(lambda: c.moonrise("health").returncode, 0)
    done = c.moonrise("health")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_health_for_programs(boot):
    c = boot(UNFINISHED)
    early = eventually(lambda: c.moonrise("health", "--json"), lambda done: "booting" in done.stdout)
    found = json.loads(early.stdout)
    assert (early.returncode, early.stderr, found["healthy"], found["state"]) == (1, "", False, "booting")
    assert found["reason"].startswith("not ready: booting for ")
    live = c.moonrise("health", "--live", "--json")
    assert (live.returncode, json.loads(live.stdout)) == (0, {"healthy": True, "state": "booting"})


HEALTH = """
    local init = require "moonrise"
    local fs = require "moonrise.fs"
    local probe = require "moonrise.probe"
    init.all(
      init.service { "sleep", "infinity", name = "asked", health = probe.all { probe.file("well"), probe.file("happy") } },
      init.service { "sleep", "infinity", name = "called", health = function(service)
        return fs.exists("called") and service.name == "called"
      end })
"""


def test_health_asks_the_services(boot):
    c = boot(HEALTH, files={"well": "", "happy": "", "called": ""})
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.moonrise("health", "--ready").returncode == 0
    for name in "called", "happy":
        os.rename(c.path(name), c.path("away"))
        done = c.moonrise("health")
        assert done.returncode == 1
        assert done.stderr.startswith(f"not healthy: {'called' if name == 'called' else 'asked'} is up, but waited for ")
        assert c.moonrise("health", "--live").returncode == 0
        os.rename(c.path("away"), c.path(name))
        assert c.moonrise("health").returncode == 0
    c.moonrise("stop", "called")
    os.remove(c.path("called"))
    assert "not healthy" not in c.moonrise("health").stderr


def test_health_fails_while_a_service_is_being_restarted(boot):
    c = until_ready(boot("""
        local init = require "moonrise"
        init.start { "/bin/sleep", "1000", name = "sleeper",
          restart = { when = "always", backoff = { first = "1h", max = "1h" } } }
    """))
    evaluate(c, "services.sleeper:signal('KILL')")
    done = eventually(lambda: c.moonrise("health"), lambda done: done.returncode == 1)
    assert done.stderr == "not ready: sleeper is backoff\n"


def test_status_is_a_table(ready):
    done = ready.moonrise("status")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("container: ready for ")
    assert lines[1].split() == ["SERVICE", "STATE", "FOR", "PID", "RESTARTS", "MEMORY", "CPU"]
    assert lines[2].split()[:2] == ["sleeper", "ready"]


def test_status_has_its_own_exit_status_before_the_container_is_ready(boot):
    c = boot(UNFINISHED)
    done = eventually(lambda: c.moonrise("status"), lambda done: "sleeper" in done.stdout)
    assert done.returncode == 3 and done.stdout.startswith("container: booting for ")


def test_status_as_json(ready):
    done = ready.moonrise("status", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert status["state"] == "ready" and status["seconds"] >= 0
    (service,) = status["services"]
    assert service["name"] == "sleeper" and service["state"] == "ready" and service["restarts"] == 0
    assert service["pid"] in ready.processes() and service["waits_for"] == []


def test_status_as_json_without_services(boot):
    c = until_ready(boot("local nothing"))
    assert json.loads(c.moonrise("status", "--json").stdout)["services"] == []


def test_status_says_what_a_service_waits_for(boot):
    c = boot("""
        local init = require "moonrise"
        local slow = init.service { "/bin/sleep", "1000", name = "slow", ready = function() init.sleep(1000) end }
        local late = init.service { "/bin/sleep", "1000", name = "late", after = { "slow" } }
        init.all(slow, late)
    """)
    done = eventually(lambda: c.moonrise("status"), lambda done: "waits for" in done.stdout)
    late = next(line for line in done.stdout.splitlines() if line.startswith("└─ late"))
    assert late.split()[2] == "waiting" and late.endswith("waits for slow")


def test_status_says_how_a_service_ended(boot):
    c = until_ready(boot("""
        local init = require "moonrise"
        init.start { "/bin/sleep", "1000", name = "sleeper", essential = false,
          restart = { when = "always", backoff = { first = "1h", max = "1h" } } }
    """))
    evaluate(c, "services.sleeper:signal('KILL')")
    done = eventually(lambda: c.moonrise("status"), lambda done: "backoff" in done.stdout)
    assert done.returncode == 0
    line = done.stdout.splitlines()[2]
    assert line.startswith("sleeper  backoff") and line.endswith("-    1         -       -    was killed by KILL")
    (service,) = json.loads(c.moonrise("status", "--json").stdout)["services"]
    assert service["last_exit"] == {"how": "killed", "number": 9, "status": 137}
    assert "pid" not in service and service["restarts"] == 1


def test_status_of_a_boot_that_failed_and_is_held(boot):
    c = boot("error 'oh dear'", env={"MOONRISE_HOLD": "1"})
    done = eventually(lambda: c.moonrise("status"), lambda done: "failed" in done.stdout)
    assert done.returncode == 3
    assert done.stdout.startswith("container: failed for ") and "boot.lua:1: oh dear)" in done.stdout
    assert c.moonrise("health").stderr.startswith("not ready: failed for ")
    assert evaluate(c, "1 + 1") == "2\n"


def test_times_are_for_people(ready):
    assert evaluate(ready, "local t = require 'moonrise.status'.time return t(0.9), t(123), t(3600), t(90061), t(86401)") \
        == "0s\n2min 3s\n1h\n1d 1h\n1d\n"


def test_it_answers_while_the_container_stops(boot):
    c = until_ready(boot("""
        local init = require "moonrise"
        init.start { "/bin/sh", "-c", "trap '' TERM; echo trapped; while :; do sleep 1000; done", name = "stubborn" }
    """))
    c.says("trapped")
    c.signal(signal.SIGTERM)
    done = eventually(lambda: c.moonrise("status"), lambda done: "stopping" in done.stdout)
    assert done.returncode == 3
    assert evaluate(c, "1 + 1") == "2\n"


# ---- eval


@pytest.mark.parametrize("expression, shown", [
    ("1 + 1", "2\n"),
    ("'a text'", "a text\n"),
    ("{ 3, x = 'y' }", '{ 3, x = "y" }\n'),
    ("nil", ""),
    ("1, nil, 2", "1\n2\n"),
    ("greet 'you'", "hello you\n"),
    ("print('a', 1, nil)", "a\t1\tnil\n"),
    ("for i = 1, 3 do print(i) end", "1\n2\n3\n"),
    ("local a = 5; return a + 1", "6\n"),
    ("services.sleeper.state", "ready\n"),
    ("init.run { 'true' }.status", "0\n"),
    ("init.sleep '10ms'", ""),
    ("nosuchname", ""),
])
def test_eval_shows_values(ready, expression, shown):
    assert evaluate(ready, expression) == shown


@pytest.mark.parametrize("expression, message", [
    ("error 'oh dear'", "eval:1: oh dear\n"),
    ("1 +", "eval:1: unexpected symbol near <eof>\n"),
    ("services.slepper", "eval:1: unknown service 'slepper'; did you mean 'sleeper'?\n"),
    ("nosuchname.field", "eval:1: attempt to index a nil value (global 'nosuchname')\n"),
])
def test_eval_reports_errors(ready, expression, message):
    done = ready.moonrise("eval", expression)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_eval_shows_the_frames_of_the_user_only(ready):
    done = ready.moonrise("eval", "local function inner() error 'deep' end\nlocal function outer() inner() end\nouter()")
    assert done.returncode == 1
    message, *frames = done.stderr.splitlines()
    assert message == "eval:1: deep"
    assert [frame.strip().split(":")[:2] for frame in frames] == [["eval", "1"], ["eval", "2"], ["eval", "3"]]


def test_eval_changes_a_global_of_the_script(ready):
    evaluate(ready, "visits = visits + 1")
    assert evaluate(ready, "visits") == "1\n"
    evaluate(ready, "mine = 1")
    assert evaluate(ready, "mine") == ""  # what is new belongs to the client


def test_print_of_a_client_does_not_come_out_of_the_container(ready):
    evaluate(ready, "print 'for the client'")
    evaluate(ready, "init.log('notice', 'for the log')")
    ready.says("for the log")
    assert "for the client" not in ready.out + ready.err


def test_eval_works_while_the_script_spins(boot):
    c = boot("go_on = false; while not go_on do end")
    eventually(lambda: evaluate(c, "1 + 1"), "2\n")
    evaluate(c, "go_on = true")
    until_ready(c)


def test_secrets_stay_hidden(boot):
    c = until_ready(boot("""
        local env = require "moonrise.env"
        cfg = env.read { PORT = { type = "port" }, PASSWORD = { type = "secret" } }
    """, env={"PORT": "80", "PASSWORD": "dont-tell"}))
    assert evaluate(c, "settings") == '{ PASSWORD = <secret>, PORT = 80 }\n'
    assert evaluate(c, "cfg.PASSWORD") == "<secret>\n"


def test_interrupt_ends_the_chunk_alone(ready):
    with client(ready, "eval", "print 'begun'; while true do end") as one:
        assert one.stdout.readline() == "begun\n"
        one.send_signal(signal.SIGINT)
        assert one.wait(DEADLINE) == 130 and one.stderr.read() == "interrupted\n"
    with client(ready, "eval", "print 'begun'; while true do pcall(init.sleep, 1000) end") as one:
        assert one.stdout.readline() == "begun\n"
        one.send_signal(signal.SIGINT)
        assert one.wait(DEADLINE) == 130
    assert evaluate(ready, "1 + 1") == "2\n"


LEAVES_A_TRACE = """
    local _ <close> = setmetatable({}, { __close = function() visits = visits + 1 end })
    print "begun"
    init.sleep(1000)
"""


def test_a_dropped_client_takes_its_chunk_along(ready):
    with client(ready, "eval", LEAVES_A_TRACE) as one:
        assert one.stdout.readline() == "begun\n"
        one.kill()
    eventually(lambda: evaluate(ready, "visits"), "1\n")


def test_clients_do_not_wait_for_each_other(ready):
    waiting = [client(ready, "eval", "print 'begun'; init.sleep(1000)") for _ in range(5)]
    for one in waiting:
        assert one.stdout.readline() == "begun\n"
    assert evaluate(ready, "1 + 1") == "2\n"
    for one in waiting:
        with one:
            one.kill()


def test_a_service_is_restarted_from_eval(ready):
    before = evaluate(ready, "services.sleeper.pid")
    assert evaluate(ready, "services.sleeper:restart().state") == "ready\n"
    assert evaluate(ready, "services.sleeper.pid") != before


# ---- the command line


def test_without_an_init_it_names_the_places(boot):
    c = boot(argv=["--", "sleep", "1000"], inside="mount -t tmpfs tmpfs /dev/shm")
    eventually(lambda: "sleep" in [name for _, _, name in c.processes().values()])
    for word in (["status"], ["eval", "1"], ["repl"]):
        done = c.exec("env", "XDG_RUNTIME_DIR=/nonexistent", BINARY, *word)
        assert done.returncode == 69 and done.stdout == ""
        assert done.stderr == f"moonrise: no init answers; tried {c.rundir}/control (No such file or directory), " \
            "/run/moonrise/control (No such file or directory), " \
            "/nonexistent/moonrise/control (No such file or directory), " \
            "/dev/shm/moonrise-0/control (No such file or directory)\n"
    done = c.moonrise("health")
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_the_init_of_another_container_is_not_ours(ready, boot):
    other = until_ready(boot(IDLE))
    other.rundir = ready.rundir  # as with a /dev/shm that both have
    done = other.moonrise("status")
    assert done.returncode == 69
    assert "No such process" in done.stderr


@pytest.mark.parametrize("argv, message", [
    (["status", "--jason"], "moonrise: unknown option '--jason' of status; usage: moonrise status [--json]\n"),
    (["health", "--jsn"],
     "moonrise: unknown option '--jsn' of health; usage: moonrise health [--ready|--live] [--json]\n"),
    (["eval"], "moonrise: eval: usage: moonrise eval EXPR\n"),
    (["eval", "1", "2"], "moonrise: eval: usage: moonrise eval EXPR\n"),
    (["repl", "x"], "moonrise: repl: usage: moonrise repl\n"),
])
def test_wrong_arguments(argv, message):
    done = run(*argv)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", message)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_a_word(option):
    done = run("status", option)
    assert (done.returncode, done.stdout) == (0, "usage: moonrise status [--json]\n")


def test_an_expression_that_is_too_long(ready):
    done = run("eval", "1" * 100_000, env={"MOONRISE_RUNDIR": ready.rundir})
    assert done.returncode == 0  # an argument can't be much longer; the limit itself is tried below
    with dial(ready) as s:
        s.sendall(frame(b"R", b"eval\0" + b" " * (1024 * 1024 - 6) + b"7"))
        assert receive(s) == (b"O", b"7\n") and receive(s) == (b"X", b"\0")


@needs_root
def test_who_may_talk(boot):
    c = boot(argv=["--reuid=12345", "--regid=12345", "--clear-groups", "/run/moonrise-here", "/run/boot.lua"],
             program="/usr/bin/setpriv", files={"boot.lua": "local nothing"},
             inside=f"mount -t tmpfs tmpfs /dev/shm; chmod 755 /run; cp {BINARY} /run/moonrise-here; cp boot.lua /run/boot.lua; cd /")

    def talk(uid):
        return c.exec("setpriv", f"--reuid={uid}", "--clear-groups", "/run/moonrise-here", "eval", "1 + 1")

    eventually(lambda: talk(12345).stdout, "2\n")
    assert talk(0).stdout == "2\n"  # root finds an init that runs as another user
    other = talk(54321)
    assert other.returncode == 69 and "/dev/shm/moonrise-12345/control (Permission denied)" in other.stderr
    assert c.stop() == 0


# ---- clients that do not play by the rules


def test_garbage(ready):
    with dial(ready) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert receive(s) == (b"E", b"moonrise: that is no request (unknown kind of frame)\n")
        assert receive(s) == (b"X", b"\x40") and receive(s) == (b"", b"")
    assert evaluate(ready, "1 + 1") == "2\n"


def test_ten_megabytes(ready):
    with dial(ready) as s:
        with pytest.raises(OSError):
            s.sendall(frame(b"R", b"x" * 10_000_000))
        assert receive(s) == (b"E", b"moonrise: the request is longer than 1 MiB\n")
        assert receive(s) == (b"X", b"\x40") and receive(s) == (b"", b"")
    assert evaluate(ready, "1 + 1") == "2\n"


def test_half_a_message(ready):
    with dial(ready) as s:
        s.sendall(frame(b"R", b"eval\0visits = 7")[:-3])
        assert evaluate(ready, "1 + 1") == "2\n"
    assert evaluate(ready, "visits") == "0\n"


def test_nothing_at_all(ready):
    silent = [dial(ready) for _ in range(40)]  # more than there are places
    assert ready.moonrise("health").returncode == 0
    assert receive(silent[0]) == (b"", b"")  # the first of them made room
    for s in silent:
        s.close()
    assert evaluate(ready, "1 + 1") == "2\n"


def test_an_unknown_request(ready):
    with dial(ready) as s:
        s.sendall(frame(b"R", b"dance\0now"))
        assert receive(s) == (b"E", b'moonrise: this init does not know the request "dance"\n')
        assert receive(s) == (b"X", b"\x40")
        s.sendall(frame(b"R", b""))
        assert receive(s)[0] == b"E" and receive(s) == (b"X", b"\x40")
        s.sendall(frame(b"R", b"health"))
        assert receive(s) == (b"X", b"\0")


def test_a_second_request_before_the_first_has_ended(ready):
    with dial(ready) as s:
        s.sendall(frame(b"R", b"eval\0" + LEAVES_A_TRACE.encode()))
        assert receive(s) == (b"O", b"begun\n")
        s.sendall(frame(b"R", b"health"))
        assert receive(s) == (b"", b"")
    ready.says("a control client is turned away: it sent a request before the last one had ended")
    eventually(lambda: evaluate(ready, "visits"), "1\n")


def test_an_interrupt_out_of_the_blue(ready):
    with dial(ready) as s:
        s.sendall(frame(b"I") + frame(b"I", b"payload") + frame(b"R", b"health"))
        assert receive(s) == (b"X", b"\0")


def test_a_request_of_nothing_but_separators(ready):
    with dial(ready) as s:
        for payload in (b"\0" * 1_000_000, b"eval" + b"\0" * 1_000_000, b"status" + b"\0--json" * 100_000):
            s.sendall(frame(b"R", payload))
            while receive(s)[0] != b"X":
                pass
    assert evaluate(ready, "1 + 1") == "2\n"


def test_a_reader_that_does_not_read(ready):
    with dial(ready) as s:
        s.sendall(frame(b"R", b"eval\0for i = 1, 300 do print(('x'):rep(100000)) end visits = 1"))
        assert receive(s)[0] == b"O"
        # The chunk waits for its reader; the others do not.
        assert evaluate(ready, "visits") == "0\n"
        total = 0
        while True:
            kind, payload = receive(s)
            if kind == b"X":
                break
            total += len(payload)
        assert total > 299 * 100_001
    assert evaluate(ready, "visits") == "1\n"


def test_no_place_for_the_socket(boot):
    c = boot(IDLE + "    init.log('notice', 'booted all the same')", env={"MOONRISE_RUNDIR": "/proc/nowhere"},
             inside="for dir in /run /dev/shm; do mount -t tmpfs -o ro tmpfs $dir; done")
    c.says("booted all the same")
    warning = next(line for line in c.err.splitlines() if "no control socket" in line)
    assert "moonrise status and repl won't work" in warning
    for place in ("/proc/nowhere/control", "/run/moonrise/control", "/dev/shm/moonrise-0/control"):
        assert place in warning
    assert "Read-only file system" in warning
    assert c.stop() == 0


def test_the_socket_is_gone_afterwards(ready):
    path = ready.rundir + "/control"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert ready.stop() == 0
    assert not os.path.exists(path)


def test_no_client_waits_for_an_engine_that_is_lost(boot):
    c = until_ready(boot("""
        local init = require "moonrise"
        init.start { sh = "trap 'while ! test -e go; do sleep 1; done; exit' TERM; echo trapped; while :; do sleep 1; done",
          name = "patient" }
    """))
    c.says("trapped")
    with client(c, "eval", "print 'begun'; init.sleep(1000)") as one:
        assert one.stdout.readline() == "begun\n"
        c.signal(signal.SIGSEGV)
        assert one.wait(DEADLINE) == 69
        assert one.stderr.read().startswith("moonrise: the connection to the init is lost")
    assert c.moonrise("health").returncode == 1
    assert "sh" in [name for _, _, name in c.processes().values()]  # the patience is not over yet
    c.write("go", "")
    assert c.wait() == 70


def switches(pid):
    """How often a process has gone to sleep."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(line for line in file if line.startswith("voluntary_ctxt_switches"))


def test_silent_clients_do_not_wake_the_init(ready):
    silent = [dial(ready) for _ in range(10)]

    def rests():
        before = switches(ready.pid)
        time.sleep(0.5)
        return switches(ready.pid) == before

    eventually(rests)
    for s in silent:
        s.close()
