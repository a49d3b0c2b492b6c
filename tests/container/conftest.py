# SPDX-License-Identifier: MIT
"""Fixtures of the container ring: the images, and containers with exact names."""
import os
import shutil

import pytest

import podman as tool

RELEASES = ["bookworm", "trixie"]


def pytest_collection_modifyitems(items):
    if shutil.which("podman") and os.geteuid() == 0:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason="needs podman and root"))


@pytest.fixture(scope="session")
def images():
    """Make and name images; those made here are removed at the end."""
    made = []

    def build(name, containerfile, *options, context=tool.ROOT):
        made.append(tool.build(name, containerfile, *options, context=context))
        return made[-1]

    yield build
    tool.podman("rmi", "--force", "--ignore", *made, timeout=120)


@pytest.fixture(scope="session")
def httpd_image(images):
    """examples/httpd as it is, on Debian 12."""
    return images("httpd", f"{tool.ROOT}/examples/httpd/Containerfile",
                  "--build-arg", f"BASE={tool.base_image('bookworm')}")


@pytest.fixture
def container():
    """Run containers; at the end of the test they and their volumes are removed."""
    started = []

    def run(image, *command, **options):
        started.append(tool.Container(image, *command, **options))
        return started[-1]

    yield run
    for one in reversed(started):
        one.remove()
