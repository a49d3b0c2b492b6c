# SPDX-License-Identifier: MIT
"""Lines of services that go to a journal outside, whose socket the container has."""
import json
import os
import socket
import threading

import pytest
from moonrise import DEADLINE, eventually, needs_root

WEB = '''
    local init = require "moonrise"
    init.start { sh = [[%s]], name = "web", log = { journal = os.getenv "HERE" .. "/journal" } }
    init.log("notice", "started")
'''
HERE = 'export HERE="$PWD"'


def fields_of(entry):
    """{name: value} of an entry, which has only fields of one line here."""
    return dict(line.split(b"=", 1) for line in entry.removesuffix(b"\n").split(b"\n"))


class Journal:
    """A socket as that of journald: `entries` has what came, unless it is not read."""

    def __init__(self, path, reads=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(0.05)
        self.path = str(path)
        self.open()
        self.entries, self.over = [], False
        self.thread = threading.Thread(target=self.read, daemon=True)
        if reads:
            self.thread.start()

    def open(self):
        self.socket.bind(self.path)

    def read(self):
        while not self.over:
            try:
                self.entries.append(fields_of(self.socket.recv(1 << 20)))
            except TimeoutError:
                pass

    def messages(self):
        return [entry[b"MESSAGE"] for entry in list(self.entries)]

    def close(self):
        self.over = True
        if self.thread.is_alive():
            self.thread.join(DEADLINE)
        self.socket.close()
        os.unlink(self.path)


@pytest.fixture
def start(boot, tmp_path):
    """Starts a service and a journal, which the container finds in its folder."""
    journals = []

    def start_both(service, **options):
        journal = Journal(tmp_path / "journal", **options)
        journals.append(journal)
        c = boot(WEB % service, inside=f"export HERE={tmp_path}")
        return c, journal

    yield start_both
    for journal in journals:
        if not journal.over:
            journal.close()


def test_what_comes(start):
    c, journal = start("echo one; echo '<4>two' >&2; echo '<9>three'; echo; printf 'no\\000end'; exec sleep infinity")
    c.says("started")
    eventually(lambda: len(journal.entries), 4)
    assert "web: one\n" in c.moonrise("logs", "web").stdout  # which has them all the same
    assert c.stop() == 0
    eventually(lambda: len(journal.entries), 5)
    assert sorted((entry[b"PRIORITY"], entry[b"MESSAGE"]) for entry in journal.entries) == [
        (b"4", b"two"), (b"6", b""), (b"6", b"<9>three"), (b"6", b"no\0end"), (b"6", b"one")]
    assert {entry[b"SYSLOG_IDENTIFIER"] for entry in journal.entries} == {b"web"}
    assert c.out == ""


def test_a_long_line_comes_in_pieces(start):
    c, journal = start("head -c 40000 /dev/zero | tr '\\000' x; echo; exec sleep infinity")
    eventually(lambda: len(journal.entries), 3)
    assert b"".join(journal.messages()) == b"x" * 40000
    assert [entry.get(b"CONTAINER_PARTIAL_MESSAGE") for entry in journal.entries] == [b"true", b"true", None]
    assert c.stop() == 0


def test_a_slow_journal_loses_nothing(start):
    """While it does not read, the service waits, and PID 1 does not."""
    c, journal = start("seq 20000; echo that was all; exec sleep infinity", reads=False)
    c.says("started")
    assert c.moonrise("status").returncode == 0
    journal.thread.start()
    eventually(lambda: journal.messages()[-1:], [b"that was all"])
    assert c.err.count("lost") == 0
    is_whole = journal.messages()[:-1] == [b"%d" % number for number in range(1, 20001)]
    assert is_whole  # pytest would look for the difference for ever
    assert c.stop() == 0


def test_one_that_never_reads_does_not_hold_the_stop(start):
    c, _ = start("yes", reads=False)
    c.says("started")
    assert c.stop() == 0


def test_one_that_is_started_again_is_found_again(start, tmp_path):
    c, journal = start("n=0; while :; do n=$((n + 1)); echo line $n; sleep 0.05; done")
    eventually(lambda: len(journal.entries) > 2)
    journal.close()
    c.says("lines are lost, since nothing can be sent to the journal at ")
    assert c.moonrise("health").returncode == 0
    again = Journal(tmp_path / "journal")
    c.says(" takes lines again")
    eventually(lambda: len(again.entries) > 2)
    assert c.stop() == 0
    again.close()
    assert c.err.count("lines are lost") == 1


def test_without_a_journal_lines_stay_here(boot):
    c = boot(WEB % "echo one; exec sleep infinity", inside=HERE)
    c.says("web: one\n")
    c.says("the lines of web stay here, since there is no journal: ")
    assert c.stop() == 0


@pytest.mark.parametrize("log, message", [
    ("journal = 'run/x'", "it takes an absolute path"),
    ("journal = false", "it takes an absolute path"),
    ("journal = true, file = '/x'", "takes one of 'file', 'command' and 'journal'"),
    ("journal = true, format = 'json'", "unknown option 'format'"),
])
def test_what_is_wrong_is_said_with_its_line(boot, log, message):
    c = boot(f'local init = require "moonrise"\ninit.start {{ "true", log = {{ {log} }} }}\n')
    assert c.wait() == 70
    assert message in c.err and "boot.lua:2" in c.err


JOURNALD = """
    /lib/systemd/systemd-journald >/dev/null 2>&1 &
    until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ]; do sleep 0.01; done
"""


@needs_root
def test_journald_and_journalctl(boot):
    """The real one, which is there before us, as if its sockets came from outside."""
    c = boot('''
        local init = require "moonrise"
        init.start { sh = "echo '<3>it hurts'; printf '\\\\303\\\\244\\n'; exec sleep infinity", name = "web",
          log = { journal = true } }
        init.run { "systemd-cat", "-t", "cat", "echo", "past us" }
        init.log("notice", "started")
    ''', inside=JOURNALD)
    c.says("started")

    def entries(name):
        text = c.exec("journalctl", "-D", "/run/log/journal", "-t", name, "-o", "json").stdout
        return [(entry["PRIORITY"], entry["MESSAGE"], entry["_TRANSPORT"]) for entry in map(json.loads, text.splitlines())]

    eventually(lambda: entries("web"), [("3", "it hurts", "journal"), ("6", "ä", "journal")])
    eventually(lambda: entries("cat"), [("6", "past us", "stdout")])
    assert "web:" not in c.out and "past us" not in c.out
    assert c.stop() == 0
