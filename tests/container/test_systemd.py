# SPDX-License-Identifier: MIT
"""A first boot by a script, which then hands the container over to a real systemd."""
import shutil

from moonrise import eventually
from podman import BINARY, base_image

CONTAINERFILE = """
FROM {base}
RUN apt-get -q update && apt-get -q -y --no-install-recommends install systemd
COPY . /
ENTRYPOINT ["/moonrise", "/boot.lua"]
"""

# The arguments are for machines that have cgroups of version 1; systemd takes them from the kernel otherwise.
SCRIPT = """
local init = require "moonrise"
init.run { "touch", "/first-boot" }
init.start { "sleep", "infinity", name = "helper" }
init.handover { "/usr/lib/systemd/systemd", "systemd.unified_cgroup_hierarchy=0",
  "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" }
"""


def test_systemd_takes_over(container, images, tmp_path):
    shutil.copy(BINARY, tmp_path / "moonrise")
    (tmp_path / "boot.lua").write_text(SCRIPT, encoding="ascii")
    image = images("systemd", CONTAINERFILE.format(base=base_image("trixie")), context=str(tmp_path))
    c = container(image, options=["--systemd=always"])
    eventually(lambda: c.exec("systemctl", "is-system-running").stdout.strip(),
               lambda said: said in ("running", "degraded"), deadline=90)
    assert c.exec("cat", "/proc/1/comm").stdout == "systemd\n"
    assert c.exec("test", "-e", "/first-boot").returncode == 0
    assert "sleep" not in c.exec("sh", "-c", "cat /proc/[0-9]*/comm").stdout.split()
    assert c.stop() == 0
