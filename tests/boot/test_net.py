# SPDX-License-Identifier: MIT
"""moonrise.net and moonrise.caps: the files by which names are looked up, the container's
name and its addresses."""
import socket
import subprocess

import pytest
from moonrise import eventually, needs_root

HOSTS = "127.0.0.1\tlocalhost\n10.0.0.2\tabc\n"
RESOLV_CONF = "search example.test\nnameserver 192.0.2.1\n"
# As in a container: the two files are mount points, so they can't be replaced.
MOUNTED = "".join(f"mount --bind {name} /etc/{name}\n" for name in ["hosts", "resolv.conf"])
FILES = {"hosts": HOSTS, "resolv.conf": RESOLV_CONF}
PRELUDE = 'local init, net = require "moonrise", require "moonrise.net"\n'


@needs_root
def test_files_that_are_mount_points(boot):
    c = boot(PRELUDE + """
        assert(net.hosts({ ["10.0.0.5"] = { "ipa.example.test", "ipa" }, ["::1"] = "six" }, { restore = true }))
        assert(not net.hosts({ ["10.0.0.5"] = { "ipa.example.test", "ipa" }, ["::1"] = "six" }, { restore = true }))
        local options = {
          nameservers = { "127.0.0.1", "fe80::1%eth0" }, only = true, search = { "a.test", "b.test" },
          options = "ndots:2", restore = true,
        }
        assert(net.resolver(options) and not net.resolver(options))
        init.run { "getent", "hosts", "ipa" }
    """, files=FILES, inside=MOUNTED)
    eventually(lambda: c.moonrise("health").returncode, 0)
    assert c.read("hosts") == "# moonrise: begin\n10.0.0.5\tipa.example.test ipa\n::1\tsix\n# moonrise: end\n" + HOSTS
    assert c.read("resolv.conf") == (
        "# moonrise: begin\nnameserver 127.0.0.1\nnameserver fe80::1%eth0\n# moonrise: end\n"
        "search example.test\n#moonrise# nameserver 192.0.2.1\n"
        "# moonrise: begin\nsearch a.test b.test\noptions ndots:2\n# moonrise: end\n")
    assert c.stop() == 0
    assert (c.read("hosts"), c.read("resolv.conf")) == (HOSTS, RESOLV_CONF)
    assert "10.0.0.5" in c.out + c.err


@needs_root
def test_files_stay_without_restore(boot):
    c = boot(PRELUDE + """
        net.hosts { ["10.0.0.5"] = { "a" } }
        net.resolver { nameservers = "127.0.0.1" }
        net.resolver {}
        init.exit(0)
    """, files=FILES, inside=MOUNTED)
    assert c.wait() == 0
    assert c.read("hosts") == "# moonrise: begin\n10.0.0.5\ta\n# moonrise: end\n" + HOSTS
    assert c.read("resolv.conf") == RESOLV_CONF


def test_what_is_wrong_is_refused(boot):
    c = boot(PRELUDE + """
        local function refused(f, ...) print(select(2, pcall(f, ...))) end
        refused(net.hosts, { ["10.0.0"] = "a" })
        refused(net.hosts, { localhost = "a" })
        refused(net.hosts, { ["10.0.0.1"] = "a b" })
        refused(net.hosts, { ["10.0.0.1"] = {} })
        refused(net.hosts, 1)
        refused(net.resolver, { nameservers = "one" })
        refused(net.resolver, { search = { "a..b" } })
        refused(net.resolver, { options = "ndots 2" })
        refused(net.resolver, { only = true })
        refused(net.resolver, { nameserver = "127.0.0.1" })
        refused(net.hostname, "a b")
        refused(net.addresses, { family = "ipv5" })
        refused(function() return net.adresses end)
        init.exit(0)
    """)
    assert c.wait() == 0
    for message in [
        "net.hosts has \"10.0.0\" in it, which is no address",
        "net.hosts has \"localhost\" in it, which is no address",
        "net.hosts has \"a b\" in it, which is no name",
        "net.hosts: 10.0.0.1 is to have an empty list; it takes a list of names",
        "net.hosts takes a table, not an integer",
        "'nameservers' of net.resolver has \"one\" in it, which is no address",
        "'search' of net.resolver has \"a..b\" in it, which is no name",
        "'options' of net.resolver has \"ndots 2\" in it; it takes such as \"ndots:2\"",
        "net.resolver: 'only' leaves no nameserver",
        "unknown option 'nameserver' of net.resolver; did you mean 'nameservers'?",
        "net.hostname has \"a b\" in it, which is no name",
        "'family' of net.addresses is \"ipv5\"; it takes \"ipv4\" or \"ipv6\"",
        "moonrise.net has no word 'adresses'; did you mean 'addresses'?",
    ]:
        assert message in c.err


@needs_root
def test_hostname(boot):
    script = PRELUDE + """
        print("was " .. net.hostname(), net.hostname(net.hostname()))
        print("set", net.hostname("ipa.example.test"), net.hostname())
        init.exit(0)
    """
    was = socket.gethostname()
    c = boot(script, inside='exec unshare --uts "$@"')
    assert c.wait() == 0
    assert f"was {was}\ttrue" in c.err and "set\ttrue\tipa.example.test" in c.err
    c = boot(script, inside='exec unshare --uts setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"')
    assert c.wait() == 0
    assert f"set\tfalse\t{was}" in c.err
    assert f"the hostname, and what `uname -n` says, stays '{was}': it takes sys_admin to set it." in c.err
    assert socket.gethostname() == was


@needs_root
def test_addresses(boot):
    probe = subprocess.run(["unshare", "--net", "ip", "link", "add", "veth9", "type", "veth"], check=False,
                           capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("no interfaces can be made here: " + probe.stderr.strip())
    c = boot(PRELUDE + """
        print(table.concat(net.addresses(), " ") .. ".")
        print(table.concat(net.addresses { family = "ipv6" }, " ") .. ".")
        print(table.concat(net.addresses { interface = "veth9" }, " ") .. ".")
        print(table.concat(net.addresses { loopback = true, interface = "lo" }, " ") .. ".")
        init.exit(0)
    """, inside="""exec unshare --net sh -ec '
        ip link set lo up
        ip link add veth9 type veth peer name veth8
        ip link set veth8 up
        ip addr add 192.0.2.7/24 dev veth9
        ip addr add 2001:db8::7/64 dev veth9 nodad
        ip link set veth9 up
        exec "$@"' sh "$@" """)
    assert c.wait() == 0
    assert c.printed == "192.0.2.7 2001:db8::7.\n2001:db8::7.\n192.0.2.7 2001:db8::7.\n127.0.0.1 ::1.\n"


@needs_root
def test_capabilities(boot):
    c = boot("""
        local caps, init = require "moonrise.caps", require "moonrise"
        print(caps.has("sys_time"), caps.has("CAP_CHOWN"), table.concat(caps.list(), " "))
        print(select(2, pcall(caps.has, "sys_tme")))
        init.exit(0)
    """, inside='exec setpriv --bounding-set -all,+chown,+kill --inh-caps -all "$@"')
    assert c.wait() == 0
    assert "false\ttrue\tchown kill" in c.err
    assert "there is no capability 'sys_tme'; did you mean 'sys_time'?" in c.err
