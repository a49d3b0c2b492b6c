--- The services as a tree, for `moonrise status`.
-- @module moonrise.tree
local M = {}

-- How many stand above each service. Those that wait for each other have been refused,
-- but may be in the list all the same.
local function count_levels(services)
  local by_name, levels = {}, {}
  for _, service in ipairs(services) do by_name[service.name] = service end
  local function level_of(name)
    if levels[name] then return levels[name] end
    levels[name] = 0
    local level = 0
    for _, other in ipairs(by_name[name].after) do level = math.max(level, level_of(other) + 1) end
    levels[name] = level
    return level
  end
  for _, service in ipairs(services) do level_of(service.name) end
  return levels
end

-- The last of those that it comes after: each service stands below one.
local function parent_of(service, levels)
  local parent
  for _, name in ipairs(service.after) do
    if levels[name] < levels[service.name] and (not parent or levels[name] >= levels[parent]) then parent = name end
  end
  return parent
end

--- The services as a tree: each below what it comes after, with the lines to draw
-- in front of its name in `branch`.
-- @tparam table services each with name and after (names)
-- @treturn table the same ones in the order of the tree
function M.order(services)
  local levels, below, ordered = count_levels(services), {}, {}
  for _, service in ipairs(services) do
    local parent = parent_of(service, levels) or 0
    below[parent] = below[parent] or {}
    table.insert(below[parent], service)
  end
  local function add(parent, indent)
    local children = below[parent] or {}
    for i, service in ipairs(children) do
      local is_top, is_last = parent == 0, i == #children
      service.branch = is_top and "" or indent .. (is_last and "└─ " or "├─ ")
      ordered[#ordered + 1] = service
      add(service.name, is_top and "" or indent .. (is_last and "   " or "│  "))
    end
  end
  add(0, "")
  return ordered
end

return M
