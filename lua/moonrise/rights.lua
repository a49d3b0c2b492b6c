--- Who a process is and what it may: the options user, group, groups, umask, limits
-- and caps of every process.
-- @module moonrise.rights
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS

-- The account that a process is to have: nil when it keeps ours.
local function account_of(options)
  if not (options.user or options.group or options.groups) then return nil end
  local cred = require "sys.cred"
  local user = { uid = cred.uid(), gid = cred.gid(), groups = {} }
  if options.user then
    user = cred.user(options.user)
    if not user and math.type(options.user) == "integer" then
      user = { uid = options.user, gid = options.user, groups = {} }
    elseif not user then
      fault.raise(STATUS.script, "cannot start %s: there is no user '%s'", options.name, options.user)
    end
  end
  local function gid_of(group)
    local gid = cred.group(group) or math.tointeger(group)
    return gid or fault.raise(STATUS.script, "cannot start %s: there is no group '%s'", options.name, group)
  end
  if options.group then
    user.gid = gid_of(options.group)
    user.groups = { user.gid }
  end
  if options.groups then
    user.groups = { user.gid }
    for _, group in ipairs(options.groups) do user.groups[#user.groups + 1] = gid_of(group) end
  end
  return user
end

--- A string, since 022 is twenty-two in Lua, as a number.
function M.check_umask(umask, what)
  return umask:find("^[0-7]+$") and #umask <= 4 and tonumber(umask, 8)
    or fault.raise(STATUS.script, '%s is %s; it takes octal digits in quotes, such as "022"', what, strict.show(umask))
end

local LIMITS = {}
for name in ([[
  as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
]]):gmatch "%a+" do LIMITS[name] = true end

-- 1024, "64K" or "infinity"
local function amount_of(value, what)
  if value == "infinity" then return -1 end
  if type(value) == "string" then return require("moonrise.duration").bytes(value, what) end
  return math.type(value) == "integer" and value >= 0 and value or fault.raise(STATUS.script,
    '%s is %s; it takes a number, a size, "infinity" or { soft, hard }', what, strict.show(value))
end

--- limits = { nofile = 1024 } or { nofile = { 1024, 4096 } }, as pairs of numbers; -1 is
-- no limit.
function M.check_limits(limits, what)
  local result = {}
  for name, value in pairs(limits) do
    if not LIMITS[name] then
      fault.raise(STATUS.script, "%s has '%s', which is no limit%s", what, tostring(name),
        require("moonrise.nearest").hint(tostring(name), LIMITS))
    end
    local whose = ("'%s' in %s"):format(name, what)
    local pair = type(value) == "table" and value or { value, value }
    local soft, hard = amount_of(pair[1], whose), amount_of(pair[2], whose)
    if hard >= 0 and (soft < 0 or soft > hard) then
      fault.raise(STATUS.script, "%s has a soft limit above the hard one", whose)
    end
    result[name] = { soft, hard }
  end
  return result
end

local CAPS = strict.list("string", 'a list of capabilities: { "net_bind_service" }')

--- Names of capabilities, as they are held or not.
function M.check_caps(names, what)
  CAPS.check(names, what)
  for _, name in ipairs(names) do require("moonrise.caps").has(name) end
end

-- A process can't be given what its init has not.
local function caps_of(options)
  for _, name in ipairs(options.caps or {}) do
    if not require("moonrise.caps").has(name) then
      fault.raise(STATUS.script, "cannot start %s: the container itself has no capability '%s' to give",
        options.name, name)
    end
  end
  return options.caps
end

--- What the options say, as sys.proc.spawn takes it.
-- @tparam table options checked by moonrise.process
-- @treturn table user (the account, if it changes), uid, gid, groups, umask, limits, caps
function M.of(options)
  local user = account_of(options)
  return {
    user = user, uid = user and user.uid, gid = user and user.gid, groups = user and user.groups,
    umask = options.umask, limits = options.limits, caps = caps_of(options),
  }
end

return M
