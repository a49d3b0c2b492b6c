# SPDX-License-Identifier: MIT
"""init.handover: another init as PID 1, with what the container was given."""
import socket

from moonrise import BINARY

# Says what it is and has: pid, signals that are blocked (a child inherits them), descriptors, environment.
REPORT = "echo pid $$; grep SigBlk /proc/self/status; ls /proc/$$/fd; env | sort; echo over"


def test_a_shell_takes_over_as_if_nothing_had_been(boot):
    c = boot(f'''
        local init, probe = require "moonrise", require "moonrise.probe"
        init.start {{ sh = "trap 'echo bye; exit 0' TERM; : >up; while :; do sleep 0.1 & wait $!; done", name = "helper",
          listen = "/run/helper.sock", ready = probe.file("up") }}
        init.handover {{ "sh", "-c", [[{REPORT}]], env = {{ EXTRA = 7 }} }}
    ''', env={"GIVEN": "yes", "NOTIFY_SOCKET": "/run/none"})
    assert c.wait() == 0, c.err
    assert "helper: bye" in c.out
    said = c.out.split("helper: bye\n")[1].split("\n")
    assert said[0] == "pid 1"
    assert "SigBlk:\t0000000000000000" in said
    assert "GIVEN=yes" in said and "EXTRA=7" in said and "NOTIFY_SOCKET=/run/none" in said
    numbers = {int(line) for line in said if line.isdigit()}
    assert numbers <= {0, 1, 2, 3}  # 3: that of ls, while it reads
    assert not any(line.startswith("LISTEN_") for line in said)


def test_our_timer_does_not_go_along(boot):
    c = boot('''
        local init = require "moonrise"
        init.handover { "/usr/bin/python3", "-c", "import signal; print('timer', signal.getitimer(signal.ITIMER_PROF))" }
    ''')
    assert c.wait() == 0, c.err
    assert "timer (0.0, 0.0)" in c.out


def test_moonrise_takes_over_from_moonrise(boot):
    c = boot(f'''
        local init = require "moonrise"
        init.handover {{ "{BINARY}", "--", "sh", "-c", "echo my init is $(tr '\\\\0' ' ' </proc/1/cmdline); exit 7" }}
    ''')
    assert c.wait() == 7, c.err
    assert f"my init is {BINARY} -- sh" in c.out


def test_sockets_go_along(boot):
    c = boot('''
        local init = require "moonrise"
        init.handover { "/usr/bin/python3", "-c", [[
import socket
from systemd.daemon import listen_fds_with_names
print(sorted(listen_fds_with_names().items()), flush=True)
server = socket.socket(fileno=4)
connection, _ = server.accept()
connection.sendall(b"hello")
]], listen = { unix = "/run/made.sock", name = "made" } }
    ''', inside='''
        exec /usr/bin/python3 -c 'import os, socket, sys
one = socket.socket(socket.AF_UNIX)
one.bind("/run/given.sock")
one.listen(5)
os.dup2(os.dup2(one.fileno(), 13), 3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="given")
os.execv(sys.argv[1], sys.argv[1:])' "$@"
    ''')
    c.says("[(3, 'given'), (4, 'made')]")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(f"/proc/{c.pid}/root/run/made.sock")
        assert client.recv(10) == b"hello"
    assert c.wait() == 0


def test_one_that_can_not_be_executed(boot):
    c = boot('''
        local init, probe = require "moonrise", require "moonrise.probe"
        init.start { sh = "trap 'echo bye; exit 0' TERM; : >up; while :; do sleep 0.1 & wait $!; done", name = "helper",
          ready = probe.file("up") }
        local ok, err = pcall(init.handover, { "./broken", listen = "/run/made.sock" })
        init.log("notice", "went on: %s", err)
        assert(init.run({ "echo", "alive" }).status == 0)
        init.handover { "./broken" }
    ''', inside='printf "#!/no/such/interpreter\\n" >broken; chmod +x broken')
    assert c.wait() == 126, c.err
    assert "helper: bye" in c.out
    assert "boot.lua:4: cannot hand over to ./broken: No such file or directory" in c.err
    assert "echo: alive" in c.out
    assert "boot.lua:7: cannot hand over to ./broken" in c.err


def test_one_that_is_not_there_stops_nothing(boot):
    c = boot('''
        local init = require "moonrise"
        local one = init.start { "sleep", "infinity" }
        local ok, err = pcall(init.handover, { "no-such-init" })
        assert(not ok and one.state == "ready", one.state)
        init.log("notice", "%s", err)
        init.exit(0)
    ''')
    assert c.wait() == 0, c.err
    assert "boot.lua:3: cannot start no-such-init: not found" in c.err


def test_a_rehearsal_hands_nothing_over(boot):
    c = boot(argv=["check", "boot.lua"], files={"boot.lua": '''
        local init = require "moonrise"
        init.handover { "touch", "made" }
    '''})
    assert c.wait() == 0
    assert "stop everything and hand over to touch made" in c.out
