#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What is wrong in a script is found by a rehearsal already, and the message says whose it is, what is wrong
and what would be right, with the script's line."""
import pytest

from moonrise import run

PRELUDE = "".join(f'local {name} = require "moonrise{module}"\n' for name, module in [
    ("init", ""), ("env", ".env"), ("fs", ".fs"), ("probe", ".probe"), ("net", ".net"), ("host", ".host"),
    ("caps", ".caps"), ("ini", ".format.ini")])

WRONG = {
    # what a process is given
    'init.run { "x", ok = { "0" } }': """'ok' of run has "0" in it; it takes a list of exit statuses: { 0, 1 }""",
    'init.run { "x", stdin = { txt = "y" } }': "unknown option 'txt' of 'stdin' of run; did you mean 'text'?",
    'init.run { "x", stdin = {} }': "'stdin' of run takes one of 'text' and 'file'",
    'init.run { "x", stdin = "hunter2" }': """'stdin' of run takes "null", "inherit" or { text = "..." }, and no other""",
    'init.run { "x", stdout = { fil = "/y" } }': "unknown option 'fil' of 'stdout' of run; did you mean 'file'?",
    'init.start { "x", stdout = "capture" }': """'stdout' of start takes "log", "null", "inherit" or { file = "/path" }""",
    'init.run { "x", env = { "A=b" } }': """'env' of run has [1] = ...; it takes { NAME = "value" }""",
    'init.run { "x", env = { A = true } }': "A in 'env' of run is true; it takes a string, an integer, or false",
    'init.run { "x", env = { A = "b\\0c" } }': "A in 'env' of run has a NUL byte in it",
    'init.run { "x", limits = { nofil = 5 } }': "'limits' of run has 'nofil', which is no limit; did you mean 'nofile'?",
    'init.run { "x", limits = { nofile = { 5 } } }': "'nofile' in 'limits' of run is nil; it takes a number",
    'init.run { "x", limits = { nofile = { 9, 5 } } }': "has a soft limit above the hard one",
    'init.run { "x", nice = 50 }': "'nice' of run is 50; it takes -20 to 19",
    'init.run { "x", oom_score = 5000 }': "'oom_score' of run is 5000; it takes -1000 to 1000",
    'init.run { "x", caps = { "net_bind_servce" } }': "no capability 'net_bind_servce'; did you mean 'net_bind_service'?",
    'init.run { "x", groups = { true } }': "'groups' of run has true in it; it takes a list of names or numbers",
    'init.start { "x", name = "" }': """'name' of start is ""; it takes 1 to 255 characters""",
    'init.start { "x", name = "a\\nb" }': "none of them a control character",
    # services
    'init.start { "x", after = "db" }': "'after' of start is a string; it takes a list of services or their names",
    'init.start { "x", after = { db = true } }': "'after' of start has [\"db\"] = ...; it takes a list of services",
    'init.start { "x", restart = { backoff = { factor = 0 } } }': "'factor' of 'backoff' of 'restart' of start is 0",
    'init.start { "x", restart = { burst = -3 } }': "'burst' of 'restart' of start is -3; it takes 1 or more",
    'init.start { "x", stop = "TERM" }': "'stop' of start is a string; it takes { signal = \"TERM\", grace = \"10s\" } or",
    'init.start { "x", ready = 80 }': "'ready' of start is an integer; it takes a probe, such as probe.tcp(80), or a",
    'init.start { "x", listen = { tpc = 80 } }': "unknown option 'tpc' of 'listen' of start; did you mean 'tcp'?",
    'init.start { "x", essential = "no" }': "'essential' of start is a string; it takes true or false",
    'init.start({ "x" }):signal()': """the signal for x is nil, which is no signal; it takes a name such as "TERM\"""",
    'init.all { init.service { "x" } }': "argument 1 of all is a table; it takes services and functions: all(web,",
    # other words
    'init.on("KILL", print)': "init.on: KILL never comes to a process",
    'init.on(nil, print)': "the signal of init.on is nil",
    'init.log("info", "%d", "x")': "bad argument #1 to 'format' (number expected, got string) (moonrise/init.lua:",
    'init.at("02-30", print)': """the time of init.at is "02-30", but there is no such time; it takes a calendar""",
    'init.sleep {}': "the duration of init.sleep is a table; a duration is a number of seconds or",
    'init.exit "1"': """the status of init.exit is "1"; it takes 0 to 255""",
    'init.hooks()': "init.hooks takes a path, not nil",
    'env.raed {}': "moonrise.env has no word 'raed'; did you mean 'read'?",
    'env.read { A = { type = "int", min = 10, max = 5 } }': "'min' of setting A is more than its 'max'",
    'fs.exists()': "fs.exists takes a path, not nil",
    'fs.replace("/etc/passwd", "(", "x", { pattern = true })': """the pattern of fs.replace is "(": unfinished capture""",
    'fs.chown("/x")': "fs.chown takes an owner, a group or both",
    'fs.list("/etc/passwd")': "cannot list /etc/passwd: Not a directory",
    'probe.tpc(80)': "moonrise.probe has no word 'tpc'; did you mean 'tcp'?",
    'probe.tcp("db.example.test", 5432)': "probe.command runs a program of the image",
    'probe.http("http://localhost/", { body = "(" })': """'body' of probe.http is "(": unfinished capture""",
    'probe.http("http://localhost/", { status = { "200" } })': """'status' of probe.http has "200" in it; it takes a""",
    'probe.command "pg_isready"': "probe.command takes a table of options, not a string",
    'probe.command { "x", foo = 1 }': "unknown option 'foo' of probe.command",
    'net.hosts { "x" }': 'net.hosts takes { ["10.0.0.5"] = { "db.test", "db" } }, not a list',
    'host.cpu()': "moonrise.host has no word 'cpu'; did you mean 'cpus'?",
    'caps.hass "x"': "moonrise.caps has no word 'hass'; did you mean 'has'?",
    'ini.edti("")': "moonrise.format.ini has no word 'edti'; did you mean 'edit'?",
    'ini.parse("a=b"):set("a")': "a string alone is no change; it takes names and a value, or a table of values",
    # Lua's own
    'error { code = 5 }': "error value: a table",
    'os.execute "ls"': "os.execute would block PID 1; init.run runs a program",
    'io.popen "ls"': """init.run with stdout = "capture" runs a program""",
    'os.exit(1)': "os.exit would end PID 1; init.exit ends the container in order",
}


@pytest.mark.parametrize("line", WRONG)
def test_it_is_found_and_explained(tmp_path, line):
    script = tmp_path / "boot.lua"
    script.write_text(PRELUDE + line)
    done = run("check", str(script))
    assert done.returncode == 70
    assert f"boot.lua:9: {WRONG[line]}" in done.stderr or WRONG[line] in done.stderr and "boot.lua:9: " in done.stderr
    assert "hunter2" not in done.stderr


def test_what_may_come_with_an_earlier_step_is_no_fault(tmp_path):
    script = tmp_path / "boot.lua"
    script.write_text(PRELUDE + '''
        init.run { "no-such-program", user = "nobody-here", cwd = "/no/such" }
        assert(#fs.list("/no/such") == 0)
    ''')
    done = run("check", str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert "(now: no-such-program: not found; there is no user 'nobody-here'; there is no folder /no/such)" in done.stdout
    assert "list /no/such  (now: not there)" in done.stdout
