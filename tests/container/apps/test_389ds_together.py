# SPDX-License-Identifier: MIT
"""examples/389ds with others: replication, backups, Kubernetes."""
import base64
import glob
import os
import re
import subprocess

import pytest

from moonrise import ROOT, eventually, free_port
from podman import ENVIRONMENT, podman
from conftest import ENV, PASSWORD

LONG = 120  # seconds; a supplier waits before it tries again


def openssl(*argv, folder):
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


def authority(folder):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key",
            "-out", "ca.crt", folder=folder)


def certificate(folder, name):
    """A folder for /data/tls, with a certificate for a host name."""
    tls = folder / name
    (tls / "ca").mkdir(parents=True)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
            "-keyout", f"{name}/server.key", "-out", f"{name}/server.csr", folder=folder)
    openssl("x509", "-req", "-in", f"{name}/server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
            "30", "-copy_extensions", "copy", "-out", f"{name}/server.crt", folder=folder)
    (tls / "ca" / "test.crt").write_bytes((folder / "ca.crt").read_bytes())
    return tls


# ---- replication


@pytest.fixture
def network():
    name = f"moonrise-test-{os.getpid()}"
    podman("network", "create", name, check=True)
    yield name
    podman("network", "rm", "--force", name)


def test_two_suppliers_by_settings(start, network, tmp_path, image):
    authority(tmp_path)
    names = f"a{os.getpid()}.example.test", f"b{os.getpid()}.example.test"

    def supplier(number, more):
        own, other = names[number], names[1 - number]
        env = {**ENV, "DS_HOSTNAME": own, "DS_REPLICA_ID": str(number + 1), "DS_REPLICATION_PEERS": other,
               "DS_REPLICATION_PASSWORD": "the-password-of-replication", **more}
        return start(env, image, options=["--network", f"{network}:alias={own}", "--hostname", own,
                                          "--volume", f"{certificate(tmp_path, own)}:/data/tls:ro"])

    a = supplier(0, {"DS_REPLICATION_SEED": "yes"}).wait_ready()
    a.add("before")
    b = supplier(1, {}).wait_ready()
    eventually(lambda: b.has("before"), deadline=LONG)
    a.says(f"{names[1]} has the data")
    a.add("from a")
    b.add("from b")
    eventually(lambda: b.has("from a") and a.has("from b"), deadline=LONG)

    for one in a, b:
        assert one.stop() == 0
        one.restart()
    a.add("again from a")
    b.add("again from b")
    eventually(lambda: b.has("again from a") and a.has("again from b"), deadline=LONG)
    assert a.log.count("has the data") == 1, "the data goes over once"
    for one in a, b:
        assert "the-password-of-replication" not in one.log
        assert one.inside("grep", "-r", "the-password-of-replication", "/data/config", check=False).returncode == 1
        assert one.stop() == 0


# ---- backup and restore


def test_a_backup_by_the_calendar_is_restored_on_an_empty_volume(start, image, tmp_path):
    c = start({**ENV, "DS_BACKUP": "*:*:0/3", "DS_BACKUP_KEEP": "2"}, image).wait_ready()
    c.add("one", "two")
    pattern = c.in_volume("bak/userroot-*Z.ldif")

    def whole():
        for path in sorted(glob.glob(pattern)):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if "cn: two\n" in text:
                return text
        return None

    text = eventually(whole, deadline=LONG)
    eventually(lambda: c.log.count("the backup of ") >= 4, deadline=LONG)
    eventually(lambda: len(glob.glob(pattern)) == 2, deadline=LONG)
    assert c.stop() == 0
    (tmp_path / "backup.ldif").write_text(text)
    c = start({**ENV, "DS_IMPORT": "/backup/backup.ldif"}, image, options=["--volume", f"{tmp_path}:/backup:ro"])
    c.wait_ready()
    assert c.has("one", "two") and c.binds()
    assert c.stop() == 0
    c.restart()
    assert c.has("one", "two")


def test_an_import_that_can_not_be_done_is_no_server(start):
    c = start({**ENV, "DS_IMPORT": "/no/such.ldif"})
    assert c.wait() == 74
    assert "/no/such.ldif" in c.log


# ---- Kubernetes


@pytest.fixture(params=[389, 1000650000])
def pod(bookworm, request):
    """kube/389ds.yaml as podman plays it, which does not know StatefulSet, but what is in it; as the uid of the file, and
    as one that OpenShift might give it."""
    with open(f"{ROOT}/examples/389ds/kube/389ds.yaml", encoding="utf-8") as file:
        text = file.read()
    text = text.replace("kind: StatefulSet", "kind: Deployment").replace("localhost/389ds:latest", f"localhost/{bookworm}:latest")
    text = text.replace("runAsUser: 389\n", f"runAsUser: {request.param}\n")
    # Without one, podman takes the same port of the host.
    text = re.sub(r"( +)- containerPort: .*\n", lambda m: f"{m[0]}{m[1]}  hostPort: {free_port()}\n", text)
    name = f"moonrise-test-{os.getpid()}-kube"
    for part in "data", "run", "tmp", "secrets":  # its volumes have the names as they are
        text = text.replace(f"name: {part}\n", f"name: {name}-{part}\n")
    text = text.replace("ds389-data", f"{name}-claim").replace("name: ds389\n", f"name: {name}\n")
    text = text.replace("secretName: ds389\n", f"secretName: {name}\n")
    played = subprocess.run(["podman", "kube", "play", "-"], input=text, text=True, capture_output=True, check=False,
                            env=ENVIRONMENT, timeout=120)
    yield name, played, request.param
    subprocess.run(["podman", "kube", "down", "-"], input=text, text=True, capture_output=True, check=False,
                   env=ENVIRONMENT, timeout=120)
    podman("volume", "rm", "--force", name, *(f"{name}-{part}" for part in ("claim", "run", "tmp")))
    podman("secret", "rm", name)


def test_kube_play(pod):
    name, played, uid = pod
    assert played.returncode == 0, played.stderr
    names = podman("ps", "--all", "--format", "{{.Names}}").stdout.split()
    container = next(one for one in names if one.startswith(name) and not one.endswith("-infra"))
    eventually(lambda: podman("exec", container, "moonrise", "health", "--ready").returncode, 0, deadline=LONG)
    password = podman("exec", container, "cat", "/run/secrets/ds389/DS_DM_PASSWORD", check=True).stdout
    assert password in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode())  # podman 4.3 does not decode it
    said = podman("exec", container, "ldapwhoami", "-x", "-H", "ldap://localhost:3389", "-D", "cn=Directory Manager",
                  "-w", password, check=True).stdout
    assert said == "dn: cn=directory manager\n"
    assert podman("exec", container, "id", "-u").stdout == f"{uid}\n"
    assert podman("exec", container, "touch", "/etc/x").returncode != 0
    podman("stop", "--time", "120", container, check=True, timeout=150)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", container).stdout == "0\n"
