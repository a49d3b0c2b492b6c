# SPDX-License-Identifier: MIT
"""examples/389ds from boot to boot: who it runs as, its settings, its passwords."""
import os
import re
import shlex
import stat

import pytest

from moonrise import ROOT, eventually
from podman import podman
from conftest import ENV, PASSWORD, SUFFIX

WAYS = {
    "root": [],
    "any uid": ["--user", "12345:0"],
    "read-only": ["--read-only"],
    "no name": ["--user", "12345:0", "--read-only", "--passwd=false"],
    "no rights": ["--user", "12345:0", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"],
}


@pytest.mark.parametrize("release,way", [*(("bookworm", way) for way in WAYS), ("trixie", "no rights")])
def test_a_thousand_entries_are_found_by_a_new_container(start, request, volume, release, way):
    image = request.getfixturevalue(release)
    c = start(image=image, on=volume, options=WAYS[way]).wait_ready()
    assert c.binds() and not c.binds("another-password")
    assert c.log.count("slapd started.") == 1, "no temporary server"
    c.add(*(f"entry {n}" for n in range(1000)))
    assert c.stop() == 0
    c.remove()
    c = start(image=image, on=volume, options=WAYS[way]).wait_ready()
    assert c.binds()
    assert c.search(SUFFIX, "-z", "0", "(cn=entry *)", "1.1").count("dn: ") == 1000
    assert "dse.ldif: cn=config: nsslapd-rootpw" not in c.log, "the password is the same"
    assert c.stop() == 0


def test_root_is_dirsrv_and_nothing_is_for_others(start):
    c = start().wait_ready()
    pid = c.pid_of("ns-slapd")
    assert re.search(r"^Uid:\t(\d+)\t\1\t\1", c.inside("cat", f"/proc/{pid}/status").stdout, re.M).group(1) != "0"
    for name in "config/dse.ldif", "config/key4.db", "config/pin.txt", "ssca/ca.key", "ssca/server.key", "db/userroot":
        assert os.stat(c.in_volume(name)).st_mode & 0o007 == 0, name


def test_root_without_the_right_to_change_groups_is_told_so(start):
    c = start(options=["--cap-drop", "all"])
    assert c.wait() == 78
    assert "ns-slapd does not run as root without the capability SETGID" in c.log
    assert not os.path.exists(c.in_volume("config"))


def test_another_uid_on_the_same_volume(start, volume):
    """What ns-slapd writes only its owner can read: root can give it to somebody else, nobody else can."""
    c = start(on=volume, options=["--user", "12345:0"]).wait_ready()
    assert c.stop() == 0
    c = start(on=volume, options=["--user", "23456:0"])
    assert c.wait() == 74
    assert "dse.ldif belongs to the uid 12345, and we are 23456" in c.log
    c = start(on=volume).wait_ready()
    assert c.binds()
    assert c.stop() == 0


def test_no_suffix_is_made_without_a_name(start):
    c = start({"DS_DM_PASSWORD": PASSWORD}).wait_ready()
    assert "namingContexts" not in c.search("", "-s", "base", "namingContexts")
    assert c.stop() == 0


@pytest.mark.parametrize("suffix,value", [
    ("o=An Example", "o: An Example"), ("ou=people,dc=example,dc=org", "ou: people"), ("c=de", "c: de"),
    ("cn=x", "cn: x"), ("DC=Example, DC=com", "dc: Example"),
])
def test_suffixes_of_every_kind(start, suffix, value):
    c = start({**ENV, "DS_SUFFIX_NAME": suffix}).wait_ready()
    assert value in c.search(suffix, "-s", "base").splitlines()
    assert c.stop() == 0


def test_wrong_settings_are_all_listed_and_nothing_is_touched(start):
    wrong = {
        "DS_SUFFIX_NAME": "notadn", "DS_DM_PASSWORD": "abc", "DS_ERRORLOG_LEVEL": "many", "DS_MEMORY_PERCENTAGE": "abc",
        "DS_STARTUP_TIMEOUT": "abc", "DS_REINDEX": "perhaps", "DS_PLUGINS_ON": "memberof,membersof",
        "DS_INDEXES": "mail:eq:some", "DS_CONFIG_nsslapd_sizelimt": "5", "DS_CONFIG_nsslapd_rootpw": "x",
        "DS_CONFIG_nsslapd_schemadir": "/", "DS_REPLICA_ID": "65535", "DS_REPLICATION_PEERS": "one,two:0",
    }
    c = start(wrong)
    assert c.wait() == 78
    for name in wrong:
        assert re.search(rf"^moonrise: +{name} is ", c.log, re.M), name
    assert "did you mean 'memberof plugin'" in c.log or "did you mean 'memberof'" in c.log
    assert "did you mean 'nsslapd-sizelimit'" in c.log
    assert "that is set by DS_DM_PASSWORD" in c.log
    assert not os.path.exists(c.in_volume("config"))


def test_an_empty_password_is_none(start):
    c = start({"DS_SUFFIX_NAME": SUFFIX, "DS_DM_PASSWORD": ""}).wait_ready()
    assert c.binds(c.read("config/directory-manager.password").strip())
    assert c.stop() == 0


def test_the_old_names_of_settings(start):
    c = start({"SUFFIX_NAME": SUFFIX, "ERRORLOG_LEVEL": "32", "DS_DM_PASSWORD": PASSWORD}).wait_ready()
    for name in "SUFFIX_NAME", "ERRORLOG_LEVEL":
        assert f"{name} is deprecated, please use DS_{name} instead" in c.log
    assert f"dn: {SUFFIX}" in c.search(SUFFIX)
    c.says("filter")  # 32: how search filters are processed
    assert c.stop() == 0


@pytest.mark.parametrize("release,library", [("bookworm", "mdb"), ("trixie", "bdb")])
def test_the_other_database(start, request, release, library):
    c = start({**ENV, "DS_DB_LIB": library, "DS_DB_SIZE": "512M"}, request.getfixturevalue(release)).wait_ready()
    ldbm = "cn=config,cn=ldbm database,cn=plugins,cn=config"
    assert c.value(ldbm, "nsslapd-backend-implement") == library
    if library == "mdb":
        assert c.value("cn=mdb," + ldbm, "nsslapd-mdb-max-size") == str(512 << 20)
    c.add("one")
    assert c.stop() == 0
    c.restart()
    assert c.has("one")
    assert c.stop() == 0


def test_the_caches_are_those_of_the_container(start):
    c = start(options=["--memory", "512m"]).wait_ready()
    assert re.search("found 524288k", c.log)
    assert c.stop() == 0


def test_the_tools_of_the_server_find_it(start, image):
    c = start(image=image).wait_ready()
    assert SUFFIX in c.inside("dsconf", "localhost", "backend", "suffix", "list").stdout
    assert c.stop() == 0


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_signals_that_end_it(start, name):
    c = start().wait_ready()
    c.kill(name)
    assert c.wait() == 0


def test_a_suffix_that_nobody_can_make(start):
    c = start({**ENV, "DS_SUFFIX_NAME": "uid=x,dc=example"})
    assert c.wait() == 78
    assert "a suffix begins with dc=, o=, ou=, cn= or c=" in c.log


# ---- passwords


def test_a_password_by_chance_is_in_a_file(start):
    c = start({"DS_SUFFIX_NAME": SUFFIX}).wait_ready()
    path = "config/directory-manager.password"
    password = c.read(path).strip()
    assert stat.S_IMODE(os.stat(c.in_volume(path)).st_mode) == 0o600 and len(password) == 24
    assert c.binds(password)
    assert "the password of cn=Directory Manager is in /data/config/directory-manager.password" in c.log
    assert password not in c.log
    assert c.stop() == 0


def arguments():
    """The command line of every process of this machine."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found.append(file.read())
        except OSError:
            pass  # it has ended
    return found


def environment_of_server(c):
    """As root of this machine sees it; root of the container may not."""
    init = c.inspect("{{.State.Pid}}")
    with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as file:
        pids = file.read().split()
    for pid in pids:
        with open(f"/proc/{pid}/comm", encoding="ascii") as name, open(f"/proc/{pid}/environ", "rb") as environment:
            if name.read() == "ns-slapd\n":
                return environment.read()
    raise AssertionError("there is no server")


def test_a_password_is_seen_by_nobody(start, tmp_path):
    (tmp_path / "password").write_text("a-very-secret-password\n")
    c = start({"DS_SUFFIX_NAME": SUFFIX, "DS_DM_PASSWORD_FILE": "/secret/password"},
              options=["--volume", f"{tmp_path}:/secret:ro"])
    seen = []
    eventually(lambda: seen.extend(a for a in arguments() if b"a-very-secret-password" in a) or
               c.exec("moonrise", "health").returncode, 0, deadline=120)
    assert not seen
    c.wait_ready()
    assert c.binds("a-very-secret-password")
    environment = environment_of_server(c)
    assert b"DS_SUFFIX_NAME" in environment and b"PASSWORD" not in environment
    for text in c.log, c.inside("moonrise", "status", "--json").stdout, c.inside("moonrise", "env").stdout:
        assert "a-very-secret-password" not in text
    grep = c.inside("grep", "-rl", "a-very-secret-password", "/data", check=False)
    assert grep.stdout == ""
    assert c.stop() == 0


def test_the_password_of_the_settings_counts_from_the_next_boot(start, volume):
    c = start(on=volume).wait_ready()
    assert c.stop() == 0
    c = start({"DS_DM_PASSWORD": "the-next-password"}, on=volume).wait_ready()
    assert c.binds("the-next-password") and not c.binds()
    assert "dse.ldif: cn=config: nsslapd-rootpw: (hidden) -> (hidden)" in c.log
    assert c.stop() == 0
    c = start({}, on=volume).wait_ready()
    assert c.binds("the-next-password"), "it stays when it is not given any more"
    assert c.stop() == 0


# ---- settings


def test_settings_are_in_force_when_the_server_is_ready(start, image, volume):
    env = {
        **ENV, "DS_HOSTNAME": "ldap.example.test", "DS_CONFIG_nsslapd_sizelimit": "4321", "DS_CONFIG_passwordMinLength": "12",
        "DS_PLUGINS_ON": "memberOf, USN", "DS_PLUGINS_OFF": "Content Synchronization", "DS_MEMORY_PERCENTAGE": "7",
        "DS_INDEXES": "description:eq:sub,employeeNumber", "DS_ERRORLOG_LEVEL": "32",
    }
    c = start(env, image, on=volume).wait_ready()
    assert c.value("cn=config", "nsslapd-sizelimit") == "4321"
    assert c.value("cn=config", "passwordMinLength") == "12"
    assert c.value("cn=MemberOf Plugin,cn=plugins,cn=config", "nsslapd-pluginEnabled") == "on"
    assert c.value("cn=Content Synchronization,cn=plugins,cn=config", "nsslapd-pluginEnabled") == "off"
    ldbm = "cn=config,cn=ldbm database,cn=plugins,cn=config"
    if c.value(ldbm, "nsslapd-backend-implement") == "bdb":
        assert c.value("cn=bdb," + ldbm, "nsslapd-cache-autosize") == "7"
    else:
        assert "DS_MEMORY_PERCENTAGE is not for mdb" in c.log
    index = "cn=%s,cn=index,cn=userroot,cn=ldbm database,cn=plugins,cn=config"
    assert c.value(index % "employeeNumber", "nsIndexType") == "eq"
    c.says("filter")  # 32: how search filters are processed
    assert c.stop() == 0
    # each change was said, and the next boot has nothing to change
    assert re.search(r"dse.ldif: cn=config: nsslapd-sizelimit: \S+ -> 4321$", c.log, re.M)
    c = start(env, image, on=volume).wait_ready()
    assert "dse.ldif:" not in c.log
    assert c.stop() == 0


def test_an_index_that_comes_later_is_built_before_the_start(start, image, volume):
    c = start(image=image, on=volume).wait_ready()
    c.add("one", "two")
    c.modify(f"dn: cn=two,{SUFFIX}\nchangetype: modify\nadd: objectClass\nobjectClass: extensibleObject\n-\n"
             "add: description\ndescription: the second\n")
    assert c.stop() == 0
    c = start({**ENV, "DS_INDEXES": "description:eq:sub", "DS_CONFIG_nsslapd_accesslog_logbuffering": "off"}, image,
              on=volume).wait_ready()
    assert "indexes of userroot are built: description\n" in c.log
    assert "cn: two\n" in c.search(SUFFIX, "(description=*second*)", "cn")
    operation = re.search(r'(conn=\d+ op=\d+) SRCH .*filter="\(description=\*second\*\)"', c.read("logs/access")).group(1)
    result = eventually(lambda: re.search(operation + " RESULT .*", c.read("logs/access")))
    assert "notes=" not in result.group(), "it is a search without an index"
    assert c.stop() == 0
    c = start({**ENV, "DS_REINDEX": "yes"}, image, on=volume).wait_ready()
    assert re.search("indexes of userroot are built: .* description .* uid ", c.log)
    assert c.has("one", "two")
    assert c.stop() == 0


def test_a_value_that_the_server_refuses_does_not_stay(start, volume):
    c = start(on=volume).wait_ready()
    assert c.stop() == 0
    c = start({**ENV, "DS_CONFIG_nsslapd_security": "perhaps"}, on=volume)
    assert c.wait() not in (0, 137)
    assert "they are taken back" in c.log
    c = start(on=volume).wait_ready()
    assert c.binds()
    assert c.stop() == 0


def test_the_commands_of_the_readme(bookworm):
    """Build (as the fixture has done), run, ldapsearch: as they stand there, but for the names."""
    with open(f"{ROOT}/examples/389ds/README.md", encoding="utf-8") as file:
        build, run, search = file.read().split("```\n")[1].splitlines()
    assert build.startswith("podman build ") and "examples/389ds/Containerfile" in build
    name = f"moonrise-test-{os.getpid()}-readme"
    run = run.replace("--name ds", f"--name {name} --ulimit host").replace("-v ds:", f"-v {name}:")
    try:
        podman(*run.removesuffix("389ds").split()[1:], bookworm, check=True)
        eventually(lambda: podman("exec", name, "moonrise", "health").returncode, 0, deadline=120)
        said = podman(*shlex.split(search.replace(" ds ", f" {name} "))[1:], check=True).stdout
        assert f"dn: {SUFFIX}\n" in said
    finally:
        podman("rm", "--force", "--time", "0", "--volumes", name, timeout=60)
        podman("volume", "rm", "--force", name)


def test_the_script_can_be_rehearsed_on_its_volume(start):
    c = start().wait_ready()
    done = c.inside("env", "-i", "PATH=/usr/sbin:/usr/bin", "moonrise", "check", "/etc/moonrise/boot.lua")
    assert "start ns-slapd:" in done.stdout and "once" not in done.stdout and done.stderr == "", done
    assert c.stop() == 0
