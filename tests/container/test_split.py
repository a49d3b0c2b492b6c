# SPDX-License-Identifier: MIT
"""moonrise volume split in image builds, with the layers that real builders make: what
comes out in a volume is what the packages had installed, and nothing else is written."""
import os

import pytest

from podman import podman
from test_httpd import get

LIST = """\
# what people change
/etc/apache2
/etc/ssl/openssl.cn?

/var/log/apache2/
/var/lib/site/
"""

SITE = """\
Listen 80
ServerName localhost
DocumentRoot /srv/site
<Directory /srv/site>
    Require all granted
</Directory>
"""

BOOT = """
local init, fs, probe = require "moonrise", require "moonrise.fs", require "moonrise.probe"
fs.volume("/data", { template = "/data-template" })
fs.mkdir("/run/apache2")
init.start {
  "apache2", "-DFOREGROUND", ready = probe.http("http://127.0.0.1/"), stop = { grace = "60s" },
  env = { APACHE_RUN_USER = "www-data", APACHE_RUN_GROUP = "www-data", APACHE_RUN_DIR = "/run/apache2",
    APACHE_PID_FILE = "/run/apache2/httpd.pid", APACHE_LOG_DIR = "/var/log/apache2" },
}
"""

BASE = """
FROM {image}
COPY list /etc/volume-list
COPY site.conf /etc/apache2/sites-enabled/
RUN moonrise volume split --list /etc/volume-list
"""

DERIVED = """
FROM {image}
RUN mkdir /srv/site && echo hello > /srv/site/index.html && ln /srv/site/index.html /srv/site/same.html \\
 && ln -s ../../etc/debian_version /srv/site/version && install -m 4711 /bin/true /srv/site/suid \\
 && touch -d @1000000000.5 /srv/site/index.html
RUN moonrise volume split /srv/site /etc/apache2 /etc/apache2/sites-enabled
RUN moonrise volume split --list /etc/volume-list /etc/cron.d \\
 && moonrise volume split --list /etc/volume-list /etc/cron.d
COPY boot.lua /etc/moonrise/
RUN moonrise volume split --all
"""

EVERYTHING = r"cd {} && find . -mindepth 1 \( -type f -printf '%P %M %U:%G %s %Ts\n' -o -printf '%P %M %U:%G %l\n' \)"


@pytest.fixture(scope="module")
def site_image(images, httpd_image, tmp_path_factory):
    """An image that is split over several steps, and in one that another is made of."""
    context = tmp_path_factory.mktemp("context")
    for name, text in {"list": LIST, "site.conf": SITE, "boot.lua": BOOT}.items():
        (context / name).write_text(text)
    base = images("split-base", BASE.format(image=httpd_image), context=str(context))
    return images("split", DERIVED.format(image=base), context=str(context))


def test_a_volume_is_what_was_installed(container, httpd_image, site_image):
    site = container(site_image, volume=True).wait_ready()
    assert get(site.address)[1] == "hello\n"
    done = site.exec("moonrise", "volume", "diff", "--fail")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    find = EVERYTHING.format("/etc/apache2")
    was = podman("run", "--rm", "--ulimit", "host", "--entrypoint", "sh", httpd_image, "-c", find, check=True).stdout
    now = site.exec("sh", "-c", find.replace("/etc", "/data/etc")).stdout
    assert len(was.splitlines()) > 100
    assert [x.split()[0] for x in set(was.splitlines()) - set(now.splitlines())] == ["sites-enabled/site.conf"]

    index, same, suid = (os.stat(site.in_volume("srv/site/" + name)) for name in ("index.html", "same.html", "suid"))
    assert index.st_ino == same.st_ino and index.st_mtime == 1e9
    assert suid.st_mode & 0o7777 == 0o4711
    assert os.readlink(site.in_volume("srv/site/version")) == "/etc/debian_version"
    assert site.exec("readlink", "/etc/apache2", "/etc/cron.d").stdout == "/data/etc/apache2\n/data/etc/cron.d\n"

    site.exec("sh", "-c", "echo x > /var/lib/site/kept; echo x > /opt/lost; echo x >> /etc/issue; rm /etc/issue.net")
    done = site.exec("moonrise", "volume", "diff", "--fail")
    assert (done.returncode, done.stdout) == (1, "changed /etc/issue: content\ndeleted /etc/issue.net\n"
                                                 "created /opt/lost\n")
    assert site.stop() == 0


def test_what_a_container_has_mounted_is_refused(site_image):
    done = podman("run", "--rm", "--ulimit", "host", "--entrypoint", "moonrise", site_image, "volume", "split",
                  "/etc/hosts", "/usr/sbin", "/nope", "/etc/debian_version")
    assert done.returncode == 65
    assert "/etc/hosts: something is mounted at /etc/hosts" in done.stderr
    assert "/usr/sbin: the program that does this is there" in done.stderr
    assert "/nope: there is none" in done.stderr and "nothing was changed" in done.stderr
