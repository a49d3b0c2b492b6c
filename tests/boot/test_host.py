#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""moonrise.host and moonrise.caps on a real system."""
import os
import re

SCRIPT = '''
local init = require "moonrise"
local host = require "moonrise.host"
local caps = require "moonrise.caps"
'''


def test_processors_and_memory(boot):
    c = boot(SCRIPT + '''
        init.log("notice", "cpus %d memory %d", host.cpus(), host.memory())
        init.exit()
    ''')
    assert c.wait() == 0
    cpus, memory = map(int, re.search(r"cpus (\d+) memory (\d+)", c.err).groups())
    assert 1 <= cpus <= len(os.sched_getaffinity(0))
    assert 1 << 20 <= memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_cpuset(boot):
    first = min(os.sched_getaffinity(0))
    c = boot(SCRIPT + 'init.log("notice", "cpus %d", host.cpus())\ninit.exit()',
             inside=f'exec taskset -c {first} "$@"')
    assert c.wait() == 0
    assert "cpus 1" in c.err


def test_capabilities(boot):
    script = SCRIPT + '''
        init.log("notice", "kill %s chown %s all %d", caps.has("kill"), caps.has("CAP_CHOWN"), #caps.list())
        local ok, why = pcall(caps.has, "chwon")
        init.log("notice", "%s", why)
        init.exit()
    '''
    c = boot(script)
    assert c.wait() == 0
    assert "kill true chown true" in c.err
    assert "there is no capability 'chwon'; did you mean 'chown'?" in c.err
    c = boot(script, inside='exec setpriv --inh-caps=-all --bounding-set=-all "$@"')
    assert c.wait() == 0
    assert "kill false chown false all 0" in c.err


# A passwd without root: so whoever runs the test has "a uid that has none".
NO_ENTRY = '''
    sed '/^root:/d' /etc/passwd > /run/passwd
    mount --bind /run/passwd /etc/passwd
'''


def test_identity_is_added(boot):
    c = boot(SCRIPT + '''
        local account = host.identity { name = "web", home = "/data" }
        init.log("notice", "%s %d %s", account.name, account.uid, account.home)
        host.identity { name = "again" }
        init.run { "grep", ":x:0:", "/etc/passwd" }
        init.run { "id", "-un" }
        init.exit()
    ''', inside=NO_ENTRY)
    assert c.wait() == 0
    assert "web 0 /data" in c.err
    assert re.findall(r"grep: (\S+)", c.out) == ["web:x:0:0:web:/data:/sbin/nologin"]
    assert "id: web" in c.out


def test_identity_that_cannot_be_added(boot):
    c = boot(SCRIPT + 'host.identity { name = "web" }', inside=NO_ENTRY + "mount -o remount,bind,ro /etc/passwd")
    assert c.wait() == 70
    assert ("the uid 0 has no entry in /etc/passwd, and it can't be added: Read-only file system; let the image "
            "have it, or let its group 0 write the file: chmod g=u /etc/passwd") in c.err


def test_a_uid_may_stay_without_a_name(boot):
    c = boot(SCRIPT + '''
        assert(host.user("root") == nil and host.user(0) == nil and host.user("daemon").uid == 1)
        local account = host.identity { name = "web", optional = true }
        init.log("notice", "%s %d", account.name, account.uid)
        init.exit()
    ''', inside=NO_ENTRY + "mount -o remount,bind,ro /etc/passwd")
    assert c.wait() == 0, c.err
    assert "nil 0" in c.err


MACHINE_ID = '''
    echo "$ID" > /run/id
    test -e /etc/machine-id || touch /etc/machine-id
    mount --bind /run/id /etc/machine-id
'''


def test_machine_id(boot):
    script = SCRIPT + '''
        local first = host.machine_id()
        init.log("notice", "id %s %s", first, host.machine_id() == first)
        init.run { "cat", "/etc/machine-id" }
        init.exit()
    '''
    c = boot(script, inside=MACHINE_ID, env={"ID": "uninitialized"})
    assert c.wait() == 0
    made = re.search(r"id ([0-9a-f]{32}) true", c.err).group(1)
    assert f"cat: {made}" in c.out
    c = boot(script, inside=MACHINE_ID, env={"ID": made})
    assert c.wait() == 0
    assert f"id {made} true" in c.err
    c = boot(script, inside=MACHINE_ID + "mount -o remount,bind,ro /etc/machine-id", env={"ID": ""})
    assert c.wait() == 70
    assert "there is no machine id, and none can be made: /etc/machine-id: Read-only file system" in c.err
