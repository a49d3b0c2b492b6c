# SPDX-License-Identifier: MIT
"""What a process is given (/proc/self/status of real ones), and why there is none."""
import pytest
from moonrise import IS_ROOT, needs_root

NOBODY = 65534


def output_of(boot, options, env=None):
    """What a command wrote, run by a script with these options."""
    c = boot(f'''
        local init = require "moonrise"
        init.run {{ stdout = "inherit", {options} }}
        init.exit(0)
    ''', env=env)
    assert c.wait() == 0
    return c.out


def status_of(boot, options):
    """{field: value} of `cat /proc/self/status` with these options."""
    text = output_of(boot, f'"cat", "/proc/self/status", {options}')
    return {name: value.strip() for name, value in (line.split(":", 1) for line in text.splitlines())}


def shell(text, options=""):
    return f"sh = [==[{text}]==], {options}"


# ---- who it is


def test_signals_are_clean_but_a_broken_pipe_is_ignored(boot):
    status = status_of(boot, "")
    assert status["SigBlk"] == "0000000000000000"
    assert status["SigIgn"] == "0000000000001000"


def test_it_leads_a_session_of_its_own(boot):
    text = "read pid name state parent group session rest </proc/self/stat; echo $((pid == group)) $((pid == session))"
    assert output_of(boot, shell(text)) == "1 1\n"


@needs_root
def test_a_user_by_name_has_the_users_groups_and_no_capabilities(boot):
    status = status_of(boot, 'user = "nobody"')
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert status["Gid"].split() == [str(NOBODY)] * 4
    assert status["Groups"].split() == [str(NOBODY)]
    assert status["CapEff"] == status["CapPrm"] == "0000000000000000"


@needs_root
def test_a_number_needs_no_entry_in_passwd(boot):
    status = status_of(boot, "user = 12345, group = 23456, groups = { 34567, 45678 }")
    assert status["Uid"].split() == ["12345"] * 4
    assert status["Gid"].split() == ["23456"] * 4
    assert sorted(status["Groups"].split()) == ["23456", "34567", "45678"]


@needs_root
def test_the_environment_belongs_to_the_user(boot):
    text = output_of(boot, shell("echo $USER $LOGNAME $HOME", 'user = "nobody"'))
    assert text == "nobody nobody /nonexistent\n"


@needs_root
def test_root_may_still_look_at_pid_1_after_a_change_of_user(boot):
    c = boot('''
        local init = require "moonrise"
        init.run { "true", user = "nobody" }
        init.run { "readlink", "/proc/1/root", stdout = "inherit" }
        init.exit(0)
    ''', inside="set -- setpriv --bounding-set -sys_ptrace \"$@\"")  # as podman's default
    assert c.wait() == 0
    assert c.out == "/\n"


@needs_root
def test_one_capability_and_no_other(boot):
    status = status_of(boot, 'user = "nobody", caps = { "net_bind_service" }')
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == "0000000000000400", name


def test_no_capabilities_at_all(boot):
    status = status_of(boot, "caps = {}, no_new_privs = true")
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == "0000000000000000", name
    assert status["NoNewPrivs"] == "1"


# ---- what it may use


def test_limits(boot):
    text = output_of(boot, shell("ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -Hf",
                                 'limits = { nofile = { 100, 200 }, core = 0, fsize = "1M" }'))
    assert text == "100\n200\n0\n2048\n"


def test_nice_and_oom_score(boot):
    text = output_of(boot, shell("cut -d' ' -f19 /proc/self/stat; cat /proc/self/oom_score_adj",
                                 "nice = 7, oom_score = 900"))
    assert text == "7\n900\n"


def test_umask_is_octal(boot):
    assert status_of(boot, 'umask = "0027"')["Umask"] == "0027"


def test_only_the_three_descriptors(boot):
    assert output_of(boot, shell("ls /proc/$$/fd")) == "0\n1\n2\n"


def test_input_is_empty_a_text_or_a_file(boot):
    assert output_of(boot, '"cat"') == ""
    assert output_of(boot, '"cat", stdin = { text = "hello" }') == "hello"
    assert output_of(boot, '"cat", stdin = { file = "boot.lua" }').startswith("local init")


# ---- where it is, what it knows


def test_folder_and_a_program_in_it(boot):
    assert output_of(boot, '"pwd", cwd = "/usr"') == "/usr\n"
    assert output_of(boot, '"./pwd", cwd = "/usr/bin"') == "/usr/bin\n"


def test_environment_added_taken_away_and_cleared(boot):
    text = output_of(boot, shell("echo $A-$B-$C", 'env = { A = 1, B = false }'), env={"B": "b", "C": "c"})
    assert text == "1--c\n"
    text = output_of(boot, '"env", clear_env = true, env = { A = "x y" }', env={"B": "b"})
    assert sorted(line.split("=")[0] for line in text.splitlines()) == ["A", "PATH"]
    assert "A=x y" in text


# ---- why there is none


@pytest.mark.parametrize("command, status, message", [
    ('"nowhere"', 127, "cannot start nowhere: not found in /usr/local/sbin:"),
    ('"/no/such"', 127, "cannot start such: /no/such: not found"),
    ('"./data"', 126, "cannot start data: ./data: not executable"),
    ('"/"', 126, "cannot start /: Is a directory"),
    ('"./no-line"', 126, "cannot start no-line: exec ./no-line: neither a program for this machine nor a script with a #! line"),
    ('"./bad-line"', 126, "cannot start bad-line: interpreter /no/such/shell: No such file or directory"),
    ('"./windows"', 126, "cannot start windows: interpreter /bin/sh\\r: No such file or directory"),
    ('""', 70, "needs the program and its arguments"),
    ('"true", cwd = "/no/such"', 70, "cannot start true: chdir /no/such: No such file or directory"),
    ('"true", user = "ghost"', 70, "cannot start true: there is no user 'ghost'"),
    ('"true", group = "ghosts"', 70, "cannot start true: there is no group 'ghosts'"),
    ('"true", limits = { nofiles = 5 }', 70, "'nofiles', which is no limit; did you mean 'nofile'?"),
    ('"true", limits = { nofile = 1 << 40 }', 70, "cannot start true: limit nofile: Operation not permitted"),
    ('"true", caps = { "net_bind_servic" }', 70, "there is no capability 'net_bind_servic'; did you mean 'net_bind_service'?"),
    ('"true", umask = "9"', 70, 'is "9"; it takes octal digits in quotes, such as "022"'),
    ('"true", oom_score = 2000', 70, "is 2000; it takes -1000 to 1000"),
])
@pytest.mark.parametrize("word", ["run", "start"])
def test_a_process_that_can_not_be_started(boot, word, command, status, message):
    files = {"data": "x\n", "no-line": "echo hello\n", "bad-line": "#!/no/such/shell\n", "windows": "#!/bin/sh\r\n"}
    c = boot(f'''
        local init = require "moonrise"
        init.{word} {{ {command} }}
    ''', files=files, inside="chmod +x no-line bad-line windows")
    assert c.wait() == status
    assert "boot.lua:2: " in c.err
    assert message in c.err


@pytest.mark.skipif(IS_ROOT, reason="root may")
def test_another_user_is_refused_without_privilege(boot):
    c = boot('require "moonrise".run { "true", user = 12345 }')
    assert c.wait() == 70
    assert "cannot start true: set" in c.err
