# SPDX-License-Identifier: MIT
"""make install and uninstall, and what is said where something is missing."""
import os
import shutil
import subprocess

from moonrise import ROOT, environment


def make(*argv):
    done = subprocess.run(["make", "-s", *argv], cwd=ROOT, env=environment(), text=True, check=False,
                          capture_output=True)
    assert done.returncode == 0, done.stderr


def files_below(folder):
    return {os.path.relpath(os.path.join(path, name), folder) for path, _, names in os.walk(folder) for name in names}


def test_what_is_installed_is_taken_away(tmp_path):
    where = [f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    make("install", *where)
    found = files_below(tmp_path)
    pages = {f"usr/share/man/man{page[-5]}/{page[:-4]}" for page in os.listdir(ROOT + "/doc") if page.endswith(".scd")}
    assert found - pages == {"usr/bin/moonrise", "usr/libexec/moonrise/moonrise-bus",
                             "usr/share/bash-completion/completions/moonrise"}
    assert pages <= found and "usr/share/man/man7/moonrise-cookbook.7" in pages
    make("uninstall", *where)
    assert files_below(tmp_path) == set()
    make("uninstall", *where)


def packages(folder, *argv):
    """core/make/packages for somebody who is not root, where nothing but these programs is."""
    (folder / "id").write_text("#!/bin/sh\necho 1000\n")
    (folder / "id").chmod(0o755)
    if shutil.which("dpkg-query"):
        (folder / "dpkg-query").symlink_to(shutil.which("dpkg-query"))
    return subprocess.run(["/bin/bash", ROOT + "/core/make/packages", *argv], env={"PATH": str(folder)}, text=True,
                          check=False, capture_output=True)


def test_missing_packages_are_named(tmp_path):
    done = packages(tmp_path, "--missing", "moonrise-no-such-thing")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Not installed: moonrise-no-such-thing. 'make deps' installs what is needed.\n"


def test_without_sudo(tmp_path):
    done = packages(tmp_path, "moonrise-no-such-thing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no sudo: let root run 'make deps', or install moonrise-no-such-thing\n"
