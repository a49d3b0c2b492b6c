# SPDX-License-Identifier: MIT
"""The sockets of the journal, with logger, systemd-cat and python3-systemd as the
clients, and with what no client should send."""
import json
import os
import re
import signal
import socket
import textwrap

import pytest

from moonrise import BINARY, PRIVATE_DEV, eventually

PRELUDE = 'local init = require "moonrise"\n'
CLIENT = PRELUDE + 'init.start { "/usr/bin/python3", "client.py", name = "one" }'
MEMORY = 16 << 20  # more than PID 1 may take, whatever comes

# What every client here begins with.
BY_HAND = """
import array, ctypes, fcntl, os, random, socket, struct, time
from systemd import daemon, journal

def datagram_socket():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect("/run/systemd/journal/socket")
    return s

def send_fds(*fds, text=b""):
    datagram_socket().sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])

def memfd(data, size=None, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL):
    fd = os.memfd_create("entry", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if size:
        os.truncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd

def stream(header="one\\n\\n6\\n1\\n0\\n0\\n0\\n"):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("/run/systemd/journal/stdout")
    s.sendall(header.encode())
    return s
"""


def client(text):
    return {"client.py": BY_HAND + textwrap.dedent(text)}


def serving(boot, script, **options):
    return boot(script, inside=PRIVATE_DEV, **options)


def lines_of(boot, script, **options):
    """What comes out of a script that ends by itself."""
    c = serving(boot, PRELUDE + script + "\ninit.exit(0)", **options)
    assert c.wait() == 0
    return c.out.splitlines()


def memory_of(c):
    """Bytes that PID 1 has in memory."""
    with open(f"/proc/{c.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def is_well(c):
    assert c.moonrise("health").returncode == 0
    assert "asan" in BINARY or memory_of(c) < MEMORY
    assert c.stop() == 0


# ---- entries


ENTRIES = """
    init.run { "logger", "--journald=entry", name = "one" }
    init.run { "/usr/bin/python3", "client.py", name = "two" }
"""
ENTRY_FILES = {
    "entry": "MESSAGE=by logger\nPRIORITY=3\nSYSLOG_IDENTIFIER=tag\nOTHER=field\n",
    **client("""
        journal.send("two\\nlines", PRIORITY=7, FIELD=b"\\0\\xff\\n")
        journal.send("with a tag", SYSLOG_IDENTIFIER="tag", SYSLOG_PID=12)
        journal.send("one of a service", SYSLOG_IDENTIFIER="two", PRIORITY=4)
        import logging
        logger = logging.getLogger("name")
        logger.addHandler(journal.JournalHandler(SYSLOG_IDENTIFIER="two"))
        logger.error("by logging")
    """),
}


def test_entries(boot):
    assert lines_of(boot, ENTRIES, files=ENTRY_FILES) == [
        "one: tag: by logger", "two: two", "two: lines", "two: tag[12]: with a tag", "two: one of a service",
        "two: by logging",
    ]


def test_entries_in_json(boot):
    lines = [json.loads(line) for line in lines_of(boot, ENTRIES, files=ENTRY_FILES, env={"MOONRISE_LOG": "json"})]
    assert [(one["name"], one.get("level"), one["tag"], one["message"]) for one in lines] == [
        ("one", "error", "tag", "by logger"), ("two", "debug", "python3", "two"), ("two", "debug", "python3", "lines"),
        ("two", None, "tag", "with a tag"), ("two", "warning", "two", "one of a service"),
        ("two", "error", "two", "by logging")]
    assert {one["stream"] for one in lines} == {"journal"}


@pytest.mark.parametrize("size", [100_000, 1_000_000, 10_000_000])
def test_large_ones(boot, size):
    """What does not fit into a datagram comes as a sealed file."""
    lines = lines_of(boot, 'init.run { "/usr/bin/python3", "client.py", name = "one" }', files=client(f"""
        journal.send("x" * {size}, SYSLOG_IDENTIFIER="one", FIELD="y" * 1000)
        journal.send("after it", SYSLOG_IDENTIFIER="one")
    """))
    assert lines[-1] == "one: after it"
    assert "".join(line.removeprefix("one: ").removesuffix("\\") for line in lines[:-1]) == "x" * size
    assert all(line.endswith("x\\") for line in lines[:-2])


def test_several_entries_in_one_datagram(boot):
    assert lines_of(boot, 'init.run { "/usr/bin/python3", "client.py", name = "one" }', files=client("""
        datagram_socket().send(b"MESSAGE=a\\nSYSLOG_IDENTIFIER=tag\\n\\nX=1\\n\\nMESSAGE\\n\\4\\0\\0\\0\\0\\0\\0\\0b\\n\\nc\\n")
    """)) == ["one: tag: a", "one: b", "one: ", "one: c"]


# ---- streams


def test_systemd_cat(boot):
    assert lines_of(boot, '''
        init.run { "systemd-cat", "sh", "-c", "echo out; echo err >&2; echo; printf unfinished", name = "one" }
        init.run { "systemd-cat", "-t", "tag", "-p", "warning", "echo", "hello", name = "two" }
        init.run { "systemd-cat", "-t", "three", "echo", "<3>hello", name = "three" }
        init.run { "systemd-cat", "-t", "four", "--level-prefix=no", "echo", "<3>hello", name = "four" }
    ''') == [
        "one: out", "one: err", "one: ", "one: unfinished", "two: tag: hello", "three: hello",
        "four: <3>hello",
    ]


def test_levels_of_streams(boot):
    lines = lines_of(boot, '''
        init.run { "systemd-cat", "-t", "one", "-p", "warning", "printf", "<3>error\\nnone\\n<7>debug\\n", name = "one" }
    ''', env={"MOONRISE_LOG": "json"})
    assert [(one["message"], one["level"], one["stream"]) for one in map(json.loads, lines)] == [
        ("error", "error", "journal"), ("none", "warning", "journal"), ("debug", "debug", "journal")]


def test_python_stream(boot):
    c = serving(boot, CLIENT, files=client("""
        s = journal.stream("tag", 4)
        s.write("first\\n" + "x" * 20000 + "\\n")
        s.flush()
        time.sleep(1000)
    """))
    c.says("one: tag: xxx")
    c.says("xxx\n")
    assert c.out == f"one: tag: first\none: tag: {'x' * 16384}\\\none: tag: {'x' * (20000 - 16384)}\n"
    assert c.moonrise("logs", "-n", "1").stdout == f"one: tag: {'x' * (20000 - 16384)}\n"
    assert c.stop() == 0


def test_a_header_that_comes_slowly(boot):
    c = serving(boot, CLIENT, files=client("""
        s = stream("")
        for c in "tag\\n\\n6\\n1\\n0\\n0\\n0\\nhello\\n":
            s.send(c.encode())
            time.sleep(0.001)
        time.sleep(1000)
    """))
    c.says("one: tag: hello\n")


def test_who_belongs_to_nobody(boot):
    c = serving(boot, CLIENT, files=client("time.sleep(1000)"))
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.exec("systemd-cat", "-t", "one", "sh", "-c", "echo not me; sleep 0.1").returncode == 0
    c.says(": not me\n")
    assert re.fullmatch(r"one\[\d+\]: not me\n", c.out)
    assert c.stop() == 0


def test_it_is_not_forwarded_to_itself(boot):
    c = serving(boot, PRELUDE + '''
        init.run { "true" }
        init.start { sh = "echo hello; exec sleep infinity", name = "one", log = { journal = true } }
    ''')
    c.says("one: hello\n")
    c.says("the lines of one stay here, since there is no journal: /run/systemd/journal/socket")
    assert c.stop() == 0


# ---- bad days


def test_files_that_are_not_taken(boot):
    c = serving(boot, CLIENT, files=client("""
        def refused(what, *fds):
            send_fds(*fds)
            for fd in fds:
                os.close(fd)
            journal.send(what, SYSLOG_IDENTIFIER="one")

        entry = b"MESSAGE=never seen\\n"
        refused("not sealed", memfd(entry, seals=0))
        refused("can still be written", memfd(entry, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW))
        refused("huge", memfd(entry, 1 << 40))
        refused("large", memfd(entry, (16 << 20) + 1))
        refused("two", memfd(entry), memfd(entry))
        refused("a fifo", *os.pipe()[:1])
        refused("a socket", socket.socket(socket.AF_UNIX).detach())
        refused("a folder", os.open("/", os.O_RDONLY))
        refused("a file", os.open(__file__, os.O_RDONLY))
        refused("a device", os.open("/dev/zero", os.O_RDONLY))
        refused("many", *[os.dup(0) for _ in range(253)])
        refused("zeros", memfd(b"", 16 << 20))
        refused("nothing", memfd(b""))
        send_fds(memfd(entry), text=b"MESSAGE=the text counts\\nSYSLOG_IDENTIFIER=one\\n")
        send_fds(memfd(b"MESSAGE=a file that is taken\\nSYSLOG_IDENTIFIER=one\\n"))
        time.sleep(1000)
    """))
    c.says("one: a file that is taken\n")
    assert c.out.splitlines() == [f"one: {text}" for text in (
        "not sealed", "can still be written", "huge", "large", "two", "a fifo", "a socket", "a folder", "a file",
        "a device", "many", "zeros", "nothing", "the text counts", "a file that is taken")]
    refusal = re.compile(r"^moonrise: one \(process \d+\) sends the journal a file that is not taken: (.*)$", re.MULTILINE)
    eventually(lambda: refusal.findall(c.err),
               ["it is not sealed"] * 2 + ["File too large"] * 2 + ["it is not sealed"] * 5)
    is_well(c)


def refuses_descriptors():
    """Linux 6.16."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, 83, 0)  # SO_PASSRIGHTS
        except OSError:
            return False
        return True


@pytest.mark.parametrize("way", ["journal", "notify", pytest.param("stream", marks=pytest.mark.skipif(
    not refuses_descriptors(), reason="needs SO_PASSRIGHTS"))])
def test_a_socket_that_lingers(boot, way):
    """Whoever closes it last would wait until its peer has read what is in it."""
    c = serving(boot, PRELUDE + """
        local probe = require "moonrise.probe"
        init.start { "/usr/bin/python3", "client.py", name = "one", ready = probe.notify() }
    """, files=client(f"""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        daemon.notify("READY=1")
        while not os.path.exists("go"):
            time.sleep(0.01)
        if os.fork() == 0:
            full = socket.create_connection(listener.getsockname())
            full.setblocking(False)
            try:
                while True:
                    full.send(bytes(65536))
            except BlockingIOError:
                full.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
            to = stream() if "{way}" == "stream" else datagram_socket()
            if "{way}" == "notify":
                to.connect(os.environ["NOTIFY_SOCKET"])
            try:
                socket.send_fds(to, [b"text"], [full.fileno()])
            except PermissionError:
                pass
            os._exit(0)
        os.wait()
        open("sent", "w").close()
        time.sleep(1000)
    """))
    eventually(lambda: c.moonrise("health").returncode, 0)
    c.signal(signal.SIGSTOP)  # so that it is the last who has the socket
    c.write("go", "")
    eventually(lambda: os.path.exists(c.path("sent")))
    c.signal(signal.SIGCONT)
    is_well(c)


def test_garbage(boot):
    c = serving(boot, CLIENT, files=client("""
        random.seed(7)
        s = datagram_socket()
        for size in [0, 1, 2, 3, 10, 100, 1000, 10000, 100000] * 20:
            s.send(random.randbytes(size))
            s.send(b"MESSAGE\\n" + struct.pack("<Q", random.randrange(1 << 64)) + random.randbytes(size))
            s.send(b"PRIORITY=" + random.randbytes(size))
        s.send(b"\\n" * 100000)
        s.send(b"A=\\n" * 50000)
        for size in [1, 10, 100, 1000, 10000] * 20:
            t = stream(random.randbytes(size).decode("latin-1"))
            t.close()
        journal.send("end of it", SYSLOG_IDENTIFIER="one")
        time.sleep(1000)
    """))
    c.says("one: end of it\n")
    is_well(c)


STREAMS = """
    import resource
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = []
    for i in range(2000):
        try:
            s = stream("")
            s.sendall(HEADER)
            held.append(s)
        except (BrokenPipeError, ConnectionResetError):
            pass
    journal.send(f"held {len(held)}", SYSLOG_IDENTIFIER="one")
    time.sleep(1000)
"""


@pytest.mark.parametrize("header", [b"", b"one\n\n", b"one\n\n6\n1\n0\n0\n0\n", b"one\n\n6\n1\n0\n0\n0\n" + b"x" * 16000])
def test_thousands_of_streams(boot, header):
    """A service has its share of them; another still gets through."""
    c = serving(boot, CLIENT, files=client(f"    HEADER = {header!r}" + STREAMS))
    c.says("one: held ", deadline=60)
    c.says("a stream to the journal is refused: there are too many\n")
    c.moonrise("eval", "require('moonrise').run { 'systemd-cat', '-t', 'two', 'echo', 'hello', name = 'two' }")
    c.says("two: hello\n")
    is_well(c)


