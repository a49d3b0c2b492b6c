# SPDX-License-Identifier: MIT
"""moonrise volume diff: what a container has changed outside of its volumes."""
import json
import os
import subprocess

import pytest

from moonrise import BINARY, environment, needs_mounts, needs_root, run


@pytest.fixture
def top(tmp_path):
    """A root that a manifest was taken of."""
    for path, content in {"etc/one": "1\n", "etc/two": "2\n", "etc/more/three": "3\n", "usr/lib/x": "x\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    (tmp_path / "etc/link").symlink_to("one")
    for path in ("tmp", "run", "data", "var/log"):
        (tmp_path / path).mkdir(parents=True)
    done = run("volume", "split", "--all", "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    return tmp_path


def diff(top, *options, status=0):
    done = run("volume", "diff", "--root", str(top), *options)
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines()


def test_nothing(top):
    assert diff(top, "--fail") == []
    assert diff(top, "--fail", "--json") == ["[]"]


def test_what_goes_with_the_container(top):
    (top / "etc/one").write_text("!\n")
    (top / "etc/two").chmod(0o600)
    (top / "etc/more/three").unlink()
    (top / "etc/more").rmdir()
    (top / "etc/link").unlink()
    (top / "etc/link").symlink_to("two")
    (top / "usr/lib/x").unlink()
    (top / "usr/lib/x").mkdir()
    (top / "usr/lib.x").write_text("")
    (top / "var/log/new\n").mkdir()
    (top / "var/log/new\n" / "file").write_text("")
    lines = ["changed /etc/link: content", "deleted /etc/more/", "changed /etc/one: content", "changed /etc/two: mode",
             "changed /usr/lib/x/: type", "created /usr/lib.x", "created /var/log/new\\012/",
             "created /var/log/new\\012/file"]
    assert diff(top) == lines
    assert diff(top, "--fail", status=1) == lines
    found = json.loads("\n".join(diff(top, "--json")))
    assert [x["change"] + " " + x["path"] for x in found][-3:] == \
        ["created /usr/lib.x", "created /var/log/new\n", "created /var/log/new\n/file"]
    assert found[0] == {"change": "changed", "path": "/etc/link", "type": "l", "what": ["content"]}


def test_a_new_time_is_no_change(top):
    os.utime(top / "etc/one", (1, 1))
    os.utime(top / "etc", (1, 1))
    assert diff(top) == []
    st = (top / "etc/two").stat()
    os.utime(top / "etc/two", (int(st.st_mtime), int(st.st_mtime)))
    assert diff(top) == []


def test_what_comes_and_goes(top):
    for path in ("tmp/x", "run/x", "data/x", "data-template/.moonrise/x"):
        (top / path).write_text("")
    (top / "dev").mkdir()
    (top / "dev/x").write_text("")
    assert diff(top, "--fail") == []
    assert diff(top, "--data", "/var/log") == ["created /data/", "created /data/x"]


def test_ignore(top):
    (top / "etc/one").write_text("!\n")
    (top / "etc/more/three").unlink()
    (top / "var/log/a").write_text("")
    (top / "var/log/deep").mkdir()
    (top / "var/log/deep/b").write_text("")
    assert diff(top, "--ignore", "/var/log/*", "--ignore", "/etc/m*") == ["changed /etc/one: content"]
    assert diff(top, "--ignore", "/etc", "--ignore", "/var/log/*/b") == ["created /var/log/a", "created /var/log/deep/"]
    assert "does not begin with a '/'" in run("volume", "diff", "--ignore", "etc").stderr


@needs_mounts
def test_mounts_do_not_count(top):
    (top / "var/log/a").write_text("")
    command = f"mount --bind {top}/etc {top}/var/log && rm {top}/etc/more/three && mount --bind {top}/usr {top}/etc/more &&" \
              f"exec {BINARY} volume diff --root {top}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", command], env=environment(), capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@needs_root
def test_a_folder_that_is_closed_to_us(top):
    (top / "etc/more").chmod(0o700)
    (top / "etc/one").chmod(0o600)
    (top / "etc/two").write_text("!\n")
    (top / "etc/more/three").unlink()
    for folder in (top, *top.parents)[:-1]:
        folder.chmod(folder.stat().st_mode | 0o055 if folder != top.root else 0)
    done = subprocess.run(["setpriv", "--reuid", "12345", "--clear-groups", "--regid", "12345", BINARY, "volume", "diff",
                           "--root", top], env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["changed /etc/more/: mode", "changed /etc/one: mode", "changed /etc/two: content"]
    assert done.stderr == "moonrise: folders that could not be looked into: 1\n"


def test_without_a_manifest_and_with_a_bad_one(top):
    manifest = top / "data-template/.moonrise/image"
    text = manifest.read_text()
    manifest.write_text(text.replace("etc/two", "etc/tow"))
    done = run("volume", "diff", "--root", str(top))
    assert (done.returncode, done.stderr) == (74, "moonrise: cannot use /data-template/.moonrise/image: line 14: "
                                                  "the checksum is wrong\n")
    manifest.write_text(text.replace("moonrise-manifest 1", "moonrise-manifest 2"))
    assert "by a newer moonrise (format 2; this one reads up to 1)" in run("volume", "diff", "--root", str(top)).stderr
    manifest.unlink()
    done = run("volume", "diff", "--root", str(top), "--json")
    assert (done.returncode, done.stdout) == (66, "") and "moonrise volume split --all" in done.stderr
    assert run("volume", "diff", "x").returncode == 64


OVERLAY = r"""
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir -p low:1/etc 'low 2' upper,3 work image || exit 77
cp -a "$2/." 'low 2'
echo 4 > low:1/etc/four; mknod low:1/etc/gone c 0 0; echo x > 'low 2/etc/gone'
mkdir 'low 2/etc/dir'; echo y > 'low 2/etc/dir/x'; mkdir 'low 2/etc/open'; echo z > 'low 2/etc/open/z'
mount -t overlay -o "lowerdir=$1/low\\:1:$1/low 2,upperdir=$1/upper\\,3,workdir=$1/work" overlay image || exit 77
cd image
moonrise volume diff --root . --fail || exit
echo ! > etc/one; chmod 600 etc/two; touch etc/four; rm -r etc/more; ln -sfn two etc/link; rm usr/lib/x; mkdir usr/lib/x
echo n > etc/gone; mkdir -p var/log/new; echo f > var/log/new/file; mknod var/log/null c 1 3; rm etc/open/z
rm -r etc/dir; mkdir etc/dir; echo n > etc/dir/n; touch tmp/x data/x; cp -p usr/lib.y usr/lib.z 2> /dev/null
moonrise volume diff --root . --ignore /var/log/null --fail
"""

RENAMED = r"""
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir -p lower upper work image || exit 77
cp -a "$2/." lower
mkdir -p lower/etc/dir/sub lower/etc/old lower/etc/stays
for name in dir/x dir/sub/y old/x old/gone stays/x; do echo "$name" > lower/etc/$name; done
mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work,redirect_dir=on,metacopy=on" overlay image || exit 77
cd image
perl -e 'rename "etc/dir", "etc/moved" or exit 77' || exit
rm -r etc/old && mv etc/stays etc/old && echo new > etc/moved/sub/y && echo new > etc/moved/new && rm etc/moved/x
moonrise volume diff --root . --ignore /etc/moved/sub/z
"""


@needs_mounts
def test_by_the_layers_of_an_overlay(top, tmp_path_factory):
    (top / "data-template/.moonrise/image").unlink()
    place = tmp_path_factory.mktemp("overlay")
    env = environment()
    env["PATH"] = os.path.dirname(BINARY) + ":" + env["PATH"]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", OVERLAY, "sh", place, top], env=env, capture_output=True,
                          text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no overlay can be mounted here")
    assert done.stdout.splitlines() == [
        "changed /etc/dir/: content", "created /etc/dir/n", "created /etc/gone", "changed /etc/link: content",
        "deleted /etc/more/", "changed /etc/one: content", "deleted /etc/open/z", "changed /etc/two: mode",
        "changed /usr/lib/x/: type", "created /var/log/new/", "created /var/log/new/file"], done.stderr
    assert done.returncode == 1


@needs_root
def test_a_folder_of_another_name_is_shown_with_what_is_in_it(top, tmp_path_factory):
    """On overlays with redirect_dir, it has stayed in the lower layer."""
    env = environment()
    env["PATH"] = os.path.dirname(BINARY) + ":" + env["PATH"]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", RENAMED, "sh", tmp_path_factory.mktemp("overlay"), top],
                          env=env, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no such overlay can be mounted here")
    assert (done.stderr, done.stdout.splitlines()) == ("", [
        "deleted /etc/dir/", "created /etc/moved/", "created /etc/moved/new", "created /etc/moved/sub/",
        "created /etc/moved/sub/y", "changed /etc/old/: content", "changed /etc/old/x: content", "deleted /etc/stays/"])
