# SPDX-License-Identifier: MIT
"""What comes of a service is found and ended with it, and daemons are followed."""
import os
import re
import subprocess
from signal import SIGKILL, SIGTERM, SIGUSR1, SIGUSR2

import pytest
from moonrise import eventually, needs_root

HERE = os.path.dirname(os.path.abspath(__file__))
DAEMON = f'"/usr/bin/python3", "{HERE}/daemon.py"'
BROOD = 4

SCRIPT = f'''
    local init = require "moonrise"
    init.start {{ {DAEMON}, %s, name = "d" }}
    init.log("notice", "booted")
'''


def daemon(boot, *options):
    return boot(SCRIPT % ", ".join(options))


def pids(c):
    """Those that the daemon has said it has, once for each start."""
    return [int(pid) for pid in re.findall(r"^d: daemon (\d+)$", c.out, re.M)]


def starts(c, count):
    """Wait for the main process's pid as that many starts have said it."""
    return eventually(lambda: pids(c), lambda found: len(found) == count)[-1]


def brood(c):
    return [pid for pid, (state, _, name) in c.processes().items() if name == "sleep" and state != "Z"]


def kill(c, pid):
    assert c.exec("kill", "-KILL", str(pid)).returncode == 0


# ---- what is left behind


def test_what_a_crash_leaves_is_gone_before_the_restart(boot):
    c = daemon(boot, f'"--brood", {BROOD}, "--lock", "lock"', 'restart = "always"')
    for start in range(1, 4):
        pid = starts(c, start)
        eventually(lambda: brood(c), lambda found: len(found) == BROOD)
        kill(c, pid)
    starts(c, 4)
    eventually(lambda: brood(c), lambda found: len(found) == BROOD)
    assert c.stop() == 0


def test_what_is_left_after_a_stop_is_killed_when_it_ignores_term(boot):
    c = daemon(boot, f'"--brood", {BROOD}', "essential = false")
    starts(c, 1)
    eventually(lambda: brood(c), lambda found: len(found) == BROOD)
    assert c.moonrise("eval", "services.d:stop()").returncode == 0
    assert not brood(c)
    assert c.stop() == 0


def test_what_is_left_after_a_stop_is_told_first(boot):
    c = boot('''
        local init = require "moonrise"
        init.start { name = "d", sh = [[
          setsid sh -c 'trap "echo bye; exit" TERM; echo up; while :; do sleep 0.05; done' &
          wait
        ]] }
    ''')
    c.says("d: up")
    assert c.stop() == 0
    assert "d: bye" in c.out


def test_a_service_that_ends_by_itself_takes_all_with_it(boot):
    c = daemon(boot, f'"--brood", {BROOD}, "--die", 3', "essential = false")
    starts(c, 1)
    eventually(lambda: brood(c), lambda found: len(found) == BROOD)
    c.write("die", "")
    eventually(lambda: c.moonrise("eval", "services.d.state").stdout.strip(), "failed")
    assert not brood(c)
    assert c.stop() == 0


def test_what_another_service_runs_stays(boot):
    c = boot(f'''
        local init = require "moonrise"
        init.start {{ {DAEMON}, "--brood", {BROOD}, name = "d", essential = false }}
        init.start {{ {DAEMON}, "--brood", 2, name = "e" }}
    ''')
    eventually(lambda: brood(c), lambda found: len(found) == BROOD + 2)
    assert c.moonrise("eval", "services.d:stop()").returncode == 0
    assert len(brood(c)) == 2
    assert c.stop() == 0


def test_without_the_mark_session_and_parents_tell(boot):
    c = boot(f'''
        local init = require "moonrise"
        init.start {{ sh = "sleep 1000 & setsid sleep 1000 & echo up; wait", name = "d", essential = false }}
    ''', inside="ulimit -H -x 1000 2>/dev/null || prlimit --pid $$ --locks=1000")
    c.says("d: up")
    eventually(lambda: brood(c), lambda found: len(found) == 2)
    c.moonrise("eval", "services.d:stop()")
    eventually(lambda: len(brood(c)) < 2)
    assert c.stop() == 0


def needs_pid_max():
    version = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    if version < (6, 14):
        pytest.skip("A PID NAMESPACE HAS NO pid_max OF ITS OWN BEFORE LINUX 6.14")


@pytest.fixture(name="bomb", scope="module")
def build_bomb(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("bomb") / "bomb")
    subprocess.run(["cc", "-O2", "-o", path, HERE + "/bomb.c"], check=True)
    return path


def test_what_forks_faster_than_it_is_killed_is_ended(boot, bomb):
    needs_pid_max()
    c = boot(f'''
        local init = require "moonrise"
        init.start {{ "sleep", "1000", name = "other" }}
        local bomb = init.start {{ "{bomb}", "60", name = "bomb", stop = {{ grace = "1s" }}, essential = false }}
        init.on("USR1", function()
          bomb:stop()
          init.log("notice", "stopped")
        end)
    ''', inside="echo 400 >/proc/sys/kernel/pid_max")
    c.says("bomb: bomb")
    eventually(lambda: len(c.processes()), lambda count: count > 90)  # then there is no pid left
    c.signal(SIGUSR1)
    c.says("moonrise: stopped")
    assert not [name for _, _, name in c.processes().values() if name == "bomb"]
    assert c.stop() == 137  # it had to be killed


# ---- daemons


@pytest.mark.parametrize("kind", [
    "forking = true", '"--pidfile", "pid", pidfile = "pid"', '"--pidfile", "pid", "--late", "0.3", pidfile = "pid"',
])
def test_a_daemon_is_followed(boot, kind):
    c = daemon(boot, '"--double"', kind, f'"--brood", {BROOD}', 'restart = "always"')
    c.says("booted")
    for start in range(1, 3):
        pid = starts(c, start)
        eventually(lambda: c.moonrise("eval", "services.d.pid").stdout.strip(), str(pid))
        kill(c, pid)
        eventually(lambda: c.moonrise("eval", "services.d.status").stdout.strip(), str(128 + SIGKILL))
    starts(c, 3)
    assert c.stop() == 0
    assert "killed" not in c.err.split("stopping")[1]


@pytest.mark.parametrize("kind", ["forking = true", '"--pidfile", "pid", pidfile = "pid"'])
def test_a_daemon_s_status_is_the_container_s(boot, kind):
    c = daemon(boot, '"--double"', '"--die"', "7", kind)
    starts(c, 1)
    c.says("booted")
    c.write("die", "")
    assert c.wait() == 7
    assert "d exited with status 7" in c.err


def test_a_daemon_that_fails_before_it_is_one(boot):
    c = boot('''
        local init = require "moonrise"
        init.start { sh = "exit 4", name = "d", forking = true }
    ''')
    assert c.wait() == 4
    assert "d exited with status 4 before it was ready" in c.err


def test_a_daemon_of_which_nothing_stays(boot):
    c = boot('''
        local init = require "moonrise"
        init.start { sh = "exit 0", name = "d", forking = true }
    ''')
    assert c.wait() == 75
    assert "d exited with status 0 before it was ready" in c.err


@pytest.mark.parametrize("options, why", [
    ('"--double", pidfile = "pid"', "it has not written its pid file"),
    ('forking = true', "its first process has not ended, as that of a daemon does"),
    ('"--double", pidfile = "wrong"', "its pid file wrong names 1, which is none of its processes"),
    ('"--double", pidfile = "garbage"', "its pid file garbage has no number in it"),
])
def test_a_daemon_that_is_late_says_why(boot, options, why):
    c = boot(SCRIPT % (options + ', start_timeout = "2s"'), files={"wrong": "1\n", "garbage": "12 13"})
    assert c.wait() == 75
    assert "d was not ready after 2s: " + why in c.err


def test_another_process_can_become_the_main_one(boot):
    """It is not our child: its parent lives, and gets its status."""
    c = boot('''
        local init = require "moonrise"
        local fs = require "moonrise.fs"
        local d = init.start { name = "d", essential = false, sh = [[
          sh -c 'echo $$ >pid.new; mv pid.new pid; while [ ! -e die ]; do sleep 0.05; done; exit 6' &
          sleep 1000
        ]] }
        require "moonrise.probe".file("pid"):wait("20s")
        local pid = math.tointeger(tonumber((fs.read("pid"):gsub("%s", ""))))
        assert(not d:follow(1))
        assert(d:follow(pid))
        assert(d.pid == pid)
        fs.write("die", "")
        assert(d:wait("failed", "20s"))
        assert(d.status == 6 or d.status == 1, d.status)
    ''')
    c.says("d exited with status")
    eventually(lambda: not brood(c))
    assert c.stop() == 0


def test_a_message_names_the_main_process(boot):
    c = boot(f'''
        local init = require "moonrise"
        init.start {{ name = "d", notify = "all", restart = "always", ready = require("moonrise.probe").notify(), sh = [[
          {HERE}/daemon.py --exit 5 & systemd-notify --ready MAINPID=$!; wait
        ]] }}
        init.log("notice", "booted")
    ''')
    for start in range(1, 3):
        pid = starts(c, start)
        eventually(lambda: c.moonrise("eval", "services.d.pid").stdout.strip(), str(pid))
        kill(c, pid)
    starts(c, 3)
    assert c.stop() == 0


def test_without_a_pid_left_a_start_fails_and_the_init_goes_on(boot):
    needs_pid_max()
    c = boot(f'''
        local init = require "moonrise"
        local fill = init.start {{ {DAEMON}, "--fill", name = "fill", essential = false }}
        init.on("USR1", function()
          local ok, err = pcall(init.run, {{ "true" }})
          init.log("notice", "a command %s", ok and "runs" or tostring(err))
        end)
        init.on("USR2", function()
          fill:stop()
          init.log("notice", "stopped")
        end)
    ''', inside="echo 400 >/proc/sys/kernel/pid_max")
    c.says("fill: full")
    c.signal(SIGUSR1)
    c.says("fork: Resource temporarily unavailable")
    c.signal(SIGUSR2)
    c.says("moonrise: stopped")
    assert not brood(c)
    c.signal(SIGUSR1)
    c.says("a command runs")
    assert c.stop() == 0


def test_a_command_that_is_too_late_leaves_nothing(boot):
    c = boot('''
        local init = require "moonrise"
        init.run { sh = "trap '' TERM; setsid sleep 1000 & sleep 1000", timeout = "0.3s" }
    ''', env={"MOONRISE_HOLD": "1"})
    c.says("was not done after")
    eventually(lambda: not brood(c))
    c.signal(SIGTERM)
    assert c.wait() == 75


# ---- with a cgroup v2 of one's own


@pytest.fixture(name="cgroup")
def make_cgroup():
    """A cgroup for one container, as its runtime makes it; afterwards nothing is in it."""
    mounts = [line.split() for line in open("/proc/self/mountinfo", encoding="ascii")]
    root = next((fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"), None)
    path = f"{root}/moonrise-test-{os.getpid()}"
    try:
        os.mkdir(path)
    except OSError as error:
        pytest.skip(f"NO CGROUP CAN BE MADE HERE: {error}")
    yield path
    eventually(lambda: not open(path + "/cgroup.procs", encoding="ascii").read())
    below = [entry.name for entry in os.scandir(path) if entry.is_dir()]
    for name in below:
        os.rmdir(f"{path}/{name}")
    os.rmdir(path)
    assert not below


ENTER = '''
    echo 0 >%s/cgroup.procs
    exec unshare --cgroup sh -ec 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"' sh "$@"
'''


@needs_root
def test_a_service_has_its_own_cgroup(boot, cgroup):
    c = boot(f'''
        local init = require "moonrise"
        init.start {{ {DAEMON}, "--brood", {BROOD}, name = "d", restart = "always" }}
        assert(not pcall(init.start, {{ "/etc/passwd", name = "broken" }}))
        assert(not pcall(init.start, {{ "/bin/true", cwd = "/nowhere", name = "broken2" }}))
        init.log("notice", "booted")
    ''', inside=ENTER % cgroup)
    c.says("booted")
    for start in range(1, 3):
        pid = starts(c, start)
        eventually(lambda: brood(c), lambda found: len(found) == BROOD)
        own = [entry.path for entry in os.scandir(cgroup) if entry.is_dir()]
        assert len(own) == 1
        eventually(lambda: len(open(own[0] + "/cgroup.procs", encoding="ascii").read().split()), BROOD + 1)
        kill(c, pid)
    starts(c, 3)
    assert c.stop() == 0
