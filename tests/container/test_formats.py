# SPDX-License-Identifier: MIT
"""moonrise.format with files as Debian ships them: parse and dump give the same bytes back,
and one edit changes one line."""
import os
import re
import shutil

import pytest

from moonrise import ROOT
from podman import BINARY, base_image

PACKAGES = "389-ds-base apache2 krb5-config php8.2-common postgresql-15 sssd-common"
CONTAINERFILE = """
FROM {base}
RUN mkdir /packages && cd /packages && apt-get update -q && apt-get download -q {packages} \\
 && for package in *.deb; do dpkg-deb -x $package .; done && rm -rf *.deb /var/lib/apt/lists/*
COPY . /
ENTRYPOINT ["moonrise", "/boot.lua"]
"""

# The file, one change, and the line that there is then, in the place of another or as a new one.
EDITS = """
local edits = {
  { "usr/lib/php/8.2/php.ini-production", { PHP = { memory_limit = "256M" } }, "memory_limit = 256M", "php" },
  { "usr/lib/php/8.2/php.ini-development", { Session = { ["session.name"] = "a;b" } }, 'session.name = "a;b"', "php" },
  { "usr/share/kerberos-configs/krb5.conf.template",
    { realms = { ["ATHENA.MIT.EDU"] = { admin_server = "x" } } }, "admin_server = x", "krb5" },
  { "usr/share/postgresql/15/postgresql.conf.sample", { max_wal_size = "2GB" }, "max_wal_size = 2GB", "postgresql" },
  { "etc/apache2/mods-available/ssl.conf", { SSLProtocol = "all -SSLv3 -TLSv1" },
    "SSLProtocol all -SSLv3 -TLSv1", "apache" },
  { "etc/apache2/sites-available/default-ssl.conf", { ["VirtualHost *:443"] = { SSLEngine = "off" } },
    "SSLEngine off", "apache" },
  { "usr/share/dirsrv/data/template-dse.ldif", { ["CN=Config"] = { ["nsslapd-port"] = 389 } },
    "nsslapd-port: 389", "ldif" },
  { "usr/share/doc/sssd-common/examples/sssd-example.conf", { sssd = { services = "nss" } }, "services = nss", "ini" },
}
"""
SCRIPT = EDITS + """
local init, fs = require "moonrise", require "moonrise.fs"

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("([^\\n]*)\\n") do lines[#lines + 1] = line end
  return lines
end

-- In which line the texts differ first, counted from the top, and from the end.
local function first_difference(a, b, from_end)
  for i = 1, math.max(#a, #b) do
    if a[from_end and #a + 1 - i or i] ~= b[from_end and #b + 1 - i or i] then return i end
  end
end

local function check_same(path, format)
  local text = fs.read(path)
  assert(not fs.edit(path, function(doc)
    assert(next(doc:get()), path .. " has no values")
    assert(tostring(doc) == text, path .. " is another text")
  end, format))
end

local function check_edit(path, changes, line, format)
  local before = fs.read(path)
  assert(fs.edit(path, changes, format))
  local old, new = lines_of(before), lines_of(fs.read(path))
  local at = first_difference(old, new)
  assert(new[at]:match("^%s*(.*)$") == line, path .. ": " .. tostring(new[at]))
  assert(#new - at + 1 == first_difference(old, new, true), path .. " has changed in two places")
  assert(#new - #old <= 1)
end

for _, edit in ipairs(edits) do
  local path, changes, line, format = "/packages/" .. edit[1], table.unpack(edit, 2)
  if format ~= "postgresql" then check_same(path, format) end -- all of it is comments
  check_edit(path, changes, line, format)
  check_same(path, format)
end

local count = 0
for pattern, format in pairs { ["etc/apache2/*/*.conf"] = "apache", ["etc/default/*"] = "shell",
  ["lib/systemd/system/*.service"] = "ini" } do
  for _, path in ipairs(fs.glob("/packages/" .. pattern)) do
    if fs.stat(path, { follow = false }).type == "file" then
      local text = fs.read(path)
      assert(not fs.edit(path, function(doc) assert(doc:get() and tostring(doc) == text, path) end, format))
      count = count + 1
    end
  end
end
print(("%d edits, %d more files"):format(#edits, count))
init.exit(0)
"""


@pytest.fixture(scope="module", name="image")
def make_image(images, tmp_path_factory):
    root = str(tmp_path_factory.mktemp("formats"))
    os.makedirs(root + "/usr/bin")
    shutil.copy(BINARY, root + "/usr/bin/moonrise")
    with open(root + "/boot.lua", "w", encoding="ascii") as file:
        file.write(SCRIPT)
    return images("formats", CONTAINERFILE.format(base=base_image("bookworm"), packages=PACKAGES), context=root)


def test_files_of_debian(container, image):
    c = container(image)
    assert c.wait() == 0, c.log
    edits, files = map(int, re.search(r"(\d+) edits, (\d+) more files", c.log).groups())
    assert edits == 8 and files > 30


WRITTEN_BY_THE_SERVER = """
(function()
  local fs, ldif = require "moonrise.fs", require "moonrise.format.ldif"
  local text = fs.read("/data/config/dse.ldif")
  local doc = ldif.parse(text)
  local entries = #doc:names()
  assert(doc:get() and tostring(doc) == text)
  local port = doc:get("CN=config", "nsslapd-PORT")
  assert(doc:set("cn=config", "nsslapd-port", 1) and doc:set("cn=config", "nsslapd-port", port))
  return entries > 100 and tostring(doc) == text
end)()
"""


def test_a_dse_ldif_as_the_server_writes_it(container, images):
    image = images("389ds-format", f"{ROOT}/examples/389ds/Containerfile", "--build-arg",
                   f"BASE={base_image('bookworm')}")
    c = container(image, volume=True, env={"DS_SUFFIX_NAME": "dc=example,dc=com", "DS_DM_PASSWORD": "secret-password",
                                           "DS_STARTUP_TIMEOUT": "5min", "DS_STOP_TIMEOUT": "5min"})
    c.wait_ready()
    done = c.exec("moonrise", "eval", WRITTEN_BY_THE_SERVER)
    assert done.stdout == "true\n", done.stderr
    assert c.stop(timeout=300) == 0
