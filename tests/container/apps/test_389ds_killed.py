# SPDX-License-Identifier: MIT
"""examples/389ds, killed in its first boot at fifty points, by step and by time: the next
boot of the same volume ends with a working server each time. dscontainer's volume is
lost from its first half second on."""
import os
import time

import pytest

from moonrise import eventually
from podman import podman
from conftest import SUFFIX

# As soon as there is one of these: each is made in another step of the first boot.
STEPS = [
    ".moonrise/journal", "config", "run/lock", "config/unfinished", "config/slapd-collations.conf",
    "config/schema/99user.ldif", "db/userroot", "ssca/ca.key", "ssca/ca.crt", "ssca/server.key", "ssca/server.csr",
    "ssca/server.crt", "run/suffix.ldif", "run/offline/dse.ldif", "config/pwdfile.txt", "run/nss/cert9.db",
    "run/nss/server.p12", "config/key4.db", "config/cert9.db", "config/pkcs11.txt", "ssca/server.txt",
    "db/userroot/id2entry.db", "config/dse.ldif", "config/container.inf", "config/version", "config/dse.ldif.startOK",
    "run/slapd-localhost.socket", "logs/errors",
]
TIMES = [n * 0.1 for n in range(50 - len(STEPS))]  # seconds after the container has begun


def until(step, c):
    """The last look is the kill: what is quick may have come and gone, and then it is later."""
    path, end = c.in_volume(step), c.in_volume("run/slapd-localhost.socket")
    eventually(lambda: os.path.exists(path) or os.path.exists(end), deadline=120)


@pytest.mark.parametrize("point", [*STEPS, *TIMES], ids=str)
def test_a_first_boot_that_is_killed_is_finished_next_time(start, point):
    c = start()
    if isinstance(point, str):
        until(point, c)
    else:
        time.sleep(point)
    c.kill("KILL")
    assert c.wait() == 137
    c.restart()
    assert c.binds() and not c.binds("another-password")
    assert f"dn: {SUFFIX}" in c.search(SUFFIX)
    assert not os.path.exists(c.in_volume("config/unfinished"))
    podman("kill", "--signal", "KILL", c.name, check=True)
