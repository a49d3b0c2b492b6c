-- Loads our modules under the names that they have inside the binary
-- (moonrise/fs.lua), which is how an error tells the script's lines from ours.
local open = io.open -- a spec may replace it

package.path = "tests/unit/?.lua;" .. package.path

table.insert(package.searchers, 2, function(name)
  local path = "lua/" .. name:gsub("%.", "/") .. ".lua"
  local file <close> = open(path, "rb")
  if not file then return nil end
  return assert(load(file:read("a"), "@" .. path:gsub("^lua/", ""), "t")), path
end)
