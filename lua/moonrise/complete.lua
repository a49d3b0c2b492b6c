--- What could come next: names of globals, fields, methods and services.
-- Looks at `a.b.c` and `a.b:c` at the end of a line, without calling anything that
-- the line would call.
-- @module moonrise.complete
local pretty = require "moonrise.pretty"
local repl = require "moonrise.repl"

local M = {}

local KEYWORDS = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

local LONGEST = 256

local function index(value, key) return value[key] end

-- Collect the keys of a value: its own, and those that it inherits, or has in __names.
local function keys_of(value, keys)
  for _ = 1, 10 do
    if type(value) == "table" then
      pcall(function()
        for key in pairs(value) do keys[key] = true end
      end)
    end
    local meta = debug.getmetatable(value)
    local parent = type(meta) == "table" and (rawget(meta, "__names") or rawget(meta, "__index"))
    if type(parent) ~= "table" then return keys end
    value = parent
  end
  return keys
end

local function global_names(session, globals)
  local names = {}
  for _, name in ipairs(KEYWORDS) do names[name] = true end
  for _, name in ipairs(repl.special_names()) do names[name] = true end
  for name in pairs(_G) do names[name] = true end
  for name in next, globals do names[name] = true end
  for name in next, session do names[name] = not repl.is_hidden(name) or nil end
  return names
end

local function resolve(session, path)
  local value = session
  for name in path:gmatch("[%a_][%w_]*") do
    local ok, found = pcall(index, value, name)
    if not ok or found == nil then return nil end
    value = found
  end
  return value
end

local function is_function(value, key)
  local ok, found = pcall(index, value, key)
  return ok and type(found) == "function"
end

-- How the key would stand behind `value` and the separator.
local function as_written(value, key, separator)
  local called = is_function(value, key)
  local is_word = separator == "" and key:find("^[%a_][%w_]*$")
  if is_word or pretty.is_name(key) then
    if separator == ":" and not called then return nil end
    return separator .. key .. (called and "(" or "")
  end
  return separator == "." and "[" .. pretty.quote(key) .. "]" or nil
end

--- Candidates for the end of a line.
-- @tparam table session see moonrise.repl
-- @tparam table globals the script's
-- @string left what stands left of the cursor
-- @treturn string the end of `left` that the candidates replace
-- @treturn {string,...} candidates, sorted
function M.candidates(session, globals, left)
  left = left:sub(-LONGEST) -- patterns take quadratic time on what is no path
  local path, separator, partial = left:match("([%a_][%w_.]*)([.:])([%w_]*)$")
  local value, keys
  if path then
    value = resolve(session, path)
    if value == nil then return "", {} end
    keys = keys_of(value, {})
  else
    separator, partial = "", left:match("[%w_]*$")
    value, keys = session, global_names(session, globals)
  end
  local found = {}
  for key in pairs(keys) do
    if type(key) == "string" and key:sub(1, #partial) == partial then
      found[#found + 1] = as_written(value, key, separator)
    end
  end
  table.sort(found)
  return separator .. partial, found
end

return M
