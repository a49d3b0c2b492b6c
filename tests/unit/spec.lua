--- What specs share.
local M = {}

--- A text with one part of it (the first of its kind) replaced.
function M.with(text, old, new)
  local first, last = text:find(old, 1, true)
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

--- What the error says that f(...) raises.
function M.message(f, ...)
  local ok, err = pcall(f, ...)
  require("luassert").is_false(ok)
  return err.message
end

return M
