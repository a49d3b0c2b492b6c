# SPDX-License-Identifier: MIT
"""moonrise volume split: what is to outlive the container moves to the template, whole,
and a link stays; a list that is not right changes nothing."""
import os
import pathlib
import shlex
import socket
import stat
import subprocess

import pytest

from moonrise import BINARY, IS_ROOT, environment, needs_mounts, run


def tree(top):
    """{path: (type, mode, owner, names, content)} of all below, with bytes as names."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if stat.S_ISLNK(st.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(st.st_mode):
                content = pathlib.Path(os.fsdecode(path)).read_bytes()
            else:
                content = st.st_rdev
            names = 1 if stat.S_ISDIR(st.st_mode) else st.st_nlink
            found[os.path.relpath(path, os.fsencode(top))] = (st.st_mode, st.st_uid, st.st_gid, names, content)
    return found


def times(top):
    """{path: (time of modification, of the last change)}: a change of anything shows in it.
    Not of .moonrise, where the manifest is made anew to be compared."""
    return {path: ((st := os.lstat(os.path.join(os.fsencode(top), path))).st_mtime_ns, st.st_ctime_ns)
            for path in tree(top) if not path.endswith(b"/.moonrise")}


class Image:
    def __init__(self, top):
        self.top, self.template = top, top / "data-template"

    def split(self, *arguments, status=0, **options):
        done = run("volume", "split", "--root", str(self.top), *arguments, **options)
        assert done.returncode == status, done.stderr
        return done

    def refuses(self, *arguments, **options):
        """Nothing is changed; what is said of each fault."""
        before = tree(self.top), times(self.top)
        done = self.split(*arguments, status=65, **options)
        assert (tree(self.top), times(self.top)) == before
        *faults, last = done.stderr.splitlines()
        assert last == "moonrise: nothing was changed"
        return [fault.removeprefix("moonrise: ") for fault in faults]

    def make(self, path, content=None):
        """A file, or a folder."""
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_text(content)
        return path

    def link(self, path):
        return os.readlink(self.top / path)


@pytest.fixture
def image(tmp_path):
    top = tmp_path / "image"
    top.mkdir()
    made = Image(top)
    made.make("etc/app/app.conf", "app\n")
    made.make("etc/app/sub/more.conf", "more\n")
    made.make("etc/motd", "hello\n")
    made.make("usr/lib/release", "1\n")
    return made


# What is asked for -------------------------------------------------------------------


def test_files_and_folders(image):
    before = tree(image.top)
    done = image.split("/etc/app", "/etc/motd")
    assert image.link("etc/app") == "/data/etc/app"
    assert image.link("etc/motd") == "/data/etc/motd"
    assert (image.top / "data").is_dir()
    after = tree(image.template)
    for path in (b"etc", b"etc/app", b"etc/app/app.conf", b"etc/app/sub/more.conf", b"etc/motd"):
        assert after[path] == before[path], path
    assert done.stdout.startswith("/data-template: 6 entries, id ")


def test_the_list(image):
    image.make("etc/b.conf", "")
    image.make("etc/blank ", "")
    image.make("etc/#x", "")
    (image.top.parent / "list").write_text(
        "# what is kept\n\n  /etc/app/  \n/etc/?.conf\r\n/etc/blank\\ \n/etc/#x\n//etc/./motd\n/var/lib/new/\n")
    image.split("--list", str(image.top.parent / "list"))
    for path in ("etc/app", "etc/b.conf", "etc/blank ", "etc/#x", "etc/motd", "var/lib/new"):
        assert image.link(path) == "/data/" + path
        assert (image.template / path).exists()
    assert (image.template / "var/lib/new").is_dir()


def test_several_lists_and_standard_input(image):
    (image.top.parent / "one").write_text("/etc/app\n")
    with open(image.top.parent / "two", "w+", encoding="utf-8") as two:
        two.write("/etc/motd\n")
        two.seek(0)
        image.split("--list", str(image.top.parent / "one"), "--list", "-", "/usr/lib/release", stdin=two)
    assert [image.link(path) for path in ("etc/app", "etc/motd", "usr/lib/release")] == \
        ["/data/etc/app", "/data/etc/motd", "/data/usr/lib/release"]


def test_patterns(image):
    for name in ("a1", "a2", "b1", ".a3"):
        image.make(f"srv/{name}/x", name)
    image.split("/srv/a*/x", "/srv/[!a]?")
    assert image.link("srv/a1/x") == "/data/srv/a1/x"
    assert image.link("srv/a2/x") == "/data/srv/a2/x"
    assert image.link("srv/b1") == "/data/srv/b1"
    assert (image.top / "srv/.a3/x").read_text() == ".a3"
    image.split("/srv/a*/x", "/srv/[!a]?")
    image.make("srv/odd*/c1", "")
    image.make("srv/odder/c1", "")
    image.split("/srv/odd\\*/c?", "/sr\\v/b?/x*")
    assert image.link("srv/odd*/c1") == "/data/srv/odd*/c1"
    assert not (image.top / "srv/odder/c1").is_symlink()


def test_names_of_any_bytes(image):
    names = [b"new\nline", b"\xff\xfe", "quote'\"".encode(), b"back\\slash", "ä ö".encode(), b"-x", b"%41", b"*"]
    for name in names:
        pathlib.Path(os.fsdecode(os.path.join(os.fsencode(image.top), b"etc/app", name))).write_bytes(name)
    before = tree(image.top / "etc/app")
    image.split("/etc/app/*")
    assert not (image.top / "etc/app").is_symlink()
    for name in names:
        assert os.readlink(os.path.join(os.fsencode(image.top), b"etc/app", name)) == b"/data/etc/app/" + name
    assert tree(image.template / "etc/app") == before
    image.split("/etc/app")
    assert tree(image.template / "etc/app") == before


def test_other_places(image):
    image.split("--template", "/usr/share/template/", "--data", "/srv//data", "--id", "me/site:2", "/etc/app")
    assert image.link("etc/app") == "/srv/data/etc/app"
    assert (image.top / "usr/share/template/etc/app/app.conf").read_text() == "app\n"
    manifest = (image.top / "usr/share/template/.moonrise/manifest").read_text()
    assert manifest.startswith("moonrise-manifest 1 me/site:2\n")


def test_the_id_is_the_same_for_the_same_content(image, tmp_path):
    other = Image(tmp_path / "other")
    subprocess.run(["cp", "-r", image.top, other.top], check=True)
    os.utime(other.top / "etc/motd", (1, 1))
    first, again = (x.split("/etc/app", "/etc/motd").stdout for x in (image, other))
    assert first == again
    other.make("etc/new", "")
    assert other.split("/etc/app", "/etc/new").stdout != first


# What is kept ------------------------------------------------------------------------


def test_links_and_times(image):
    app = image.top / "etc/app"
    (app / "sub" / "inside").symlink_to("../app.conf")
    (app / "dangling").symlink_to("nowhere")
    (app / "absolute").symlink_to("/usr/lib/release")
    os.utime(app / "app.conf", (1e9, 1e9))
    os.utime(app / "dangling", (1e9, 1e9), follow_symlinks=False)
    os.utime(app, (1e9, 1e9))
    image.split("/etc/app")
    moved = image.template / "etc/app"
    assert [os.readlink(moved / x) for x in ("sub/inside", "dangling", "absolute")] == \
        ["../app.conf", "nowhere", "/usr/lib/release"]
    for path in (moved, moved / "app.conf", moved / "dangling"):
        assert path.lstat().st_mtime == 1e9


def test_links_that_lead_out_become_absolute(image):
    app = image.top / "etc/app"
    (app / "out").symlink_to("../../usr/lib/release")
    (app / "sub" / "back").symlink_to(".././../motd")
    os.utime(app / "out", (1e9, 1e9), follow_symlinks=False)
    os.utime(app, (1e9, 1e9))
    (image.top / "etc/release").symlink_to("../usr/lib/release")
    (image.top / "etc/beside").symlink_to("motd")
    (image.top / "top").symlink_to(".")
    image.split("/etc/app", "/etc/release", "/etc/beside", "/top")
    moved = image.template / "etc"
    assert os.readlink(moved / "app/out") == "/usr/lib/release"
    assert os.readlink(moved / "app/sub/back") == "/etc/motd"
    assert os.readlink(moved / "release") == "/usr/lib/release"
    assert os.readlink(moved / "beside") == "/etc/motd"
    assert os.readlink(image.template / "top") == "/"
    assert (moved / "app/out").lstat().st_mtime == (moved / "app").stat().st_mtime == 1e9


def everything(image):
    """One of each in /etc/all, and files of several names in and beside it."""
    folder = image.make("etc/all")
    image.make("etc/all/file", "x")
    (folder / "file").chmod(0o4751)
    os.link(folder / "file", folder / "same")
    os.link(folder / "file", image.top / "etc/same")
    os.mkfifo(folder / "fifo", 0o620)
    with open(folder / "sparse", "wb") as sparse:
        sparse.truncate(1 << 26)
    os.setxattr(folder / "file", "user.note", b"kept")
    image.make("etc/all/closed").chmod(0o500)
    if IS_ROOT:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.chown(folder / "fifo", 12, 34)
        os.chown(folder, 56, 78)
        (folder / "file").chmod(0o4751)
        acl = bytes.fromhex("02000000 01000600ffffffff 02000600e7030000 04000400ffffffff 10000600ffffffff 20000400ffffffff")
        os.setxattr(folder / "sparse", "system.posix_acl_access", acl)
        caps = bytes.fromhex("01000002 00040000 00000000 00000000 00000000")
        os.setxattr(folder / "same", "security.capability", caps)


def attributes(top):
    return {path: {key: os.getxattr(path, key, follow_symlinks=False)
                   for key in os.listxattr(path, follow_symlinks=False)}
            for path in (os.path.join(os.fsencode(top), path) for path in tree(top))}


def assert_everything(image, before):
    after, moved = before["attributes"], attributes(image.template / "etc/all")
    assert tree(image.template / "etc/all") == before["tree"]
    assert [*moved.values()] == [*after.values()]
    assert (image.template / "etc/all/sparse").stat().st_blocks < 100
    assert len({(image.template / x).stat().st_ino for x in ("etc/all/file", "etc/all/same", "etc/same")}) == 1


def test_everything_is_kept(image):
    everything(image)
    before = {"tree": tree(image.top / "etc/all"), "attributes": attributes(image.top / "etc/all")}
    image.split("/etc/same", "/etc/all")
    assert_everything(image, before)


OVERLAY = """
mount -t tmpfs tmpfs {tmp} && cd {tmp} && mkdir lower upper work image && cp -a {lower}/. lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off,index=off,metacopy=off overlay image || exit 77
{command} || exit
cp -a --sparse=always image/data-template image/etc {out}
"""


@needs_mounts
def test_everything_is_kept_on_an_overlay(image, tmp_path):
    """Where a folder of a lower layer can't be renamed."""
    everything(image)
    before = {"tree": tree(image.top / "etc/all"), "attributes": attributes(image.top / "etc/all")}
    for name in ("tmp", "out"):
        (tmp_path / name).mkdir()
    command = shlex.join([BINARY, "volume", "split", "--root", "image", "/etc/same", "/etc/all", "/etc/motd"])
    done = subprocess.run(["unshare", "--mount", "sh", "-c", OVERLAY.format(
        tmp=tmp_path / "tmp", lower=image.top, out=tmp_path / "out", command=command)],
        env=environment(), capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no overlay can be mounted here")
    assert done.returncode == 0, done.stderr
    made = Image(tmp_path / "out")
    assert_everything(made, before)
    assert [made.link(x) for x in ("etc/all", "etc/same", "etc/motd")] == \
        ["/data/etc/all", "/data/etc/same", "/data/etc/motd"]


def test_sockets_are_left_out(image):
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        cwd = os.getcwd()
        os.chdir(image.top / "etc")
        try:
            one.bind("app/socket")
            other.bind("socket")
        finally:
            os.chdir(cwd)
    done = image.split("/etc/app", "/etc/socket")
    assert "/etc/app/socket is a socket and is left out" in done.stderr
    assert "/etc/socket is a socket and stays where it is" in done.stderr
    assert not (image.template / "etc/app/socket").exists()
    assert (image.top / "etc/socket").is_socket()


def test_parents_are_as_they_were(image):
    (image.top / "etc").chmod(0o2751)
    if IS_ROOT:
        os.chown(image.top / "etc", 12, 34)
        (image.top / "etc").chmod(0o2751)
    os.utime(image.top / "etc", (1e9, 1e9))
    before = tree(image.top)[b"etc"]
    image.split("/etc/app/sub/more.conf", "/etc/motd", "/srv/new/")
    after = tree(image.template)
    assert after[b"etc"] == before
    assert (image.template / "etc").stat().st_mtime == 1e9
    assert after[b"srv"][0] == after[b"srv/new"][0] == stat.S_IFDIR | 0o755


# Again, and on top of what is there ----------------------------------------------------


def test_again_changes_nothing(image):
    image.make("etc/all/x", "")
    arguments = ("/etc/app", "/etc/mo*", "/etc/all/*", "/var/new/", "/etc/app/extra/")
    first = image.split(*arguments)
    before = tree(image.top), times(image.top)
    assert image.split(*arguments).stdout == first.stdout
    assert (tree(image.top), times(image.top)) == before


def test_nested_entries(image):
    image.split("/etc/app/sub/more.conf", "/etc/app/extra/deep/", "/etc/app", "/etc/app/sub")
    assert image.link("etc/app") == "/data/etc/app"
    assert (image.template / "etc/app/sub/more.conf").read_text() == "more\n"
    assert (image.template / "etc/app/extra/deep").is_dir()


def test_a_file_first_and_its_folder_later(image):
    (image.top / "etc/app/sub").chmod(0o700)
    before = tree(image.top / "etc/app")
    image.split("/etc/app/sub/more.conf")
    image.split("/etc/app/app.conf", "/etc/motd")
    (image.top / "etc/app").chmod(0o711)
    image.split("/etc/app")
    assert image.link("etc/app") == "/data/etc/app"
    assert tree(image.template / "etc/app") == before
    assert tree(image.template)[b"etc/app"][0] == stat.S_IFDIR | 0o711


def test_what_was_moved_is_found_again(image):
    image.split("/etc/app")
    image.split("/etc/app/app.conf", "/etc/app/s*/more.conf", "/etc/app/new/")
    assert (image.template / "etc/app/new").is_dir()
    assert image.refuses("/etc/app/none", "/etc/app/x*") == [
        "/etc/app/x*: nothing fits this pattern",
        "/etc/app/none: there is none; with a '/' at its end, an empty folder is made"]


def test_a_link_on_the_way(image):
    (image.top / "lib").symlink_to("usr/lib")
    (image.top / "etc/alternative").symlink_to("/lib/release")
    image.split("/lib/release", "/etc/alternative")
    assert image.link("usr/lib/release") == "/data/usr/lib/release"
    assert os.readlink(image.template / "etc/alternative") == "/lib/release"


def test_a_link_that_was_lost(image):
    image.split("/etc/app")
    (image.top / "etc/app").unlink()
    image.split("/etc/app")
    assert image.link("etc/app") == "/data/etc/app"


# What is refused -------------------------------------------------------------------------


def test_all_faults_at_once(image):
    (image.top.parent / "list").write_text("/etc/none\n/etc/app\n\nmotd\n/etc/../x\n/etc/x*\n/etc/motd/x\n/etc/motd/\n/proc/1\n/\n")
    name = str(image.top.parent / "list")
    assert image.refuses("--list", name, "/data-template", "/data/x", "/dev") == [
        f"{name}:4: motd: it must begin with a '/'",
        f"{name}:5: /etc/../x: there must be no '..' in it",
        f"{name}:6: /etc/x*: nothing fits this pattern",
        f"{name}:7: /etc/motd/x: Not a directory",
        f"{name}:10: /: that is all there is",
        "/data/x: the volume is there",
        "/data-template: the template is there",
        "/dev: it belongs to the kernel",
        f"{name}:8: /etc/motd: it is no folder",
        f"{name}:1: /etc/none: there is none; with a '/' at its end, an empty folder is made",
        f"{name}:9: /proc/1: it belongs to the kernel"]


def test_conflicts(image):
    image.split("/etc/app", "/etc/motd")
    (image.top / "etc/app").unlink()
    image.make("etc/app/app.conf", "APP\n")
    image.make("etc/app/sub", "")
    (image.top / "etc/motd").unlink()
    image.make("etc/motd/x", "")
    assert image.refuses("/etc/app", "/etc/motd/x") == [
        "/etc/app/app.conf: there is another one in the template: /data-template/etc/app/app.conf",
        "/etc/app/sub: there is another one in the template: /data-template/etc/app/sub",
        "/etc/motd/x: /data-template/etc/motd is no folder"]


@needs_mounts
def test_mounts_are_refused(image):
    command = (f"mount --bind {image.top}/etc/motd {image.top}/etc/app/app.conf && "
               f"exec {BINARY} volume split --root {image.top} /etc/app")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", command], env=environment(), capture_output=True,
                          text=True, check=False)
    assert done.returncode == 65
    assert "/etc/app: something is mounted at /etc/app/app.conf" in done.stderr


def test_usage(image):
    for arguments, message in (
            ((), "no paths: --list FILE, or PATH"),
            (("--lsit", "x"), "unknown option '--lsit'; did you mean '--list'?"),
            (("--id", "a b", "/etc"), "--id: 'a b' is no id"),
            (("--data", "/data-template/x", "/etc"), "two folders that do not lie in each other"),
            (("--data", "data", "/etc"), "take absolute paths")):
        done = image.split(*arguments, status=64)
        assert message in done.stderr
    assert "cannot read" in image.split("--list", str(image.top / "none"), status=74).stderr
    assert image.split("--help").stdout.startswith("usage: moonrise volume split ")
    for arguments, message in (((), "usage: moonrise volume"), (("spilt",), "did you mean 'split'?")):
        done = run("volume", *arguments)
        assert done.returncode == 64 and message in done.stderr
