--- The types of settings: text in, value out.
-- A type is one row: which options it has, how it reads a text (nil: it can't),
-- what `min` and `max` measure, and how to say what would be right. Pure: the
-- sources of the texts are env.lua's.
-- @module moonrise.types
local duration = require "moonrise.duration"

local M = {}

-- Patterns may take time in the square of a text's length, and PID 1 has none: only
-- the types of any text (`is_long`) take more than this.
local LONGEST = 4096

local function length(text) return utf8.len(text) or #text end
local function count(list) return #list end
local function itself(value) return value end

local BOOLEANS = {
  ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false,
}

local function parse_int(text)
  return text:find("^[+-]?%d+$") and math.tointeger(tonumber(text)) or nil
end

-- RFC 1123; a name whose last label is a number is an address.
local function parse_hostname(text)
  if #text > 253 or ("." .. text .. "."):find("..", 1, true) then return nil end
  for label in text:gmatch("[^.]+") do
    if #label > 63 or not label:find("^%w[%w-]*$") or label:find("-$") then return nil end
  end
  return not text:match("[^.]+$"):find("^%d+$") and text or nil
end

local function parse_path(text)
  return text:find("^/") and not text:find("%c") and text or nil
end

-- RFC 4514: what may stand in a value unescaped, and the escapes.
local function is_dn_value(text)
  if text:find("^#") then return text:find("^#%x+$") and #text % 2 == 1 end
  local rest = text:gsub("\\%x%x", "x"):gsub('\\[ "#+,;<=>\\]', "x")
  return rest ~= "" and not rest:find('[",;<>\\%z]')
end

local function is_dn_part(text)
  local attribute, value = text:match("^%s*([%w.-]+)%s*=%s*(.-)%s*$")
  if not attribute then return false end
  return (attribute:find("^%a[%w-]*$") or attribute:find("^%d+[%d.]*%d$")) and is_dn_value(value)
end

-- Parts are separated by "," and within them by "+", escaped ones left alone.
local function parse_dn(text)
  local hidden = text:gsub("\\(.)", function(c)
    return (c == "," or c == "+") and ("\\%02x"):format(c:byte()) or nil
  end)
  for part in (hidden .. ","):gsub("%+", ","):gmatch("([^,]*),") do
    if not is_dn_part(part) then return nil end
  end
  return text
end

local function parse_enum(text, setting)
  for _, value in ipairs(setting.values) do
    if value == text then return text end
  end
end

-- In linear time; "^%s*(.-)%s*$" is not.
local function trim(text)
  local first = text:find("%S")
  return first and text:match("^.*%S", first) or ""
end

local function parse_list(text, setting)
  local result = {}
  local from = 1
  repeat
    local first, last = text:find(setting.separator, from, true)
    local item = trim(text:sub(from, (first or 0) - 1))
    if item ~= "" then
      local value = M.parse(setting.of, item)
      if value == nil then return nil, item end
      result[#result + 1] = value
    end
    from = (last or #text) + 1
  until not first
  return result
end

-- "from 1 to 10", "of at least 1"; nothing without limits.
local function range(setting, unit)
  local min, max = setting.min, setting.max
  unit = unit or ""
  if min and max then return (" from %s to %s%s"):format(min, max, unit) end
  if min then return (", at least %s%s"):format(min, unit) end
  if max then return (", at most %s%s"):format(max, unit) end
  return ""
end

local function text_takes(what)
  return function(setting)
    local pattern = setting.pattern and (' that matches "%s"'):format(setting.pattern) or ""
    return what .. range(setting, " characters") .. pattern
  end
end

local function list_takes(setting)
  local separator = setting.separator == "," and "commas" or ("%q"):format(setting.separator)
  return ("a list%s separated by %s, of which each is %s"):format(
    range(setting, " items"), separator, M.takes(setting.of))
end

--- Every type. `options` are those beyond type, doc, example, default, optional.
M.TYPES = {
  string = {
    options = { min = "integer", max = "integer", pattern = "string", empty = "boolean" },
    is_long = true, parse = itself, measure = length, takes = text_takes("a text"), example = "text",
  },
  secret = {
    options = { min = "integer", max = "integer", pattern = "string", empty = "boolean" },
    is_long = true, parse = itself, measure = length, takes = text_takes("a secret"), example = "secret",
  },
  int = {
    options = { min = "integer", max = "integer" },
    parse = parse_int, measure = itself, example = "1",
    takes = function(setting) return "a whole number" .. range(setting) end,
  },
  port = {
    options = { min = "integer", max = "integer" },
    parse = parse_int, measure = itself, example = "8080",
    min = 1, max = 65535,
    takes = function(setting) return "a port, a number" .. range(setting) end,
  },
  bool = {
    options = {},
    parse = function(text) return BOOLEANS[text:lower()] end, example = "true",
    takes = function() return "true or false (yes or no, on or off, 1 or 0)" end,
  },
  enum = {
    options = { values = "table" },
    parse = parse_enum,
    takes = function(setting)
      return (#setting.values > 1 and "one of " or "") .. table.concat(setting.values, ", ")
    end,
  },
  hostname = {
    options = {},
    parse = parse_hostname, example = "localhost",
    takes = function() return "a host name such as www.example.org" end,
  },
  path = {
    options = {},
    parse = parse_path, example = "/path",
    takes = function() return "an absolute path" end,
  },
  dn = {
    options = {},
    parse = parse_dn, example = "dc=example,dc=org",
    takes = function() return "a distinguished name such as dc=example,dc=org" end,
  },
  duration = {
    options = { min = "string|number", max = "string|number" },
    parse = duration.parse_seconds, measure = itself, limit = duration.seconds, example = "30s",
    takes = function(setting) return 'a duration such as "30s" or "1h 30min"' .. range(setting) end,
  },
  bytes = {
    options = { min = "string|number", max = "string|number" },
    parse = duration.parse_bytes, measure = itself, limit = duration.bytes, example = "64M",
    takes = function(setting) return 'a size such as "64M"' .. range(setting) end,
  },
  list = {
    options = { min = "integer", max = "integer", of = "string|table", separator = "string", empty = "boolean" },
    is_long = true, parse = parse_list, measure = count, takes = list_takes,
  },
}

local function is_within(kind, setting, value)
  local limit = kind.limit or itself
  local measured = kind.measure and kind.measure(value)
  if setting.min and measured < limit(setting.min) then return false end
  if setting.max and measured > limit(setting.max) then return false end
  return true
end

--- Read a text as the setting wants it.
-- @tparam table setting checked by env.lua
-- @string text
-- @return the value, or nil and in a list the item that is wrong
function M.parse(setting, text)
  local kind = M.TYPES[setting.type]
  if text:find("\0", 1, true) or #text > LONGEST and not kind.is_long then return nil end
  local value, item = kind.parse(text, setting)
  if value == nil then return nil, item end
  if not is_within(kind, setting, value) then return nil end
  if setting.pattern and not text:find("^" .. setting.pattern .. "$") then return nil end
  return value
end

--- What would be right, in words.
function M.takes(setting)
  return M.TYPES[setting.type].takes(setting)
end

--- A text that the setting would accept, for a dry run.
function M.example(setting)
  if setting.example then return setting.example end
  if setting.type == "enum" then return setting.values[1] end
  if setting.type == "list" then return M.example(setting.of) end
  local kind = M.TYPES[setting.type]
  local limit = setting.min or setting.max
  if not limit or M.parse(setting, kind.example) ~= nil then return kind.example end
  return kind.measure == length and ("x"):rep(limit) or tostring(limit)
end

return M
