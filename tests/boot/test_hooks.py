#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""init.hooks: a folder of scripts, all of them or none."""
import os

SCRIPT = 'local init = require "moonrise"\ninit.hooks("boot.d")\ninit.log("notice", "after")\ninit.exit()'


def test_hooks_run_in_order_and_may_wait(boot):
    c = boot(SCRIPT, files={
        "boot.d/20-b.lua": 'require("moonrise").run { "echo", "second" }',
        "boot.d/10-a.lua": 'local init = require "moonrise"\ninit.sleep(0.01)\ninit.run { "echo", "first" }',
        "boot.d/.hidden": "",
    })
    assert c.wait() == 0
    assert c.out.index("echo: first") < c.out.index("echo: second")
    assert "after" in c.err


def test_no_hook_runs_when_one_cannot(boot):
    c = boot(SCRIPT, files={"boot.d/10-a.lua": 'require("moonrise").run { "touch", "ran" }',
                            "boot.d/20-b.sh": "", "boot.d/30-c.lua": "local = 1", "boot.d/40-d.lua/x": ""})
    assert c.wait() == 70
    for line in ("boot.lua:2: init.hooks: none of boot.d is run:", "boot.d/20-b.sh is no *.lua file",
                 "boot.d/30-c.lua:1: <name> expected near '='", "boot.d/40-d.lua: Is a directory"):
        assert line in c.err
    assert not os.path.exists(c.path("ran"))


def test_an_error_in_a_hook_has_its_line(boot):
    c = boot(SCRIPT, files={"boot.d/10-a.lua": 'local init = require "moonrise"\ninit.run { "false" }'})
    assert c.wait() == 70
    assert "boot.d/10-a.lua:2: false failed with exit status 1" in c.err


def test_the_folder_has_to_be_there(boot):
    c = boot(SCRIPT)
    assert c.wait() == 70
    assert "boot.lua:2: init.hooks: boot.d: No such file or directory" in c.err
