# SPDX-License-Identifier: MIT
"""sd_notify: what services say, with systemd-notify and python3-systemd as the clients,
and with messages that no client would send."""
import json
import os
import textwrap

import pytest

from moonrise import BINARY, eventually, needs_root

PRELUDE = '''
local init = require "moonrise"
local probe = require "moonrise.probe"
'''

# A service in Python: `daemon` is systemd's own module, say() sends by hand.
PYTHON = '''
import array, errno, os, signal, socket, sys, time
from systemd import daemon

def say(text, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                return s.sendmsg([text if isinstance(text, bytes) else text.encode()], rights, 0, os.environ["NOTIFY_SOCKET"])
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(0.01)  # a user may have only so many descriptors on their way

def barrier():
    r, w = os.pipe()
    say("BARRIER=1", [w])
    os.close(w)
    assert os.read(r, 1) == b""

def sleep():
    while True:
        time.sleep(60)
'''


def python(body):
    """The files of a container whose service.py is this."""
    return {"service.py": PYTHON + textwrap.dedent(body)}


def memory_of(c):
    """Bytes that PID 1 has in memory."""
    with open(f"/proc/{c.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def status_of(c, name="one"):
    services = json.loads(c.moonrise("status", "--json").stdout)["services"]
    return next(s for s in services if s["name"] == name)


def test_status_is_shown(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify() }
    ''', files=python('''
        daemon.notify("STATUS=reading\\nREADY=1")
        daemon.notify("STATUS=serving 3 clients")
        sleep()
    '''))
    eventually(lambda: status_of(c).get("status_text"), "serving 3 clients")
    assert "serving 3 clients" in c.moonrise("status").stdout
    assert c.moonrise("stop", "one").returncode == 0
    status = c.moonrise("status").stdout
    assert "was killed by TERM" in status and "serving" not in status
    assert c.stop() == 0


def test_a_short_lived_grandchild_speaks_for_its_service(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "for i in 1 2 3 4 5 6 7 8; do (systemd-notify --status=$i &) ; done; " ..
          "(systemd-notify --no-block --ready &); exec sleep infinity", name = "one", ready = probe.notify() }
    ''')
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def test_only_the_main_process_speaks_where_that_was_asked_for(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), notify = "main" }
    ''', files=python('''
        if os.fork() == 0:
            say("STATUS=from the child")
            os._exit(0)
        os.wait()
        say("READY=1")
        sleep()
    '''))
    eventually(lambda: status_of(c)["state"], "ready")
    assert "status_text" not in status_of(c)
    assert c.stop() == 0


def test_strangers_and_other_services_say_nothing(boot):
    c = boot(PRELUDE + '''
        local one = init.service { "sleep", "infinity", name = "one", ready = probe.notify(), essential = false,
          start_timeout = "1min" }
        init.start { sh = "NOTIFY_SOCKET=$MOONRISE_RUNDIR/notify systemd-notify --ready; exec sleep infinity", name = "two" }
        init.all(one, function() one:wait("ready") end)
    ''', env={"MOONRISE_LOG_LEVEL": "debug"})
    eventually(lambda: status_of(c)["state"], "starting")
    c.exec("env", f"NOTIFY_SOCKET={c.rundir}/notify", "systemd-notify", "--ready", "--no-block")
    c.says("which no service owns")
    assert status_of(c)["state"] == "starting"
    assert c.stop() == 143


def test_the_socket_is_for_those_who_asked(boot):
    c = boot(PRELUDE + '''
        local has = init.run { sh = "echo ${NOTIFY_SOCKET-none}", stdout = "capture" }
        assert(has.stdout == "none\\n")
        init.start { sh = "echo ${NOTIFY_SOCKET-none}; exec sleep infinity", name = "one", ready = probe.log "^none$" }
        init.start { sh = "echo $NOTIFY_SOCKET; exec sleep infinity", name = "two", notify = "all", ready = probe.log "/notify$" }
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


@needs_root
@needs_root
def test_a_service_of_another_user_reaches_it(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "systemd-notify --ready; exec sleep infinity", user = "nobody", ready = probe.notify() }
        init.exit(0)
    ''', env={"MOONRISE_RUNDIR": "/run/moonrise"})
    assert c.wait() == 0, c.err


# ---- main process


@pytest.mark.parametrize("parent", ["os._exit(0)", "sleep()"], ids=["a child of PID 1", "a grandchild"])
def test_another_main_process_is_followed(boot, parent):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), notify = "all" }
        init.log("notice", "first %d", one.pid)
    ''', files=python(f'''
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGUSR1, lambda *_: os._exit(9))
            print("main is", os.getpid(), flush=True)
            say("READY=1")
            sleep()
        say(f"MAINPID={{child}}")
        {parent}
    '''))
    c.says("main is")
    pid = int(c.out.split("main is ")[1].split()[0])
    eventually(lambda: status_of(c)["pid"], pid)
    c.moonrise("signal", "USR1", "one")  # its end is the container's, perhaps before the answer
    assert c.wait() == 9


def test_a_main_process_that_is_not_its_own_is_refused(boot):
    c = boot(PRELUDE + '''
        local other = init.start { "sleep", "infinity", name = "other" }
        local one = init.start { sh = "systemd-notify MAINPID=$OTHER; systemd-notify MAINPID=1; systemd-notify --ready; " ..
          "exec sleep infinity", name = "one", ready = probe.notify(), env = { OTHER = other.pid } }
        assert(one.pid and one.pid ~= other.pid)
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    assert "one names another main process: " in c.err


# ---- reload, stop, time


def test_reload_waits_until_the_service_has_said_that_it_is_done(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(),
          reload = { signal = "HUP", notify = true } }
        one:reload()
        init.log("notice", "reloaded: %s", one.state)
        init.exit(0)
    ''', files=python('''
        def reload(*_):
            say("READY=1")  # an old one: it does not count
            say(f"RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            time.sleep(0.05)
            print("reloading", flush=True)
            say("READY=1")
        signal.signal(signal.SIGHUP, reload)
        say("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err
    assert "one: reloading" in c.out
    assert "reloaded: ready" in c.err


def test_a_service_that_reloads_by_itself_is_seen_to(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify() }
        one:signal("USR1")
        one:wait("reloading")
        one:signal("USR2")
        one:wait("ready")
        init.exit(0)
    ''', files=python('''
        signal.signal(signal.SIGUSR1, lambda *_: daemon.notify("RELOADING=1"))
        signal.signal(signal.SIGUSR2, lambda *_: daemon.notify("READY=1"))
        daemon.notify("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err


def test_a_reload_that_is_never_done_is_given_up(boot):
    c = boot(PRELUDE + '''
        local one = init.start { sh = "trap : HUP; systemd-notify --ready; while :; do sleep 60 & wait $!; done", name = "one",
          ready = probe.notify(), reload = { signal = "HUP", notify = true }, start_timeout = "2s" }
        one:reload()
        assert(one.state == "ready")
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    assert "one has not said that it has reloaded within 2s" in c.err


def test_one_that_says_it_is_leaving_is_stopping(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify() }
        one:signal("USR1")
        one:wait("stopping")
        one:signal("USR2")
        init.sleep("1min")
    ''', files=python('''
        signal.signal(signal.SIGUSR1, lambda *_: daemon.notify("STOPPING=1"))
        signal.signal(signal.SIGUSR2, lambda *_: os._exit(7))
        daemon.notify("READY=1")
        sleep()
    '''))
    assert c.wait() == 7
    assert "one exited with status 7" in c.err


def test_one_that_says_it_is_leaving_and_stays_is_killed(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "systemd-notify --ready; systemd-notify STOPPING=1; exec sleep infinity", name = "one",
          ready = probe.notify(), stop = { grace = "100ms" } }
        init.sleep("1min")
    ''')
    assert c.wait() == 137
    assert "one did not stop in time and is killed" in c.err


def test_more_time_can_be_asked_for(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(),
          start_timeout = "2s", stop = { grace = "200ms" } }
        one:stop()
        assert(one.status == 3, one.status)
        init.exit(0)
    ''', files=python('''
        def stop(*_):
            daemon.notify("EXTEND_TIMEOUT_USEC=60000000")
            time.sleep(0.5)
            os._exit(3)
        signal.signal(signal.SIGTERM, stop)
        daemon.notify("EXTEND_TIMEOUT_USEC=60000000")
        time.sleep(2.5)
        daemon.notify("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err


def test_the_last_errno_is_told(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "systemd-notify ERRNO=28; exit 1", name = "one", ready = probe.notify() }
    ''')
    assert c.wait() == 1
    assert "one exited with status 1 (its last errno: No space left on device) before it was ready" in c.err


# ---- watchdog


def test_one_that_keeps_its_watchdog_alive_lives(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), watchdog = "2s" }
        one:wait("stopping", "1min")
        init.log("notice", "it was %s", one.launch.alive and "alive" or "never alive")
        init.sleep("1min")
    ''', files=python('''
        assert os.environ["WATCHDOG_PID"] == str(os.getpid())
        assert os.environ["WATCHDOG_USEC"] == "2000000"
        daemon.notify("READY=1")
        for i in range(25):
            daemon.notify("WATCHDOG=1")
            time.sleep(0.1)
        print("now it hangs", flush=True)
        sleep()
    '''))
    assert c.wait() == 134
    assert "one: now it hangs" in c.out
    assert "one did not keep its watchdog alive" in c.err


@pytest.mark.parametrize("message", ["WATCHDOG=trigger", "WATCHDOG_USEC=100000"])
def test_a_watchdog_of_its_own_asking(boot, message):
    c = boot(PRELUDE + f'''
        init.start {{ sh = "systemd-notify --ready; systemd-notify {message}; exec sleep infinity", name = "one",
          ready = probe.notify(), restart = {{ when = "on-failure", burst = 1, interval = "1min" }} }}
        init.sleep("1min")
    ''')
    assert c.wait() == 134
    assert c.err.count("one did not keep its watchdog alive and was killed by ABRT; starting it again") == 1


# ---- descriptors


def test_stored_descriptors_come_back_after_a_restart(boot):
    c = boot(PRELUDE + '''
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), fd_store = 3,
          restart = "always" }
        one:wait("backoff")
        one:wait("ready")
        one:restart()
        one:stop()
        one:start() -- stopped means that it is over: nothing is kept
        init.exit(0)
    ''', files=python('''
        names = daemon.listen_fds_with_names()
        print("given", sorted(names.values()), flush=True)
        if not names and not os.path.exists("killed"):
            r, w = os.pipe()
            os.write(w, b"kept")
            gone, end = os.pipe()
            say("FDSTORE=1\\nFDNAME=pipe\\nFDPOLL=0", [r])
            say("FDSTORE=1\\nFDNAME=pipe\\nFDPOLL=0", [r])  # the same: once is enough
            say("FDSTORE=1\\nFDNAME=gone", [gone])
            say("FDSTORE=1\\nFDNAME=memory", [os.memfd_create("x")])
            say("FDSTORE=1\\nFDNAME=many", [os.memfd_create("y")])
            say("READY=1")
            open("killed", "w").close()
            barrier()
            os.close(end)  # hung up: it is dropped
            os.kill(os.getpid(), signal.SIGKILL)
        for fd, name in names.items():
            if name == "pipe" and "memory" in names.values():
                print("read", os.read(fd, 10), flush=True)
                say("FDSTOREREMOVE=1\\nFDNAME=memory")
        say("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err
    assert [line for line in c.out.splitlines() if line.startswith("one: ")] == [
        "one: given []", "one: given ['memory', 'pipe']", "one: read b'kept'", "one: given ['pipe']", "one: given []"]
    assert "one stores more descriptors than its 'fd_store' allows" in c.err


def test_a_full_store_and_many_sockets_are_handed_over(boot):
    c = boot(PRELUDE + '''
        local sockets = {}
        for i = 1, 50 do sockets[i] = { unix_dgram = "/run/" .. i, name = "socket" } end
        local one = init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), fd_store = 200,
          listen = sockets }
        one:restart()
        init.exit(0)
    ''', files=python('''
        names = daemon.listen_fds_with_names()
        print("given", len(names), "and", list(names.values()).count("file"), flush=True)
        for i in range(250 - len(names)):
            fd = os.memfd_create("x")
            say("FDSTORE=1\\nFDNAME=file", [fd])
            os.close(fd)
        say("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err
    assert "one: given 50 and 0\none: given 250 and 200\n" in c.out
    assert "allows" not in c.err


def test_a_barrier_is_answered_when_all_before_it_was_read(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", notify = "all", ready = probe.log "done" }
        init.exit(0)
    ''', files=python('''
        for i in range(20):
            say(f"STATUS={i}")
        barrier()
        print("done", flush=True)
        sleep()
    '''))
    assert c.wait() == 0, c.err


# ---- bad days


def test_garbage_changes_nothing(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify() }
        init.log("notice", "descriptors: %d", #require("moonrise.fs").list("/proc/self/fd"))
        init.exit(0)
    ''', files=python('''
        import random
        random.seed(1)
        null = os.open("/dev/null", os.O_RDONLY)
        for i in range(300):
            say(random.randbytes(random.randrange(1, 3000)), [null] * random.randrange(0, 20))
        say("READY=1" + "x" * 100000)
        say("READY=1\\n" + "x" * 5000, [null] * 253)
        say("STATUS=" + "y" * 4000)
        say("\\n\\n\\n=\\n==\\nREADY\\nREADY=yes\\nMAINPID=1\\nMAINPID=-1\\nWATCHDOG_USEC=99999999999999999999")
        say("MAINPID=999999")
        say("READY=1")
        sleep()
    '''))
    assert c.wait() == 0, c.err
    assert int(c.err.split("descriptors: ")[1].split()[0]) < 40


@needs_root
@needs_root
def test_a_forged_sender_is_refused_by_the_kernel_or_counts_for_whom_it_names(boot):
    """Root may name another pid; then that pid's service is meant, as for systemd-notify --pid."""
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", user = "nobody", ready = probe.notify() }
        init.exit(0)
    ''', files=python('''
        import struct
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            try:
                s.sendmsg([b"READY=1"], [(socket.SOL_SOCKET, 2, struct.pack("iII", 1, 0, 0))], 0, os.environ["NOTIFY_SOCKET"])
            except PermissionError:
                say("READY=1")
        sleep()
    '''), env={"MOONRISE_RUNDIR": "/run/moonrise"}, inside="chmod 755 .")
    assert c.wait() == 0, c.err


def test_a_flood_of_messages_does_not_keep_it_from_stopping(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify() }
    ''', files=python('''
        say("READY=1")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(os.environ["NOTIFY_SOCKET"])
            while True:
                s.send(b"STATUS=" + b"x" * 2000)
    '''))
    eventually(lambda: "xxx" in status_of(c).get("status_text", ""))
    assert "asan" in BINARY or memory_of(c) < 8 << 20
    assert c.stop() == 0


@pytest.mark.parametrize("message", ["STATUS=x", "FDSTORE=1", "BARRIER=1"])
def test_a_flood_of_descriptors_is_closed(boot, message):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "service.py", name = "one", ready = probe.notify(), fd_store = 5 }
    ''', files=python(f'''
        say("READY=1")
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(200):
            say("{message}", [null] * 100)
        barrier()
        print("said", flush=True)
        sleep()
    '''))
    c.says("one: said")
    assert len(os.listdir(f"/proc/{c.pid}/fd")) < 40
    assert c.stop() == 0
