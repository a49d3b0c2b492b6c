# SPDX-License-Identifier: MIT
"""moonrise.net in a real container, where /etc/hosts and /etc/resolv.conf are the engine's."""
import os
import shutil

import pytest

from podman import BINARY, base_image

SCRIPT = """
local net = require "moonrise.net"
local address = net.addresses()[1]
net.hosts({ [address] = { "ipa.example.test", "ipa" } }, { restore = true })
net.resolver { nameservers = { "127.0.0.1" }, only = true, search = { "example.test" }, restore = true }
print("known as", net.hostname("ipa.example.test"), address)
"""
CONTAINERFILE = """
FROM {base}
COPY . /
ENTRYPOINT ["moonrise", "/boot.lua"]
"""


@pytest.fixture(scope="module", name="image")
def make_image(images, tmp_path_factory):
    root = str(tmp_path_factory.mktemp("net"))
    os.makedirs(root + "/usr/bin")
    shutil.copy(BINARY, root + "/usr/bin/moonrise")
    with open(root + "/boot.lua", "w", encoding="ascii") as file:
        file.write(SCRIPT)
    return images("net", CONTAINERFILE.format(base=base_image("bookworm")), context=root)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_names_are_looked_up_otherwise_until_the_stop(container, image):
    c = container(image).wait_ready()
    address = c.address
    assert f"known as\tfalse\t{address}" in c.log
    assert "it takes sys_admin to set it" in c.log
    assert c.exec("getent", "hosts", "ipa").stdout.split() == [address, "ipa.example.test", "ipa"]
    lines = c.exec("cat", "/etc/resolv.conf").stdout.splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == ["nameserver 127.0.0.1"]
    assert "#moonrise# nameserver" in c.exec("cat", "/etc/resolv.conf").stdout
    hosts, resolv_conf = c.inspect("{{.HostsPath}}"), c.inspect("{{.ResolvConfPath}}")
    before = c.exec("sed", "/^# moonrise: begin/,/^# moonrise: end/d; s/^#moonrise# //", "/etc/hosts",
                    "/etc/resolv.conf").stdout
    assert "# moonrise: begin" in read(hosts) and "# moonrise: begin" in read(resolv_conf)
    assert c.stop() == 0
    assert read(hosts) + read(resolv_conf) == before


def test_a_hostname_that_may_be_set(container, image):
    c = container(image, options=["--cap-add", "SYS_ADMIN"]).wait_ready()
    assert "known as\ttrue" in c.log
    assert c.exec("uname", "-n").stdout == "ipa.example.test\n"
    assert c.exec("hostname", "--fqdn").stdout == "ipa.example.test\n"
