# SPDX-License-Identifier: MIT
"""The images of examples/389ds, and servers that are made of them."""
import functools
import glob
import os
import subprocess

import pytest

from moonrise import DEADLINE, ROOT, eventually
import podman

SUFFIX = "dc=example,dc=com"
PASSWORD = "secret-password"
DM = "cn=Directory Manager"
PATIENT = {"DS_STARTUP_TIMEOUT": "300", "DS_STOP_TIMEOUT": "300"}  # a slow machine is no failed test
ENV = {"DS_SUFFIX_NAME": SUFFIX, "DS_DM_PASSWORD": PASSWORD}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LDAPI = "ldapi://%2Fdata%2Frun%2Fslapd-localhost.socket"


def is_healthy(root):
    """Is the init healthy that lives there? It answers its own uid; where that may not write to /run, in /dev/shm."""
    found = glob.glob(f"{root}/run/moonrise/control") + glob.glob(f"{root}/dev/shm/moonrise-*/control")
    return any(subprocess.run([f"{root}/usr/sbin/moonrise", "health"], env={"MOONRISE_RUNDIR": os.path.dirname(path)},
                              user=os.stat(path).st_uid, check=False, capture_output=True).returncode == 0
               for path in found)


class Server(podman.Container):
    """A container of examples/389ds."""

    def __init__(self, image, env=None, on=None, options=(), **more):
        self.on = on  # the name of a volume that others use, too; False: the options say what is at /data
        options = [*options, *(["--volume", f"{on}:/data"] if on else [])]
        super().__init__(image, env={**PATIENT, **(ENV if env is None else env)}, volume=on is None, options=options, **more)

    @functools.cached_property
    def mountpoint(self):
        return podman.podman("volume", "inspect", "--format", "{{.Mountpoint}}", self.on or self.volume, check=True).stdout.strip()

    def in_volume(self, name):
        return os.path.join(self.mountpoint, name)

    @functools.cached_property
    def pid(self):
        """PID 1 of the container, as this machine sees it."""
        return self.inspect("{{.State.Pid}}")

    def inside(self, *argv, text=None, check=True):
        """A command in the container, as root, with something to read: `podman exec` takes ten times as long."""
        done = subprocess.run(["nsenter", "--target", self.pid, "--all", "--", *argv], env={"PATH": PATH, "HOME": "/"},
                              input=text or "", text=True, capture_output=True, timeout=4 * DEADLINE, check=False)
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done

    def binds(self, password=PASSWORD, dn=DM, url="ldap://localhost:3389"):
        return self.inside("ldapwhoami", "-x", "-H", url, "-D", dn, "-w", password, check=False).returncode == 0

    def search(self, base, *words, check=True):
        """As root over LDAPI: the lines of the entries, unfolded."""
        return self.inside("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-Q", "-Y", "EXTERNAL", "-H", LDAPI, "-b", base,
                           *words, check=check).stdout

    def value(self, base, attribute):
        """The one value of an attribute of an entry; None."""
        lines = self.search(base, "-s", "base", attribute).splitlines()
        found = [line.partition(": ")[2] for line in lines if line.lower().startswith(attribute.lower() + ":")]
        return found[0] if found else None

    def modify(self, ldif, *options):
        return self.inside("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", LDAPI, *options, text=ldif)

    def add(self, *names):
        self.modify("\n".join(f"dn: cn={name},{SUFFIX}\nobjectClass: nsContainer\ncn: {name}\n" for name in names), "-a")

    def has(self, *names):
        found = self.search(SUFFIX, "(objectClass=nsContainer)", "cn")
        return all(f"cn: {name}\n" in found for name in names)

    def wait_ready(self):
        """The same from outside."""
        root = f"/proc/{self.pid}/root"
        eventually(lambda: is_healthy(root) or not os.path.exists(root), deadline=4 * DEADLINE)
        assert os.path.exists(root), self.log
        return self

    def stop(self, timeout=300):
        return super().stop(timeout)

    def start(self):
        vars(self).pop("pid", None)
        super().start()

    def restart(self):
        """The same container again, after it has ended."""
        self.start()
        return self.wait_ready()

    def write(self, name, text, mode=0o644):
        """A file of the volume, by its path there, from outside."""
        path = self.in_volume(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def read(self, name):
        with open(self.in_volume(name), encoding="utf-8") as file:
            return file.read()


def build(images, release):
    return images(f"389ds-{release}", f"{ROOT}/examples/389ds/Containerfile",
                  "--build-arg", f"BASE={podman.base_image(release)}")


@pytest.fixture(scope="session")
def bookworm(images):
    return build(images, "bookworm")


@pytest.fixture(scope="session")
def trixie(images):
    return build(images, "trixie")


@pytest.fixture(params=["bookworm", "trixie"])
def image(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def volume():
    """The name of a volume that outlives its containers."""
    name = f"moonrise-test-{os.getpid()}-volume-{next(podman.NUMBER)}"
    podman.podman("volume", "create", name, check=True)
    yield name
    podman.podman("volume", "rm", "--force", name)


@pytest.fixture
def start(bookworm, volume):  # pylint: disable=unused-argument; they end before it goes
    """Start servers on Debian 12, or on the image given; they are removed at the end of the test."""
    started = []

    def run(env=None, image=bookworm, **options):
        started.append(Server(image, env, **options))
        return started[-1]

    yield run
    for one in reversed(started):
        one.remove()
