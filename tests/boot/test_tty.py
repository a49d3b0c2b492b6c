# SPDX-License-Identifier: MIT
"""The terminal of `docker run -it`, and of a shell that does job control."""
import os
import signal
import termios

from moonrise import BINARY, ROOT, eventually, set_window_size

REPORTER = ["--", "/usr/bin/python3", ROOT + "/tests/reporter.py"]

WHO_HAS_IT = """
import os
print("leader", os.getsid(0) == os.getpid(), "foreground", os.tcgetpgrp(0) == os.getpgrp())
"""


def on_terminal(boot, argv, **more):
    """A container whose terminal does not drop what was written when Ctrl-C or Ctrl-Z is typed."""
    c = boot(argv=argv, tty=True, **more)
    settings = termios.tcgetattr(c.terminal)
    settings[3] |= termios.NOFLSH
    termios.tcsetattr(c.terminal, termios.TCSANOW, settings)
    return c


def type_in(c, text):
    os.write(c.terminal, text.encode())


def has_echo(c):
    return bool(termios.tcgetattr(c.terminal)[3] & termios.ECHO)


# ---- we lead the session: `docker run -it`


def test_the_command_gets_a_session_with_the_terminal(boot):
    c = on_terminal(boot, ["--", "/usr/bin/python3", "-c", WHO_HAS_IT])
    assert c.wait() == 0
    assert "leader True foreground True" in c.out


def test_a_shell_has_job_control(boot):
    c = on_terminal(boot, ["--", "bash", "--norc", "--noediting", "-im"], env={"PS1": "what? "})
    c.says("what? ")  # it mistakes what is typed before
    type_in(c, "sleep 1000\n")
    eventually(lambda: [name for _, _, name in c.processes().values()], lambda names: "sleep" in names)
    type_in(c, "\x1a")
    c.says("Stopped")
    type_in(c, "kill -9 %1; exec sh -c 'exit 3'\n")
    assert c.wait() == 3
    assert "no job control" not in c.out


def test_a_script_gives_it_to_one_after_the_other(boot):
    look = "/usr/bin/python3 -c 'import os; print(\"foreground\", os.tcgetpgrp(0) == os.getpgrp())'"
    c = boot(f"""
        local init = require "moonrise"
        for _, name in ipairs {{ "one", "two" }} do
          init.run {{ sh = [[{look}; read line; echo it has $line]], name = name, tty = true,
            stdout = "inherit", stderr = "inherit" }}
        end
        init.exit(3)
    """, tty=True)
    for count, name in enumerate(["one", "two"], 1):
        eventually(lambda: c.out.count("foreground True"), lambda seen, count=count: seen == count)
        type_in(c, name + "\n")
        c.says(f"it has {name}")
    assert c.wait() == 3


def test_ctrl_c_reaches_the_command_once(boot):
    c = on_terminal(boot, REPORTER)
    c.says("child ready")
    type_in(c, "\x03")
    c.says("child got 2")
    c.signal(signal.SIGUSR1)
    c.says("child got 10")
    assert c.out.count("child got 2\r\n") == 1


def test_ctrl_z_does_not_stop_a_container_for_good(boot):
    c = on_terminal(boot, ["--", "sh", "-c", "echo up; read line; echo got $line"])
    c.says("up")
    type_in(c, "\x1a")
    type_in(c, "hello\n")
    c.says("got hello")
    assert c.wait() == 0


def test_window_size_reaches_the_command(boot):
    c = on_terminal(boot, REPORTER)
    c.says("child ready")
    set_window_size(c.terminal, 50, 132)
    c.says("child got 28")


def test_the_hang_up_of_the_hand_over_stays_with_us(boot):
    c = on_terminal(boot, ["-vvv", *REPORTER])
    c.says("child ready")
    c.signal(signal.SIGUSR1)
    c.says("child got 10")
    assert "swallowed signal 1" in c.out
    assert "child got 1\r\n" not in c.out


def test_a_hang_up_of_the_terminal_reaches_the_command(boot):
    c = on_terminal(boot, ["--", "sh", "-c",
                           "trap 'touch hung-up; exit 4' HUP; echo up; while :; do sleep 0.1; done"])
    c.says("up")
    c.signal(signal.SIGHUP)
    assert c.wait() == 4
    assert os.path.exists(c.path("hung-up"))


def test_a_killed_command_leaves_no_raw_terminal(boot):
    c = on_terminal(boot, ["--", "sh", "-c", "stty raw -echo; echo up; read line; kill -9 $$"])
    c.says("up")
    assert not has_echo(c)
    keep = os.open(f"/proc/{c.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)  # or its settings would go with the last user
    type_in(c, "\n")
    eventually(lambda: has_echo(c))
    os.close(keep)
    assert c.wait() == 137


# ---- a shell above us leads it

SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    print("shell: foreground is the job", os.tcgetpgrp(0) == job, flush=True)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    print("shell: stopped", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
print("shell: ended", os.waitstatus_to_exitcode(status), flush=True)
"""


def shell(boot, *command):
    return on_terminal(boot, ["-c", SHELL, BINARY, "-q", "-s", "--", *command], program="/usr/bin/python3")


def test_ctrl_z_and_fg_under_a_shell(boot):
    c = shell(boot, "sh", "-c", "echo up; read line; echo got $line")
    c.says("up")
    type_in(c, "\x1a")
    c.says("shell: stopped")
    assert "shell: foreground is the job True" in c.out  # we had taken it back from the command
    type_in(c, "fg\n")
    type_in(c, "hello\n")
    c.says("got hello")
    c.says("shell: ended 0")
    assert c.out.count("shell: stopped") == 1


def test_ctrl_c_under_a_shell(boot):
    c = shell(boot, "sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.1; done")
    c.says("up")
    type_in(c, "\x03")
    c.says("shell: ended 9")


def test_stopped_and_continued_twice(boot):
    c = shell(boot, "sh", "-c", "echo up; read line; echo first $line; read line; echo second $line")
    c.says("up")
    type_in(c, "\x1a")
    c.says("shell: stopped")
    type_in(c, "fg\none\n")
    c.says("first one")
    type_in(c, "\x1a")
    eventually(lambda: c.out.count("shell: stopped"), 2)
    type_in(c, "fg\ntwo\n")
    c.says("second two")
    c.says("shell: ended 0")


def test_in_the_background_the_terminal_stays_where_it_is(boot):
    script = f"set -m; {BINARY} -q -s -- sh -c 'sleep 0.1; exit 6' & wait %1; echo status $?; cat; echo still mine"
    c = on_terminal(boot, ["-c", script], program="/bin/bash")
    c.says("status 6")
    type_in(c, "hello\n\x04")
    c.says("still mine")
    assert c.wait() == 0
