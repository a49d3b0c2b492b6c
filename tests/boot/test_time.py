# SPDX-License-Identifier: MIT
"""init.every and init.at: that they run, say what fails, are seen, and end with the container."""
import json
import time

import pytest
from moonrise import eventually


def jobs(c):
    return {job["name"]: job for job in json.loads(c.moonrise("status", "--json").stdout)["jobs"]}


def test_every_runs_functions_and_commands(boot):
    c = boot('''
        local init = require "moonrise"
        local count = 0
        init.every("20ms", function(job)
          count = count + 1
          init.log("notice", "run %d", count)
          if count == 3 then job:cancel() end
        end, { name = "counter" })
        init.every("20ms", { "sh", "-c", "echo tick; echo . >>ticks" }, { name = "ticker" })
        init.every("200ms", { "false" })
    ''')
    c.says("run 3")
    c.says("ticker: tick")
    c.says("boot.lua:9: false failed with exit status 1")
    eventually(lambda: jobs(c)["ticker"]["runs"] > 2)
    assert "counter" not in jobs(c)
    assert eventually(lambda: jobs(c)["false"]["failures"])
    assert "exit status 1" in jobs(c)["false"]["last_error"]
    text = c.moonrise("status").stdout
    assert "ticker" in text and "every 20ms" in text and "FAILED" in text
    assert c.stop() == 0
    assert "run 4" not in c.out + c.err


def test_at_runs_by_the_calendar(boot):
    c = boot('''
        local init = require "moonrise"
        init.at("*:*:*", function() init.log("notice", "a second") end)
        init.at("*-*-* 00:00", function() end, { name = "nightly" })
        init.at("30 4 1 1 *", { "true" }, { name = "new year" })
    ''', env={"TZ": "XYZ-3"})
    c.says("a second")
    eventually(lambda: jobs(c)["at *:*:*"]["runs"] > 0)
    # Midnight three hours east of Greenwich.
    left = 86400 - (time.time() + 3 * 3600) % 86400
    assert abs(jobs(c)["nightly"]["seconds"] - left) < 60 or left < 60 or left > 86340
    assert jobs(c)["new year"]["runs"] == 0


def test_a_zone_has_a_clock_of_its_own(boot):
    c = boot('''
        local init = require "moonrise"
        init.at("daily", print, { name = "here" })
        init.at("daily Asia/Kolkata", print, { name = "there" })
        init.at("daily UTC", print, { name = "in Greenwich" })
    ''', env={"TZ": "XYZ-5:30"})
    seconds = eventually(lambda: {name: job["seconds"] for name, job in jobs(c).items()})
    assert abs(seconds["here"] - seconds["there"]) < 1
    assert abs((seconds["in Greenwich"] - seconds["here"]) % 86400 - 5.5 * 3600) < 1
    assert c.stop() == 0


def test_a_stop_ends_what_runs(boot):
    c = boot('''
        local init = require "moonrise"
        init.every("10ms", { "sh", "-c", "trap 'echo bye; exit 1' TERM; echo up; while :; do sleep 0.1; done" },
          { name = "long" })
    ''')
    c.says("long: up")
    assert c.stop() == 0
    assert "long: bye" in c.out
    assert "job long: " not in c.err


def test_a_run_by_hand_raises(boot):
    c = boot('''
        local init = require "moonrise"
        init.every("1h", { "sh", "-c", "exit 3" }, { name = "backup" }):run()
    ''')
    assert c.wait() == 70
    assert "backup failed with exit status 3" in c.err


@pytest.mark.parametrize("call, message", [
    ('init.at("daily Europe/Nowhere", print)',
     "\"daily Europe/Nowhere\", but 'Europe/Nowhere' is no time zone that is known here"),
    ('init.at("daily x/../../../../etc/passwd", print)', "etc/passwd' is no time zone that is known here"),
    ('init.at("Mon..Fry 08:00", print)', "\"Mon..Fry 08:00\", but 'mon..fry' is no weekday"),
    ('init.at("61 * * * *", print)', "the minute '61' is out of range"),
    ('init.at("daily")', "takes a function or"),
    ("init.every(-1, print)", "init.every is -1"),
    ("init.every(1, print, { jiter = 1 })", "unknown option 'jiter' of init.every; did you mean 'jitter'?"),
    ('init.every(1, { "true", usr = "root" })', "unknown option 'usr' of init.every"),
])
def test_mistakes_are_said_with_their_line(boot, call, message):
    c = boot(f'local init = require "moonrise"\n{call}')
    assert c.wait() == 70
    assert message in c.err
    assert "boot.lua:2" in c.err


def test_a_rehearsal_runs_nothing(boot):
    c = boot(argv=["check", "boot.lua"], files={"boot.lua": '''
        local init = require "moonrise"
        init.every("1h", { "touch", "made" }, { name = "hourly" }):run()
        init.at("daily", function() fs.write("made", "") end, { name = "nightly" })
    '''})
    assert c.wait() == 0
    assert "every 1h: hourly" in c.out and "at daily: nightly" in c.out
