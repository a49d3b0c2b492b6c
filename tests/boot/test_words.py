# SPDX-License-Identifier: MIT
"""The words of the command line that act on services and on the container."""
import json
import os
import re
from xml.etree import ElementTree

import pytest
from moonrise import BINARY, ROOT, eventually, needs_root, run

THREE = """
    local init, probe = require "moonrise", require "moonrise.probe"
    db = init.service { sh = "echo db is here; exec sleep 1000", name = "db" }
    web = init.service { sh = "trap 'echo reloaded' HUP; echo web is here; while :; do sleep 0.05; done", name = "web",
      after = { "db" }, reload = { signal = "HUP" } }
    bad = init.service { sh = "echo a first line; echo it is broken >&2; exit 3", name = "bad",
      ready = probe.file "/nowhere/at/all" }
    init.all(db, web)
"""


@pytest.fixture
def three(boot):
    """A container that is ready: db, web after it, and bad, which is not started."""
    c = boot(THREE)
    eventually(lambda: c.moonrise("health").returncode, 0)
    return c


def states(c):
    return c.moonrise("eval", "('%s %s %s'):format(db.state, web.state, bad.state)").stdout.strip()


def test_stop_and_start(three):
    assert three.moonrise("stop", "web", "db").returncode == 0
    assert states(three) == "stopped stopped stopped"
    assert three.moonrise("health").returncode == 0  # it was wanted
    assert three.moonrise("start", "web", "db").returncode == 0
    assert states(three) == "ready ready stopped"
    assert three.moonrise("start", "db").returncode == 0  # it is


def test_restart(three):
    before = three.moonrise("eval", "db.pid").stdout
    assert three.moonrise("restart", "db").returncode == 0
    assert three.moonrise("eval", "db.pid").stdout != before
    assert states(three) == "ready ready stopped"


def test_reload_and_signal(three):
    assert three.moonrise("reload", "web").returncode == 0
    three.says("web: reloaded")
    done = three.moonrise("reload", "web", "db")
    assert done.returncode == 1 and "db has no 'reload' option that says how it is done" in done.stderr
    assert three.moonrise("signal", "HUP", "web").returncode == 0
    three.moonrise("signal", "TERM", "db")  # its end is the container's, perhaps before the answer
    assert three.wait() == 143


@pytest.mark.parametrize("argv, message", [
    (["start", "wbe"], "there is no service 'wbe'; did you mean 'web'?\n"),
    (["why", "nothing-like-it"], "there is no service 'nothing-like-it'\n"),
    (["signal", "TREM", "db"], "the signal for db is \"TREM\", which is no signal; it takes a name such as \"TERM\"\n"),
    (["signal", "TERM", "bad"], "bad is not running: it is stopped\n"),
    (["reload", "db"], "db has no 'reload' option that says how it is done\n"),
    (["wait", "db", "raedy"], '"raedy" is no state of a service; these are: waiting, starting, '),
    (["wait", "db", "stopped", "--timeout", "soon"], '--timeout is "soon"'),
    (["shutdown", "--status=256"], "--status is '256'; it takes 0 to 255\n"),
])
def test_what_can_not_be_done(three, argv, message):
    done = three.moonrise(*argv)
    assert (done.returncode, done.stdout) == (1, "") and message in done.stderr
    assert states(three) == "ready ready stopped"


def test_a_job_is_run_at_once(boot):
    c = boot("""
        local init = require "moonrise"
        init.every("1d", { sh = "echo a copy is made" }, { name = "backup" })
        init.every("1d", { sh = "echo no room >&2; exit 3" }, { name = "dump" })
    """)
    eventually(lambda: c.moonrise("health").returncode, 0)
    done = c.moonrise("start", "backup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    c.says("backup: a copy is made")
    done = c.moonrise("start", "dump", "backup")
    assert done.returncode == 1 and "failed with exit status 3" in done.stderr and "no room" in done.stderr
    jobs = json.loads(c.moonrise("status", "--json").stdout)["jobs"]
    assert [(job["name"], job["runs"], job["failures"]) for job in jobs] == [("backup", 2, 0), ("dump", 1, 1)]
    done = c.moonrise("stop", "dump")
    assert (done.returncode, done.stderr) == (1, "there is no service 'dump'; it is a job, which 'start' runs at once\n")
    assert c.stop() == 0


def test_a_start_that_fails_says_why(three):
    done = three.moonrise("start", "bad")
    assert done.returncode == 1
    assert "bad exited with status 3 before it was ready\n  it is broken\n" in done.stderr


def test_why(three):
    def why(name):
        return three.moonrise("why", name).stdout

    assert why("db").startswith("db is ready for ")
    assert why("bad") == "bad has not been started\n"
    three.moonrise("start", "bad")
    assert why("bad").startswith("bad failed ")
    assert "bad exited with status 3 before it was ready\n  it is broken\n" in why("bad")
    three.moonrise("stop", "web", "db")
    assert why("db").startswith("db was stopped ") and "was killed by TERM" in why("db")
    three.moonrise("eval", "require('moonrise.supervisor').begin { web }")
    assert eventually(lambda: why("web"), lambda text: "waits" in text).startswith("web waits for db, which is stopped, for ")
    assert three.moonrise("why", "db", "web").stdout.count("\n") == 2


def test_why_for_programs(three):
    three.moonrise("start", "bad")
    bad, db = json.loads(three.moonrise("why", "bad", "db", "--json").stdout)
    assert (bad["name"], bad["state"], bad["output"]) == ("bad", "failed", ["it is broken"])
    assert bad["why"].startswith("failed ") and bad["seconds"] >= 0
    assert (db["name"], db["state"]) == ("db", "ready") and db["output"] in ([], ["db is here"])
    assert db["why"].startswith("is ready for ")


@pytest.mark.parametrize("option, reason", [
    ("ready = probe.tcp(9)", "refused"),
    ("ready = probe.notify()", "READY=1"),
    ("ready = probe.fd(3)", "3"),
    ("ready = probe.all { probe.notify(), probe.file '/nowhere/at/all' }", "/nowhere/at/all"),
    ("ready = probe.command { 'false' }", "false"),
    ("ready = probe.log 'never'", "never"),
    ("ready = function() init.sleep(1000) end", ""),
    ("ready = probe.pidfile '/nowhere/at/all'", "/nowhere/at/all"),
    ("forking = true", "its first process has not ended yet"),
])
def test_why_it_is_not_ready_yet(boot, option, reason):
    c = boot(f"""
        init, probe = require "moonrise", require "moonrise.probe"
        init.start {{ "sleep", "1000", name = "slow", {option} }}
    """)
    text = eventually(lambda: c.moonrise("why", "slow").stdout, lambda text: "starting" in text and reason in text)
    assert text.startswith("slow has been starting for ") and text.count("\n") == 1


def test_why_it_is_not_ready_yet_and_when_it_starts_again(boot):
    c = boot("""
        local init, probe = require "moonrise", require "moonrise.probe"
        local delay = { first = "1h", max = "1h" }
        init.all(
          init.service { "sleep", "1000", name = "slow", ready = probe.file "/nowhere/at/all" },
          init.service { sh = "echo oops; exit 1", name = "again", restart = { when = "always", backoff = delay } })
    """)
    text = eventually(lambda: c.moonrise("why", "slow").stdout, lambda text: "/nowhere" in text)
    assert text.startswith("slow has been starting for ")
    text = eventually(lambda: c.moonrise("why", "again").stdout, lambda text: "again in" in text)
    assert text.startswith("again exited with status 1 ") and "will be started again in 5" in text
    assert text.endswith(" (restart 1)\n  oops\n")


def test_wait(three):
    assert three.moonrise("wait", "db").returncode == 0
    done = three.moonrise("wait", "db", "stopped", "--timeout", "10ms")
    assert done.returncode == 1 and done.stderr.startswith("db is ready for ")
    three.moonrise("eval", "init.service { 'sleep', '1000', name = 'late' }")
    done = three.exec("sh", "-c", "$0 wait late & $0 start late && wait $!", BINARY)
    assert (done.returncode, done.stderr) == (0, "")


def test_wait_for_what_fails(three):
    done = three.exec("sh", "-c", "$0 start bad; $0 wait bad", BINARY)
    assert done.returncode == 1 and "bad failed " in done.stderr


def test_shutdown(three):
    done = run("shutdown", "--status", "7", env={"MOONRISE_RUNDIR": three.rundir})  # from outside: it sees the end
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert three.wait() == 7
    assert "shutdown: stopping" in three.err


def test_shutdown_of_a_boot(boot):
    c = boot("require('moonrise').sleep(1000)")
    eventually(lambda: c.moonrise("health", "--live").returncode, 0)
    assert run("shutdown", env={"MOONRISE_RUNDIR": c.rundir}).returncode == 0
    assert c.wait() == 0


def test_alive_but_not_ready(boot):
    c = boot("require('moonrise').sleep(1000)")
    eventually(lambda: c.moonrise("health", "--live").returncode, 0)
    assert c.moonrise("health", "--ready").returncode == 1
    assert c.moonrise("health").returncode == 1


def test_neither_ready_nor_alive(boot):
    c = boot("error 'oh dear'", env={"MOONRISE_HOLD": "1"})
    done = eventually(lambda: c.moonrise("health", "--live"), lambda done: "oh dear" in done.stderr)
    assert done.returncode == 1 and done.stderr.startswith("the boot has failed: ")


# ---- the boot as a picture


def test_plot(boot):
    c = boot("""
        local init, probe, fs = require "moonrise", require "moonrise.probe", require "moonrise.fs"
        fs.volume "/run/data":once("first", function() init.run { "true", name = "a <step> & \\"more\\"" } end)
        pcall(init.run, { "false" })
        init.all(init.service { "sleep", "1000", name = "db" },
          init.service { "sleep", "1000", name = "web", after = { "db" } })
        init.service { "sleep", "1000", name = "unused" }
    """, inside="mkdir /run/data")
    eventually(lambda: c.moonrise("health").returncode, 0)
    done = c.moonrise("plot", c.path("boot.svg"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    root = ElementTree.fromstring(c.read("boot.svg"))
    svg = "{http://www.w3.org/2000/svg}"
    names = [text.text for text in root.iter(svg + "text") if text.find(svg + "title") is not None]
    assert names == ["volume /run/data", "once first", 'a <step> & "more"', "moonrise worker", "false", "db", "web"]
    bars = [bar.get("class") for bar in root.iter(svg + "rect") if bar.find(svg + "title") is not None]
    assert bars[:5] == ["volume", "once", "run", "run", "failed"] and bars.count("ready") == 2
    c.moonrise("eval", "init.run { 'true', name = 'later' }")
    assert "later" not in c.moonrise("plot").stdout
    done = c.moonrise("plot", "/nowhere/boot.svg")
    assert done.returncode == 74 and done.stderr == "moonrise: cannot write /nowhere/boot.svg: No such file or directory\n"


def test_plot_of_a_boot_that_goes_on(boot):
    c = boot("require('moonrise').run { 'sleep', '1000' }")
    done = eventually(lambda: c.moonrise("plot"), lambda done: ">sleep<" in done.stdout)
    assert "not ready after" in done.stdout
    ElementTree.fromstring(done.stdout)


# ---- what the boot has set


def test_env(boot):
    c = boot("""
        local env = require "moonrise.env"
        env.read { PORT = { type = "port" }, PASSWORD = { type = "secret" } }
    """, env={"PORT": "80", "PASSWORD": "dont-tell", "QUOTED": "it's a\nline", "PLAIN": "a/b.c:d"})
    eventually(lambda: c.moonrise("health").returncode, 0)
    text = c.moonrise("env").stdout
    assert "PORT=80\n" in text and "PLAIN=a/b.c:d\n" in text and "QUOTED='it'\\''s a\nline'\n" in text
    assert "PASSWORD" not in text and "dont-tell" not in text
    assert c.exec("sh", "-c", f'eval "$({BINARY} env)"; printf %s "$QUOTED"').stdout == "it's a\nline"
    assert json.loads(c.moonrise("env", "--json").stdout)["QUOTED"] == "it's a\nline"
    assert "QUOTED=it's a\nline\0" in c.moonrise("env", "-0").stdout


ENTERED = """
    local init = require "moonrise"
    init.start { "/bin/sleep", "1000", name = "sleeper", env = { COLOUR = "blue", HOME = "/nowhere" }, cwd = "/usr",
      umask = "027", limits = { nofile = { 100, 200 }, core = "infinity" }, nice = 3, clear_env = true }
    init.service { "/bin/sleep", "1000", name = "plain" }
"""

LOOK = "echo $COLOUR $HOME $(pwd) $(umask) $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c) $(nice)"


def test_enter(boot):
    c = boot(ENTERED)
    eventually(lambda: c.moonrise("health").returncode, 0)
    done = c.moonrise("enter", "sleeper", "--", "sh", "-c", LOOK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "blue /nowhere /usr 0027 100 200 unlimited 3\n", "")
    assert c.moonrise("enter", "sleeper", "--", "sh", "-c", "exit 9").returncode == 9
    done = c.moonrise("enter", "sleeper", input="echo $COLOUR")  # a shell
    assert (done.returncode, done.stdout) == (0, "blue\n")
    assert c.exec("env", "TERM=xterm", BINARY, "enter", "sleeper", "--", "printenv", "TERM").stdout == "xterm\n"
    done = c.moonrise("enter", "plain", "--", "pwd")  # where the init is
    assert (done.returncode, done.stdout) == (0, c.dir + "\n")


@pytest.mark.parametrize("argv, status, message", [
    (["enter", "sleeper", "--", "no-such-command"], 127, "cannot enter sleeper: no-such-command: No such file or directory"),
    (["enter", "sleeper", "--", "/etc/passwd"], 126, "cannot enter sleeper: /etc/passwd: Permission denied"),
    (["enter", "slepper", "--", "true"], 1, "there is no service 'slepper'; did you mean 'sleeper'?"),
    (["enter", "sleeper", "true"], 64, "enter: usage: moonrise enter NAME [-- CMD [ARG...]]"),
    (["enter"], 64, "enter: usage: moonrise enter NAME [-- CMD [ARG...]]"),
])
def test_enter_what_can_not_be_entered(boot, argv, status, message):
    c = boot(ENTERED)
    eventually(lambda: c.moonrise("health").returncode, 0)
    done = c.moonrise(*argv)
    assert done.returncode == status and message in done.stderr


@needs_root
def test_enter_as_the_user_and_with_the_capabilities(boot):
    c = boot("""
        require("moonrise").start { "/bin/sleep", "1000", name = "sleeper", user = "daemon", groups = { "adm" },
          caps = { "net_bind_service" }, no_new_privs = true, cwd = "/" }
    """)
    eventually(lambda: c.moonrise("health").returncode, 0)
    own = c.moonrise("eval", "services.sleeper.pid").stdout.strip()

    def look(pid):
        return f"grep -E '^(Uid|Gid|Groups|Cap|NoNew)' /proc/{pid}/status"

    done = c.moonrise("enter", "sleeper", "--", "sh", "-c", look("self"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == c.exec("sh", "-c", look(own)).stdout


@pytest.mark.parametrize("argv, message", [
    (["start"], "start: usage: moonrise start NAME..."),
    (["wait", "a", "b", "c"], "wait: usage: moonrise wait NAME [STATE] [--timeout D]"),
    (["wait", "a", "--timeout"],
     "a value is missing behind '--timeout' of wait; usage: moonrise wait NAME [STATE] [--timeout D]"),
    (["wait", "a", "--time=1"], "unknown option '--time=1' of wait; usage: moonrise wait NAME [STATE] [--timeout D]"),
    (["stop", "-f", "a"], "unknown option '-f' of stop; usage: moonrise stop NAME..."),
    (["strat", "a"], "unknown command 'strat'; did you mean 'start'?"),
])
def test_wrong_arguments(argv, message):
    done = run(*argv)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", f"moonrise: {message}\n")


# ---- completion


def complete(container, words):
    script = """
        source "$0/doc/moonrise.bash"; PATH=$1:$PATH; shift
        COMP_WORDS=(moonrise "$@"); COMP_CWORD=$#
        _moonrise; printf '%s\\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' '
    """
    done = container.exec("bash", "-c", script, ROOT, os.path.dirname(BINARY), *words)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("words, candidates", [
    (["sta"], "start status"),
    (["--"], "-- --expect --group --help --lua --memory --parent-death --quiet --rewrite --single-child --subreaper "
             "--verbose --version --warn"),
    (["restart", ""], "bad db web"),
    (["stop", "web", "d"], "db"),
    (["logs", "b"], "bad"),
    (["why", ""], "--json bad db web"),
    (["top", ""], "--json"),
    (["signal", "US"], "USR1 USR2"),
    (["signal", "USR1", ""], "bad db web"),
    (["wait", "db", "st"], "starting stopped stopping"),
    (["check", ROOT + "/doc/moonrise.b"], ROOT + "/doc/moonrise.bash"),
    ([ROOT + "/doc/moonrise.b"], ROOT + "/doc/moonrise.bash"),
    (["repl", ""], ""),
    (["volume", ""], "diff split status"),
    (["volume", "split", "--t"], "--template"),
    (["volume", "split", ROOT + "/doc/moonrise.b"], ROOT + "/doc/moonrise.bash"),
])
def test_completion(three, words, candidates):
    assert complete(three, words) == candidates


def test_every_option_is_completed(three):
    words = re.findall(r"^  ([a-z]+) (.*)$", run("help").stdout.split("Words:\n")[1].split("\n\n")[0], re.M)
    assert len(words) > 15
    for word, usage in words:
        options = set(re.findall(r"(?<![\w-])--?\w[\w-]*", usage))
        found = set()
        for given in [], ["x"], ["x", "y"]:
            found |= set(complete(three, [word, *given, "-"]).split())
        assert options <= found, word
