# SPDX-License-Identifier: MIT
"""Orphans by the thousand while the script spins: promise 1 of the init."""
import os
import re
import subprocess
from signal import SIGTERM

import pytest
from moonrise import eventually, needs_root

ORPHANS = 20000
PIDS = 4000  # in that namespace: the machine itself has few more than we need

# The services fork nothing while it blows: there may be no pid for them.
SCRIPT = '''
    local init = require "moonrise"
    for _, name in ipairs { "first", "second" } do
      init.start { name = name, sh = "trap 'echo ends; exit' TERM; sleep 1000 & echo up; wait" }
    end
    init.start { "./storm", "%d", essential = false }
    while true do end
'''


@pytest.fixture(name="storm", scope="module")
def build_storm(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("storm") / "storm")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "storm.c")
    subprocess.run(["cc", "-O2", "-o", path, source], check=True)
    return path


@pytest.fixture(name="start")
def start_storm(boot, storm):
    """Before Linux 6.14 the limit is one for the whole machine, and is left alone."""
    version = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    if version < (6, 14):
        pytest.skip("A PID NAMESPACE HAS NO pid_max OF ITS OWN BEFORE LINUX 6.14")
    return lambda count: boot(SCRIPT % count, inside=f"echo {PIDS} >/proc/sys/kernel/pid_max; cp {storm} storm")


def stat(path):
    """Fields of a /proc/PID/stat behind the name: state first."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def cpu_seconds(c):
    user, system = stat(f"/proc/{c.pid}/stat")[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def zombies(c):
    """{(pid, when it was started)}, for pids come again."""
    proc, found = f"/proc/{c.pid}/root/proc", set()
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            fields = stat(f"{proc}/{pid}/stat")
        except OSError:  # gone meanwhile
            continue
        if fields and fields[0] == "Z":
            found.add((pid, fields[19]))
    return found


def stop_in_order(c):
    for service in ("first", "second"):
        c.says(f"{service}: up")
    assert c.stop() == 128 + SIGTERM  # the boot was not done
    assert c.out.index("second: ends") < c.out.index("first: ends")


@needs_root
def test_no_zombie_grows_old_while_the_script_spins(start):
    c = start(ORPHANS)
    c.says("storm begins")
    since, ages = {}, [0]

    def is_over():
        nonlocal since
        now = cpu_seconds(c)
        since = {zombie: since.get(zombie, now) for zombie in zombies(c)}
        ages.extend(now - seen for seen in since.values())
        return "storm is over" in c.out

    eventually(is_over, deadline=120)
    # Of PID 1's own time: the machine may have had other things to do meanwhile.
    assert max(ages) < 1
    eventually(lambda: zombies(c), set())
    stop_in_order(c)


@needs_root
def test_term_in_the_middle_of_a_storm(start):
    c = start(ORPHANS)
    c.says("storm begins")
    stop_in_order(c)
