# SPDX-License-Identifier: MIT
"""A site on a volume gets a new image: Debian's Apache httpd, whose configuration
`moonrise volume split` has moved, before and after. All rows of the table "Upgrades" in
moonrise-boot(5) are in one volume; tests/boot/test_upgrade.py has them one by one."""
import collections
import contextlib
import os
import re

import pytest

from podman import Container
from test_httpd import get

BOOT = """
local init, fs, probe = require "moonrise", require "moonrise.fs", require "moonrise.probe"
fs.volume("/data", { template = "/data-template", on_conflict = os.getenv "ON_CONFLICT" or "keep" })
fs.mkdir("/run/apache2")
init.start {
  "apache2", "-DFOREGROUND", ready = probe.http("http://127.0.0.1/"), stop = { grace = "60s" },
  env = { APACHE_RUN_USER = "www-data", APACHE_RUN_GROUP = "www-data", APACHE_RUN_DIR = "/run/apache2",
    APACHE_PID_FILE = "/run/apache2/httpd.pid", APACHE_LOG_DIR = "/var/log/apache2" },
}
"""
SITE = """\
Listen 80
ServerName localhost
DocumentRoot /srv/site
<Directory /srv/site>
    Require all granted
</Directory>
"""
CONTAINERFILE = """
FROM {image}
COPY boot.lua /etc/moonrise/
COPY site.conf /etc/apache2/sites-enabled/
COPY {version} /tmp/change
RUN mkdir /srv/site && echo {version} > /srv/site/index.html && cd /etc/apache2 && sh -eux /tmp/change
RUN moonrise volume split /etc/apache2 /srv/site
"""

Entry = collections.namedtuple("Entry", "type mode owner content")
GONE = None


def file(text, mode=0o644, owner=(0, 0)):
    return Entry("file", mode, owner, text + "\n")


def folder(mode=0o755):
    return Entry("folder", mode, (0, 0), None)


def link(target):
    return Entry("link", 0o777, (0, 0), target)


# In /etc/apache2: what makes the last image, what makes the new one, what the user does (a
# line of shell each), and what comes of it. Each row has names of its own.
ROWS = {
    "changed by the image": ("", "echo 2 > magic", "", {"magic": file("2")}),
    "changed by the user": ("", "", "echo u > envvars", {"envvars": file("u")}),
    "removed by the user": (
        "", "", "rm conf-*/charset.conf", {"conf-enabled/charset.conf": GONE, "conf-available/charset.conf": GONE}),
    "changed by both": (
        "", "echo '# 2' > conf-available/security.conf", "echo '# u' > conf-available/security.conf",
        {"conf-available/security.conf": file("# u"), "conf-available/security.conf.image-new": file("# 2")}),
    "changed by both alike": (
        "", "echo '# 2' > conf-available/serve-cgi-bin.conf", "echo '# 2' > conf-available/serve-cgi-bin.conf",
        {"conf-available/serve-cgi-bin.conf": file("# 2"), "conf-available/serve-cgi-bin.conf.image-new": GONE}),
    "changed by the image, removed by the user": (
        "", "echo 2 > sites-available/default-ssl.conf", "rm sites-available/default-ssl.conf",
        {"sites-available/default-ssl.conf": GONE, "sites-available/default-ssl.conf.image-new": GONE}),
    "added by the image": (
        "", "echo Redirect 410 /added > conf-enabled/added.conf", "",
        {"conf-enabled/added.conf": file("Redirect 410 /added")}),
    "added by the user": (
        "", "", "echo Redirect 410 /own > conf-enabled/own.conf", {"conf-enabled/own.conf": file("Redirect 410 /own")}),
    "added by both": ("", "echo 2 > keys", "echo u > keys", {"keys": file("u"), "keys.image-new": file("2")}),
    "removed by the image": ("", "rm mods-available/asis.load", "", {"mods-available/asis.load": GONE}),
    "removed by the image, changed by the user": ("echo 1 > old", "", "echo u > old", {"old": file("u")}),
    "folder removed by the image": ("mkdir r; echo 1 > r/f", "", "", {"r": GONE, "r/f": GONE}),
    "folder removed by the image, with the user's": (
        "mkdir s; echo 1 > s/f", "", "echo u > s/own", {"s": folder(), "s/f": GONE, "s/own": file("u")}),
    "folder's attributes changed by the image": ("", "chmod 750 mods-available", "", {"mods-available": folder(0o750)}),
    "folder's attributes changed by the user": (
        "", "chmod 750 sites-available", "chmod 700 sites-available", {"sites-available": folder(0o700)}),
    "folder removed by the user": (
        "mkdir t; echo 1 > t/f", "mkdir t; echo 2 > t/f; echo 2 > t/g", "rm -r t",
        {"t": GONE, "t/f": GONE, "t/g": GONE}),
    "folder moved by the user": (
        "mkdir u; echo 1 > u/f", "mkdir u; echo 2 > u/f; echo 2 > u/g", "mv u v; ln -s v u",
        {"u": link("v"), "u/f": GONE, "u/g": GONE, "v": folder(), "v/f": file("1"), "v/g": GONE}),
    "file becomes folder": ("echo 1 > fd", "mkdir fd; echo 2 > fd/f", "", {"fd": folder(), "fd/f": file("2")}),
    "file becomes link": ("echo 1 > fl", "ln -s magic fl", "", {"fl": link("magic")}),
    "link becomes file": ("ln -s magic lf", "echo 2 > lf", "", {"lf": file("2")}),
    "folder becomes file": ("mkdir df; echo 1 > df/f", "echo 2 > df", "", {"df": file("2"), "df/f": GONE}),
    "folder becomes file, with the user's": (
        "mkdir du; echo 1 > du/f", "echo 2 > du", "echo u > du/own",
        {"du": folder(), "du/f": GONE, "du/own": file("u"), "du.image-new": file("2")}),
    "file becomes folder, changed by the user": (
        "echo 1 > fu", "mkdir fu; echo 2 > fu/f", "echo u > fu",
        {"fu": file("u"), "fu/f": GONE, "fu.image-new": folder(), "fu.image-new/f": file("2")}),
    "file becomes folder, removed by the user": (
        "echo 1 > fr", "mkdir fr; echo 2 > fr/f", "rm fr", {"fr": folder(), "fr/f": file("2")}),
    "attributes changed by the image": (
        "echo 1 > a", "echo 1 > a; chmod 640 a; chown 33:33 a", "", {"a": file("1", 0o640, (33, 33))}),
    "attributes changed by the user, content by the image": (
        "echo 1 > b", "echo 2 > b", "chmod 600 b; chown 33:33 b", {"b": file("2", 0o600, (33, 33))}),
    "content changed by the user, attributes by the image": (
        "echo 1 > c", "echo 1 > c; chmod 600 c", "echo u > c", {"c": file("u", 0o600)}),
}
CONFLICTS = sorted(path for row in ROWS.values() for path in row[3] if path.endswith(".image-new") and row[3][path])


def script(column):
    return "".join(f"{row[column]}\n" for row in ROWS.values())


def tree(container, top):
    """{path: Entry} of what is below a folder in a running container."""
    top = f"/proc/{container.inspect('{{.State.Pid}}')}/root{top}"
    found = {}
    for where, folders, names in os.walk(top):
        for path in (os.path.join(where, name) for name in folders + names):
            st, kind, content = os.lstat(path), "folder", None
            if os.path.islink(path):
                kind, content = "link", os.readlink(path)
            elif not os.path.isdir(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    kind, content = "file", f.read()
            found[os.path.relpath(path, top)] = Entry(kind, st.st_mode & 0o7777, (st.st_uid, st.st_gid), content)
    assert found
    return found


def said(container):
    """What was said about the volume, without the times and levels in front."""
    lines = (re.search(r"/data\b.*", line) for line in container.log.splitlines())
    return sorted(line.group() for line in lines if line)


def answers(container):
    """What httpd says: its page, and whether two redirections are in its configuration."""
    address = container.address
    return get(address, "/")[1], *(get(address, path)[0] for path in ("/added", "/own"))


@pytest.fixture(scope="module")
def version(images, httpd_image, tmp_path_factory):
    """The images "one" and "two": Debian's packages, and what each makes of them."""
    context = tmp_path_factory.mktemp("context")
    for name, text in {"boot.lua": BOOT, "site.conf": SITE, "one": script(0), "two": script(1)}.items():
        (context / name).write_text(text)
    return {name: images("upgrade-" + name, CONTAINERFILE.format(image=httpd_image, version=name), context=str(context))
            for name in ("one", "two")}


@pytest.fixture(scope="module")
def site(version):
    """What is seen of the site in its life: on the image "one", after the user's edits,
    on "two", after a restart, and back on "one", where the image is to win."""
    seen = {}

    def look(when, container, edit=None):
        container.wait_ready()
        seen[when] = tree(container, "/data/etc/apache2"), tree(container, "/data-template/etc/apache2")
        seen[when + " answers"] = answers(container)
        if edit:
            done = container.exec("sh", "-eux", "-c", edit)
            assert done.returncode == 0, done.stderr
        assert container.stop() == 0
        seen[when + " says"] = said(container)

    with contextlib.ExitStack() as stack:
        def start(name, **options):
            container = Container(version[name], **options)
            stack.callback(container.remove)
            return container

        one = start("one", volume=True)
        look("one", one, edit="cd /etc/apache2\n" + script(2))
        on_volume = ["--volume", f"{one.volume}:/data"]
        two = start("two", options=on_volume)
        look("two", two)
        two.start()
        look("again", two)
        look("back", start("one", options=on_volume, env={"ON_CONFLICT": "replace"}))
        yield seen


def test_a_new_volume_has_what_the_image_has(site):
    volume, template = site["one"]
    assert volume == template and len(volume) > 100
    assert site["one answers"] == ("one\n", 404, 404)


@pytest.mark.parametrize("row", ROWS)
def test_each_row(site, row):
    volume, _ = site["two"]
    expected = ROWS[row][3]
    assert {path: volume.get(path) for path in expected} == expected


def test_all_else_is_as_in_the_new_image(site):
    volume, template = site["two"]
    ours = {path for row in ROWS.values() for path in row[3]}
    assert {path: volume.get(path) for path in volume.keys() | template.keys() if path not in ours} == {
        path: entry for path, entry in template.items() if path not in ours}


def test_httpd_uses_what_came_of_it(site):
    assert site["two answers"] == ("two\n", 410, 410)


def test_conflicts_are_said_once(site):
    top = "/data/etc/apache2/"
    text = top + "{} was changed by both you and the image; yours is kept, the image's is " + top + "{}"
    assert [x for x in site["two says"] if "changed by both" in x] == sorted(
        text.format(path.removesuffix(".image-new"), path) for path in CONFLICTS)
    assert [x for x in site["two says"] if "no longer in the image" in x] == [
        f"{top}{path} is no longer in the image, but stays, since you have changed it" for path in ("old", "s")]


def test_a_restart_has_nothing_to_do(site):
    assert site["again"] == site["two"]
    assert site["again says"] == site["two says"]
    assert site["again answers"] == ("two\n", 410, 410)


def test_the_image_wins_when_it_is_to(site):
    (volume, template), name = site["back"], "conf-available/security.conf"
    assert volume[name] == template[name]
    assert volume[name + ".user-old"] == file("# u")
    assert volume["conf-enabled/own.conf"] == file("Redirect 410 /own")
    assert sum("/security.conf was changed by both" in x for x in site["back says"]) == 1
    assert site["back answers"] == ("one\n", 404, 410)
