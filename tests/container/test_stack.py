# SPDX-License-Identifier: MIT
"""examples/stack: a database, a site that uses it, cron, mail and ssh side by side."""
import os
import re
import urllib.request
from xml.etree import ElementTree

import pytest

from moonrise import DEADLINE, ROOT, eventually
from podman import Container, base_image, podman

ROW = "A row of the database"
KEY = "ssh-ed25519 of-nobody"
ENV = {"GREETING": ROW, "AUTHORIZED_KEYS": KEY, "STOP_TIMEOUT": "60s"}  # a slow machine is no failed test
DAEMONS = {"database", "httpd", "mail", "cron", "ssh"}
FIRST_LINES = [
    "^database: .*ready to accept connections", "^httpd: .*resuming normal operations", "^mail: .*starting",
    "^ssh: Server listening on", r"^cron: \(CRON\) INFO",
]
# By syslog, when the sender had ended and its parent had waited for it before it was heard.
TOO_LATE = re.compile(r"(CRON|sshd)\[[0-9]+\]$")


@pytest.fixture(scope="module")
def stack_image(images):
    return images("stack", f"{ROOT}/examples/stack/Containerfile", "--build-arg", f"BASE={base_image('bookworm')}")


@pytest.fixture
def start(container, stack_image):
    return lambda: container(stack_image, volume=True, env=ENV)


@pytest.fixture(scope="module")
def stack(stack_image):
    """One container for all tests that leave it as it was."""
    one = Container(stack_image, volume=True, env=ENV)
    try:
        yield one.wait_ready()
    finally:
        one.remove()


def page(c):
    with urllib.request.urlopen(f"http://{c.address}/", timeout=DEADLINE) as answer:
        return answer.read().decode(errors="replace")


def kill(c, name):
    """kill -9; the pid of the process that is no more."""
    pid = c.pid_of(name)
    c.exec("kill", "-9", str(pid))  # no check: the container may end sooner than the command
    return pid


def wait_restarted(c, name, first):
    eventually(lambda: c.service(name), lambda s: s.get("state") == "ready" and s.get("pid") not in (None, first))


# ---- one container


def test_the_page_shows_a_row_of_the_database(stack):
    assert ROW in page(stack)


def test_each_starts_when_what_it_needs_is_ready(stack):
    for before, after in ("database", "httpd"), ("database", "cron"), ("mail", "cron"):
        said = stack.exec("moonrise", "eval",
                          f"services.{before}.history.ready <= services.{after}.history.starting").stdout
        assert said.strip() == "true", (before, after)


def test_all_that_is_said_has_a_name(stack):
    log = eventually(lambda: podman("logs", stack.name).stdout,
                     lambda log: all(re.search(line, log, re.MULTILINE) for line in FIRST_LINES))
    names = {line.split(":")[0] for line in log.splitlines()}
    assert {name for name in names if not TOO_LATE.match(name)} <= DAEMONS | {"initdb"}


def test_the_status_shows_them_all(stack):
    services = stack.status().get("services", [])
    assert {s.get("name") for s in services} == DAEMONS
    assert {s.get("state") for s in services} == {"ready"}


def test_the_plot_of_the_boot(stack):
    svg = stack.exec("moonrise", "plot", check=True).stdout
    labels = {text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert labels >= DAEMONS | {"volume /data", "once cluster", "initdb", "once schema", "once host key"}


@pytest.mark.parametrize("name", sorted(DAEMONS))
def test_a_killed_daemon_is_started_again(stack, name):
    wait_restarted(stack, name, kill(stack, name))
    eventually(lambda: page(stack), lambda text: ROW in text)


# ---- from boot to boot


def test_a_database_that_is_killed_again_and_again_ends_the_container(start):
    c = start().wait_ready()
    for _ in range(2):
        wait_restarted(c, "database", kill(c, "database"))
    kill(c, "database")
    assert c.wait() == 137


def test_a_clean_stop_and_a_second_boot(start):
    c = start().wait_ready()
    host_key = c.exec("cat", "/data/ssh/ssh_host_ed25519_key.pub", check=True).stdout
    assert c.stop() == 0
    last_words = "httpd: .*shutting down gracefully.*database: .*fast shutdown.*database system is shut down"
    assert re.search(last_words, c.log, re.DOTALL), "the site before its database"
    c.start()
    c.wait_ready()
    assert c.log.count("initdb: creating subdirectories") == 1
    assert "not properly shut down" not in c.log
    assert c.exec("cat", "/data/ssh/ssh_host_ed25519_key.pub").stdout == host_key
    assert c.exec("cat", "/data/admin/.ssh/authorized_keys").stdout == KEY + "\n"
    assert ROW in page(c)


def test_a_first_boot_that_is_killed_is_finished_next_time(start):
    c = start()
    begun = c.in_volume("postgresql/15")
    eventually(lambda: os.path.exists(begun))
    c.kill("KILL")
    assert c.wait() == 137
    c.start()
    c.wait_ready()
    assert ROW in page(c)
    assert c.stop() == 0


# ---- the one container again: by now its first minute is over, or soon

BEAT = re.compile("^beat [0-9]+$", re.MULTILINE)


def mails(box):
    texts = []
    for entry in os.scandir(box):
        with open(entry.path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    return "".join(texts)


def log_in(c, command):
    """What a command says that admin runs over ssh."""
    c.exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key", check=True)
    c.exec("cp", "/root/key.pub", "/data/admin/.ssh/authorized_keys", check=True)
    return c.exec("ssh", "-i", "/root/key", "-o", "StrictHostKeyChecking=no", "admin@localhost", command,
                  check=True).stdout


def test_a_job_of_cron_counts_in_the_database_and_is_mailed(stack):
    box = stack.in_volume("admin/Maildir/new")
    beat = BEAT.search(eventually(lambda: mails(box), BEAT.search, deadline=120)).group()
    stack.says(f"cron: {beat}\n")
    assert re.search(r"^(cron|CRON\[[0-9]+\]): \(root\) CMD \(beat\)$", stack.log, re.MULTILINE)
    assert beat in log_in(stack, "cat Maildir/new/*").splitlines()
