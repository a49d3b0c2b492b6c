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


def pytest_sessionfinish(session):
    """The images of a run go with the last of its workers."""
    if hasattr(session.config, "workerinput") or not shutil.which("podman"):
        return
    found = tool.podman("images", "--filter", f"reference=moonrise-test-*-{tool.RUN}", "--format", "{{.Repository}}")
    if found.stdout:
        tool.podman("rmi", "--force", "--ignore", *found.stdout.split(), timeout=120)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Make and name images, which all workers share."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def build(name, containerfile, *options, context=tool.ROOT):
        return tool.build_once(folder, name, containerfile, *options, context=context)

    return build


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
