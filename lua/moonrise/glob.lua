--- Names with wildcards: `*`, `?`, `[a-z]`, `[!a-z]`, a backslash before one of
-- these for the character itself. As in a shell, `*` and `?` do not match a "/",
-- nor a dot at the beginning of a name. Pure: the folders are somebody else's.
-- @module moonrise.glob
local M = {}

local function class(text, from)
  local negated, body, to = text:match("^%[([!^]?)(%]?[^%]]*)%]()", from)
  if not body then return "%[", from + 1 end
  return "[" .. (negated ~= "" and "^" or "") .. body:gsub("[%%%]%[^]", "%%%0") .. "]", to
end

--- The Lua pattern for one name.
function M.pattern(name)
  local parts, at = { "^" }, 1
  while at <= #name do
    local char = name:sub(at, at)
    local following = at + 1
    local part
    if char == "*" then
      part = ".*"
    elseif char == "?" then
      part = "."
    elseif char == "[" then
      part, following = class(name, at)
    else
      if char == "\\" and at < #name then char, following = name:sub(at + 1, at + 1), at + 2 end
      part = char:gsub("%W", "%%%0")
    end
    parts[#parts + 1], at = part, following
  end
  return table.concat(parts) .. "$"
end

local function has_wildcard(name) return name:find("[*?[\\]") ~= nil end

local function matching(folder, name, list)
  local pattern, shows_hidden = M.pattern(name), name:sub(1, 1) == "."
  local found = {}
  for _, entry in ipairs(list(folder == "" and "." or folder)) do
    if entry:find(pattern) and (shows_hidden or entry:sub(1, 1) ~= ".") then found[#found + 1] = entry end
  end
  return found
end

--- All paths that match.
-- @string pattern
-- @func list folder -> its names; none when it is no folder
-- @func exists path -> boolean
-- @treturn {string,...} sorted
function M.expand(pattern, list, exists)
  local paths = { pattern:sub(1, 1) == "/" and "/" or "" }
  for name in pattern:gmatch("[^/]+") do
    local longer = {}
    for _, folder in ipairs(paths) do
      local prefix = (folder == "" or folder == "/") and folder or folder .. "/"
      for _, entry in ipairs(has_wildcard(name) and matching(folder, name, list) or { name }) do
        longer[#longer + 1] = prefix .. entry
      end
    end
    paths = longer
  end
  local found = {}
  for _, path in ipairs(paths) do
    if exists(path) then found[#found + 1] = path end
  end
  table.sort(found)
  return found
end

return M
