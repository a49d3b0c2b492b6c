# SPDX-License-Identifier: MIT
"""moonrise -- CMD: signals, exit statuses, orphans, and what the command inherits."""
import os
import re
import signal
import subprocess

import pytest

from moonrise import BINARY, IS_ROOT, ROOT, environment, eventually, run

REPORTER = ["/usr/bin/python3", ROOT + "/tests/reporter.py"]

# PWR and RTMIN+3 to +6 are requests to stop: they arrive as TERM.
STOP_REQUESTS = {30: 15, 37: 15, 38: 15, 39: 15, 40: 15}


def sh(script):
    return ["--", "sh", "-c", script]


def reporter(boot, *options, words=("fork",), **more):
    """A container with the reporter, and where its word is kept."""
    c = boot(argv=[*options, "--", *REPORTER, *words], **more)
    for name in ["child", "grandchild"] if "fork" in words else ["child"]:
        c.says(f"{name} ready")
    return c


# ---- exit statuses


@pytest.mark.parametrize("status", [0, 1, 7, 125, 255])
def test_the_exit_status_is_the_commands_own(boot, status):
    assert boot(argv=sh(f"exit {status}")).wait() == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_killed_is_128_and_the_signal(boot, number):
    assert boot(argv=sh(f"kill -{int(number)} $$")).wait() == 128 + number


def test_expected_statuses_become_0():
    assert run("-q", "-e", "143", "-e", "3", *sh("exit 3")).returncode == 0
    assert run("-q", "-e", "143", "-e", "3", *sh("kill $$")).returncode == 0
    assert run("-q", "-e", "143", "-e", "3", *sh("exit 4")).returncode == 4


# ---- what can't be run


def script(tmp_path, text, mode=0o755):
    path = tmp_path / "script"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def refused(path, status, why):
    done = run("-q", "--", path)
    assert done.returncode == status
    assert done.stderr == f"moonrise: cannot run '{path}': {why}\n"


def test_no_such_command():
    refused("no-such-command", 127, "not found in $PATH")
    refused("/no/such/command", 127, "No such file or directory")


def test_not_executable(tmp_path):
    refused(script(tmp_path, "#!/bin/sh\n", 0o644), 126, "not executable")
    refused(str(tmp_path), 126, "Is a directory")


def test_script_without_interpreter(tmp_path):
    path = script(tmp_path, "echo hello\n")
    refused(path, 126, f"exec {path}: neither a program for this machine nor a script with a #! line")


def test_script_whose_interpreter_is_missing(tmp_path):
    refused(script(tmp_path, "#!/no/such/shell -e\n"), 127, "interpreter /no/such/shell: No such file or directory")


def test_the_last_word_goes_to_the_termination_log(boot):
    c = boot(argv=["--", "no-such-command"], inside="""
        touch log
        mount -t tmpfs tmpfs /dev
        touch /dev/termination-log
        mount --bind log /dev/termination-log
    """)
    assert c.wait() == 127
    assert c.read("log") == "cannot run 'no-such-command': not found in $PATH"


# ---- command lines


@pytest.mark.parametrize("arguments, message", [
    (["--"], "moonrise: no command: moonrise [-OPTIONS] -- CMD [ARG...]\n"),
    (["-g", "true"], "moonrise: no command: moonrise [-OPTIONS] -- CMD [ARG...]\n"),
    (["-e", "256", "--", "true"], "moonrise: -e: '256' is not an exit status (0 to 255)\n"),
    (["-e", "", "--", "true"], "moonrise: -e: '' is not an exit status (0 to 255)\n"),
    (["-p", "SIGNOT", "--", "true"], "moonrise: -p: 'SIGNOT' is not a signal\n"),
    (["--rewrite", "15", "--", "true"], "moonrise: --rewrite: '15' is not SIGNAL:SIGNAL or SIGNAL:0\n"),
    (["--rewrite", "15:x", "--", "true"], "moonrise: --rewrite: '15:x' is not SIGNAL:SIGNAL or SIGNAL:0\n"),
    (["--rewrit", "15:3", "--", "true"], "moonrise: unknown option '--rewrit'; did you mean '--rewrite'?\n"),
    (["-g", "--rewrit", "15:3", "--", "true"], "moonrise: unknown option '--rewrit'; did you mean '--rewrite'?\n"),
    (["-gx", "--", "true"], "moonrise: invalid option -- 'x'\n"),
    (["--group=1", "--", "true"], "moonrise: option '--group' doesn't allow an argument\n"),
    (["-p"], "moonrise: option requires an argument -- 'p'\n"),
    (["--rewrite"], "moonrise: option '--rewrite' requires an argument\n"),
    (["--frobnicate"], "moonrise: unrecognized option '--frobnicate'\n"),
    (["--memory", "12x", "a.lua"], "moonrise: --memory: '12x' is not a size such as 64M\n"),
    (["statsu"], "moonrise: unknown command 'statsu'; did you mean 'status'?\n"),
    (["frobnicate"], "moonrise: unknown command 'frobnicate': a program is run by 'moonrise -- frobnicate', "
                     "and a script has a '/' or ends in .lua\n"),
    (["check", "--jsno"], "moonrise check: unrecognized option '--jsno'\n"),
    (["settings", "--jsno"], "moonrise settings: unknown option '--jsno'; did you mean '--json'?\n"),
])
def test_bad_command_lines(arguments, message):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.removesuffix("Try 'moonrise --help'.\n").startswith(message)


@pytest.mark.parametrize("words", [[], ["check"], ["settings", "--json"]])
def test_scripts_that_cannot_be_read(tmp_path, words):
    missing = run(*words, "./missing.lua")
    assert (missing.returncode, missing.stderr) == (66, "moonrise: no such script: ./missing.lua\n")
    folder = run(*words, str(tmp_path))
    assert (folder.returncode, folder.stderr) == (66, f"moonrise: a directory is not a script: {tmp_path}\n")


def test_a_script_without_permission(tmp_path):
    path = tmp_path / "boot.lua"
    path.write_text("")
    path.chmod(0)
    # Root reads everything, but not without these two.
    mortal = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if IS_ROOT else []
    done = subprocess.run([*mortal, BINARY, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (66, f"moonrise: cannot read the script: {path}\n")


def test_help_names_every_word_and_option():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ["check", "settings", "status", "health", "eval", "repl", "--lua", "--memory", "--rewrite", "-e, "]:
        assert word in done.stdout
    assert run("help").stdout == done.stdout


# ---- signals


def test_every_signal_is_passed_on(boot):
    c = reporter(boot, words=())
    for number in sorted(signal.valid_signals()):
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
            continue
        before = len(re.findall("child got", c.out))
        c.signal(number)
        got = eventually(lambda: re.findall(r"child got (\d+)", c.out)[before:], bool)
        stopped = {signal.SIGTSTP: 20, signal.SIGTTIN: 21, signal.SIGTTOU: 22}
        assert [int(got[0])] == [STOP_REQUESTS.get(number, stopped.get(number, int(number)))]


def test_by_default_the_command_alone_gets_them(boot):
    c = reporter(boot)
    c.signal(signal.SIGUSR1)
    c.says("child got 10")
    # Had the grandchild got USR1 as well, it would say so before it says USR2.
    grandchild = int(re.search(r"grandchild ready (\d+)", c.out)[1])
    c.exec("kill", "-USR2", str(grandchild))
    c.says("grandchild got 12")
    assert "grandchild got 10" not in c.out


@pytest.mark.parametrize("options, whole", [(["-g"], True), (["-g", "--single-child"], False), (["-cg"], True)])
def test_the_group_gets_them_when_asked_for(boot, options, whole):
    c = reporter(boot, *options)
    c.signal(signal.SIGUSR1)
    c.says("child got 10")
    grandchild = int(re.search(r"grandchild ready (\d+)", c.out)[1])
    c.exec("kill", "-USR2", str(grandchild))
    c.says("grandchild got 12")
    assert ("grandchild got 10" in c.out) == whole


def test_rewriting(boot):
    c = reporter(boot, "--rewrite", "TERM:QUIT", "--rewrite", "2:0", "-r", "RTMIN+3:SIGUSR2", words=())
    for number in (signal.SIGTERM, signal.SIGINT, 37, signal.SIGHUP):
        c.signal(number)
        if number != signal.SIGINT:
            wanted = {signal.SIGTERM: 3, 37: 12, signal.SIGHUP: 1}[number]
            c.says(f"child got {wanted}\n")
    assert re.findall(r"got (\d+)", c.out) == ["3", "12", "1"]


def test_term_ends_an_ordinary_command(boot):
    c = boot(argv=["--", "sleep", "1000"])
    eventually(lambda: [name for _, _, name in c.processes().values()], lambda names: "sleep" in names)
    assert c.stop() == 128 + signal.SIGTERM


def test_parent_death_signal():
    command = " ".join([BINARY, "-q", "-p", "USR1", "--", *REPORTER])
    with subprocess.Popen(["sh", "-c", f"{command} & read line; kill -9 $$"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment()) as shell:
        pid = int(shell.stdout.readline().split()[2])
        try:
            shell.stdin.write("\n")
            shell.stdin.flush()
            assert shell.stdout.readline() == "child got 10\n"
        finally:
            os.kill(pid, signal.SIGKILL)


def process_state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_stopped_with_the_command_and_continued_with_it():
    with subprocess.Popen([BINARY, "-q", "--", "sleep", "1000"], start_new_session=True,
                          stdin=subprocess.DEVNULL) as moonrise:
        children = f"/proc/{moonrise.pid}/task/{moonrise.pid}/children"
        child = eventually(lambda: int(open(children, encoding="utf-8").read()))
        try:
            # A session of its own: only SIGSTOP stops an orphaned group.
            moonrise.send_signal(signal.SIGTSTP)
            eventually(lambda: process_state(child), "T")
            moonrise.send_signal(signal.SIGCONT)
            eventually(lambda: process_state(child), "S")
        finally:
            os.kill(child, signal.SIGKILL)
        assert moonrise.wait(30) == 137


# ---- orphans, and what is left


def test_orphans_are_reaped(boot):
    c = boot(argv=["-w", *sh("for i in 1 2 3 4 5; do (true &); done; echo done; exec sleep 1000")])
    c.says("done")
    eventually(lambda: (len(c.processes()), c.zombies()), (2, []))
    eventually(lambda: len(re.findall(r"moonrise: reaped orphan \d+\n", c.err)), 5)
    c.stop()

DIES_BEFORE = """
import os, sys
child = os.fork()
if child == 0:
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_those_who_died_before_us_are_reaped_too(boot):
    c = boot(program="/usr/bin/python3", argv=["-c", DIES_BEFORE, BINARY, "--", "sleep", "1000"])
    eventually(lambda: sorted(name for _, _, name in c.processes().values()), ["moonrise", "sleep"])
    c.stop()


def test_a_subreaper_reaps_orphans_too():
    done = run("-s", "-w", *sh("(exec true &); while test $(wc -w < /proc/$PPID/task/$PPID/children) != 1; do sleep 0.05; done"))
    assert done.returncode == 0
    assert re.fullmatch(r"moonrise: reaped orphan \d+\n", done.stderr)


def test_without_orphans_it_says_so_unless_quiet():
    assert run("--", "true").stderr == "moonrise: neither PID 1 nor a subreaper (-s): orphans are left to others\n"
    assert run("-q", "--", "true").stderr == ""
    assert run("-s", "--", "true").stderr == ""


LEAVES_ONE = """
(trap 'echo term; exit' TERM; echo up; while :; do sleep 0.1; done) &
sleep 1000 &
while test ! -e go; do sleep 0.1; done
exit 5
"""


def test_what_is_left_gets_term_and_is_waited_for(boot):
    c = boot(argv=sh(LEAVES_ONE))
    c.says("up")
    c.write("go", "")
    assert c.wait() == 5
    assert c.out == "up\nterm\n"


def test_a_subreaper_ends_what_is_left_as_well(tmp_path):
    with subprocess.Popen([BINARY, "-s", *sh(LEAVES_ONE)], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL) as moonrise:
        assert moonrise.stdout.readline() == "up\n"
        (tmp_path / "go").write_text("")
        assert moonrise.stdout.readline() == "term\n"
        assert moonrise.wait(30) == 5


def test_a_second_term_ends_the_patience(boot):
    c = boot(argv=sh("(trap '' TERM; echo up; while :; do sleep 0.1; done) &\n"
                     "echo main $$; while test ! -e go; do sleep 0.1; done"))
    c.says("up")
    main = int(re.search(r"main (\d+)", c.says("main"))[1])
    c.write("go", "")
    eventually(lambda: main in c.processes(), False)
    c.signal(signal.SIGTERM)
    assert c.wait() == 0


# ---- what the command inherits


def test_the_command_stays_where_it_is_and_we_do_not(tmp_path):
    done = run("-q", *sh("pwd; readlink /proc/$PPID/cwd"), cwd=tmp_path)
    assert done.stdout == f"{tmp_path}\n/\n"


def test_signal_mask_and_ignored_signals_are_handed_down():
    def prepare():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2, signal.SIGTERM})

    def masks(*argv):
        status = subprocess.run([*argv, "cat", "/proc/self/status"], preexec_fn=prepare, capture_output=True,
                                text=True, check=True, stdin=subprocess.DEVNULL).stdout
        return re.findall(r"Sig(?:Blk|Ign|Cgt):\t(\w+)", status)

    assert masks(BINARY, "-q", "--") == masks("env")


def test_descriptors_are_handed_down():
    read, write = os.pipe()
    done = run("-q", *sh(f"echo hello > /dev/fd/{write}"), pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as file:
        assert (done.returncode, file.read()) == (0, "hello\n")


def test_we_hold_no_pipe_that_was_handed_down():
    read, write = os.pipe()
    closes = f"import os, sys; os.close({write}); sys.stdin.read()"
    with subprocess.Popen([BINARY, "-q", "--", "/usr/bin/python3", "-c", closes], pass_fds=[write],
                          stdin=subprocess.PIPE) as init:
        os.close(write)
        with os.fdopen(read) as file:
            assert file.read() == ""  # while the init runs
        assert init.poll() is None
        init.communicate()


def test_sockets_passed_to_us_are_the_commands():
    done = run("-c", f"LISTEN_PID=$$ exec {BINARY} -q -- sh -c 'echo $LISTEN_PID $$'", program="/bin/sh")
    theirs, its_own = done.stdout.split()
    assert theirs == its_own
    assert run("-q", *sh("echo $LISTEN_PID"), env={"LISTEN_PID": "1"}).stdout == "1\n"


def test_verbose():
    done = run("-v", *sh("kill $$"))
    assert re.search(r"moonrise: started 'sh' as process \d+\n"
                     r"moonrise: the command was killed by signal 15 \(Terminated\)\n$", done.stderr)
