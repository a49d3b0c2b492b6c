# SPDX-License-Identifier: MIT
"""valgrind has nothing to say about PID 1, nor about the clients.

It makes a fork of each vfork, so what a failed spawn would report through shared
memory is lost, and it can't start /proc/self/exe, which is what a worker is: both
are ASan's. But it is slow, and so meets more preemptions than any other test.
"""
import subprocess

import pytest
from moonrise import BINARY, environment, eventually

VALGRIND = ["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--vgdb=no"]

# It names its files by the pid, which is 1 in each namespace, but /run is a new one there.
PROGRAM = {"program": "/usr/bin/valgrind", "env": {"TMPDIR": "/run"}}

SCRIPT = '''
    local dir = ...
    local init  = require "moonrise"
    local env   = require "moonrise.env"
    local fs    = require "moonrise.fs"
    local probe = require "moonrise.probe"
    local cfg = env.read { NAME = { type = "hostname", default = "localhost" }, PORT = { type = "port", default = 80 } }
    init.run { "true" }
    fs.write(dir .. "/in", "name = @NAME@\\n")
    fs.render(dir .. "/in", dir .. "/out", cfg)
    assert(not pcall(init.run, { "false" }))
    assert(not pcall(function() return cfg.PROT end))
    local service = init.start {
      "sh", "-c", "touch " .. dir .. "/up; echo hello; exec sleep 1000", name = "web",
      ready = probe.file(dir .. "/up"),
    }
    init.on("HUP", function() init.log("notice", "hup") end)
    coroutine.wrap(function() init.sleep(0.01) end)()
'''


def quiet(container):
    assert "==" not in container.err, container.err


def test_a_boot_its_clients_and_its_stop(boot):
    c = boot(SCRIPT, options=[*VALGRIND, BINARY], args=["/run"], **PROGRAM)
    eventually(lambda: c.moonrise("health").returncode, 0)
    for words in (["status"], ["status", "--json"], ["eval", "1 + 1"], ["health"]):
        done = c.exec("/usr/bin/env", "TMPDIR=/run", "/usr/bin/valgrind", *VALGRIND, BINARY, *words)
        assert (done.returncode, done.stderr) == (0, "")
    c.signal(1)
    c.says("hup")
    assert c.stop() == 0
    assert "web: hello" in c.out
    quiet(c)


@pytest.mark.parametrize("script, status", [("error 'x'", 70), ("syntax error", 70), ("require('moonrise').exit(7)", 7)])
def test_scripts_that_end(boot, script, status):
    c = boot(script, options=[*VALGRIND, BINARY], **PROGRAM)
    assert c.wait() == status
    quiet(c)


@pytest.mark.parametrize("words, status", [
    (["--", "sh", "-c", "sh -c 'sleep 0.1 &' & exit 3"], 3),
    (["-s", "-g", "--rewrite", "15:3", "--", "true"], 0),
    (["check", "boot.lua"], 0),
    (["settings", "boot.lua"], 0),
    (["--bad"], 64),
])
def test_words(tmp_path, words, status):
    (tmp_path / "boot.lua").write_text("require(\"moonrise\").run { \"true\" }")
    done = subprocess.run(["/usr/bin/valgrind", *VALGRIND, BINARY, *words], env=environment(), check=False, cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "==" not in done.stderr
