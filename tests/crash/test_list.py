# SPDX-License-Identifier: MIT
"""list = of fs.volume, stopped at each call that changes something, and booted again: of the
image, the template and the volume, which here lie in one folder."""
import os

import pytest
from test_crash import Stage, make_template, photograph, pytestmark, test_failing_at_any_call, test_killed_at_any_call, write

__all__ = ["pytestmark", "test_failing_at_any_call", "test_killed_at_any_call"]


class List:
    KEPT = set()

    SCRIPT = """
        local fs = require "moonrise.fs"
        local image = ... .. "/volume"
        fs.volume(image .. "/data", {
          list = { image .. "/etc/all", image .. "/etc/mo*", image .. "/var/log/site/", image .. "/etc/app/two" },
        })
        require("moonrise").exit(0)
    """

    @staticmethod
    def prepare(top):
        image = top + "/start"
        os.mkdir(top + "/template")
        make_template(image + "/etc/all")
        os.link(image + "/etc/all/setuid", image + "/etc/mode")
        os.makedirs(image + "/etc/app")
        os.mkdir(image + "/data")
        for name in ("motd", "app/one", "app/two"):
            write(f"{image}/etc/{name}", name + "\n")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage(List, tmp_path_factory.mktemp("list"))


def test_all_of_it_is_moved(stage):
    """What the undisturbed boot makes is right; all the others are compared with it."""
    image = os.fsencode(stage.here[1:] + "/volume")
    links = {path: entry[4] for path, entry in stage.expected.items() if entry[4] and path.startswith(b"etc/")}
    assert links.keys() == {b"etc/all", b"etc/motd", b"etc/mode", b"etc/app/two", b"etc/app/one"}
    for path in (b"etc/all", b"etc/motd", b"etc/mode", b"etc/app/two"):
        assert links[path] == os.path.join(os.fsencode(stage.here), b"volume/data", image, path)
    model = photograph(stage.top + "/start/etc")
    for path in (b"all/conf/site.conf", b"all/sparse", b"all/setuid", b"all/conf/secret", b"all/null", b"motd"):
        kept = stage.expected[os.path.join(b"data", image, b"etc", path)]
        assert kept[:6] == model[path][:6], path
