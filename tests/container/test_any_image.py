# SPDX-License-Identifier: MIT
"""One file to copy, and nothing that it needs: the same binary and the same script
in an empty image, in two releases of Debian, and in a layout as Alpine has it."""
import os
import shutil

import pytest

from podman import BINARY, base_image

SCRIPT = """
local init = require "moonrise"
local fs = require "moonrise.fs"

local version = init.run { "moonrise", "--version", stdout = "capture" }.stdout
fs.volume("/data"):once("note the version", function() fs.write("/data/version", version) end)
init.log("notice", "booted by %s", fs.read("/data/version"))
"""
CONTAINERFILE = """
FROM {base}
COPY . /
ENTRYPOINT ["moonrise", "/boot.lua"]
"""
APPLETS = ["sh", "sleep", "ls", "cat", "kill", "ps"]


def copy_busybox(root):
    """A static busybox with a few links, as in Alpine; nothing of glibc is there."""
    shutil.copy(shutil.which("busybox"), root + "/bin/busybox")
    for applet in APPLETS:
        os.symlink("busybox", f"{root}/bin/{applet}")
    os.mkdir(root + "/etc")
    with open(root + "/etc/passwd", "w", encoding="ascii") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\n")


@pytest.fixture(scope="module", params=["scratch", "bookworm", "trixie", "busybox"])
def image(request, images, tmp_path_factory):
    """(name, whether there is a shell in it)"""
    is_debian = request.param in ("bookworm", "trixie")
    root = str(tmp_path_factory.mktemp(request.param))
    folder = root + ("/usr/bin" if is_debian else "/bin")  # /bin of Debian is a link
    os.makedirs(folder)
    shutil.copy(BINARY, folder + "/moonrise")
    if request.param == "busybox":
        copy_busybox(root)
    with open(root + "/boot.lua", "w", encoding="ascii") as file:
        file.write(SCRIPT)
    base = base_image(request.param) if is_debian else "scratch"
    return images(request.param, CONTAINERFILE.format(base=base), context=root), request.param != "scratch"


def test_a_script_boots_and_stops(container, image):
    c = container(image[0]).wait_ready()
    c.says("booted by moonrise ")
    assert c.status().get("state") == "ready"
    assert c.exec("moonrise", "eval", "#init.run({ 'moonrise', '--version', stdout = 'capture' }).stdout > 8").stdout == "true\n"
    assert c.stop() == 0


def test_a_command_gets_its_status_through(container, image):
    name, has_shell = image
    command = ["sh", "-c", "exit 7"] if has_shell else ["moonrise", "no-such-word"]
    c = container(name, "--", *command, options=["--entrypoint", '["moonrise"]'])
    assert c.wait() == (7 if has_shell else 64)
