# SPDX-License-Identifier: MIT
"""moonrise volume split, stopped at each call that changes something, and run again: the
image is as if it had not been stopped. On a file system that can rename everything, and
on an overlay, which can't rename what is in a lower layer.

The files `before` are part of the image, those `later` come after a first split."""
import errno
import os
import re
import shutil
import subprocess

import pytest
from moonrise import BINARY, environment, run
from test_crash import FAULTS, STRIKE, difference, each_point, make_template, photograph, pytestmark, write

__all__ = ["pytestmark"]

PATHS = ["/etc/all", "/etc/same", "/etc/motd", "/etc/app", "/var/log/site/", "/srv/a*", "/etc/app/extra/"]

SCRIPT = """
mount -t tmpfs tmpfs "$1/place" && cd "$1/place" && mkdir lower upper work image || exit 77
if [ "$2" = overlay ]; then
    cp -a "$1/start/." lower
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off,index=off,metacopy=off \\
        overlay image || exit 77
else
    cp -a "$1/start/." image
fi
where=$1; shift 2
"$@"
status=$?
cp -a --sparse=always image "$where/result"
exit $status
"""


def make_image(top):
    """What is to be moved: all kinds of files, and a folder of which a part was moved before."""
    make_template(top + "/etc/all")
    os.link(top + "/etc/all/setuid", top + "/etc/same")
    os.symlink("../../usr/lib", top + "/etc/all/out")
    os.makedirs(top + "/etc/app/sub")
    os.makedirs(top + "/srv/a1")
    for name in ("etc/motd", "etc/app/one", "etc/app/sub/two", "srv/a1/x", "srv/a2"):
        write(f"{top}/{name}", name + "\n")
    done = run("volume", "split", "--root", top, "/etc/app/one", "/etc/app/sub/two")
    assert done.returncode == 0, done.stderr
    write(top + "/etc/app/sub/three", "three\n")
    os.chmod(top + "/etc/app/sub", 0o2750)
    os.unlink(top + "/etc/app/one")
    shutil.copy2(top + "/data-template/etc/app/one", top + "/etc/app/one")  # equal: as after a copy


class Stage:
    def __init__(self, kind, top):
        self.kind, self.top = kind, str(top)
        os.mkdir(self.top + "/start")
        make_image(self.top + "/start")
        status, said, self.calls, self.expected = self.run("undisturbed")
        assert status == 0, said

    def run(self, name, *strike):
        """(status, output, calls, photograph) of a split, and when it was stopped of another."""
        place = f"{self.top}/{name}"
        os.makedirs(place + "/place")
        os.symlink(self.top + "/start", place + "/start")
        split = f'"{BINARY}" volume split --root image "$@"'
        command = f'"{os.path.abspath(STRIKE)}" {" ".join(strike)} -o "$where/calls" "$where/place/image" {split}; status=$?; {split} || exit; exit $status'
        done = subprocess.run(["unshare", "--mount", "sh", "-c", SCRIPT, "sh", place, self.kind,
                               "env", f"where={place}", "sh", "-c", command, "sh", *PATHS],
                              env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 77:
            pytest.skip("such a file system can't be mounted here")
        with open(place + "/calls", "rb") as file:
            fields = iter(file.read().split(b"\0")[:-1])
        picture = photograph(place + "/result")
        shutil.rmtree(place)
        id_line = done.stdout.decode().splitlines()[-1:]
        return done.returncode, done.stderr.decode(), list(zip(fields, fields, fields)), {b"id": id_line, **picture}

    def points(self):
        return range(1, len(self.calls) + 1, int(os.environ.get("CRASH_STEP", "1")))


@pytest.fixture(scope="module", params=["plain", "overlay"])
def stage(request, tmp_path_factory):
    return Stage(request.param, tmp_path_factory.mktemp("split"))


def test_killed_at_any_call(stage, record_property):
    def attempt(point):
        status, said, calls, picture = stage.run(f"kill-{point}", "-k", str(point))
        what = f"killed at {point}, {calls[-1]!r}"
        wrong = [] if status == 137 else [f"{what}: ended with {status}: {said}"]
        return wrong + [f"{what}: {line}" for line in difference(stage.expected, picture)]

    each_point(stage, attempt, record_property)


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_at_any_call(stage, record_property, fault):
    options, reasons = FAULTS[fault]

    def attempt(point):
        status, said, calls, picture = stage.run(f"{fault}-{point}", "-e", str(point), "-E", str(getattr(errno, fault)),
                                                 *options)
        what = f"{fault} at {point}, {calls[min(point, len(calls)) - 1]!r}"
        wrong = [] if status in (0, 74) else [f"{what}: ended with {status}: {said}"]
        if status == 74 and not re.search(reasons, said):
            wrong.append(f"{what}: the error does not say why: {said}")
        return wrong + [f"{what}: {line}" for line in difference(stage.expected, picture)]

    each_point(stage, attempt, record_property)
