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

-- A string, since 022 is twenty-two in Lua.
local function umask_of(options)
  local umask = options.umask
  if not umask then return nil end
  return umask:find("^[0-7]+$") and #umask <= 4 and tonumber(umask, 8)
    or fault.raise(STATUS.script, "'umask' of %s is \"%s\"; it takes octal digits such as \"022\"", options.name, umask)
end

local LIMITS = {}
for name in ([[
  as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
]]):gmatch "%a+" do LIMITS[name] = true end

-- limits = { nofile = 1024 } or { nofile = { 1024, 4096 } } or "infinity".
local function limits_of(options)
  if not options.limits then return nil end
  local result = {}
  for name, value in pairs(options.limits) do
    if not LIMITS[name] then
      fault.raise(STATUS.script, "'limits' of %s has '%s', which is no limit%s", options.name, tostring(name),
        require("moonrise.nearest").hint(tostring(name), LIMITS))
    end
    local pair = type(value) == "table" and value or { value, value }
    local both = {}
    for i = 1, 2 do
      local amount = pair[i] == "infinity" and -1 or math.tointeger(pair[i])
      if not amount and type(pair[i]) == "string" then
        amount = require("moonrise.duration").bytes(pair[i], ("'%s' in 'limits' of %s"):format(name, options.name))
      end
      both[i] = amount or fault.raise(STATUS.script,
        "'%s' in 'limits' of %s is %s; it takes a number, \"infinity\" or { soft, hard }",
        tostring(name), options.name, strict.describe(pair[i]))
    end
    result[name] = both
  end
  return result
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
    umask = umask_of(options), limits = limits_of(options), caps = caps_of(options),
  }
end

return M
