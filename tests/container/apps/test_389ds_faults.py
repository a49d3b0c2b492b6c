# SPDX-License-Identifier: MIT
"""examples/389ds when something is wrong: each of these is where dscontainer loses the
volume, says that all is well, or says nothing."""
import os
import re
import shutil

import pytest

from moonrise import eventually
from podman import podman
from conftest import ENV, PASSWORD, SUFFIX, Server
from test_389ds_together import authority, certificate

LDAPS = "ldaps://localhost:3636"


# ---- certificates


def subject(c):
    """Whose certificate the server shows."""
    done = c.inside("sh", "-c", "openssl s_client -connect localhost:3636 -showcerts 2>/dev/null | "
                    "openssl x509 -noout -subject -ext subjectAltName")
    return done.stdout


def copy_tls(c, folder):
    target = c.in_volume("tls")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)


def test_our_own_certificate_goes_with_the_name(start, image, volume):
    """That of the container, unless the settings give it one; libldap takes localhost for it."""
    anonymous = ["env", "LDAPTLS_CACERT=/data/ssca/ca.crt", "ldapwhoami", "-x", "-H", LDAPS]
    c = start(image=image, on=volume, options=["--hostname", "one.example.test"]).wait_ready()
    assert "one.example.test" in subject(c)
    c.inside(*anonymous)
    ca = c.read("ssca/ca.crt")
    assert c.stop() == 0
    c = start({**ENV, "DS_HOSTNAME": "two.example.test"}, image, on=volume,
              options=["--hostname", "two.example.test"]).wait_ready()
    assert "two.example.test" in subject(c)
    assert c.read("ssca/ca.crt") == ca
    c.inside(*anonymous)
    assert c.stop() == 0


def test_a_certificate_of_others_from_the_first_boot_and_a_renewed_one(start, tmp_path):
    authority(tmp_path)
    first, second = certificate(tmp_path, "first.example.test"), certificate(tmp_path, "second.example.test")
    c = start(options=["--volume", f"{first}:/data/tls:ro"]).wait_ready()
    assert "first.example.test" in subject(c)
    assert c.stop() == 0
    c.restart()
    assert c.log.count("the certificate of /data/tls is in use") == 1
    assert c.stop() == 0
    for name in "server.key", "server.crt":
        shutil.copy(second / name, first / name)
    c.restart()
    assert "second.example.test" in subject(c)
    assert c.stop() == 0


@pytest.mark.parametrize("what", ["another key", "garbage", "no key", "a CA that is none"])
def test_a_key_that_does_not_fit_is_refused_before_the_old_one_is_touched(start, tmp_path, what):
    authority(tmp_path)
    good, bad = certificate(tmp_path, "good.example.test"), certificate(tmp_path, "bad.example.test")
    c = start(options=["--volume", f"{good}:/data/tls"]).wait_ready()
    assert c.stop() == 0
    before = open(c.in_volume("config/cert9.db"), "rb").read(), open(c.in_volume("config/key4.db"), "rb").read()
    original = (good / "server.key").read_bytes()
    if what == "another key":
        shutil.copy(bad / "server.key", good / "server.key")
    elif what == "garbage":
        (good / "server.key").write_text("no key")
    elif what == "no key":
        (good / "server.key").unlink()
    else:
        (good / "ca" / "other.crt").write_text("no certificate")
    c.start()
    assert c.wait() == 78
    assert re.search(r"^moonrise: .*/data/tls/(server.key|ca/other.crt)", c.log, re.M)
    assert before == (open(c.in_volume("config/cert9.db"), "rb").read(), open(c.in_volume("config/key4.db"), "rb").read())
    (good / "server.key").write_bytes(original)
    (good / "ca" / "other.crt").unlink(missing_ok=True)
    c.restart()
    assert "good.example.test" in subject(c)
    assert c.stop() == 0


# ---- the server


def signal(c, name):
    """The end of the server may be the end of the container, and of this command in it."""
    c.inside("moonrise", "signal", name, "ns-slapd", check=False)


def test_a_crash_is_told_as_a_crash(start):
    c = start().wait_ready()
    signal(c, "KILL")
    assert c.wait() == 137
    assert "ns-slapd was killed by KILL" in c.log
    c.restart()
    assert c.binds()
    assert c.stop() == 0


def test_a_crash_with_a_policy_is_a_restart(start):
    c = start({**ENV, "DS_RESTART": "on-failure"}).wait_ready()
    c.add("one")
    first = c.pid_of("ns-slapd")
    signal(c, "SEGV")
    eventually(lambda: c.service("ns-slapd"), lambda s: s.get("state") == "ready" and s.get("pid") not in (None, first),
               deadline=120)
    assert c.binds() and c.has("one")
    assert c.stop() == 0


def test_a_crash_is_a_failure_for_podman_too(start):
    c = start(options=["--restart", "on-failure:3"]).wait_ready()
    signal(c, "KILL")
    eventually(lambda: c.inspect("{{.State.Pid}}"), lambda pid: pid not in ("0", c.pid))
    del c.pid
    c.wait_ready()
    assert c.binds()
    assert c.stop() == 0


def fake(folder, name, text):
    """A program to be mounted over the one of the image."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return ["--volume", f"{path}:/usr/{'sbin' if name == 'ns-slapd' else 'bin'}/{name}:ro"]


def test_a_server_that_is_not_ready_in_time(start, tmp_path):
    c = start({"DS_DM_PASSWORD": PASSWORD, "DS_STARTUP_TIMEOUT": "1s"}, options=fake(tmp_path, "ns-slapd", "sleep 1000"))
    assert c.wait() == 75
    assert "ns-slapd was not ready after 1s" in c.log


def test_a_server_that_does_not_end_in_time(start, volume):
    c = start({**ENV, "DS_STOP_TIMEOUT": "1s"}, on=volume).wait_ready()
    signal(c, "STOP")
    assert c.stop() == 137
    c = start(on=volume).wait_ready()
    assert c.binds()
    assert c.stop() == 0


def test_a_tool_that_fails_is_told_and_the_next_boot_goes_on(start, volume, tmp_path):
    c = start(on=volume, options=fake(tmp_path, "certutil", "echo out of order >&2; exit 3"))
    assert c.wait() == 70
    assert "certutil failed with exit status 3" in c.log and "out of order" in c.log
    c = start(on=volume).wait_ready()
    assert c.binds() and f"dn: {SUFFIX}" in c.search(SUFFIX)
    assert c.stop() == 0


def test_a_port_that_is_taken(start):
    c = start().wait_ready()
    other = start(options=["--network", f"container:{c.name}"])
    assert other.wait() not in (0, 137)
    assert "All Interfaces port 3389 failed" in other.log
    assert c.stop() == 0


def test_orphans_leave_nothing(start):
    c = start().wait_ready()
    c.inside("sh", "-c", "n=0; while [ $n -lt 200 ]; do (sleep 0.2 &); n=$((n + 1)); done")

    def states():
        return set(re.findall(r"^\d+ \((.*)\) (\w)", c.inside("sh", "-c", "cat /proc/[0-9]*/stat").stdout, re.M))

    eventually(states, lambda found: not any(name == "sleep" or state == "Z" for name, state in found))
    assert c.stop() == 0


def test_a_server_that_hangs_is_not_healthy(start):
    c = start().wait_ready()
    signal(c, "STOP")
    done = eventually(lambda: c.exec("moonrise", "health"), lambda done: done.returncode == 1)
    assert "not healthy: ns-slapd is up, but waited for " in done.stderr
    assert c.exec("moonrise", "health", "--live").returncode == 0
    signal(c, "CONT")
    eventually(lambda: c.exec("moonrise", "health").returncode, 0)
    assert c.stop() == 0


def test_a_lock_that_was_left_is_nobodys(start):
    """ns-slapd takes whoever has the pid of a server that was killed for that server."""
    c = start().wait_ready()
    signal(c, "KILL")
    assert c.wait() == 137
    for kind in "server", "imports", "exports":
        for pid in range(1, 100):
            c.write(f"run/lock/{kind}/{pid}", "")
    c.restart()
    assert c.binds()
    assert c.stop() == 0


@pytest.mark.parametrize("step", ["config/unfinished", "ssca/ca.key", "db/userroot", "config/cert9.db"])
def test_a_stop_during_the_first_boot_is_no_success_and_no_loss(start, step):
    c = start()
    path = c.in_volume(step)
    eventually(lambda: os.path.exists(path))
    assert c.stop() == 143
    c.restart()
    assert c.binds() and f"dn: {SUFFIX}" in c.search(SUFFIX)
    assert c.stop() == 0


# ---- volumes


def test_a_disk_that_is_full_is_said_at_once(start):
    c = start(options=["--mount", "type=tmpfs,destination=/data,tmpfs-size=20m"], on=False)
    assert c.wait() == 74
    assert "is too small" in c.log


def test_a_volume_that_can_not_be_written(start, tmp_path):
    tmp_path.chmod(0o755)
    c = start(options=["--volume", f"{tmp_path}:/data:ro"], on=False)
    assert c.wait() == 74
    assert "/data is read-only" in c.log


def test_dse_ldif_is_repaired_or_missed(start):
    c = start().wait_ready()
    assert c.stop() == 0
    path = c.in_volume("config/dse.ldif")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("\n\n", "\n\n\n", 20))
    c.restart()
    assert c.stop() == 0
    open(path, "w", encoding="utf-8").close()
    c.restart()
    assert "dse.ldif is missing or empty: dse.ldif.bak takes its place" in c.log
    assert c.binds()
    assert c.stop() == 0
    for name in "dse.ldif", "dse.ldif.bak":
        os.remove(c.in_volume(f"config/{name}"))
    c.restart()
    assert "dse.ldif.startOK takes its place" in c.log
    assert c.stop() == 0
    for name in os.listdir(c.in_volume("config")):
        if name.startswith("dse.ldif"):
            os.remove(c.in_volume(f"config/{name}"))
    c.start()
    assert c.wait() == 74
    assert "the instance was made, but dse.ldif is gone" in c.log


def test_a_broken_dse_ldif_ends_the_start_at_once(start):
    c = start().wait_ready()
    assert c.stop() == 0
    path = c.in_volume("config/dse.ldif")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    c.write("config/dse.ldif", text.replace("nsslapd-port: 3389", "nsslapd-port: many"), 0o660)
    c.start()
    assert c.wait() not in (0, 137)
    assert "nsslapd-port" in c.log


# ---- volumes of others


def test_a_volume_of_dscontainer_is_taken_over(start, image, volume):
    c = Server(image, on=volume, options=["--entrypoint", '["/usr/libexec/dirsrv/dscontainer", "-r"]'])
    try:
        eventually(lambda: "389-ds-container started." in c.log, deadline=180)
        c.modify("dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config\nobjectClass: extensibleObject\n"
                 f"objectClass: nsBackendInstance\ncn: userroot\nnsslapd-suffix: {SUFFIX}\n\n"
                 f'dn: cn="{SUFFIX}",cn=mapping tree,cn=config\nobjectClass: extensibleObject\nobjectClass: nsMappingTree\n'
                 f"cn: {SUFFIX}\nnsslapd-state: backend\nnsslapd-backend: userroot\n\n"
                 f"dn: {SUFFIX}\nobjectClass: domain\ndc: example\n", "-a")
        c.add("of dscontainer")
        podman("stop", "--time", "120", c.name, check=True, timeout=150)
    finally:
        c.remove()
    c = start({"DS_DM_PASSWORD": "the-next-password"}, image, on=volume).wait_ready()
    assert "the instance on this volume is taken over as it is" in c.log
    assert c.has("of dscontainer") and c.binds("the-next-password")
    assert c.stop() == 0
    c.restart()
    assert c.has("of dscontainer")
    assert c.stop() == 0


def test_what_dscontainer_has_lost_can_be_used_again(start, bookworm, volume):
    c = Server(bookworm, on=volume, options=["--entrypoint", '["/usr/libexec/dirsrv/dscontainer", "-r"]'])
    try:
        eventually(lambda: os.path.exists(c.in_volume("config/dse.ldif")), deadline=60)
        c.kill("KILL")
        c.wait()
    finally:
        c.remove()
    c = start(on=volume).wait_ready()
    assert "half an instance" in c.log
    assert c.binds() and f"dn: {SUFFIX}" in c.search(SUFFIX)
    assert any(name.startswith("half-made-") for name in os.listdir(c.in_volume("")))
    assert c.stop() == 0


def test_an_upgrade_and_no_way_back(start, bookworm, trixie, volume):
    c = start(image=bookworm, on=volume).wait_ready()
    c.add("of 2.3")
    assert c.stop() == 0
    c = start(image=trixie, on=volume).wait_ready()
    assert "the volume goes on from 389 DS 2." in c.log
    assert c.has("of 2.3") and c.binds()
    c.add("of 3.1")
    assert c.stop() == 0
    c.restart()
    assert c.has("of 2.3", "of 3.1")
    assert c.stop() == 0
    c = start(image=bookworm, on=volume)
    assert c.wait() == 74
    assert "there is no way back" in c.log
