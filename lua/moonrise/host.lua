--- The machine, as much of it as the container has.
-- @module moonrise.host
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local sys_cred = require "sys.cred"
local sys_file = require "sys.file"
local sys_host = require "sys.host"

local M = {}

local PASSWD, MACHINE_ID = "/etc/passwd", "/etc/machine-id"

-- Files of /proc, /sys and /etc; nil when there is none.
local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

-- "0-3,8" -> 5.
local function count_listed(list)
  local count = 0
  for first, last in list:gmatch("(%d+)%-?(%d*)") do
    count = count + (tonumber(last) or tonumber(first)) - tonumber(first) + 1
  end
  return count
end

--- Processors that the container may keep busy: the cgroup's quota, rounded up,
-- but no more than there are in its cpuset.
-- @treturn int at least 1
function M.cpus()
  local allowed = count_listed((read("/proc/self/status") or ""):match("Cpus_allowed_list:%s*(%S+)") or "0")
  local quota = require("moonrise.cgroup").limits(read)
  return math.max(1, math.min(allowed, quota and math.ceil(quota) or allowed))
end

--- Bytes of memory that the container may use: the cgroup's limit, or all that the
-- machine has.
-- @treturn int
function M.memory()
  local total = tonumber((read("/proc/meminfo") or ""):match("MemTotal:%s*(%d+) kB") or 0) << 10
  local _, limit = require("moonrise.cgroup").limits(read)
  return limit and (total == 0 or limit < total) and limit or total
end

local function refuse(format, ...)
  fault.raise(fault.STATUS.script, format, ...)
end

local IDENTITY = {
  name = { type = "string", default = "default", check = function(name, what)
    if not name:find("^[%l_][%w_-]*$") then refuse("%s is %q; it takes letters, digits, _ and -", what, name) end
  end },
  home = { type = "string", default = "/", check = function(home, what)
    if not home:find("^/[^:%c]*$") then refuse("%s is %q; it takes an absolute path", what, home) end
  end },
  optional = "boolean",
}

--- An account of /etc/passwd.
-- @param key name or uid
-- @treturn table name, uid, gid, home, shell, groups; nil when there is none
function M.user(key)
  if type(key) ~= "string" and math.type(key) ~= "integer" then
    refuse("host.user takes a name or a uid, not %s", strict.describe(key))
  end
  return sys_cred.user(key)
end

--- A passwd entry for a uid that has none, as with `podman run --user 12345:0`.
-- Nothing happens when there is one already.
-- @tparam[opt] table options name = "default", home = "/"; optional = true: where the file can't be
--   written the account has no name, and that is no error
-- @treturn table the account, as host.user returns it
function M.identity(options)
  options = strict.check("host.identity", options or {}, IDENTITY)
  local uid, gid = sys_cred.uid(), sys_cred.gid()
  local account = sys_cred.user(uid)
  if account then return account end
  local other = sys_cred.user(options.name)
  if other then refuse("host.identity: the name '%s' belongs to the uid %d", options.name, other.uid) end
  account = { name = options.name, uid = uid, gid = gid, home = options.home, shell = "/sbin/nologin" }
  account.groups = { gid }
  if sys_host.mode ~= "boot" then
    return require("moonrise.rehearse").note(("add %s (uid %d) to %s"):format(options.name, uid, PASSWD), account)
  end
  local old = read(PASSWD) or ""
  if old ~= "" and old:sub(-1) ~= "\n" then old = old .. "\n" end
  local line = ("%s:x:%d:%d:%s:%s:%s\n"):format(account.name, uid, gid, account.name, account.home, account.shell)
  local ok, why = sys_file.write(PASSWD, old .. line)
  if not ok and options.optional then
    account.name = nil
  elseif not ok then
    refuse("the uid %d has no entry in %s, and it can't be added: %s; let the image have it, or let its group 0 " ..
      "write the file: chmod g=u %s", uid, PASSWD, why:match("([^:]+)$"):gsub("^ ", ""), PASSWD)
  end
  return account
end

--- The machine's id; a container that has none gets one.
-- @treturn string 32 hexadecimal digits
function M.machine_id()
  local id = (read(MACHINE_ID) or ""):match("^(%x+)\n?$")
  if id and #id == 32 then return id end
  id = read("/proc/sys/kernel/random/uuid"):gsub("[-\n]", "")
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note("create " .. MACHINE_ID, id) end
  local ok, why = sys_file.write(MACHINE_ID, id .. "\n", tonumber("444", 8))
  if not ok then refuse("there is no machine id, and none can be made: %s", why) end
  return id
end

return strict.words(M, "moonrise.host")
