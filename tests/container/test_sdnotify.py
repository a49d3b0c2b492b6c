# SPDX-License-Identifier: MIT
"""`podman run --sdnotify=container`: whoever has started podman hears of it when the boot is done."""
import socket

import pytest

import podman as tool
from moonrise import BINARY, DEADLINE


@pytest.fixture(name="heard")
def open_socket(tmp_path, monkeypatch):
    """What comes at the socket that podman gets as $NOTIFY_SOCKET."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(tmp_path / "notify"))
    server.settimeout(DEADLINE)
    monkeypatch.setitem(tool.ENVIRONMENT, "NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield lambda: server.recv(4096)
    server.close()


def run(container, tmp_path, script):
    (tmp_path / "boot.lua").write_text(script)
    return container(tool.base_image("bookworm"), "/moonrise", "/boot/boot.lua", options=[
        "--sdnotify=container", "--volume", f"{BINARY}:/moonrise:ro", "--volume", f"{tmp_path}:/boot:ro"])


def test_it_is_ready_when_the_boot_is_done(container, tmp_path, heard):
    c = run(container, tmp_path, """
        local init = require "moonrise"
        init.start { "sleep", "infinity", name = "one" }
        init.log("notice", "booted")
    """)
    while b"READY=1" not in heard():
        pass
    assert "booted" in c.log
    assert c.stop() == 0


def test_it_is_not_ready_when_the_boot_has_failed(container, tmp_path, heard):
    c = run(container, tmp_path, 'require("moonrise").run { "false" }\n')
    assert c.wait() == 70
    messages = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"the end", tool.ENVIRONMENT["NOTIFY_SOCKET"])
    while b"the end" not in messages:
        messages.append(heard())
    assert not [text for text in messages if b"READY=1" in text]
