# SPDX-License-Identifier: MIT
"""examples/httpd: a real Apache httpd, booted and looked after."""
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from moonrise import eventually, set_window_size
from podman import Container, podman

BIG = 64 << 20  # more than the buffers on the way hold


def get(address, path="/", port=80, tls=False):
    """(status, body) of one request; any certificate will do."""
    if tls:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(address, port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def certificate(address, port=443):
    return ssl.get_server_certificate((address, port))


PATIENT = {"STOP_TIMEOUT": "60s"}  # a slow machine is no failed test


@pytest.fixture
def start(container, httpd_image):
    """Run a container of the image, with a volume of its own unless it is given one."""

    def run(env=None, **options):
        return container(httpd_image, env={**PATIENT, **(env or {})}, **{"volume": True, **options})

    return run


@pytest.fixture(scope="module")
def httpd(httpd_image):
    """One container for all tests that leave it as it is."""
    one = Container(httpd_image, volume=True, env=PATIENT)
    try:
        yield one.wait_ready()
    finally:
        one.remove()


def test_the_page_comes_over_http_and_https(httpd):
    assert get(httpd.address)[0] == 200
    assert "It runs" in get(httpd.address)[1]
    assert "It runs" in get(httpd.address, port=443, tls=True)[1]


def test_access_and_error_logs_come_out_of_the_container(httpd):
    get(httpd.address, "/seen-in-the-log")
    httpd.says('"GET /seen-in-the-log HTTP/1.1" 404')
    httpd.says("configured -- resuming normal operations")
    assert "httpd: " in httpd.log, "whole lines, with the service's name in front"
    for name, text in ("access.log", "/seen-in-the-log"), ("error.log", "resuming normal operations"):
        eventually(lambda: text in httpd.exec("cat", "/data/logs/" + name).stdout)


def test_health_and_healthcheck(httpd):
    assert httpd.exec("moonrise", "health").returncode == 0
    assert podman("healthcheck", "run", httpd.name).returncode == 0


def test_status_shows_the_service(httpd):
    assert httpd.status().get("state") == "ready"
    text = httpd.exec("moonrise", "status").stdout
    assert re.search(r"^httpd +ready ", text, re.MULTILINE), text


def test_eval_reads_and_changes(httpd):
    assert httpd.exec("moonrise", "eval", "1 + 1").stdout.strip() == "2"


def test_repl_through_a_terminal(httpd):
    client, server = os.openpty()
    repl = subprocess.Popen(["podman", "exec", "-it", httpd.name, "moonrise", "repl"], stdin=server, stdout=server,
                            stderr=server, start_new_session=True)
    os.close(server)
    said = bytearray()

    def read_until(pattern):
        while not re.search(pattern, said):
            said.extend(os.read(client, 4096))

    try:
        os.write(client, b"answer = 6 * 7\r")
        os.write(client, b"print('the answer is ' .. answer)\r")
        read_until(rb"the answer is 42")
        os.write(client, b"\x04")
        assert repl.wait(30) == 0
    finally:
        repl.kill()
        repl.wait()
        os.close(client)


def test_hangup_reloads_gracefully(start):
    c = start().wait_ready()
    pid = c.pid_of("httpd")
    c.exec("sh", "-c", "echo 'Alias /added /etc/debian_version' > /etc/apache2/conf-enabled/added.conf;"
           "echo '<Location /added>\nRequire all granted\n</Location>' >> /etc/apache2/conf-enabled/added.conf",
           check=True)
    assert get(c.address, "/added")[0] == 404
    c.kill("HUP")
    eventually(lambda: get(c.address, "/added")[0], 200)
    assert c.pid_of("httpd") == pid


def test_hangup_with_a_broken_configuration_changes_nothing(start):
    c = start().wait_ready()
    c.exec("sh", "-c", "echo Nonsense > /etc/apache2/conf-enabled/broken.conf", check=True)
    c.kill("HUP")
    c.says("Invalid command 'Nonsense'")
    assert get(c.address)[0] == 200
    assert c.stop() == 0


def start_slow_download(c):
    """A request whose answer does not fit into the buffers: open until it is read."""
    c.exec("truncate", "-s", str(BIG), "/data/site/big", check=True)
    connection = socket.create_connection((c.address, 80), timeout=30)
    connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
    return connection, connection.recv(1000)


def refuses_connections(address):
    try:
        socket.create_connection((address, 80), timeout=1).close()
    except OSError:
        return True
    return False


def test_stop_lets_an_open_request_finish(start):
    c = start().wait_ready()
    connection, start = start_slow_download(c)
    address = c.address
    stopping = threading.Thread(target=c.stop)
    stopping.start()
    try:
        eventually(lambda: refuses_connections(address))
        head = start
        while b"\r\n\r\n" not in head:
            head += connection.recv(1000)
        assert head.startswith(b"HTTP/1.1 200")
        size = len(head.split(b"\r\n\r\n", 1)[1])
        while chunk := connection.recv(1 << 20):
            size += len(chunk)
        assert size == BIG
    finally:
        connection.close()
        stopping.join()
    assert c.wait() == 0


def test_resize_of_the_terminal_does_not_stop_it(start):
    c = start(terminal=True, env={"MOONRISE_LOG_LEVEL": "debug"}).wait_ready()
    for rows in 30, 40, 50:
        set_window_size(c.terminal, rows, 100)
        os.killpg(c.process.pid, signal.SIGWINCH)
    c.says("WINCH")
    assert get(c.address)[0] == 200
    assert c.service("httpd").get("state") == "ready"
    os.write(c.terminal, b"\x03")  # Ctrl-C, as INT from the terminal
    assert c.wait() == 0


def test_a_killed_httpd_is_no_success(start):
    c = start().wait_ready()
    c.exec("kill", "-9", str(c.pid_of("httpd")), check=True)
    assert c.wait() == 137


def test_a_killed_httpd_is_restarted_if_wanted(start):
    c = start(env={"RESTART": "always"}).wait_ready()
    first = c.pid_of("httpd")
    c.exec("kill", "-9", str(first), check=True)
    eventually(lambda: c.service("httpd"), lambda s: s.get("state") == "ready" and s.get("pid") not in (None, first))
    eventually(lambda: get(c.address)[0], 200)
    assert c.stop() == 0


def test_the_certificate_is_made_exactly_once(start):
    c = start(env={"SERVER_NAME": "www.example.test"}).wait_ready()
    first = certificate(c.address)
    text = c.exec("openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName", "-in", "/data/tls/server.crt")
    assert "www.example.test" in text.stdout
    assert c.stop() == 0
    c.start()
    c.wait_ready()
    assert certificate(c.address) == first


@pytest.mark.parametrize("sign", [".moonrise/journal", "tls/server.key", "tls/server.crt.new", "tls/server.crt"])
def test_a_first_boot_that_is_killed_is_finished_next_time(start, sign):
    c = start()
    path = c.in_volume(sign)
    eventually(lambda: os.path.exists(path) or os.path.exists(c.in_volume("tls/server.crt")))
    c.kill("KILL")
    assert c.wait() == 137
    c.start()
    c.wait_ready()
    assert "It runs" in get(c.address, port=443, tls=True)[1]
    done = c.exec("sh", "-c", "openssl x509 -noout -pubkey -in /data/tls/server.crt; openssl pkey -pubout -in /data/tls/server.key")
    one, two = done.stdout.split("-----END PUBLIC KEY-----\n")[:2]
    assert one == two, "the key is that of the certificate"


def test_a_certificate_of_ones_own(start):
    c = start().wait_ready()
    c.exec("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mine", "-keyout",
           "/data/mine.key", "-out", "/data/mine.crt", check=True)
    mine = c.exec("cat", "/data/mine.crt").stdout
    assert c.stop() == 0
    other = start(volume=False, options=["--volume", f"{c.volume}:/data"],
                  env={"TLS_CERTIFICATE": "/data/mine.crt", "TLS_KEY": "/data/mine.key"}).wait_ready()
    assert certificate(other.address).split() == mine.split()


def test_without_tls(start):
    c = start(env={"TLS": "no"}).wait_ready()
    assert get(c.address)[0] == 200
    with pytest.raises(OSError):
        socket.create_connection((c.address, 443), timeout=5)
    assert c.exec("ls", "/data/tls").stdout == ""


def test_the_limits_of_workers_are_httpds(start):
    c = start(env={"PROCESSES": "2", "THREADS": "3"}).wait_ready()
    assert re.search(r"^MaxRequestWorkers +6$", c.exec("cat", "/data/run/site.conf").stdout, re.MULTILINE)


def test_a_stale_pid_file_is_removed(start):
    c = start().wait_ready()
    podman("kill", "--signal", "KILL", c.name, check=True)
    assert c.wait() == 137
    with open(c.in_volume("run/httpd.pid"), "w", encoding="ascii") as file:
        file.write("1\n")
    c.start()
    c.wait_ready()
    assert get(c.address)[0] == 200


def test_the_users_page_stays(start):
    c = start().wait_ready()
    c.exec("sh", "-c", "echo mine > /data/site/index.html", check=True)
    assert c.stop() == 0
    c.start()
    c.wait_ready()
    assert get(c.address)[1] == "mine\n"


def test_a_read_only_root(start):
    c = start(options=["--read-only"]).wait_ready()
    assert get(c.address)[0] == 200
    assert c.stop() == 0


@pytest.mark.parametrize("more", [[], ["--read-only"], ["--read-only", "--read-only-tmpfs=false"]])
def test_any_uid_without_capabilities(start, more):
    c = start(env={"HTTP_PORT": "8080", "HTTPS_PORT": "8443"},
                  options=["--user", "12345:0", "--cap-drop", "all", "--security-opt", "no-new-privileges", *more])
    c.wait_ready()
    assert get(c.address, port=8080)[0] == 200
    assert get(c.address, port=8443, tls=True)[0] == 200
    assert c.exec("id", "-u").stdout.strip() == "12345"
    assert c.stop() == 0


def test_wrong_settings_are_all_listed(start):
    c = start(env={"HTTP_PORT": "0", "TLS": "perhaps", "PROCESSES": "none"})
    assert c.wait() == 78
    for name in "HTTP_PORT", "TLS", "PROCESSES":
        assert name in c.log
