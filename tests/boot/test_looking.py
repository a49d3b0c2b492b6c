# SPDX-License-Identifier: MIT
"""What a person, or Prometheus, sees of the services: memory, CPU, top, metrics."""
import json
import re
import socket
import urllib.request

import pexpect
import pytest
from moonrise import BINARY, DEADLINE, environment, eventually, free_port, run

TWO = """
    local init = require "moonrise"
    init.all(
      init.service { sh = "sleep 1000 & sleep 1000 & wait", name = "idle" },
      init.service { sh = "sleep 0.01; while :; do :; done", name = "busy", nice = 19, after = { "idle" } })
"""


@pytest.fixture
def two(boot):
    """A container that is ready: idle with three processes, and busy."""
    c = boot(TWO)
    eventually(lambda: c.moonrise("health").returncode, 0)
    return c


def test_status_with_what_they_use(two):
    def service(number):
        return json.loads(two.moonrise("status", "--json").stdout)["services"][number]

    eventually(lambda: service(0).get("processes"), 3)
    assert service(0)["memory"] > 100_000 and service(0)["after"] == []
    eventually(lambda: service(1).get("cpu_seconds"), lambda seconds: seconds > 0)
    assert service(1)["after"] == ["idle"]
    lines = two.moonrise("status").stdout.splitlines()
    assert lines[2].startswith("idle ") and lines[3].startswith("└─ busy ")
    two.moonrise("stop", "busy")
    assert re.search(r"busy +stopped +0s +- +0 +- +- ", two.moonrise("status").stdout)
    assert "memory" not in service(1)


# ---- top


def test_top_on_a_pipe_is_one_picture(two):
    text = eventually(lambda: two.moonrise("top").stdout, lambda text: re.search(r"^idle +ready +\d+ +3 ", text, re.M))
    assert text.startswith("container: ready for ") and "2 services" in text
    assert text.splitlines()[2].split() == ["SERVICE", "STATE", "PID", "PROCS", "CPU%", "MEMORY", "TIME", "FOR", "RESTARTS"]
    assert "\x1b" not in text


def test_top_for_programs(two):
    def top():
        return json.loads(two.moonrise("top", "--json").stdout)

    eventually(lambda: top()["services"][0]["processes"], 3)
    eventually(lambda: top()["services"][1].get("cpu_seconds"), lambda seconds: seconds > 0)
    data = top()
    idle, busy = data["services"]
    assert (idle["name"], idle["state"], idle["restarts"]) == ("idle", "ready", 0)
    assert idle["pid"] and idle["memory"] > 100_000 and 0 <= idle["cpu_percent"] < busy["cpu_percent"]
    assert data["state"] == "ready" and data["processes"] == 4 and data["memory"] > idle["memory"]
    two.moonrise("stop", "busy")
    assert "pid" not in top()["services"][1]


def test_top_on_a_terminal(two):
    terminal = pexpect.spawn(BINARY, ["top"], timeout=DEADLINE, encoding="utf-8", dimensions=(24, 80),
                             env=environment({"MOONRISE_RUNDIR": two.rundir}))
    terminal.expect_exact("\x1b[H\x1b[2J")
    terminal.expect_exact("RESTARTS")
    terminal.expect(r"busy +ready .*?idle +ready ")  # in the order of their use of the CPU
    terminal.expect_exact("\x1b[H")  # again, by itself
    terminal.setwinsize(4, 30)
    terminal.expect_exact("\x1b[2J")
    terminal.expect(r"SERVICE +STATE +PID +PROCS  CP\x1b\[m\x1b\[K\r\n\x1b\[J")  # three lines of 30
    terminal.send("q")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_top_ends_with_the_init(two):
    terminal = pexpect.spawn(BINARY, ["top"], timeout=DEADLINE, encoding="utf-8",
                             env=environment({"MOONRISE_RUNDIR": two.rundir}))
    terminal.expect_exact("RESTARTS")
    two.stop()
    terminal.expect_exact("moonrise: the connection to the init is lost")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 69


# ---- metrics


SAMPLE = re.compile(r'(moonrise_[a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([0-9.]+)')


def samples(text):
    """{name and labels: value}; the format is checked as `promtool check metrics` does."""
    found, kinds, helped = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split()[2]
            assert helped not in kinds and line.endswith("."), line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == helped and kind in ("gauge", "counter"), line
            assert name.endswith("_total") == (kind == "counter"), line
            kinds[name] = kind
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == helped and name in kinds, line  # those of a name stand together
            key = f"{name}{{{labels}}}" if labels else name
            assert key not in found, line
            found[key] = float(value)
    return found


def test_metrics(boot):
    c = boot(TWO + 'init.service { "true", name = \'od"d name\' }')
    eventually(lambda: c.moonrise("health").returncode, 0)
    eventually(lambda: samples(c.moonrise("metrics").stdout)['moonrise_service_processes{service="idle"}'], 3)
    found = samples(c.moonrise("metrics").stdout)
    assert found["moonrise_ready"] == 1 and found["moonrise_boot_seconds"] > 0
    assert found['moonrise_service_up{service="busy"}'] == 1
    assert found['moonrise_service_state{service="busy",state="ready"}'] == 1
    assert found['moonrise_service_state{service="busy",state="failed"}'] == 0
    assert found['moonrise_service_memory_bytes{service="idle"}'] > 100_000
    assert found['moonrise_service_starts_total{service="od\\"d name"}'] == 0
    c.moonrise("restart", "idle")
    c.moonrise("stop", "idle")
    found = samples(c.moonrise("metrics").stdout)
    assert found['moonrise_service_starts_total{service="idle"}'] == 2
    assert found['moonrise_service_last_exit_status{service="idle"}'] == 143


@pytest.fixture
def served(boot):
    """A container that serves metrics: the container and the port."""
    port = free_port()
    c = boot(f"""
        local init = require "moonrise"
        init.metrics {{ listen = "127.0.0.1:{port}" }}
        init.start {{ "/bin/sleep", "1000", name = "sleeper" }}
    """)
    eventually(lambda: c.moonrise("health").returncode, 0)
    return c, port


def ask(port, request):
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as s:
        s.sendall(request)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    return answer


def test_metrics_over_http(served):
    c, port = served
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert samples(answer.read().decode())['moonrise_service_up{service="sleeper"}'] == 1
    assert c.stop() == 0


@pytest.mark.parametrize("request_text, status", [
    (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
    (b"GET /metrics?x=1 HTTP/1.0\n\n", b"200 OK"),
    (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
    (b"\0\1\2\r\n\r\n", b"400 Bad Request"),
    (b"GET /metrics HTTP/1.1\r\n" + b"x" * 4096, b"400 Bad Request"),
])
def test_metrics_refuses_what_it_does_not_serve(served, request_text, status):
    assert ask(served[1], request_text).startswith(b"HTTP/1.1 " + status + b"\r\n")


def test_metrics_with_silent_clients(served):
    c, port = served
    silent = [socket.create_connection(("127.0.0.1", port), DEADLINE) for _ in range(20)]
    assert c.moonrise("health").returncode == 0
    answer = ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")  # as soon as the silent ones have had their time
    assert answer.startswith(b"HTTP/1.1 200 OK")
    for s in silent:
        s.close()


@pytest.mark.parametrize("options, message", [
    ('{ listen = "somewhere" }', "'listen' of init.metrics"),
    ("{ listn = 9100 }", "unknown option 'listn' of init.metrics; did you mean 'listen'?"),
    ('{ listen = "192.0.2.1:9100" }', "init.metrics: 192.0.2.1:9100: "),
])
def test_metrics_that_can_not_be_served(boot, options, message):
    c = boot(f"require('moonrise').metrics {options}")
    assert c.wait() == 70
    assert message in c.err


def test_metrics_in_a_rehearsal(tmp_path):
    script = tmp_path / "boot.lua"
    script.write_text("require('moonrise').metrics { listen = 9100 }")
    done = run("check", str(script))
    assert done.returncode == 0 and "serve metrics on 9100" in done.stdout
