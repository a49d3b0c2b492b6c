--- Values as parts of files in a format, so that no value is more than a value:
-- `{{NAME | shell}}` in a template. Each takes a text, a number or a boolean (`json`
-- also tables), and returns the text to write; or nil and why there is none.
-- @module moonrise.escape
local M = {}

local function has_nul(text) return text:find("\0", 1, true) and "has a NUL byte in it" end

--- One word, in the shell's quotes.
function M.shell(value)
  local text = tostring(value)
  if has_nul(text) then return nil, has_nul(text) end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- In double quotes, with backslashes before quotes and backslashes: Apache, nginx,
-- and most that have quotes.
function M.conf(value)
  local text = tostring(value)
  if text:find("[\r\n]") then return nil, "has a line break in it" end
  if has_nul(text) then return nil, has_nul(text) end
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

local ENTITIES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;", ["\r"] = "&#13;",
}

--- As the text of an element, or in an attribute's quotes.
function M.xml(value)
  local text = tostring(value)
  if text:find("[\0-\8\11\12\14-\31]") then return nil, "has a control character in it, which XML can't have" end
  return (text:gsub("[&<>\"'\r]", ENTITIES))
end

--- A whole value: a text with its quotes, a number, a list, an object.
function M.json(value)
  local ok, result = pcall(require("moonrise.format.jsontext").encode, value, {})
  if ok then return result end
  if not require("moonrise.fault").is_fault(result) then error(result, 0) end
  return nil, "can't be written as JSON"
end

--- What follows the name of an attribute: ": text", or ":: " and Base64.
function M.ldif(value) return require("moonrise.format.ldif").written(tostring(value)) end

--- A literal. A text with a backslash is written as PostgreSQL's E'...': so that it
-- ends nowhere but at its end, whatever the server takes a backslash for.
function M.sql(value)
  if type(value) ~= "string" then return tostring(value):upper() end
  if has_nul(value) then return nil, has_nul(value) end
  local quoted = "'" .. value:gsub("'", "''") .. "'"
  if not value:find("\\", 1, true) then return quoted end
  return "E" .. quoted:gsub("\\", "\\\\")
end

--- As it is.
function M.raw(value) return tostring(value) end

return M
