# SPDX-License-Identifier: MIT
"""D-Bus in a container: Debian's bus and a daemon of Debian's on it, with what podman allows."""
import pytest

from podman import base_image

CONTAINERFILE = """
FROM %s
RUN apt-get -q update && apt-get -q -y --no-install-recommends install avahi-daemon dbus
COPY build/moonrise build/moonrise-bus /usr/sbin/
RUN mkdir /etc/moonrise && printf '%%s\\n' \\
 'local init, probe, fs = require "moonrise", require "moonrise.probe", require "moonrise.fs"' \\
 'fs.mkdir "/run/dbus"' \\
 'init.start { "dbus-daemon", "--system", "--nofork", "--nopidfile", ready = probe.dbus "org.freedesktop.DBus" }' \\
 'init.start { "avahi-daemon", ready = probe.dbus("org.freedesktop.Avahi", { owner = "service" }) }' \\
 'init.log("notice", "all is there")' > /etc/moonrise/boot.lua
CMD ["moonrise"]
"""


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_avahi_is_ready_when_it_has_its_name(images, container, release):
    image = images(f"bus-{release}", CONTAINERFILE % base_image(release))
    c = container(image)
    c.says("all is there")
    assert c.service("avahi-daemon")["state"] == "ready"
    assert c.stop() == 0
