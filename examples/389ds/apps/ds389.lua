--- 389 Directory Server in a container: what a boot script says of it.
-- Everything is done while the server is down: dse.ldif from the template of the
-- package, certificates, the suffix by ldif2db. So there is one start of ns-slapd, and
-- it is the one that stays. The layout of the volume is dscontainer's, and a volume that
-- dscontainer has made is taken over.
-- @module apps.ds389
local caps = require "moonrise.caps"
local certificates = require "apps.ds389.certificates"
local configuration = require "apps.ds389.configuration"
local fault = require "moonrise.fault"
local fs = require "moonrise.fs"
local host = require "moonrise.host"
local init = require "moonrise"
local passwords = require "apps.ds389.passwords"
local probe = require "moonrise.probe"
local settings = require "apps.ds389.settings"

local M = {}

local STATUS = fault.STATUS
local CONFIG = "/etc/dirsrv/slapd-localhost" -- a link to /data/config
local SHARE = "/usr/share/dirsrv"
local ROOT_DN = "cn=Directory Manager"
local SPACE = 64 << 20 -- bytes that a first boot takes, with logs and the memory of Berkeley DB
local LOG_LEVEL = 266354688 -- what ns-slapd says without being asked for more

--- The checks of settings.
M.check = settings

--- A password as the server keeps it.
M.hash = passwords.hash

local Instance = {}
Instance.__index = Instance

-- ---- who and what

-- What it takes to run the server as somebody else, on a volume of somebody else.
local CHANGE_USER = { "setuid", "setgid", "chown", "dac_override", "fowner" }

--- Who the server runs as: dirsrv when we are root and may become it, else who we are.
-- @treturn table name and uid; and user, for the options of processes and files, when that is another than ours
function M.account()
  local may_change = true
  for _, name in ipairs(CHANGE_USER) do may_change = may_change and caps.has(name) end
  if may_change then return { name = "dirsrv", user = "dirsrv", uid = (host.user("dirsrv") or {}).uid } end
  local own = host.identity { name = "ldap", home = "/data", optional = true }
  if own.uid == 0 and not caps.has("setgid") then
    fault.raise(STATUS.settings, "ns-slapd does not run as root without the capability SETGID; " ..
      "let the container have another uid with the group 0, such as --user 389:0")
  end
  return { name = own.name, uid = own.uid }
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

--- The version of the server in this image: "2.3.1".
function M.version()
  return fs.read(SHARE .. "/inf/defaults.inf"):match("\nversion = (%S+)") or "unknown"
end

-- ns-slapd wants its uid to have a name, which a read-only /etc/passwd can't give it.
local function lend_name(account, path)
  account.name = "ldap"
  fs.write(path, ("%s:x:%d:0::/data:/sbin/nologin\n"):format(account.name, account.uid))
  return { LD_PRELOAD = "libnss_wrapper.so", NSS_WRAPPER_PASSWD = path, NSS_WRAPPER_GROUP = "/etc/group" }
end

--- The instance on a volume.
-- @tparam volume data
-- @tparam table account of M.account
function M.instance(data, account)
  if account.user then fs.chown(data:path(), account.user, "root") end -- mdb imports beside the databases
  return setmetatable({
    data = data, account = account, config = data:path("config"), socket = data:path("run/slapd-localhost.socket"),
    env = not account.name and lend_name(account, data:path("run/passwd")) or nil,
  }, Instance)
end

-- Options of a process that make it the server's user.
function Instance:as_user(options)
  options.user, options.umask, options.env = self.account.user, "007", self.env
  return options
end

--- Run a command as the server's user.
function Instance:run(options) return init.run(self:as_user(options)) end

--- A file that the server may change.
function Instance:write(path, text, mode)
  fs.write(path, text, { mode = mode or "0660", owner = self.account.user, group = "root" })
end

function Instance:mkdir(path)
  fs.mkdir(path, { mode = "2770", owner = self.account.user, group = "root" })
end

-- ---- the first boot

--- A password by chance, in a file that only root and the server can read.
function Instance:keep_password()
  local password, path = passwords.random(), self.config .. "/directory-manager.password"
  self:write(path, password .. "\n", "0600")
  init.log("notice", "the password of %s is in %s", ROOT_DN, path)
  return password
end

--- Is there an instance, complete or not?
function Instance:exists()
  for _, name in ipairs { "dse.ldif", "dse.ldif.bak", "dse.ldif.startOK" } do
    if fs.exists(self.config .. "/" .. name) then return true end
  end
  return false
end

-- Files that say how far a first boot came: ours is there until it is done, and
-- dscontainer's since it was.
function Instance:unfinished() return self.config .. "/unfinished" end
function Instance:marker() return self.config .. "/container.inf" end

--- Remove what a first boot of ours has left that was cut short.
function Instance:clear()
  if not fs.exists(self:unfinished()) then return end
  for _, folder in ipairs { "config", "db", "ssca" } do
    for _, name in ipairs(fs.list(self.data:path(folder))) do
      if name ~= "unfinished" then fs.remove(self.data:path(folder .. "/" .. name), { recursive = true }) end
    end
  end
  self:mkdir(self.config .. "/schema")
end

-- A server that was killed leaves its pid here, which is somebody else's now.
function Instance:clear_locks()
  for _, lock in ipairs(fs.glob(self.data:path("run/lock/*/*"))) do fs.remove(lock) end
end

-- ns-slapd itself does not say what it lacks.
function Instance:check_space()
  local free = fs.space(self.data:path())
  if free < SPACE then
    fault.raise(STATUS.volume, "the volume %s is too small: a first boot takes %d MiB, and %d are free",
      self.data:path(), SPACE >> 20, free >> 20)
  end
end

-- dscontainer can't go on with what it has left when it was stopped in its first boot.
function Instance:put_aside()
  local to = self.data:path("half-made-" .. os.time())
  init.log("warning", "this volume has half an instance, of a first boot that was cut short: it is now in %s", to)
  self:mkdir(to)
  for _, folder in ipairs { "config", "db", "ssca" } do
    fs.move(self.data:path(folder), to .. "/" .. folder)
    self:mkdir(self.data:path(folder))
  end
  self:mkdir(self.config .. "/schema")
end

local CONTAINER_INF = [[
[localhost]
uri = ldapi://%%2fdata%%2frun%%2fslapd-localhost.socket
binddn = cn=Directory Manager
basedn = {suffix}
]]

local function template_dse(values)
  return (fs.read(SHARE .. "/data/template-dse.ldif"):gsub("%%([%l_]+)%%", function(key)
    return values[key] or fault.raise(STATUS.script,
      "the template of dse.ldif in this image asks for %%%s%%, which is not known here", key)
  end))
end

function Instance:new_configuration(options)
  local data, db = self.data, self.data:path("db")
  local new = configuration.new(template_dse {
    schema_dir = CONFIG .. "/schema", cert_dir = CONFIG, config_dir = CONFIG,
    lock_dir = data:path("run/lock"), run_dir = data:path("run"), tmp_dir = "/tmp", inst_dir = data:path(),
    ldif_dir = data:path("ldif"), bak_dir = data:path("bak"), log_dir = data:path("logs"),
    db_dir = db, db_home_dir = db, db_lib = options.db_lib or M.version():find("^2") and "bdb" or "mdb",
    fqdn = options.hostname, ds_user = self.account.name, ds_port = "3389", ds_suffix = options.suffix or "",
    rootdn = ROOT_DN, ds_passwd = "none", ldapi = self.socket, ldapi_enabled = "on", ldapi_autobind = "on",
  }, true)
  new:set("cn=config", "nsslapd-rootpw", false)
  return new
end

-- What ns-slapd wants to find beside dse.ldif.
function Instance:write_companions()
  for _, name in ipairs { "slapd-collations.conf", "certmap.conf" } do
    self:write(self.config .. "/" .. name, fs.read("/etc/dirsrv/config/" .. name), "0440")
  end
  for _, name in ipairs(fs.list("/etc/dirsrv/schema")) do
    self:write(self.config .. "/schema/" .. name, fs.read("/etc/dirsrv/schema/" .. name))
  end
end

--- Make the instance, with its suffix; side by side what does not depend on each other.
-- Nothing is done where there is one already.
-- @tparam table options hostname, suffix, ldif (a file to fill it from), db_lib, db_size, indexes, password
function Instance:create(options)
  if fs.exists(self:marker()) and not fs.exists(self:unfinished()) then
    return init.log("notice", "the instance on this volume is taken over as it is")
  end
  self:check_space()
  self:clear_locks()
  if self:exists() and not fs.exists(self:unfinished()) then self:put_aside() end
  self:write(self:unfinished(), "")
  self:write_companions()
  local new = self:new_configuration(options)
  new:set_size(options.db_size)
  new:add_indexes(options.indexes)
  if options.suffix then new:add_suffix(options.suffix, self.data:path("db/" .. configuration.BACKEND)) end
  local hash
  init.all(
    function() hash = passwords.hash(options.password) end,
    function() self:certify(options.hostname, options.tls) end,
    function() if options.suffix then self:import(new, options) end end)
  new:set("cn=config", "nsslapd-rootpw", hash)
  new:set("cn=config", "nsslapd-securePort", 3636)
  new:set("cn=config", "nsslapd-security", "on")
  local text = new:text()
  self:write(self.config .. "/dse.ldif", text, "0600")
  self:write(self:marker(), (CONTAINER_INF:gsub("{suffix}", options.suffix or "")))
  new:belong_to(self, text)
  self.created = new
end

--- The end of the first boot, and the record of the version that was here last.
-- A newer server changes what an older one does not understand.
function Instance:finish()
  self:clear_locks()
  fs.remove(self:unfinished())
  local path, own = self.config .. "/version", M.version()
  local last = fs.exists(path) and fs.read(path):match("%S+")
  if last == own then return end
  if last and M.is_older(own, last) then
    fault.raise(STATUS.volume, "this volume was last used by 389 DS %s, and this image has %s: there is no way back",
      last, own)
  end
  -- The shared memory of Berkeley DB is of one build; the server makes it anew.
  for _, region in ipairs(fs.glob(self.data:path("db/__db.*"))) do fs.remove(region) end
  if last then init.log("notice", "the volume goes on from 389 DS %s to %s", last, own) end
  self:write(path, own .. "\n")
end

--- Is version a older than b?
function M.is_older(a, b)
  local next_a, next_b = a:gmatch("%d+"), b:gmatch("%d+")
  while true do
    local one, other = next_a(), next_b()
    if not other then return false end
    if not one then return true end
    if tonumber(one) ~= tonumber(other) then return tonumber(one) < tonumber(other) end
  end
end

-- ---- each boot

--- dse.ldif, to be changed.
function Instance:open_configuration()
  return self.created or configuration.load(self) or
    fault.raise(STATUS.volume, "the record of this volume says that the instance was made, but dse.ldif is gone; " ..
      "put it back, or remove all of the volume, %s too", self.data:path(".moonrise"))
end

--- The certificate: from a folder with server.key, server.crt and ca/*.crt, or our own.
function Instance:certify(hostname, folder)
  if certificates.import(self, folder) or fs.exists(self.config .. "/tls.imported") then return end
  if certificates.is_own(self) or not fs.exists(self.config .. "/cert9.db") then
    certificates.sign(self, hostname)
  end
end

--- Give the files to the server's user, if they are somebody else's.
function Instance:own_files()
  local account = self.account
  local present = fs.stat(self.config .. "/dse.ldif") or fs.stat(self.config .. "/dse.ldif.bak")
  if not present or present.uid == account.uid then return end
  if account.user then return init.run { "chown", "-R", account.user .. ":root", self.data:path() } end
  fault.raise(STATUS.volume, "dse.ldif belongs to the uid %d, and we are %d: start the container once as root, or " ..
    "with that uid", present.uid, account.uid)
end

-- ---- offline tools of the server

-- A command of ns-slapd on a configuration that is not there for the server.
function Instance:offline(config, options)
  local folder = self.data:path("run/offline")
  fs.remove(folder, { recursive = true })
  self:mkdir(folder)
  fs.link(self.config .. "/schema", folder .. "/schema")
  self:write(folder .. "/dse.ldif", config:text(), "0600")
  local argv = { "ns-slapd", options[1], "-D", folder, name = options[1], stdout = "capture", stderr = "capture" }
  table.move(options, 2, #options, #argv + 1, argv)
  self:run(argv)
  fs.remove(folder, { recursive = true })
end

--- The suffix entry, as dscreate makes it.
function M.suffix_ldif(suffix)
  local attribute, value, class = settings.suffix_parts(suffix)
  return ([[
dn: %s
objectClass: top
objectClass: %s
%s: %s
aci: (targetattr="%s || description || objectClass")(targetfilter="(objectClass=%s)")
 (version 3.0; acl "Enable anyone %s read"; allow (read, search, compare)(userdn="ldap:///anyone");)
]]):format(suffix, class, attribute, value, attribute, class, attribute)
end

-- Fill the database of a new suffix.
function Instance:import(config, options)
  self:mkdir(self.data:path("db/" .. configuration.BACKEND))
  local path = self.data:path("run/suffix.ldif")
  config = configuration.new(config:text(), true)
  config:set("cn=config", "nsslapd-certdir", self.data:path("run/offline")) -- the real one is being made meanwhile
  if options.ldif then -- the server's user may not read the original
    fs.copy(options.ldif, path, { mode = "0600", owner = self.account.user, group = "root" })
  else
    self:write(path, M.suffix_ldif(options.suffix))
    config:save_memory()
  end
  self:offline(config, { "ldif2db", "-n", configuration.BACKEND, "-i", path })
  fs.remove(path)
end

-- Build indexes of a database, all in one go.
function Instance:reindex(config, backend, attributes)
  local argv = { "db2index", "-n", backend }
  for _, attribute in ipairs(attributes) do table.move({ "-t", attribute }, 1, 2, #argv + 1, argv) end
  init.log("notice", "indexes of %s are built: %s", backend, table.concat(attributes, " "))
  self:offline(config, argv)
end

--- Have the indexes of the settings; build those that are new, or all that there are.
function Instance:index(config, list, is_all)
  local new = config:add_indexes(list)
  if is_all then
    for _, one in ipairs(config:suffixes()) do self:reindex(config, one.backend, config:indexes(one.backend)) end
  elseif #new > 0 then
    self:reindex(config, configuration.BACKEND, new)
  end
end

-- ---- the server

-- A search of one entry, as it goes over the wire (RFC 4511). Any result shows that its
-- database answers, be it a refusal; except an error of operations (1), busy (51),
-- unavailable (52), unwilling (53), other (80).
local function ask(dn)
  local search = ("\x04%s\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\x87\x0bobjectClass\x30\5\4\x031.1"):format(
    string.pack("s1", dn))
  local body = "\2\1\1\x63" .. string.pack("s1", search)
  return { send = "\x30" .. string.pack("s1", body), expect = "\x65.\x0a\1[^\1\x33-\x35\x50]" }
end

--- Ask or tell the running server something, as its manager; by LDAPI.
-- @tparam table argv of a command of ldap-utils
-- @string[opt] text LDIF for it
-- @treturn string what it wrote
function Instance:ldap(argv, text)
  local url = "ldapi://" .. self.socket:gsub("/", "%%2F")
  table.move({ "-Q", "-Y", "EXTERNAL", "-H", url }, 1, 5, #argv + 1, argv)
  argv.stdin, argv.stdout, argv.timeout = text and { text = text } or nil, "capture", "1min"
  return self:run(argv).stdout
end

--- Does the server answer for all its suffixes?
function Instance:answers(suffixes)
  local parts = { probe.unix(self.socket, ask("")) }
  for _, one in ipairs(suffixes) do
    if #one.suffix < 64 then parts[#parts + 1] = probe.unix(self.socket, ask(one.suffix)) end
  end
  return probe.all(parts)
end

--- Start the server, and wait until it says READY=1 and its suffixes answer.
-- @tparam table options level, and those of every service
function Instance:start(config, options)
  local pidfile = self.data:path("run/slapd-localhost.pid")
  fs.remove(pidfile) -- one that was killed leaves it
  local answers = self:answers(config:suffixes())
  options[1], options.name = "ns-slapd", "ns-slapd"
  table.move({ "-D", CONFIG, "-i", pidfile, "-d", LOG_LEVEL | options.level }, 1, 6, 2, options)
  options.level = nil
  options.ready, options.health = probe.all { probe.notify(), answers }, answers
  local ok, service = pcall(init.start, self:as_user(options))
  if not ok then
    config:restore()
    error(service, 0)
  end
  config:keep()
  return service
end

--- Write backups at times of the calendar.
function Instance:backup_at(calendar, config, keep)
  local backup = require "apps.ds389.backup"
  init.at(calendar, function() backup.write(self, config:suffixes(), keep) end, { name = "backup" })
end

--- Be a supplier among others; before the start, and behind it.
-- @tparam table options suffix, id, peers, password, seed
function Instance:replicate(config, options)
  local replication = require "apps.ds389.replication"
  local known = replication.configure(config, options)
  return function()
    replication.agree(self, options, known)
    if options.seed then replication.seed(self, options) end
  end
end

return M
