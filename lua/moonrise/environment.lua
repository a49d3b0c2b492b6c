--- An environment as text: for `moonrise env`.
-- @module moonrise.environment
local M = {}

local function quote(value)
  if value:find("^[%w%%+,./:=@_-]+$") then return value end
  return "'" .. value:gsub("'", [['\'']]) .. "'"
end

local shapes = {
  shell = function(name, value) return ("%s=%s\n"):format(name, quote(value)) end,
  null = function(name, value) return ("%s=%s\0"):format(name, value) end,
}

--- Sorted by name.
-- @tparam table env name -> value
-- @string shape "shell" (quoted for eval), "null" (NUL behind each) or "json"
-- @treturn string
function M.text(env, shape)
  local names, lines = {}, {}
  for name in pairs(env) do names[#names + 1] = name end
  table.sort(names)
  if shape == "json" then
    return require("dkjson").encode(setmetatable(env, { __jsontype = "object" }),
      { indent = true, keyorder = names }) .. "\n"
  end
  for i, name in ipairs(names) do lines[i] = shapes[shape](name, env[name]) end
  return table.concat(lines)
end

return M
