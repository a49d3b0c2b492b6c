--- JSON as a tree that gives its text back to the byte, and new text of values of Lua.
-- See moonrise.format.json.
--
-- A scalar has `raw` and `value`. An object or a list has `open` and `close`, its
-- brackets, and `members`: tables of `before` (space), in an object `name` and `key`
-- (the name up to the value), `node`, `after` (space); and `inner`, the space in it
-- when it has none.
-- @module moonrise.format.jsontext
local dkjson = require "dkjson"
local document = require "moonrise.format.document"
local fault = require "moonrise.fault"
local secret = require "moonrise.secret"

local MAX_DEPTH = 200

local M = { null = dkjson.null, absent = setmetatable({}, { __name = "absent" }) }

local List = { __jsontype = "array" } -- as dkjson has it

--- Mark a table as a list.
function M.list(values) return setmetatable(values, List) end

local function refuse(message, ...) fault.raise(fault.STATUS.script, message, ...) end

-- Reading ---------------------------------------------------------------------------

local function count_lines(text) return select(2, text:gsub("\n", "")) end

local function fail(text, at, message) document.fail(count_lines(text:sub(1, at - 1)) + 1, "%s", message) end

local function skip(text, at) return text:match("^[ \t\r\n]*()", at) end

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function code_point(text, at)
  local code = tonumber(text:match("^u(%x%x%x%x)", at) or fail(text, at, "this is no \\uXXXX"), 16)
  local low = code >= 0xD800 and code < 0xDC00 and text:match("^\\u([dD][c-fC-F]%x%x)", at + 5)
  if low then return utf8.char(0x10000 + (code - 0xD800 << 10) + tonumber(low, 16) - 0xDC00), at + 11 end
  return utf8.char(code), at + 5
end

-- From the quote at `at`: the text, and what is behind it.
local function read_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local found = text:find('["\\%c]', from)
    local char = found and text:sub(found, found)
    if char ~= '"' and char ~= "\\" then
      fail(text, at, char and "a text has a control character in it" or "a quote is not closed")
    end
    parts[#parts + 1] = text:sub(from, found - 1)
    from = found + 1
    if char == '"' then return table.concat(parts), from end
    local plain = ESCAPES[text:sub(from, from)]
    if plain then
      parts[#parts + 1], from = plain, from + 1
    elseif text:sub(from, from) == "u" then
      parts[#parts + 1], from = code_point(text, from)
    else
      fail(text, at, "a backslash is followed by none of \"\\/bfnrtu")
    end
  end
end

local WORDS = { ["true"] = true, ["false"] = false, null = M.null }

local function read_number(text, at)
  local raw = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not raw then return nil end
  local digits, rest = raw:match("^-?(%d+)(.*)$")
  local exponent = rest:gsub("^%.%d+", "")
  if digits:find("^0.") or exponent ~= "" and not exponent:find("^[eE][+-]?%d+$") then return nil end
  return tonumber(raw), at + #raw
end

local function read_scalar(text, at)
  local value, following
  if text:byte(at) == 34 then
    value, following = read_string(text, at)
  else
    local word = text:match("^%a+", at)
    value = word and WORDS[word]
    following = word and at + #word
    if not word then value, following = read_number(text, at) end
  end
  if value == nil then fail(text, at, at > #text and "a value is missing" or "this is no value") end
  return { raw = text:sub(at, following - 1), value = value }, following
end

local CLOSE = { ["{"] = "}", ["["] = "]" }

local read_node

local function read_member(text, from, open, depth)
  local at = skip(text, from)
  local member = { before = text:sub(from, at - 1) }
  if open == "{" then
    if text:byte(at) ~= 34 then fail(text, at, "a name is missing") end
    local name, behind = read_string(text, at)
    local colon = skip(text, behind)
    if text:byte(colon) ~= 58 then fail(text, colon, "a colon is missing") end
    local value_at = skip(text, colon + 1)
    member.name, member.key, at = name, text:sub(at, value_at - 1), value_at
  end
  local following
  member.node, following = read_node(text, at, depth + 1)
  local last = skip(text, following)
  member.after = text:sub(following, last - 1)
  return member, last
end

local function read_members(text, at, open, depth)
  if depth > MAX_DEPTH then fail(text, at, "too many brackets in brackets") end
  local node = { open = open, close = CLOSE[open], members = {} }
  local from = skip(text, at + 1)
  if text:sub(from, from) == node.close then
    node.inner = text:sub(at + 1, from - 1)
    return node, from + 1
  end
  from = at + 1
  repeat
    node.members[#node.members + 1], from = read_member(text, from, open, depth)
    local char = text:sub(from, from)
    if char ~= "," and char ~= node.close then fail(text, from, "a comma or " .. node.close .. " is missing") end
    from = from + 1
  until char == node.close
  return node, from
end

function read_node(text, at, depth)
  local open = text:sub(at, at)
  if CLOSE[open] then return read_members(text, at, open, depth) end
  return read_scalar(text, at)
end

--- The node of a whole text; raises by document.fail.
function M.read(text)
  local at = text:match("^\xEF\xBB\xBF()") or 1
  local start = skip(text, at)
  local node, following = read_node(text, start, 1)
  local last = skip(text, following)
  if last <= #text then fail(text, last, "something follows the value") end
  return node, text:sub(1, start - 1), text:sub(following)
end

--- Add what a node's text is made of to a list.
local function collect(node, parts)
  if node.raw then
    parts[#parts + 1] = node.raw
    return
  end
  parts[#parts + 1] = node.open
  for i, member in ipairs(node.members) do
    if i > 1 then parts[#parts + 1] = "," end
    parts[#parts + 1] = member.before
    parts[#parts + 1] = member.key
    collect(member.node, parts)
    parts[#parts + 1] = member.after
  end
  parts[#parts + 1] = #node.members == 0 and node.inner or ""
  parts[#parts + 1] = node.close
end

--- A node as Lua has it.
local function value_of(node)
  if node.raw then return node.value end
  local result = {}
  for i, member in ipairs(node.members) do result[member.name or i] = value_of(member.node) end
  return node.open == "[" and M.list(result) or result
end

-- New text --------------------------------------------------------------------------

M.collect, M.value_of = collect, value_of

local describe = document.describe

-- null, absent, secrets and what else is no table of values.
local function is_special(value) return value == M.null or (getmetatable(value) or {}).__name ~= nil end

local function is_list(value)
  if type(value) ~= "table" or is_special(value) then return false end
  return (getmetatable(value) or {}).__jsontype == "array" or value[1] ~= nil
end

local function is_object(value) return type(value) == "table" and not is_special(value) and not is_list(value) end

M.is_list, M.is_object, M.refuse = is_list, is_object, refuse

local function encode_number(value, path)
  if math.type(value) == "integer" or value == 0 then return ("%d"):format(value) end -- 0: there is no -0
  if value ~= value or value == math.huge or value == -math.huge then
    refuse("%s: json can't hold this number", describe(path))
  end
  for digits = 15, 17 do
    local text = ("%%.%dg"):format(digits):format(value)
    if tonumber(text) == value then return text end
  end
end

local function encode_scalar(value, path)
  value = secret.reveal(value)
  if value == M.null then return "null" end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) == "number" then return encode_number(value, path) end
  if type(value) ~= "string" then
    refuse("%s can't be %s", describe(path), require("moonrise.strict").describe(value))
  elseif not utf8.len(value) then
    refuse("%s: json can't hold this text, which is no UTF-8", describe(path))
  end
  return dkjson.quotestring(value)
end

local function names_of(value, path)
  local names = {}
  for name in next, value do
    if type(name) ~= "string" then refuse("%s has [%s] beside names", describe(path), tostring(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local encode

local function encode_parts(open, parts, indent, unit)
  if #parts == 0 then return open .. CLOSE[open] end
  if not indent then return open .. table.concat(parts, ",") .. CLOSE[open] end
  local line = "\n" .. indent .. unit
  return open .. line .. table.concat(parts, "," .. line) .. "\n" .. indent .. CLOSE[open]
end

local function encode_list(value, path, indent, unit)
  local parts, count = {}, 0
  for _ in next, value do count = count + 1 end
  if count ~= #value then refuse("%s has a hole in its list, or names beside it", describe(path)) end
  for i, one in ipairs(value) do parts[i] = encode(one, path, indent and indent .. unit, unit) end
  return encode_parts("[", parts, indent, unit)
end

function encode(value, path, indent, unit)
  if #path > MAX_DEPTH then refuse("json can't hold tables in tables so deep") end
  if is_list(value) then return encode_list(value, path, indent, unit) end
  if not is_object(value) then return encode_scalar(value, path) end
  local parts, depth = {}, #path + 1
  for _, name in ipairs(names_of(value, path)) do
    path[depth] = name
    if value[name] ~= M.absent then
      parts[#parts + 1] = ("%s:%s%s"):format(encode_scalar(name, path), indent and " " or "",
        encode(value[name], path, indent and indent .. unit, unit))
    end
  end
  path[depth] = nil
  return encode_parts("{", parts, indent, unit)
end

M.encode_scalar, M.names_of = encode_scalar, names_of

--- The text of a value.
-- @param value
-- @tparam table path the names that lead to it, for messages
-- @string[opt] indent of the line that it begins in; nil: all in one line
-- @string[opt] unit how much further in its parts are
function M.encode(value, path, indent, unit) return encode(value, path, indent, unit) end

return M
