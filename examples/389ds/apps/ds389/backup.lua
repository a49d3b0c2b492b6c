--- Backups: each database as LDIF, which every version and both kinds of database can
-- read again, written by the running server.
-- @module apps.ds389.backup
local fs = require "moonrise.fs"
local init = require "moonrise"
local ldif = require "moonrise.format.ldif"

local M = {}

local function export(server, backend, path)
  local name = ("backup %s %d"):format(backend, os.time())
  local dn = ("cn=%s,cn=export,cn=tasks,cn=config"):format(name)
  server:ldap({ "ldapmodify", "-a" }, ldif.dump { [dn] = {
    objectClass = { "top", "extensibleObject" }, cn = name, nsInstance = backend, nsFilename = path, ttl = 60,
  } })
  local status
  repeat
    init.sleep("200ms")
    local task = server:ldap { "ldapsearch", "-LLL", "-b", dn, "-s", "base", "nsTaskExitCode" }
    status = task:match("nsTaskExitCode: (%S+)")
  until status
  if status ~= "0" then error(("the export of %s ended with %s; see /data/logs/errors"):format(backend, status)) end
end

--- Write one, and remove those that are too old.
-- @tparam {table,...} suffixes of the configuration
-- @int keep how many of each to keep
function M.write(server, suffixes, keep)
  for _, one in ipairs(suffixes) do
    local folder = server.data:path("bak")
    local path = ("%s/%s-%s.ldif"):format(folder, one.backend, os.date("!%Y%m%dT%H%M%SZ"))
    export(server, one.backend, path .. ".new")
    fs.move(path .. ".new", path)
    init.log("info", "the backup of %s is in %s", one.suffix, path)
    local all = fs.glob(("%s/%s-????????T??????Z.ldif"):format(folder, one.backend))
    for i = 1, #all - keep do fs.remove(all[i]) end
  end
end

return M
