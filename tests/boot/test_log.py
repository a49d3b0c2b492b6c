# SPDX-License-Identifier: MIT
"""What comes out of the container, whatever its stdout is and however it is read."""
import fcntl
import json
import os
import socket
import tempfile
import threading

import pytest
from moonrise import eventually, needs_root

LINES = 20000  # of 32 bytes: more than all buffers on the way hold
WRITER = f'''
    local init = require "moonrise"
    init.start {{ "seq", "-f", "%030.0f!", "{LINES}", name = "many", essential = false }}
    init.log("notice", "started")
'''
EXPECTED = "".join(f"many: {n:030d}!\n" for n in range(1, LINES + 1))


@pytest.mark.parametrize("mode, out", [
    (None, "one: hello\n"),
    ("prefix", "one: hello\n"),
    ("plain", "hello\n"),
    ("nonsense", "one: hello\n"),
])
def test_modes(boot, mode, out):
    c = boot('require "moonrise".run { "echo", "hello", name = "one" } require "moonrise".exit()',
             env={"MOONRISE_LOG": mode} if mode else None)
    assert c.wait() == 0
    assert c.out == out


def test_json(boot):
    c = boot('''
        local init = require "moonrise"
        init.log("warning", 'a "b"')
        init.run { sh = "printf '\\\\377\\\\t\\"x\\"' >&2", name = "one" }
        init.exit()
    ''', env={"MOONRISE_LOG": "json"})
    assert c.wait() == 0
    own, line = json.loads(c.err.splitlines()[0]), json.loads(c.out)
    assert (own["name"], own["level"], own["message"]) == ("moonrise", "warning", 'a "b"')
    assert (line["name"], line["stream"], line["message"]) == ("one", "stderr", '\ufffd\t"x"')
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("level, said", [("error", "e"), ("warning", "ew"), (None, "ewni"), ("debug", "ewnid")])
def test_levels(boot, level, said):
    c = boot('''
        local init = require "moonrise"
        for _, level in ipairs { "error", "warning", "notice", "info", "debug" } do init.log(level, "said " .. level) end
        init.exit()
    ''', env={"MOONRISE_LOG_LEVEL": level} if level else None)
    assert c.wait() == 0
    assert "".join(line[15] for line in c.err.splitlines() if line.startswith("moonrise: said ")) == said


SAYS_LEVELS = """
    local init = require "moonrise"
    init.run { sh = "printf '<3>bad\\n<4>look\\nplain\\n<7>detail\\n'", name = "one" }
    init.exit()
"""


@pytest.mark.parametrize("level, said", [(None, ["bad", "look", "plain", "detail"]), ("debug", ["bad", "look", "plain", "detail"]),
                                         ("info", ["bad", "look", "plain"]), ("warning", ["bad", "look"]), ("error", ["bad"])])
def test_levels_of_services(boot, level, said):
    c = boot(SAYS_LEVELS, env={"MOONRISE_LOG_LEVEL": level} if level else None)
    assert c.wait() == 0
    assert c.out == "".join(f"one: {line}\n" for line in said)


def test_levels_of_services_in_json(boot):
    c = boot(SAYS_LEVELS, env={"MOONRISE_LOG": "json"})
    assert c.wait() == 0
    lines = [json.loads(line) for line in c.out.splitlines()]
    assert [(line["message"], line.get("level")) for line in lines] == [
        ("bad", "error"), ("look", "warning"), ("plain", None), ("detail", "debug")]


def test_no_line_is_lost_at_the_end(boot):
    c = boot(WRITER.replace("essential = false", ""))
    assert c.wait() == 0
    assert c.out == EXPECTED


def read_all(fd):
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return data.decode()


def test_a_reader_that_is_late_gets_it_all(boot):
    """Meanwhile the writer waits, and PID 1 does not."""
    read, write = os.pipe()
    c = boot(WRITER, stdout=write)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert "seq" in [name for _, _, name in c.processes().values()]
    assert fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK == 0  # it is shared with others
    os.close(write)
    data = b""
    while len(data) < len(EXPECTED):
        data += os.read(read, 4096)
    assert data.decode() == EXPECTED
    assert c.stop() == 0
    assert read_all(read) == ""
    os.close(read)


def test_a_reader_that_never_comes_does_not_hold_the_stop(boot):
    read, write = os.pipe()
    c = boot(WRITER, stdout=write)
    os.close(write)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0
    os.close(read)


def test_a_reader_that_has_gone_stops_nobody(boot):
    read, write = os.pipe()
    c = boot(WRITER, stdout=write)
    os.close(write)
    os.close(read)
    c.says("started")
    eventually(lambda: "seq" in [name for _, _, name in c.processes().values()], False)
    assert c.stop() == 0


def test_a_file(boot):
    with tempfile.TemporaryFile() as file:
        c = boot(WRITER.replace("essential = false", ""), stdout=file)
        assert c.wait() == 0
        file.seek(0)
        assert file.read().decode() == EXPECTED


def test_a_full_disk_stops_nobody(boot):
    with open("/dev/full", "wb") as full:
        c = boot(WRITER.replace("essential = false", ""), stdout=full)
        assert c.wait() == 0


def test_a_socket(boot):
    ours, theirs = socket.socketpair()
    c = boot(WRITER.replace("essential = false", ""), stdout=theirs)
    theirs.close()
    assert read_all(ours.fileno()) == EXPECTED
    assert c.wait() == 0
    ours.close()


@needs_root
def test_a_pipe_of_somebody_else(boot):
    """It can't be opened again: docker's pipes belong to root."""
    c = boot(WRITER.replace("essential = false", ""),
             inside='chmod 755 .; mkdir -m 777 run; exec setpriv --reuid 12345 --regid 0 --clear-groups "$@"')
    assert c.wait() == 0
    assert c.out == EXPECTED


def resident(c):
    """KiB of PID 1."""
    with open(f"/proc/{c.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


class Sink(threading.Thread):
    """Reads what comes and counts it, without keeping it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.fd, self.write_end = os.pipe()
        self.count = 0

    def run(self):
        while chunk := os.read(self.fd, 65536):
            self.count += len(chunk)
        os.close(self.fd)


@pytest.mark.parametrize("mode", ["prefix", "json"])
@pytest.mark.parametrize("flood", ["cat /dev/zero", "yes", "cat /dev/zero >&2 & yes & cat /dev/urandom"])
def test_a_flood_takes_no_memory(boot, mode, flood):
    """NUL bytes, short lines and noise at full speed; PID 1 answers, and stops in time."""
    sink = Sink()
    c = boot("""
        local init = require "moonrise"
        init.start { sh = "%s", name = "flood" }
        init.log("notice", "started")
    """ % flood, stdout=sink.write_end, env={"MOONRISE_LOG": mode})
    os.close(sink.write_end)
    c.says("started")
    before = resident(c)
    sink.start()
    eventually(lambda: sink.count > 30_000_000)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert resident(c) < before + 32768
    assert c.stop() == 0


def test_a_flood_that_nobody_reads_takes_no_memory(boot):
    read, write = os.pipe()
    c = boot("""
        local init = require "moonrise"
        for i = 1, 5 do init.start { sh = "cat /dev/zero & yes", name = "flood" .. i } end
        init.log("notice", "started")
    """, stdout=write)
    os.close(write)
    c.says("started")
    before = resident(c)
    for _ in range(20):
        eventually(lambda: c.moonrise("health").returncode, 0)
    assert resident(c) < before + 32768
    assert c.stop() == 0
    os.close(read)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_container_without_an_output(boot, closed):
    """Descriptors that are made later must not take its place."""
    c = boot("""
        local init = require "moonrise"
        init.start { sh = "seq 1000; seq 1000 >&2; exec sleep infinity", name = "many", listen = "/run/x.sock" }
        init.run { "touch", "started" }
    """, inside=f"exec {closed}")
    eventually(lambda: os.path.exists(c.path("started")))
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0
    lines = {line for line in (c.out + c.err).splitlines() if not line.startswith("moonrise: ")}
    assert lines <= {f"many: {n}" for n in range(1, 1001)}
