# SPDX-License-Identifier: MIT
"""examples/389ds, in short: a first boot without a temporary server, a bind, a stop
that leaves the volume whole, and a second boot; what its README says. apps/ has the rest."""
import pytest

from moonrise import ROOT
from podman import base_image, podman

SUFFIX = "dc=example,dc=com"
PASSWORD = "secret-password"
DM = "cn=Directory Manager"


@pytest.fixture(scope="module")
def ds389_image(images):
    return images("389ds", f"{ROOT}/examples/389ds/Containerfile", "--build-arg", f"BASE={base_image('bookworm')}")


def search(c, *words, url="ldap://localhost:3389"):
    """What ldapsearch says to the Directory Manager."""
    return c.exec("ldapsearch", "-LLL", "-x", "-H", url, "-D", DM, "-w", PASSWORD, *words, check=True).stdout


def test_two_boots_of_one_volume(container, ds389_image):
    c = container(ds389_image, volume=True, env={"DS_SUFFIX_NAME": SUFFIX, "DS_DM_PASSWORD": PASSWORD,
                                                "DS_STARTUP_TIMEOUT": "5min", "DS_STOP_TIMEOUT": "5min"})
    c.wait_ready()
    assert f"dn: {SUFFIX}" in search(c, "-b", SUFFIX)
    assert c.stop(timeout=300) == 0
    c.start()
    c.wait_ready()
    assert f"dn: {SUFFIX}" in search(c, "-b", SUFFIX)
    assert c.log.count("slapd started.") == 2
    assert c.stop(timeout=300) == 0


def rehearse(image, *words):
    return podman("run", "--rm", "--ulimit", "host", "--entrypoint", "moonrise", image, *words, "/etc/moonrise/boot.lua")


def test_the_readme_has_all_settings(ds389_image):
    done = rehearse(ds389_image, "settings", "--markdown")
    with open(f"{ROOT}/examples/389ds/README.md", encoding="utf-8") as file:
        assert done.returncode == 0 and done.stdout in file.read(), done.stdout + done.stderr


def test_the_script_can_be_rehearsed(ds389_image):
    done = rehearse(ds389_image, "check")
    assert done.returncode == 0, done.stderr
    assert 'once "instance":' in done.stdout and "start ns-slapd:" in done.stdout
