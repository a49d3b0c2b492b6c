# SPDX-License-Identifier: MIT
"""Sockets of services: handed over, kept over restarts, activation, an instance for each connection.

The servers are dbus-daemon, cat, and python3 with python3-systemd, none of which this project wrote.
"""
import json
import os
import socket

import pytest
from moonrise import eventually, free_port

PRELUDE = '''
local init = require "moonrise"
local path = "/run/one.sock"
'''

# Says what sd_listen_fds finds, then answers each connection with its pid and greeting.
SERVER = '''
import os, socket, sys
from systemd.daemon import listen_fds_with_names
print("has", sorted(listen_fds_with_names().items()), flush=True)
server = socket.socket(fileno=3)
while True:
    connection, _ = server.accept()
    with connection:
        text = connection.recv(100)
        connection.sendall(b"%d %s" % (os.getpid(), text))
    if text == b"leave":
        sys.exit(0)
    if text == b"crash":
        sys.exit(3)
'''
FILES = {"server.py": SERVER}
PYTHON = '"/usr/bin/python3", "server.py"'


def inside(c, path):
    """A path of the container, as it is reached from outside."""
    return f"/proc/{c.pid}/root{path}"


def talk(c, text, path="/run/one.sock", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.settimeout(20)
        client.connect(inside(c, path))
        client.sendall(text)
        return client.recv(200)


def services(c):
    return {one["name"]: one for one in json.loads(c.moonrise("status", "--json").stdout)["services"]}


# ---- handing over


def test_sockets_are_handed_over_with_their_names(boot):
    port = free_port()
    c = boot(PRELUDE + f'''
        init.start {{ {PYTHON}, name = "web", listen = {{
          {{ unix = path, mode = "0600" }}, {{ tcp = "127.0.0.1:{port}", name = "http" }}, {{ udp = {port} }},
          {{ unix_dgram = "/run/d" }}, {{ unix_seqpacket = "/run/s" }}, {{ fifo = "/run/deep/down/f", name = "pipe" }} }} }}
        init.log("notice", "booted")
    ''', files=FILES)
    c.says("booted")
    c.says("has [(3, 'web'), (4, 'http'), (5, 'web'), (6, 'web'), (7, 'web'), (8, 'pipe')]")
    assert talk(c, b"hello").endswith(b" hello")
    assert os.stat(inside(c, "/run/one.sock")).st_mode & 0o777 == 0o600
    assert os.stat(inside(c, "/run/deep/down/f")).st_mode & 0o777 == 0o666
    assert c.stop() == 0


def test_no_connection_is_lost_over_a_restart(boot):
    c = boot(PRELUDE + f'''
        local one = init.start {{ {PYTHON}, listen = path, restart = "on-failure" }}
        init.on("USR1", function() one:restart() end)
        init.log("notice", "booted")
    ''', files=FILES)
    c.says("booted")
    first = talk(c, b"crash").split()[0]
    second = talk(c, b"hello").split()[0]
    assert second != first
    c.exec("kill", "-USR1", "1")
    eventually(lambda: talk(c, b"hello").split()[0], lambda pid: pid not in (first, second))
    assert c.stop() == 0


def test_a_socket_is_removed_at_the_end(boot):
    c = boot(PRELUDE + f'''
        local one = init.start {{ {PYTHON}, listen = path }}
        one:stop()
        assert(not io.open(path) and not require("moonrise.fs").exists(path))
        one:start()
        assert(require("moonrise.fs").exists(path))
        init.exit(0)
    ''', files=FILES)
    assert c.wait() == 0, c.err


def test_a_fifo_is_removed_unless_it_was_there(boot):
    c = boot('''
        local init, fs = require "moonrise", require "moonrise.fs"
        init.run { "mkfifo", "/run/old" }
        local one = init.start { "sleep", "infinity", listen = { { fifo = "/run/old" }, { fifo = "/run/new" } } }
        assert(fs.stat("/run/new").type == "fifo")
        one:restart()
        assert(fs.exists("/run/new"))
        one:stop()
        assert(fs.exists("/run/old") and not fs.exists("/run/new"))
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err


def test_dbus_daemon_is_activated(boot):
    c = boot(PRELUDE + '''
        init.start { "dbus-daemon", "--session", "--address=systemd:", "--nofork", "--nopidfile",
          name = "dbus", listen = "/run/bus", activate = true, env = { DBUS_SESSION_BUS_ADDRESS = false } }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    assert services(c)["dbus"]["state"] == "waiting"
    answer = c.exec("dbus-send", "--bus=unix:path=/run/bus", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                    "org.freedesktop.DBus.GetId")
    assert "string" in answer.stdout, answer.stderr
    assert services(c)["dbus"]["state"] == "ready"
    assert c.stop() == 0


# ---- activation


def test_activation(boot):
    c = boot(PRELUDE + f'''
        local one = init.service {{ {PYTHON}, name = "one", listen = path, activate = true }}
        local two = init.service {{ "sleep", "infinity", name = "two", after = {{ "one" }} }}
        init.all(one, two)
        assert(one.state == "waiting" and not one.pid)
        init.log("notice", "booted")
    ''', files=FILES)
    c.says("booted")
    assert "listening" in c.moonrise("status").stdout
    assert "one listens; the first connection starts it" in c.moonrise("why", "one").stdout
    assert c.moonrise("health").returncode == 0
    assert "one: has" not in c.out
    first = talk(c, b"hello").split()[0]
    assert services(c)["one"]["state"] == "ready"
    assert talk(c, b"leave").split()[0] == first
    eventually(lambda: services(c)["one"]["state"], "waiting")
    assert talk(c, b"hello").split()[0] != first
    assert c.stop() == 0


def test_activation_by_a_datagram_and_a_fifo(boot):
    c = boot(PRELUDE + '''
        init.start { "/usr/bin/python3", "-c", "import os; print('got', os.read(3, 100), flush=True)", name = "d",
          listen = { unix_dgram = "/run/d" }, activate = true }
        init.start { "/usr/bin/python3", "-c", "import os; print('got', os.read(3, 100), flush=True)", name = "f",
          listen = { fifo = "/run/f" }, activate = true }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"one", inside(c, "/run/d"))
    c.says("d: got b'one'")
    with open(inside(c, "/run/f"), "wb") as fifo:
        fifo.write(b"two")
    c.says("f: got b'two'")
    eventually(lambda: {services(c)[name]["state"] for name in "df"}, {"waiting"})
    assert c.stop() == 0


def test_a_crash_of_an_activated_service_is_told(boot):
    c = boot(PRELUDE + f'init.start {{ {PYTHON}, name = "one", listen = path, activate = true }}\n'
             'init.log("notice", "booted")', files=FILES)
    c.says("booted")
    talk(c, b"crash")
    assert c.wait() == 3
    assert "one exited with status 3" in c.err


def test_one_that_does_not_take_what_came_is_given_up(boot):
    c = boot(PRELUDE + '''
        init.start { "true", listen = path, activate = true }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(inside(c, "/run/one.sock"))
        assert c.wait() == 70
    assert "true was started 20 times within 2s by what it does not take" in c.err


# ---- an instance for each connection


@pytest.mark.parametrize("kind, key", [(socket.SOCK_STREAM, "unix"), (socket.SOCK_SEQPACKET, "unix_seqpacket")])
def test_accept_with_stdio(boot, kind, key):
    c = boot(PRELUDE + f'''
        local echo = init.start {{ "cat", name = "echo", listen = {{ {key} = path }}, accept = {{ stdio = true }} }}
        assert(echo.state == "ready")
        init.log("notice", "booted")
    ''')
    c.says("booted")
    one, two = socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)
    with one, two:
        for client in (one, two):
            client.settimeout(20)
            client.connect(inside(c, "/run/one.sock"))
        two.sendall(b"two")
        one.sendall(b"one")
        assert (one.recv(10), two.recv(10)) == (b"one", b"two")
        assert {"echo", "echo@1", "echo@2"} == set(services(c))
    eventually(lambda: set(services(c)), {"echo"})
    assert services(c)["echo"]["state"] == "ready"
    assert c.stop() == 0


def test_accept_hands_the_connection_over(boot):
    port = free_port()
    c = boot(PRELUDE + f'''
        init.start {{ "/usr/bin/python3", "-c", [[
import os, socket
from systemd.daemon import listen_fds_with_names
socket.socket(fileno=3).sendall(repr(listen_fds_with_names()).encode() + os.environ["REMOTE_ADDR"].encode())
]], name = "greeter", listen = "127.0.0.1:{port}", accept = true }}
        init.log("notice", "booted")
    ''')
    c.says("booted")
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        said = b""
        while chunk := client.recv(100):  # to its end: nobody else holds the connection
            said += chunk
    assert said == b"{3: 'connection'}127.0.0.1"
    assert c.stop() == 0


def test_accept_is_limited_and_loses_nothing(boot):
    c = boot(PRELUDE + '''
        init.start { "cat", name = "echo", listen = path, accept = { stdio = true, max_connections = 2 } }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for i, client in enumerate(clients):
        client.settimeout(20)
        client.connect(inside(c, "/run/one.sock"))
        client.sendall(b"%d" % i)
    assert [client.recv(10) for client in clients[:2]] == [b"0", b"1"]
    assert set(services(c)) == {"echo", "echo@1", "echo@2"}
    for client in clients[:2]:
        client.close()
    assert [client.recv(10) for client in clients[2:]] == [b"2", b"3"]
    for client in clients[2:]:
        client.close()
    assert c.stop() == 0


def test_instances_stop_with_their_service(boot):
    c = boot(PRELUDE + '''
        local echo = init.start { "cat", name = "echo", listen = path, accept = { stdio = true } }
        init.on("USR1", function()
          echo:stop()
          init.log("notice", "echo is %s", echo.state)
        end)
        init.log("notice", "booted")
    ''')
    c.says("booted")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(inside(c, "/run/one.sock"))
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        c.exec("kill", "-USR1", "1")
        assert client.recv(10) == b""
    c.says("echo is stopped")
    assert set(services(c)) == {"echo"}
    assert not os.path.exists(inside(c, "/run/one.sock"))
    assert c.stop() == 0


def test_an_instance_that_fails_is_told_and_no_more(boot):
    c = boot(PRELUDE + '''
        init.start { sh = "read x; exit 5", name = "one", listen = path, accept = { stdio = true } }
        init.log("notice", "booted")
    ''')
    c.says("booted")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(inside(c, "/run/one.sock"))
        client.sendall(b"x\n")
        c.says("one@1 exited with status 5")
    eventually(lambda: set(services(c)), {"one"})
    assert c.stop() == 0


# ---- sockets that the container was started with


# As podman does it, but for LISTEN_PID, which it sets to 1.
HANDED_IN = """
    exec /usr/bin/python3 -c 'import os, socket, sys
for i in (3, 4):
    one = socket.socket(socket.AF_UNIX)
    one.bind("/run/%d.sock" % i)
    one.listen(5)
    os.dup2(one.fileno(), 10 + i)
for i in (3, 4):
    os.dup2(10 + i, i, True)
os.environ.update(LISTEN_FDS="2", LISTEN_FDNAMES="metrics:web")
os.execv(sys.argv[1], sys.argv[1:])' "$@"
"""


def test_inherited_sockets_are_passed_on_by_name(boot):
    c = boot(PRELUDE + f'''
        init.start {{ {PYTHON}, name = "web", listen = {{ inherited = "web" }} }}
        init.log("notice", "booted")
    ''', files=FILES, inside=HANDED_IN)
    c.says("booted")
    c.says("has [(3, 'web')]")
    assert talk(c, b"hello", "/run/4.sock").endswith(b" hello")
    assert c.stop() == 0


def test_systemd_socket_activate_starts_the_container(boot):
    c = boot(PRELUDE + f'init.start {{ {PYTHON}, listen = {{ inherited = "web" }} }}', files=FILES,
             inside='exec systemd-socket-activate -l /run/web.sock --fdname=web "$@"')
    eventually(lambda: talk(c, b"hello", "/run/web.sock"), lambda said: said.endswith(b" hello"))
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.stop() == 0


def test_an_unknown_inherited_name_lists_the_known(boot):
    c = boot(PRELUDE + 'init.start { "cat", listen = { inherited = "wbe" } }', inside=HANDED_IN)
    assert c.wait() == 70
    assert "boot.lua:3: cat cannot listen on the inherited 'wbe': there is none of that name; " \
           "these are: metrics, web" in c.err


# ---- mistakes


@pytest.mark.parametrize("options, message", [
    ('listen = "nowhere"', '\'listen\' of start is "nowhere"; it takes a port, "address:port"'),
    ('listen = { "80", "localhost:99999" }', 'entry 2 of \'listen\' of start is "localhost:99999"'),
    ('listen = { tcp = 80, mode = "0600" }', "'mode' of 'listen' of start is for paths alone"),
    ('listen = { unix = "/run/a", mod = "0600" }', "unknown option 'mod'"),
    ('listen = { unix = "a" }', "it takes an absolute path"),
    ('listen = { tcp = 80, udp = 80 }', "has both"),
    ("listen = {}", "'listen' of start is empty"),
    ("listen = { {} }", "names no socket"),
    ('listen = { inherited = "web" }', "there is none of that name; there are none"),
    ("activate = true", "'activate' of cat needs 'listen'"),
    ('fd_store = 250, listen = "/run/x"', "'listen' and 'fd_store' of cat ask for 251 descriptors; there may be 250"),
    ("accept = true, listen = { udp = 5000 }", "'accept' of cat: there are no connections on udp"),
    ("accept = { stdoi = true }", "unknown option 'stdoi' of 'accept' of start; did you mean 'stdio'?"),
    ('listen = "/proc/a"', "cat cannot listen on unix /proc/a: "),
    ('listen = { unix = "/run/a", owner = "nobody-of-this-name" }', "there is no user 'nobody-of-this-name'"),
])
def test_mistakes_are_said_with_their_line(boot, options, message):
    c = boot(f'local init = require "moonrise"\ninit.start {{ "cat", {options} }}')
    assert c.wait() == 70
    assert message in c.err
    assert "boot.lua:2" in c.err


def test_a_port_that_is_taken(boot):
    with socket.create_server(("127.0.0.1", 0)) as other:
        c = boot(f'local init = require "moonrise"\ninit.start {{ "cat", listen = "127.0.0.1:{other.getsockname()[1]}" }}')
        assert c.wait() == 70
    assert ": Address already in use" in c.err or ": Address in use" in c.err  # glibc and musl
