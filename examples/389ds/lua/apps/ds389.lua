--- 389 Directory Server in a container: what a boot script says of it.
-- Everything is done while the server is down: dse.ldif from the template of the
-- package, certificates, the suffix by ldif2db. So there is one start of ns-slapd, and
-- it is the one that stays. The layout of the volume is dscontainer's.
-- @module apps.ds389
local caps = require "moonrise.caps"
local fault = require "moonrise.fault"
local fs = require "moonrise.fs"
local host = require "moonrise.host"
local init = require "moonrise"
local ldif = require "moonrise.format.ldif"

local M = {}

local CONFIG = "/etc/dirsrv/slapd-localhost" -- a link to /data/config
local SHARE = "/usr/share/dirsrv"
local BACKEND = "userroot"
local LDBM = "cn=ldbm database,cn=plugins,cn=config"

M.ROOT_DN = "cn=Directory Manager"


local Instance = {}
Instance.__index = Instance

-- ---- who and what

-- What it takes to run the server as somebody else, on a volume of somebody else.
local CHANGE_USER = { "setuid", "setgid", "chown", "dac_override", "fowner" }

--- Who the server runs as: dirsrv when we are root and may become it, else who we are.
-- @treturn table name; and user, for the options of processes and files, when that is another than ours
function M.account()
  local may_change = true
  for _, name in ipairs(CHANGE_USER) do may_change = may_change and caps.has(name) end
  if may_change then return { name = "dirsrv", user = "dirsrv" } end
  local own = host.identity { name = "ldap", home = "/data" }
  if own.uid == 0 and not caps.has("setgid") then
    fault.raise(fault.STATUS.settings, "ns-slapd does not run as root without the capability SETGID; " ..
      "let the container have another uid with the group 0, such as --user 389:0")
  end
  return { name = own.name }
end

--- The folders of the volume. Who comes after us with another uid comes with the group
-- 0, and so it is the group of all that is in them.
function M.dirs(account)
  local folder = { mode = "2770", owner = account.user, group = "root" }
  return {
    config = folder, ["config/schema"] = folder, ssca = folder, db = folder, bak = folder, ldif = folder,
    run = folder, ["run/lock"] = folder, logs = folder,
  }
end

--- "2.3.1": of the server in this image.
function M.version()
  return fs.read(SHARE .. "/inf/defaults.inf"):match("\nversion = (%S+)")
end

--- The instance on a volume.
-- @tparam volume data
-- @tparam table account of M.account
function M.instance(data, account)
  return setmetatable({ data = data, account = account, config = data:path("config") }, Instance)
end

function Instance:run(options)
  options.user, options.umask = self.account.user, "007"
  return init.run(options)
end

--- A file of the instance.
function Instance:write(path, text, mode)
  fs.write(path, text, { mode = mode or "0660", owner = self.account.user, group = "root" })
end

-- ---- passwords

--- 24 characters out of 64 by chance.
function M.random_password()
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  return (file:read(24):gsub(".", function(c)
    local at = (c:byte() & 63) + 1
    return alphabet:sub(at, at)
  end))
end

-- pwdhash takes the password as an argument, where every process can read it.
local HASH = [[
import base64, hashlib, os, sys
salt = base64.b64decode(sys.argv[1]) if len(sys.argv) > 1 else os.urandom(24)
hashed = hashlib.pbkdf2_hmac("sha512", sys.stdin.buffer.read(), salt, %d)
print("{PBKDF2-SHA512}%d$" + base64.b64encode(salt).decode() + "$" + base64.b64encode(hashed).decode())
]]
local ROUNDS = 10000

--- A password as the server keeps it.
-- @param password text or secret
-- @string[opt] old hash whose salt is used again
function M.hash(password, old)
  local salt = old and old:match(("^{PBKDF2%%-SHA512}%d%%$([^$]+)%%$"):format(ROUNDS))
  return init.run({
    "python3", "-I", "-S", "-c", HASH:format(ROUNDS, ROUNDS), salt,
    stdin = { text = password }, stdout = "capture", name = "hash",
  }).stdout:match("%S+")
end

-- ---- dse.ldif

function Instance:exists() return fs.exists(self.config .. "/dse.ldif") end

function Instance:read_dse()
  return ldif.parse(fs.read(self.config .. "/dse.ldif"))
end

local function template_dse(values)
  local text = fs.read(SHARE .. "/data/template-dse.ldif"):gsub("%%([%l_]+)%%", function(key)
    return values[key] or fault.raise(fault.STATUS.script,
      "the template of dse.ldif in this image asks for %%%s%%, which is not known here", key)
  end)
  return ldif.parse(text)
end

--- Make dse.ldif, with the files that belong to it; the server does not run yet.
function Instance:create(options)
  local data, db = self.data, self.data:path("db")
  local new = template_dse {
    schema_dir = CONFIG .. "/schema", cert_dir = CONFIG, config_dir = CONFIG,
    lock_dir = data:path("run/lock"), run_dir = data:path("run"), tmp_dir = "/tmp", inst_dir = data:path(),
    ldif_dir = data:path("ldif"), bak_dir = data:path("bak"), log_dir = data:path("logs"),
    db_dir = db, db_home_dir = db, db_lib = M.version():find("^2") and "bdb" or "mdb",
    fqdn = options.hostname, ds_user = self.account.name, ds_port = "3389", ds_suffix = options.suffix or "",
    rootdn = M.ROOT_DN, ds_passwd = M.hash(options.password),
    ldapi = data:path("run/slapd-localhost.socket"), ldapi_enabled = "on", ldapi_autobind = "on",
  }
  new:set("cn=config", { ["nsslapd-securePort"] = 3636, ["nsslapd-security"] = "on" })
  if options.suffix then self:add_suffix(new, options.suffix) end
  for _, name in ipairs { "slapd-collations.conf", "certmap.conf" } do
    self:write(self.config .. "/" .. name, fs.read("/etc/dirsrv/config/" .. name), "0440")
  end
  for _, name in ipairs(fs.list("/etc/dirsrv/schema")) do
    self:write(self.config .. "/schema/" .. name, fs.read("/etc/dirsrv/schema/" .. name))
  end
  self:create_certificate(options.hostname)
  self:write(self.config .. "/dse.ldif", ldif.dump(new), "0660")
end

function Instance:add_suffix(config, suffix)
  local folder = self.data:path("db/" .. BACKEND)
  fs.mkdir(folder, { owner = self.account.user, group = "root", mode = "2770" })
  config:set(("cn=%s,%s"):format(BACKEND, LDBM), {
    objectClass = { "top", "extensibleObject", "nsBackendInstance" },
    cn = BACKEND, ["nsslapd-suffix"] = suffix, ["nsslapd-directory"] = folder,
  })
  config:set(('cn="%s",cn=mapping tree,cn=config'):format(suffix), {
    objectClass = { "top", "extensibleObject", "nsMappingTree" },
    cn = suffix, ["nsslapd-state"] = "backend", ["nsslapd-backend"] = BACKEND,
  })
end

-- ---- certificates

function Instance:create_certificate(hostname)
  local at = self.config
  for _, name in ipairs { "cert9.db", "key4.db", "pkcs11.txt" } do fs.remove(at .. "/" .. name) end
  local pin = M.random_password()
  self:write(at .. "/pwdfile.txt", pin .. "\n", "0600")
  self:write(at .. "/pin.txt", "Internal (Software) Token:" .. pin .. "\n", "0600")
  self:run {
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 720,
    "-subj", "/CN=" .. hostname, "-addext", "subjectAltName=DNS:" .. hostname,
    "-keyout", at .. "/new.key", "-out", at .. "/new.crt", stderr = "capture",
  }
  self:run {
    "openssl", "pkcs12", "-export", "-inkey", at .. "/new.key", "-in", at .. "/new.crt", "-name", "Server-Cert",
    "-out", at .. "/new.p12", "-passout", "pass:",
  }
  self:run { "certutil", "-N", "-d", at, "-f", at .. "/pwdfile.txt" }
  self:run { "pk12util", "-i", at .. "/new.p12", "-d", at, "-k", at .. "/pwdfile.txt", "-W", "", stdout = "capture" }
  self:run { "certutil", "-M", "-n", "Server-Cert", "-t", "CTu,u,u", "-d", at, "-f", at .. "/pwdfile.txt" }
  for _, name in ipairs { "new.key", "new.crt", "new.p12" } do fs.remove(at .. "/" .. name) end
end

-- ---- the database

local ENTRY = {
  dc = { "domain" }, o = { "organization" }, ou = { "organizationalUnit" },
  cn = { "nscontainer" }, c = { "country" },
}

--- The suffix entry, as dscontainer makes it.
function M.suffix_ldif(suffix)
  local attribute, value = suffix:match("^%s*(%w+)%s*=%s*([^,+]+)")
  attribute = attribute:lower()
  local class = ENTRY[attribute][1]
  return table.concat({
    "dn: " .. suffix, "objectClass: top", "objectClass: " .. class, ("%s: %s"):format(attribute, value),
    ('aci: (targetattr="%s || description || objectClass")(targetfilter="(objectClass=%s)")' ..
      '(version 3.0; acl "Enable anyone %s read"; allow (read, search, compare)(userdn="ldap:///anyone");)')
      :format(attribute, class, attribute), "",
  }, "\n")
end

--- Fill the database of the suffix.
function Instance:import(text)
  local path = self.data:path("ldif/first.ldif")
  self:write(path, text)
  self:run { "ns-slapd", "ldif2db", "-D", CONFIG, "-n", BACKEND, "-i", path, name = "ldif2db" }
  fs.remove(path)
end

-- ---- the server

--- The service, ready to be started.
function Instance:service(options)
  fs.remove(self.data:path("run/slapd-localhost.pid"))
  options[1], options.name = "ns-slapd", options.name or "ns-slapd"
  table.move({ "-D", CONFIG, "-i", self.data:path("run/slapd-localhost.pid"), "-d", options.level }, 1, 6, 2, options)
  options.level = nil
  options.user, options.umask = self.account.user, "007"
  options.ready = options.ready or require("moonrise.probe").notify()
  return options
end

return M
