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

--- Turn what its options `after` and `requires` name into services.
function M.resolve(self)
  for _, key in ipairs { "after", "requires" } do
    self[key] = {}
    for i, entry in ipairs(self.options[key] or {}) do
      self[key][i] = service_named(entry, key, self.name)
      self[key][i].dependents[self] = true
    end
  end
  for _, other in ipairs(self.requires) do self.after[#self.after + 1] = other end
end

--- Raises when following `after` from `self` leads back to it, and shows the way.
function M.refuse_cycle(self)
  local path, seen = {}, {}
  local function visit(service)
    path[#path + 1] = service.name
    if service == self and #path > 1 then
      fault.raise(STATUS.script, "these wait for each other: %s", table.concat(path, " -> "))
    end
    if not seen[service] then
      seen[service] = true
      for _, other in ipairs(service.after) do visit(other) end
    end
    path[#path] = nil
  end
  visit(self)
end

return M
