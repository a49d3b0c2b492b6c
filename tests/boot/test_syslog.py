# SPDX-License-Identifier: MIT
"""/dev/log, with logger, syslog(3) and Python as the clients, and what all sockets of
its kind have in common."""
import json
import os
import re

import pytest

from moonrise import BINARY, PRIVATE_DEV, eventually, needs_root

PRELUDE = 'local init = require "moonrise"\n'


def serving(boot, script, inside=PRIVATE_DEV, **options):
    return boot(PRELUDE + script, inside=inside, **options)


def lines_of(boot, script, **options):
    """What comes out of a script that ends by itself."""
    c = serving(boot, script + "\ninit.exit(0)", **options)
    assert c.wait() == 0
    return c.out.splitlines()


def test_the_sockets(boot):
    assert lines_of(boot, '''
        init.run { "readlink", "/dev/log", name = "link" }
        init.run { sh = "stat -c '%A %n' /run/systemd/journal/*", name = "files" }
    ''') == [
        "link: /run/systemd/journal/dev-log",
        "files: srw-rw-rw- /run/systemd/journal/dev-log",
        "files: srw-rw-rw- /run/systemd/journal/socket",
        "files: srw-rw-rw- /run/systemd/journal/stdout",
    ]


# ---- logger, in all the ways it has; each is a process of its own


@pytest.mark.parametrize("argv, text", [
    (["-t", "tag"], "tag: hello"),
    (["-t", "tag", "--id=12"], "tag[12]: hello"),
    (["-t", "one"], "hello"),
    (["-t", "ONE"], "hello"),
    (["-t", "logger"], "hello"),
    (["-t", "tag", "--rfc3164"], "tag: hello"),
    (["-t", "tag", "--id=12", "--rfc3164"], "tag[12]: hello"),
    (["-t", "tag", "--rfc5424"], "tag: hello"),
    (["-t", "tag", "--id=12", "--rfc5424", "--msgid", "M", "--sd-id", "a@1", "--sd-param", 'b="x y"'], "tag[12]: hello"),
    (["-t", "tag", "--rfc5424=notime,nohost,notq"], "tag: hello"),
    (["-t", "tag", "--socket", "/run/systemd/journal/dev-log"], "tag: hello"),
])
def test_logger(boot, argv, text):
    words = ", ".join(f"[[{word}]]" for word in argv)
    lines = lines_of(boot, f'init.run {{ "logger", {words}, "hello", name = "one" }}')
    assert lines == ["one: " + text]


NUMBERS = "".join(f"{n}\n" for n in range(1, 101))


def test_logger_sends_a_file(boot):
    lines = lines_of(boot, '''
        init.run { "logger", "-t", "one", "-e", "-f", "numbers", name = "one", log = "shown" }
        init.run { "logger", "-t", "shown", "--prio-prefix", "-f", "lines", name = "shown" }
    ''', files={"lines": "<11>error\n<15>debug\n", "numbers": NUMBERS})
    assert lines == [f"shown: one: {n}" for n in NUMBERS.split()] + ["shown: error", "shown: debug"]


PRIORITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
LEVELS = ["error"] * 4 + PRIORITIES[4:]
SAY_ALL = "\n".join(f'init.run {{ "logger", "-t", "tag", "-p", "daemon.{name}", "{name}", name = "one" }}'
                    for name in PRIORITIES)


def test_levels_in_json(boot):
    said = [json.loads(line) for line in lines_of(boot, SAY_ALL, env={"MOONRISE_LOG": "json"})]
    assert [(one["message"], one["level"]) for one in said] == list(zip(PRIORITIES, LEVELS))
    assert {(one["name"], one["tag"], one["stream"]) for one in said} == {("one", "tag", "syslog")}
    assert all(one["pid"] > 1 for one in said)


def test_what_is_less_urgent_is_kept_back(boot):
    lines = lines_of(boot, SAY_ALL, env={"MOONRISE_LOG_LEVEL": "warning"})
    assert lines == [f"one: tag: {name}" for name in PRIORITIES[:5]]


def test_plain(boot):
    assert lines_of(boot, '''
        init.run { "logger", "-t", "tag", "hello", name = "one" }
        init.run { "logger", "-t", "one", "hello", name = "one" }
    ''', env={"MOONRISE_LOG": "plain"}) == ["tag: hello", "hello"]


# ---- other clients


def test_python(boot):
    lines = lines_of(boot, '''init.run { "/usr/bin/python3", "client.py", name = "one" }''', files={"client.py": """
        import logging, logging.handlers, syslog
        syslog.openlog("tag", syslog.LOG_PID)
        syslog.syslog(syslog.LOG_ERR, "two\\nlines")
        logger = logging.getLogger()
        logger.addHandler(logging.handlers.SysLogHandler("/dev/log"))
        logger.warning("from logging")
        syslog.openlog("one")
        syslog.syslog("x" * 40000)
    """})
    assert [re.sub(r"\[\d+\]", "[]", line) for line in lines] == [
        "one: tag[]: two", "one: tag[]: lines", "one: from logging",
        *(f"one: {'x' * 16384}\\" for _ in range(2)), f"one: {'x' * (40000 - 2 * 16384)}",
    ]


def test_any_bytes(boot):
    c = serving(boot, '''
        init.run { "/usr/bin/python3", "client.py", name = "one" }
        init.exit(0)
    ''', files={"client.py": r"""
        import socket
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect("/dev/log")
        for message in b"<13>a\0b\377", b"", b"<13>", b"\0\0", b"\n", b"<13>tag:", b"no priority", b"<13>a\033[1m: b":
            s.send(message)
    """})
    assert c.wait() == 0
    assert c.out_bytes.splitlines() == [b"one: a\0b\377", b"one: tag: ", b"one: no priority", b"one: a\033[1m: b"]


# ---- whose it is

def test_a_daemon_is_known_by_its_service(boot):
    """It has left its parents, its session and its user, and ends before it is heard."""
    c = serving(boot, '''
        init.service { "sleep", "infinity", name = "other" }:start()
        init.start { sh = "/usr/bin/python3 client.py; exec sleep infinity", name = "one" }
    ''', files={"client.py": """
        import os, syslog
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        syslog.openlog("tag")
        os.environ.clear()
        try:
            os.setresuid(12345, 12345, 12345)
        except OSError:
            pass  # in a user namespace there is no other user
        syslog.syslog("from afar")
    """})
    c.says("one: tag: from afar\n")
    assert c.moonrise("logs", "one").stdout == "one: tag: from afar\n"
    assert c.moonrise("logs", "other").stdout == ""


def test_short_lived_children_of_ours(boot):
    c = serving(boot, '''
        init.start { sh = "for i in $(seq 50); do (logger -t one $i &); done; exec sleep infinity", name = "one" }
    ''')
    eventually(lambda: sorted(c.out.splitlines()), sorted(f"one: {n}" for n in range(1, 51)))


def test_who_belongs_to_nobody_has_its_tag_and_pid(boot):
    c = serving(boot, 'init.start { "sleep", "infinity", name = "one" }')
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.exec("logger", "-t", "one", "not me").returncode == 0
    c.says(": not me\n")
    assert re.fullmatch(r"one\[\d+\]: not me\n", c.out)
    assert c.moonrise("logs").stdout == ""


def test_logs_show_it_in_its_place(boot):
    c = serving(boot, '''
        init.start { sh = "echo first; (logger -t one -p err second &); (logger -t tag third &); exec sleep infinity",
          name = "one" }
    ''')
    eventually(lambda: len(c.moonrise("logs").stdout.splitlines()), 3)
    shown = [json.loads(line) for line in c.moonrise("logs", "--json").stdout.splitlines()]
    assert sorted((one["stream"], one.get("level"), one["message"]) for one in shown) == [
        ("stdout", None, "first"), ("syslog", "error", "second"), ("syslog", "notice", "tag: third")]


def test_it_goes_where_the_service_logs(boot):
    c = serving(boot, '''
        init.start { sh = "(logger -t one to the file &); exec sleep infinity", name = "one", log = { file = "/run/one" } }
        init.start { sh = "(systemd-cat -t two echo to the command &); exec sleep infinity", name = "two",
          log = { command = { "sh", "-c", "cat > /run/two" } } }
    ''')
    eventually(lambda: c.exec("cat", "/run/one").stdout, lambda text: text.endswith("to the file\n"))
    eventually(lambda: c.exec("cat", "/run/two").stdout, lambda text: text.endswith("to the command\n"))
    assert c.out == ""
    assert c.moonrise("logs", "one").stdout == "one: to the file\n"
    assert c.stop() == 0


# ---- where they can't be, or are already


def test_one_that_is_alive_is_left_alone(boot):
    c = serving(boot, '''
        init.run { "logger", "-t", "one", "to somebody else", name = "one" }
        init.run { "logger", "-t", "one", "--socket", "/run/systemd/journal/dev-log", "to us", name = "one" }
        init.run { sh = "while [ ! -s got ]; do sleep 0.01; done", name = "wait" }
        init.exit(0)
    ''', inside=PRIVATE_DEV + """
        /usr/bin/python3 server.py &
        while [ ! -e bound ]; do sleep 0.01; done
    """, files={"server.py": """
        import socket
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind("/dev/log")
        open("bound", "w").close()
        text = s.recv(1000)
        with open("got", "wb") as file:
            file.write(text)
        s.recv(1000)
    """}, env={"MOONRISE_LOG_LEVEL": "debug"})
    assert c.wait() == 0
    assert c.out == "one: to us\n"
    assert c.read("got").endswith("one: to somebody else")
    assert "/dev/log is left alone: it is there already\n" in c.err


def test_without_run(boot):
    assert lines_of(boot, '''
        init.run { sh = "[ -S /dev/log ] && exec logger -t one hello", name = "one" }
    ''', inside=PRIVATE_DEV + "mount -o remount,bind,ro /run") == ["one: hello"]


def test_without_dev(boot):
    assert lines_of(boot, '''
        init.run { "logger", "-t", "one", "--socket", "/run/systemd/journal/dev-log", "hello", name = "one" }
    ''', inside="") == ["one: hello"]


def test_without_both(boot):
    assert lines_of(boot, 'init.run { "echo", "hello", name = "one" }', inside="mount -o remount,bind,ro /run") == ["one: hello"]


def test_stale_ones_are_replaced_and_nothing_is_left(boot, tmp_path):
    inside = f"mount --bind {tmp_path} /run" + PRIVATE_DEV.replace("mkdir", "mkdir -p")
    c = serving(boot, 'init.start { sh = "(logger -t one hello &); exec sleep infinity", name = "one" }', inside=inside)
    c.says("one: hello")
    c.close()
    assert sorted(os.listdir(tmp_path / "systemd/journal")) == ["dev-log", "socket", "stdout"]
    c = serving(boot, 'init.start { sh = "(logger -t one hello &); exec sleep infinity", name = "one" }', inside=inside)
    c.says("one: hello")
    assert c.stop() == 0
    assert os.listdir(tmp_path / "systemd/journal") == []


@needs_root
def test_the_next_init_finds_nothing(boot):
    c = serving(boot, '''
        init.run { "logger", "-t", "one", "hello", name = "one" }
        init.handover { "/bin/sh", "-c", "ls -d /dev/log /run/systemd; exec sleep 1000" }
    ''')
    for text in ("one: hello\n", "/dev/log': No such file", "/run/systemd': No such file"):
        c.says(text)


# ---- bad days


def flood(count):
    return {"client.py": f"""
        import syslog
        syslog.openlog("one")
        for i in range({count}):
            syslog.syslog(f"{{i:0100d}}")
    """}


def memory_of(c):
    """Bytes that PID 1 has in memory."""
    with open(f"/proc/{c.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def test_nothing_is_lost_while_nobody_reads(boot):
    """The sender waits, and PID 1 does not."""
    read, write = os.pipe()
    count = 20000
    c = serving(boot, 'init.start { "/usr/bin/python3", "client.py", name = "one", essential = false }',
                stdout=write, files=flood(count))
    os.close(write)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert "python3" in [name for _, _, name in c.processes().values()]
    assert "asan" in BINARY or memory_of(c) < 8 << 20
    expected = "".join(f"one: {i:0100d}\n" for i in range(count)).encode()
    data = b""
    while len(data) < len(expected):
        data += os.read(read, 65536)
    assert data == expected
    assert c.stop() == 0
    os.close(read)


def test_short_lived_ones_are_known_when_it_is_read_at_last(boot):
    """They have ended, and have been reaped, while nobody read the output."""
    read, write = os.pipe()
    c = serving(boot, '''
        init.start { sh = "yes $(seq -s x 30)", name = "full" }
        init.start { sh = "for i in $(seq 200); do (logger -t one $i &); done; exec sleep infinity", name = "one" }
    ''', stdout=write)
    os.close(write)
    eventually(lambda: c.moonrise("health").returncode, 0)
    eventually(lambda: [name for _, _, name in c.processes().values() if name in ("logger", "seq")], [])
    data = bytearray()

    def read_more():
        data.extend(os.read(read, 65536))
        return re.findall(rb"^(one.*)\n", data, re.MULTILINE)

    lines = eventually(read_more, lambda lines: len(lines) == 200)
    assert sorted(lines) == sorted(b"one: %d" % n for n in range(1, 201))
    assert c.stop() == 0
    os.close(read)


def test_it_stops_while_nobody_reads(boot):
    read, write = os.pipe()
    c = serving(boot, 'init.start { "/usr/bin/python3", "client.py", name = "one" }', stdout=write, files=flood(10 ** 9))
    os.close(write)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0
    os.close(read)


def test_a_flood_leaves_room_for_others(boot):
    with open("/dev/null", "wb") as null:
        c = serving(boot, '''
            init.start { "/usr/bin/python3", "client.py", name = "one" }
            init.start { sh = "(logger -t two hello &); exec sleep infinity", name = "two" }
        ''', stdout=null, files=flood(10 ** 9))
    eventually(lambda: c.moonrise("logs", "two").stdout, "two: hello\n")
    assert "asan" in BINARY or memory_of(c) < 8 << 20
    assert c.stop() == 0


def test_garbage(boot):
    c = serving(boot, '''
        init.start { "/usr/bin/python3", "client.py", name = "one" }
    ''', files={"client.py": """
        import random, socket, time
        random.seed(7)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect("/dev/log")
        for size in [1, 2, 3, 10, 100, 1000, 10000, 100000] * 20:
            s.send(random.randbytes(size))
        s.send(b"<13>" + b"[" * 100000)
        s.send(b"<13>1 - - - - - " + b"[a " * 30000)
        s.send(b"<13>Nov 29 07:48:07 " + b":" * 100000)
        s.send(b"\\n" * 100000 + b"end of it")
        time.sleep(1000)
    """})
    c.says("end of it")
    assert c.moonrise("health").returncode == 0
    assert "asan" in BINARY or memory_of(c) < 8 << 20
    assert c.stop() == 0
