# SPDX-License-Identifier: MIT
"""Called as tini, docker-init, dumb-init or catatonit, it is that program."""
import os
import re
import signal
import subprocess

import pytest

from moonrise import BINARY, ROOT, environment, eventually, run

REPORTER = ["/usr/bin/python3", ROOT + "/tests/reporter.py"]

# Leaves an orphan, and waits until the init has reaped it.
ORPHAN = "(exec true &); while test $(wc -w < /proc/$PPID/task/$PPID/children) != 1; do sleep 0.05; done"


@pytest.fixture(name="named")
def _named(tmp_path):
    """The path of a link to the binary."""
    def link(name):
        path = tmp_path / name
        if not path.exists():
            path.symlink_to(BINARY)
        return str(path)
    return link


class Reporter:
    """`PROGRAM ARGV... reporter`, outside of a namespace, and what it says."""

    def __init__(self, program, *arguments, env=None):
        # pylint: disable=consider-using-with
        self.init = subprocess.Popen([program, *arguments, *REPORTER, "fork"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(env))
        self.pids = dict(self.ready() for _ in range(2))

    def ready(self):
        name, _, pid = self.init.stdout.readline().split()
        return name, int(pid)

    def hear(self):
        return self.init.stdout.readline().strip()

    def send(self, number):
        self.init.send_signal(number)

    def state(self, name):
        pid = self.init.pid if name == "init" else self.pids[name]
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.init.send_signal(signal.SIGCONT)  # not later: it would disturb a leak check at the end
        for pid in self.pids.values():
            os.kill(pid, signal.SIGKILL)
        self.init.communicate(timeout=30)


def only_the_child_hears(r, number, heard=None):
    """The grandchild would say `number` before it says 31, had it got both."""
    r.send(number)
    assert r.hear() == f"child got {int(heard or number)}"
    os.kill(r.pids["grandchild"], 31)
    assert r.hear() == "grandchild got 31"


def both_hear(r, number, heard=None):
    r.send(number)
    assert {r.hear(), r.hear()} == {f"{name} got {int(heard or number)}" for name in ("child", "grandchild")}


# ---- what each of them prints: program, arguments, status, stream, text


@pytest.mark.parametrize("program, arguments, status, stream, text", [
    ("tini", ["--version"], 0, "stdout", r"tini version 0\.19\.0 "),
    ("docker-init", ["--version"], 0, "stdout", r"tini version 0\.19\.0 "),
    ("tini", ["-h"], 0, "stdout", r"tini \(tini version .*\nUsage: tini \[OPTIONS\] PROGRAM -- \[ARGS\] \| --version\n"),
    ("docker-init", ["-h"], 0, "stdout", r"docker-init \(tini version "),
    ("tini", ["-l"], 0, "stdout", "MIT License"),
    ("tini", [], 1, "stderr", r"tini \(tini version .*\nUsage: tini "),
    ("tini", ["-z"], 1, "stderr", r".*tini: invalid option -- 'z'\ntini \(tini version "),
    ("tini", ["-e", "256", "true"], 1, "stderr", r"\[FATAL tini \(\d+\)\] Not a valid option for -e: 256\n"),
    ("tini", ["-p", "SIGNOT", "true"], 1, "stderr", r"\[FATAL tini \(\d+\)\] Not a valid option for -p: SIGNOT\n"),
    ("tini", ["-s", "/no/such"], 127, "stderr", r"\[FATAL tini \(\d+\)\] exec /no/such failed: No such file or d"),
    ("tini", ["-s", "/etc/passwd"], 126, "stderr", r"\[FATAL tini \(\d+\)\] exec /etc/passwd failed: Permission denied"),
    ("dumb-init", ["--version"], 0, "stderr", r"dumb-init v1\.2\.5\n$"),
    ("dumb-init", ["-V"], 0, "stderr", r"dumb-init v1\.2\.5\n$"),
    ("dumb-init", ["--help"], 0, "stderr", r"dumb-init v1\.2\.5\nUsage: \S+dumb-init \[option\] command \[\[arg\] \.\.\.\]\n"),
    ("dumb-init", [], 1, "stderr", r"Usage: \S+dumb-init \[option\] program \[args\]\nTry \S+ --help for full usage\.\n$"),
    ("dumb-init", ["--yolo", "true"], 1, "stderr", r"\S+dumb-init: unrecognized option '--yolo'\n$"),
    ("dumb-init", ["-r", "15:32", "true"], 1, "stderr", r"Usage: -r option takes <signum>:<signum>, where <signum> is "),
    ("dumb-init", ["-r", "15", "true"], 1, "stderr", r"Usage: -r option takes <signum>:<signum>, where <signum> is "),
    ("dumb-init", ["/no/such"], 2, "stderr", r"\[dumb-init\] /no/such: No such file or directory\n$"),
    ("catatonit", ["--version"], 0, "stdout", r"tini version 0\.2\.1_catatonit "),
    ("catatonit", ["-V"], 0, "stdout", r"tini version 0\.2\.1_catatonit "),
    ("catatonit", ["-h"], 0, "stderr", r"usage: catatonit \[-ghLPV\] \[--\] <progname> \[<arguments>\.\.\.\]\n"),
    ("catatonit", ["-L"], 0, "stdout", "MIT License"),
    ("catatonit", [], 1, "stderr", r"ERROR \(catatonit:\d+\): missing program name\nusage: catatonit "),
    ("catatonit", ["/no/such"], 1, "stderr", r"ERROR \(catatonit:\d+\): failed to exec pid1: No such file or directory\n$"),
])
def test_what_it_prints(named, program, arguments, status, stream, text):
    done = run(*arguments, program=named(program))
    assert done.returncode == status
    assert re.match(text, getattr(done, stream)), getattr(done, stream)
    assert (done.stderr if stream == "stdout" else done.stdout) == ""


ALL = ["tini", "tini-static", "docker-init", "dumb-init", "catatonit"]


@pytest.mark.parametrize("program", ALL)
def test_exit_status(named, program):
    assert run("--", "sh", "-c", "exit 7", program=named(program)).returncode == 7
    assert run("sh", "-c", "kill -9 $$", program=named(program)).returncode == 137


@pytest.mark.parametrize("program", ALL)
def test_a_text_file_is_a_shell_script(named, program, tmp_path):
    script = tmp_path / "script"
    script.write_text("echo $0 $*\n")
    script.chmod(0o755)
    assert run("--", str(script), "a", "b", program=named(program)).stdout == f"{script} a b\n"


@pytest.mark.parametrize("program", ALL)
def test_it_reaps_as_pid_1(boot, named, program):
    c = boot(program=named(program), argv=["sh", "-c", "for i in 1 2 3; do (true &); done; echo up; exec sleep 1000"])
    c.says("up")
    eventually(lambda: (len(c.processes()), c.zombies()), (2, []))
    assert c.stop() == 143


# ---- tini


def test_tini_signals_the_child_alone_or_the_group(named):
    with Reporter(named("tini"), "-s") as r:
        only_the_child_hears(r, signal.SIGTERM)
    with Reporter(named("tini"), "-s", "-g") as r:
        both_hear(r, signal.SIGTERM)
    with Reporter(named("tini"), "-s", env={"TINI_KILL_PROCESS_GROUP": ""}) as r:
        both_hear(r, signal.SIGTERM)


def test_tini_ignores_what_stops_background_jobs(named):
    with Reporter(named("tini"), "-s") as r:
        r.send(signal.SIGTTIN)
        r.send(signal.SIGTTOU)
        only_the_child_hears(r, signal.SIGUSR1)


def test_tini_warns_unless_it_is_a_subreaper(named):
    warning = r"\[WARN  tini \(\d+\)\] Tini is not running as PID 1 and isn't registered as a child subreaper\.\n"
    assert re.match(warning, run("true", program=named("tini")).stderr)
    for arguments, env in [(["-s"], {}), ([], {"TINI_SUBREAPER": ""}), ([], {"TINI_VERBOSITY": "0"})]:
        assert run(*arguments, "true", program=named("tini"), env=env).stderr == ""


def test_tini_verbosity(named):
    said = run("-s", "-vvv", "true", program=named("tini")).stdout
    assert re.search(r"\[INFO  tini \(\d+\)\] Spawned child process 'true' with pid '\d+'\n", said)
    assert re.search(r"\[INFO  tini \(\d+\)\] Main child exited normally \(with status '0'\)\n", said)
    assert re.search(r"\[TRACE tini \(\d+\)\] Exiting: child has exited\n", said)
    assert run("-s", "true", program=named("tini")).stdout == ""


def test_tini_expected_statuses(named):
    statuses = [argument for status in (3, 143) for argument in ("-e", str(status))]
    assert run(*statuses, "sh", "-c", "exit 3", program=named("tini")).returncode == 0
    assert run(*statuses, "sh", "-c", "kill $$", program=named("tini")).returncode == 0
    assert run(*statuses, "sh", "-c", "exit 4", program=named("tini")).returncode == 4


def test_tini_says_whom_it_reaps(named):
    done = run("-s", "-w", "--", "sh", "-c", ORPHAN, program=named("tini"))
    assert re.fullmatch(r"\[WARN  tini \(\d+\)\] Reaped zombie process with pid=\d+\n", done.stderr)


def test_tini_takes_the_dashes_behind_the_program(named):
    assert run("-s", "printf", "--", "%s.", "-v", "a", program=named("tini")).stdout == "-v.a."


def test_tini_leaves_the_rest_alone(named):
    done = run("-s", "sh", "-c", "sleep 1000 >&- 2>&- & echo $!", program=named("tini"))
    pid = int(done.stdout)
    assert done.returncode == 0
    os.kill(pid, signal.SIGKILL)  # it is there, or this raises


# ---- dumb-init


def test_dumb_init_signals_the_session_or_the_child_alone(named):
    with Reporter(named("dumb-init")) as r:
        assert os.getsid(r.pids["child"]) == r.pids["child"]
        both_hear(r, signal.SIGTERM)
    for arguments, env in [(["-c"], {}), (["--single-child"], {}), ([], {"DUMB_INIT_SETSID": "0"})]:
        with Reporter(named("dumb-init"), *arguments, env=env) as r:
            assert os.getsid(r.pids["child"]) == os.getsid(0)
            only_the_child_hears(r, signal.SIGTERM)


def test_dumb_init_rewrites(named):
    with Reporter(named("dumb-init"), "-c", "-r", "15:3", "--rewrite", "2:0", "-r", "10:12") as r:
        only_the_child_hears(r, signal.SIGTERM, signal.SIGQUIT)
        r.send(signal.SIGINT)
        only_the_child_hears(r, signal.SIGUSR1, signal.SIGUSR2)


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_dumb_init_is_suspended_with_its_session(named, number):
    with Reporter(named("dumb-init")) as r:
        r.send(number)
        for name in ("init", "child", "grandchild"):
            eventually(lambda name=name: r.state(name), "T")
        both_hear(r, signal.SIGCONT)
        for name in ("init", "child", "grandchild"):
            eventually(lambda name=name: r.state(name), "S")


def test_dumb_init_is_suspended_with_its_single_child(named):
    with Reporter(named("dumb-init"), "-c") as r:
        r.send(signal.SIGTSTP)
        assert r.hear() == "child got 20"
        eventually(lambda: r.state("init"), "T")
        only_the_child_hears(r, signal.SIGCONT)


def test_dumb_init_ends_its_session(named):
    leaves = "(trap 'echo term; exit' TERM; echo up; while :; do sleep 0.1; done) & read line; exit 4"
    with subprocess.Popen([named("dumb-init"), "sh", "-c", leaves], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as init:
        assert init.stdout.readline() == "up\n"
        init.stdin.write("\n")
        init.stdin.flush()
        assert init.stdout.readline() == "term\n"
        assert init.wait(30) == 4


def test_dumb_init_debug_lines(named):
    wanted = (r"(\[dumb-init\] setsid complete\.\n)?"
              r"\[dumb-init\] Child spawned with PID \d+\.\n"
              r"\[dumb-init\] Received signal 17\.\n"
              r"\[dumb-init\] A child with PID \d+ exited with exit status 3\.\n"
              r"\[dumb-init\] Forwarded signal 15 to children\.\n"
              r"\[dumb-init\] Child exited with status 3\. Goodbye\.\n")
    for arguments, env in [(["-v"], {}), (["-v", "-c"], {}), ([], {"DUMB_INIT_DEBUG": "1"})]:
        done = run(*arguments, "sh", "-c", "exit 3", program=named("dumb-init"), env=env)
        assert done.returncode == 3
        assert re.fullmatch(wanted, done.stderr), done.stderr


def test_dumb_init_gives_the_terminal_away(boot, named):
    c = boot(program=named("dumb-init"), tty=True,
             argv=["/usr/bin/python3", "-c", "import os; print(os.tcgetpgrp(0) == os.getpgrp() == os.getsid(0))"])
    assert c.wait() == 0
    assert "True" in c.out


# ---- catatonit


def test_catatonit_signals_the_child_alone_or_the_group(named):
    with Reporter(named("catatonit")) as r:
        only_the_child_hears(r, signal.SIGTERM)
    with Reporter(named("catatonit"), "-g", "--") as r:
        both_hear(r, signal.SIGTERM)


def test_catatonit_is_a_subreaper(named):
    done = run("sh", "-c", ORPHAN, program=named("catatonit"), env={"CATATONIT_DEBUG": ""})
    assert re.fullmatch(r"DEBUG \(catatonit:\d+\): pid1 \(\d+\) spawned: sh\n"
                        r"DEBUG \(catatonit:\d+\): child process \d+ ended\n", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_catatonit_pause(boot, named, number):
    c = boot(program=named("catatonit"), argv=["-P"])
    eventually(lambda: [name for _, _, name in c.processes().values()], ["catatonit"])
    c.signal(signal.SIGHUP)
    c.exec("sh", "-c", "(true &)")  # an orphan
    eventually(lambda: (len(c.processes()), c.zombies()), (1, []))
    assert c.stop(number) == 0
