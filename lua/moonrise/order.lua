--- Who starts after whom: names become services, and circles are refused.
-- @module moonrise.order
local fault = require "moonrise.fault"
local supervisor = require "moonrise.supervisor"

local M = {}

local STATUS = fault.STATUS

local function service_named(entry, key, owner)
  local name = supervisor.is_service(entry) and entry.name or entry
  local found = supervisor.by_name[name]
  if name == owner then
    fault.raise(STATUS.script, "'%s' of %s names itself", key, owner)
  elseif not found then
    fault.raise(STATUS.script, "'%s' of %s names '%s', and there is no such service%s", key, owner, tostring(name),
      type(name) == "string" and require("moonrise.nearest").hint(name, supervisor.by_name) or "")
  end
  return found
end

-- Turn what its options `after` and `requires` name into services: it also comes after
-- what it requires.
local function resolve(self)
  if not self.options.after and not self.options.requires then return end
  local known = {}
  self.after, self.requires = {}, {}
  for _, key in ipairs { "requires", "after" } do
    for _, entry in ipairs(self.options[key] or {}) do
      local other = service_named(entry, key, self.name)
      if not known[other] then
        known[other] = true
        table.insert(self.after, other)
        if key == "requires" then table.insert(self.requires, other) end
        other.dependents[self] = true
      end
    end
  end
end

-- Raises when following `after` from one of them leads in a circle, and shows it.
local function refuse_cycles(services)
  local path, place, done = {}, {}, {}
  local function visit(service)
    if done[service] then return end
    path[#path + 1] = service.name
    if place[service] then
      fault.raise(STATUS.script, "these wait for each other: %s", table.concat(path, " -> ", place[service]))
    end
    place[service] = #path
    for _, other in ipairs(service.after) do visit(other) end
    path[#path], place[service], done[service] = nil, nil, true
  end
  for _, service in ipairs(services) do visit(service) end
end

local DOWN = { stopped = true, failed = true }

--- Resolve what services name, and refuse circles.
-- @treturn {Service,...} the services, and in front of them what they require that does
--   not run: it is started, too
function M.put(services)
  local all, seen = {}, {}
  local function add(self)
    if seen[self] then return end
    seen[self] = true
    resolve(self)
    for _, other in ipairs(self.requires) do
      if DOWN[other.state] then add(other) end
    end
    all[#all + 1] = self
  end
  for _, self in ipairs(services) do add(self) end
  refuse_cycles(all)
  return all
end

return M
