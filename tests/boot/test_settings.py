#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Settings in a real boot: every fault with its message, before anything happens; secrets stay secret."""
import os

import pytest

TYPES = '''
local init = require "moonrise"
local env = require "moonrise.env"
env.read {
  A_BOOL = { type = "bool" }, A_BYTES = { type = "bytes", max = "1G" }, A_DN = { type = "dn" },
  A_DURATION = { type = "duration", min = "1s" }, AN_ENUM = { type = "enum", values = { "dev", "prod" } },
  A_HOSTNAME = { type = "hostname" }, AN_INT = { type = "int", min = 1, max = 10 },
  A_LIST = { type = "list", of = "port" }, A_PATH = { type = "path" }, A_PORT = { type = "port" },
  A_SECRET = { type = "secret", min = 8 }, A_STRING = { type = "string", pattern = "%l+" },
}
init.run { "touch", "acted" }
'''

TAKES = {
    "A_BOOL": "true or false (yes or no, on or off, 1 or 0)",
    "A_BYTES": 'a size such as "64M", at most 1G',
    "A_DN": "a distinguished name such as dc=example,dc=org",
    "A_DURATION": 'a duration such as "30s" or "1h 30min", at least 1s',
    "AN_ENUM": "one of dev, prod",
    "A_HOSTNAME": "a host name such as www.example.org",
    "AN_INT": "a whole number from 1 to 10",
    "A_LIST": "a list separated by commas, of which each is a port, a number from 1 to 65535",
    "A_PATH": "an absolute path",
    "A_PORT": "a port, a number from 1 to 65535",
    "A_SECRET": "a secret, at least 8 characters",
    "A_STRING": 'a text that matches "%l+"',
}


def faults(container):
    """The lines below "N settings are wrong", which stands at the script's line."""
    assert container.wait() == 78
    lines = [line.removeprefix("moonrise:").strip() for line in container.err.splitlines()]
    start = next(i for i, line in enumerate(lines) if "wrong:" in line)
    assert lines[start].startswith(container.path("boot.lua") + ":")
    return lines[start + 1:]


def test_wrong_values_of_every_type_are_listed_at_once(boot):
    c = boot(TYPES, env={
        "A_BOOL": "maybe", "A_BYTES": "2G", "A_DN": "example", "A_DURATION": "10ms", "AN_ENUM": "Prod",
        "A_HOSTNAME": "-x", "AN_INT": "11", "A_LIST": "80,http", "A_PATH": "data", "A_PORT": "0",
        "A_SECRET": "hunter2", "A_STRING": "ABC"})
    found = faults(c)
    assert len(found) == len(TAKES)
    for name, value in [("A_BOOL", "maybe"), ("A_BYTES", "2G"), ("A_DN", "example"), ("A_DURATION", "10ms"),
                        ("AN_ENUM", "Prod"), ("A_HOSTNAME", "-x"), ("AN_INT", "11"), ("A_PATH", "data"),
                        ("A_PORT", "0"), ("A_STRING", "ABC")]:
        assert f'{name} is "{value}"; it takes {TAKES[name]}' in found
    assert f'A_LIST is "80,http", with the item "http"; it takes {TAKES["A_LIST"]}' in found
    assert f'A_SECRET is not accepted: it takes {TAKES["A_SECRET"]}' in found
    assert "hunter2" not in c.out + c.err
    assert not os.path.exists(c.path("acted"))


def test_missing_settings_are_listed_at_once(boot):
    c = boot(TYPES)
    found = faults(c)
    assert len(found) == len(TAKES)
    for name, takes in TAKES.items():
        assert (f"{name} is missing: it takes {takes}; give it as {name}, {name}_FILE or "
                f"/run/secrets/{name}") in found
    assert not os.path.exists(c.path("acted"))


@pytest.mark.parametrize("kind", ["string", "port", "secret"])
def test_given_twice(boot, kind):
    c = boot(f'require("moonrise.env").read {{ X = {{ type = "{kind}" }} }}', env={"X": "80", "X_FILE": "/etc/hostname"})
    assert faults(c) == ["X is given twice, as X and as X_FILE: keep one of them"]


def test_files_that_cannot_be_read(boot):
    # Root without capabilities can't read what is nobody's to read.
    c = boot('''
        require("moonrise.env").read {
          CLOSED = { type = "secret" }, FIFO = { type = "secret" }, FOLDER = { optional = true },
          GONE = { type = "port" }, HUGE = {}, LOST = { type = "secret" }, RELATIVE = { default = "x" },
        }
    ''', env={"FIFO_FILE": "/run/fifo", "FOLDER_FILE": "/run", "GONE_FILE": "/run/gone", "HUGE_FILE": "/run/huge",
              "LOST_FILE": "/run/hunter2", "RELATIVE_FILE": "gone"},
             inside='''
                 mkdir /run/secrets
                 echo hunter2 > /run/secrets/CLOSED
                 chmod 0 /run/secrets/CLOSED
                 mkfifo /run/fifo
                 truncate -s 2M /run/huge
                 exec setpriv --inh-caps=-all --bounding-set=-all "$@"
             ''')
    found = faults(c)
    assert found[0] == "CLOSED is missing: cannot read /run/secrets/CLOSED: Permission denied"
    assert found[1].startswith("FIFO is missing: cannot read the file that FIFO_FILE names: ")
    assert found[2:] == [
        "FOLDER is missing: cannot read /run: Is a directory",
        "GONE is missing: cannot read /run/gone: No such file or directory",
        "HUGE is missing: cannot read /run/huge: File too large",
        "LOST is missing: cannot read the file that LOST_FILE names: No such file or directory",
        "RELATIVE is missing: RELATIVE_FILE takes an absolute path",
    ]
    assert "hunter2" not in c.out + c.err


def test_sources(boot):
    c = boot('''
        local init = require "moonrise"
        local cfg = require("moonrise.env").read {
          A = {}, B = {}, C = {}, D = { type = "int" }, E = { default = "default" }, F = { optional = true } }
        init.log("notice", "%s %s %s %d %s %s", cfg.A, cfg.B, cfg.C, cfg.D, cfg.E, cfg.F)
        init.exit(0)
    ''', env={"A": "variable", "B_FILE": "/run/b", "CREDENTIALS_DIRECTORY": "/run/credentials"},
             inside='''
                 mkdir /run/secrets /run/credentials
                 echo file > /run/b
                 echo credential > /run/credentials/C
                 echo no > /run/secrets/C
                 printf '7\\r\\n\\n' > /run/secrets/D
             ''')
    assert c.wait() == 0
    assert "variable file credential 7 default nil" in c.err


def test_an_unknown_setting_is_an_error_of_the_script(boot):
    c = boot('''
        local cfg = require("moonrise.env").read { HTTP_PORT = { type = "port", default = 80 } }
        print(cfg.HTTP_PROT)
    ''')
    assert c.wait() == 70
    assert f"{c.path('boot.lua')}:2: unknown setting 'HTTP_PROT'; did you mean 'HTTP_PORT'?" in c.err


@pytest.mark.parametrize("specification, message", [
    ('X = { type = "prot" }', "setting X has the unknown type 'prot'; did you mean 'port'?"),
    ('X = { defualt = 1 }', "unknown option 'defualt' of setting X; did you mean 'default'?"),
    ('X = { type = "port", default = 0 }', 'the default of setting X is "0"; it takes a port'),
])
def test_a_wrong_specification_is_an_error_of_the_script(boot, specification, message):
    c = boot(f'local env = require "moonrise.env"\nenv.read {{ {specification} }}')
    assert c.wait() == 70
    assert f"{c.path('boot.lua')}:2: {message}" in c.err


SECRET = '''
local init = require "moonrise"
local fs = require "moonrise.fs"
local cfg = require("moonrise.env").read { PW = { type = "secret" }, KEY = { type = "secret" } }
'''


def test_a_secret_stays_out_of_the_environment_of_children(boot):
    c = boot(SECRET + '''
        init.run { "env" }
        init.run { "env", secrets = { "KEY" }, clear_env = true, name = "named" }
        init.run { "sh", "-c", '[ "$PGPASSWORD" = hunter2 ]', secrets = { PGPASSWORD = cfg.PW } }
        init.start { "sh", "-c", "env; echo started; exec sleep 1000", name = "service" }
    ''', env={"PW": "hunter2", "KEY_FILE": "/run/key", "OTHER_FILE": "/x"}, inside="echo opensesame > /run/key")
    c.says("service: started")
    assert c.stop() == 0
    assert "env: OTHER_FILE=/x" in c.out and "service: OTHER_FILE=/x" in c.out
    assert "hunter2" not in c.out + c.err
    assert "KEY_FILE" not in c.out
    assert c.out.count("KEY=opensesame") == c.out.count("named: KEY=opensesame") == 1


def test_a_secret_is_shown_nowhere_but_where_it_is_to_go(boot):
    c = boot(SECRET + '''
        init.log("notice", "%s %s", cfg.PW, tostring(cfg.PW))
        print(cfg.PW)
        for _, f in ipairs {
          function() init.run { "echo", cfg.PW } end,
          function() init.run { "echo", env = { PW = cfg.PW } } end,
          function() return "password: " .. cfg.PW end,
          function() fs.write("/run/no", "password: " .. cfg.PW) end,
          function() init.run { "true", secrets = { "PV" } } end,
          function() error(cfg.PW) end,
        } do
          local ok, why = pcall(f)
          init.log("notice", "%s: %s", ok, why)
        end
        fs.write("/run/template", "password={{PW}}\\n")
        fs.render("/run/template", "/run/password", cfg)
        init.run { "grep", "-c", "^password=hunter2$", "/run/password" }
        init.run { "grep", "-q", "^opensesame$", stdin = { text = cfg.KEY } }
        error(cfg.PW)
    ''', env={"PW": "hunter2", "KEY": "opensesame"})
    assert c.wait() == 70
    assert "<secret> <secret>" in c.err
    assert "grep: 1" in c.out
    for message in ("argument 2 of run is a secret; it takes a string or an integer",
                    "PW in 'env' of run is a secret; it takes a string",
                    "a secret does not become part of a text by itself; :reveal() gives its value",
                    "'secrets' has PV, which is no secret that env.read has read; did you mean 'PW'?"):
        assert message in c.err
    assert "hunter2" not in c.out + c.err
    assert "opensesame" not in c.out + c.err


def test_a_secret_may_be_the_input_of_a_service(boot):
    c = boot(SECRET + '''
        init.start { "sh", "-c", "grep -c '^opensesame$'; exec sleep 1000", stdin = { text = cfg.KEY } }
    ''', env={"PW": "hunter2", "KEY": "opensesame"})
    c.says("sh: 1")
    assert c.stop() == 0


def test_a_secret_is_not_shown_by_a_client(boot):
    c = boot(SECRET + '''
        password = cfg.PW
        init.start { "sh", "-c", "echo started; exec sleep 1000" }
    ''', env={"PW": "hunter2", "KEY": "x"})
    c.says("started")
    for words in (["eval", "password"], ["eval", "{ password }"], ["status"], ["status", "--json"]):
        done = c.moonrise(*words)
        assert "hunter2" not in done.stdout + done.stderr
    assert c.stop() == 0
