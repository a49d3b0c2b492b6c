--- Values as a person wants to see them: nearly as Lua would write them, with
-- sorted keys, on one line where it fits, never endless.
-- What has a __tostring of its own (services, secrets, errors) shows itself by that.
-- @module moonrise.pretty
local M = {}

local WIDTH = 80
local MAX_DEPTH = 6
local MAX_ENTRIES = 200

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or
repeat return then true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

--- Can it stand after a dot?
function M.is_name(text)
  return type(text) == "string" and text:find("^[%a_][%w_]*$") ~= nil and not KEYWORDS[text]
end

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

--- A string in quotes. UTF-8 stays readable; other bytes are escaped.
function M.quote(text)
  local escaped = text:gsub('[%c"\\]', function(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end)
  if not utf8.len(escaped) then
    escaped = escaped:gsub("[\x80-\xff]", function(c) return ("\\x%02x"):format(c:byte()) end)
  end
  return '"' .. escaped .. '"'
end

-- Whatever a __tostring does, the printer goes on.
local function own_text(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" or not (rawget(meta, "__tostring") or rawget(meta, "__name")) then return nil end
  local ok, text = pcall(tostring, value)
  return ok and text or ("<%s that does not print>"):format(type(value))
end

local function function_text(value)
  local info = debug.getinfo(value, "S")
  if info.what == "C" then return "<function, built in>" end
  return ("<function, %s:%d>"):format(info.short_src, info.linedefined)
end

local function scalar(value)
  local kind = type(value)
  if kind == "string" then return M.quote(value) end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring(value) end
  if kind == "function" then return function_text(value) end
  return own_text(value) or kind ~= "table" and ("<%s>"):format(kind) or nil
end

local TYPE_ORDER = { number = 1, string = 2, boolean = 3 }

local function key_less(a, b)
  local ta, tb = TYPE_ORDER[type(a)] or 4, TYPE_ORDER[type(b)] or 4
  if ta ~= tb then return ta < tb end
  if ta <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

-- The entries in order, at most MAX_ENTRIES, and how many there are.
local function entries_of(value)
  local entries, count = {}, 0
  local ok = pcall(function()
    for k, v in pairs(value) do
      count = count + 1
      if count <= MAX_ENTRIES then entries[count] = { k, v } end
    end
  end)
  if not ok then return nil end
  pcall(table.sort, entries, function(a, b) return key_less(a[1], b[1]) end)
  return entries, count
end

local render

local function key_text(key, depth, above)
  if M.is_name(key) then return key end
  return "[" .. render(key, "", depth, above) .. "]"
end

local function join(parts, indent, used)
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if used + #line <= WIDTH and not line:find("\n", 1, true) then return line end
  local inner = "\n" .. indent .. "  "
  return "{" .. inner .. table.concat(parts, "," .. inner) .. "\n" .. indent .. "}"
end

local function render_table(value, indent, depth, above)
  if above[value] then return "<the same again>" end
  local entries, count = entries_of(value)
  if not entries then return "<table that does not show its entries>" end
  if count == 0 then return "{}" end
  if depth >= MAX_DEPTH then return "{...}" end
  above[value] = true
  local parts, index = {}, 1
  for i, entry in ipairs(entries) do
    local text = render(entry[2], indent .. "  ", depth + 1, above)
    if entry[1] == index then
      index = index + 1
    else
      text = key_text(entry[1], depth + 1, above) .. " = " .. text
    end
    parts[i] = text
  end
  above[value] = nil
  if count > MAX_ENTRIES then parts[#parts + 1] = ("... %d more"):format(count - MAX_ENTRIES) end
  return join(parts, indent, #indent)
end

function render(value, indent, depth, above)
  return scalar(value) or render_table(value, indent, depth, above)
end

--- One value as text.
-- @param value
-- @treturn string
function M.value(value) return render(value, "", 0, {}) end

--- Several, with a comma between.
-- @tparam table values as from table.pack
function M.values(values)
  local parts = {}
  for i = 1, values.n do parts[i] = M.value(values[i]) end
  return table.concat(parts, ", ")
end

return M
