--- What the container's cgroups allow, of version 1, version 2 or both.
-- A limit holds for all that is below it, so the smallest between our own cgroup
-- and the topmost that can be seen is the one that counts. Pure but for `read`.
-- @module moonrise.cgroup
local M = {}

-- Mounts of cgroup file systems: { kind = "cgroup2", root =, point =, options = }.
local function mounts(read)
  local result = {}
  for line in (read("/proc/self/mountinfo") or ""):gmatch("[^\n]+") do
    local root, point, kind, options = line:match("^%S+ %S+ %S+ (%S+) (%S+) .* %- (cgroup2?) %S+ (%S+)")
    if kind then result[#result + 1] = { kind = kind, root = root, point = point, options = "," .. options .. "," } end
  end
  return result
end

-- Our cgroup in each hierarchy: controller -> path; version 2 has the controller "".
local function own_paths(read)
  local result = {}
  for controllers, path in (read("/proc/self/cgroup") or ""):gmatch("%d+:([^:\n]*):([^\n]*)") do
    for controller in (controllers .. ","):gmatch("([^,]*),") do result[controller] = path end
  end
  return result
end

-- The folders from our cgroup up to the mount point.
local function folders(mount, path)
  local below = path
  if mount.root ~= "/" then
    below = path:sub(1, #mount.root) == mount.root and path:sub(#mount.root + 1) or ""
  end
  if below == "/" or below:find("^/%.%.") then below = "" end
  local result = {}
  while below ~= "" do
    result[#result + 1] = mount.point .. below
    below = below:match("^(.*)/[^/]*$")
  end
  result[#result + 1] = mount.point
  return result
end

local function smaller(a, b)
  return a and b and math.min(a, b) or a or b
end

local function cpus_of(quota, period)
  quota, period = tonumber(quota), tonumber(period)
  return quota and period and quota > 0 and quota / period or nil
end

-- Version 1 says "no limit" with a number that no machine has.
local function memory_of(text)
  local bytes = math.tointeger(tonumber(text))
  return bytes and bytes < 1 << 60 and bytes or nil
end

-- Hierarchy and controller -> how a folder's limit is read.
local LIMITS = {
  cgroup2 = {
    cpu = function(read, folder) return cpus_of((read(folder .. "/cpu.max") or ""):match("^(%S+) (%d+)")) end,
    memory = function(read, folder) return memory_of(read(folder .. "/memory.max")) end,
  },
  cgroup = {
    cpu = function(read, folder)
      return cpus_of(read(folder .. "/cpu.cfs_quota_us"), read(folder .. "/cpu.cfs_period_us"))
    end,
    memory = function(read, folder) return memory_of(read(folder .. "/memory.limit_in_bytes")) end,
  },
}

--- The limits; nil where there is none.
-- @func read path -> content, or nil
-- @treturn number|nil processors, a fraction maybe
-- @treturn integer|nil bytes of memory
function M.limits(read)
  local paths, found = own_paths(read), {}
  for _, mount in ipairs(mounts(read)) do
    for controller, limit in pairs(LIMITS[mount.kind]) do
      local is_here = mount.kind == "cgroup2" or mount.options:find("," .. controller .. ",", 1, true)
      local path = paths[mount.kind == "cgroup2" and "" or controller]
      for _, folder in ipairs(is_here and path and folders(mount, path) or {}) do
        found[controller] = smaller(found[controller], limit(read, folder))
      end
    end
  end
  return found.cpu, found.memory
end

return M
