--- What `moonrise enter` makes of itself before it runs a command: all that a process
-- of the service would be. core/enter.c carries it out.
-- @module moonrise.enter
local cred = require "sys.cred"
local process = require "moonrise.process"

local M = {}

-- A service without `user` has the account of the init, which may not be that of the
-- client.
local function our_account()
  local status = require("sys.file").read("/proc/self/status") or ""
  local groups = {}
  for group in (status:match("\nGroups:([^\n]*)") or ""):gmatch("%d+") do groups[#groups + 1] = group end
  return { uid = cred.uid(), gid = cred.gid(), groups = groups }
end

--- The plan, as "KEY=VALUE" with NUL behind each.
-- @tparam Service service
-- @treturn string
function M.plan(service)
  local options, lines = service.options, {}
  local function add(key, value)
    if value ~= nil then lines[#lines + 1] = ("%s=%s\0"):format(key, value) end
  end
  local rights = process.rights_of(options)
  local user = rights.user or our_account()
  add("uid", user.uid)
  add("gid", user.gid)
  for _, group in ipairs(user.groups) do add("group", group) end
  add("cwd", options.cwd)
  add("umask", rights.umask)
  add("nice", options.nice)
  add("oom_score", options.oom_score)
  for name, pair in pairs(rights.limits or {}) do add("limit", ("%s %d %d"):format(name, pair[1], pair[2])) end
  if rights.caps then add("caps", "limited") end
  for _, name in ipairs(rights.caps or {}) do add("cap", name) end
  if options.no_new_privs then add("no_new_privs", "yes") end
  for name, value in pairs(process.environment(options, rights.user)) do add("env", name .. "=" .. value) end
  return table.concat(lines)
end

return M
