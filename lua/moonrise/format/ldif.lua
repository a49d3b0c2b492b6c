--- LDIF (RFC 2849), such as the dse.ldif of 389 Directory Server:
--
--     local ldif = require "moonrise.format.ldif"
--     ldif.edit(text, { ["cn=config"] = { ["nsslapd-port"] = 1389 } })
--
-- A section is an entry, its name the DN, in whatever spelling; the names in it are
-- attributes, whatever their case. Base64 and folded lines are read and written
-- where they are needed. Between entries there is one empty line. A value that is
-- given by its URL (`attribute:< file:///...`) is `ldif.url(...)`.
-- Entries are taken apart when they are asked for: a file may have 5 MB.
-- @module moonrise.format.ldif
local document = require "moonrise.format.document"

local fail = document.fail

local WIDTH = 76 -- of a line, as 389 Directory Server writes them

local Url = { __name = "url" }
Url.__index = Url
function Url.__eq(a, b) return a.url == b.url end
function Url:__tostring() return self.url end

-- Base64 ----------------------------------------------------------------------------

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function encode(text)
  local parts = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for digit = 0, 3 do
      local n = (bits >> 18 - 6 * digit & 63) + 1
      parts[#parts + 1] = (digit == 2 and not b or digit == 3 and not c) and "=" or DIGITS:sub(n, n)
    end
  end
  return table.concat(parts)
end

-- nil when it is no base64.
local function decode(text)
  local digits = text:match("^([%w+/]*)=?=?$")
  if not digits or #text % 4 ~= 0 then return nil end
  local parts, bits, count = {}, 0, 0
  for i = 1, #digits do
    local n = DIGITS:find(digits:sub(i, i), 1, true) - 1
    bits, count = bits << 6 | n, count + 6
    if count >= 8 then
      count = count - 8
      parts[#parts + 1] = string.char(bits >> count & 255)
      bits = bits & (1 << count) - 1
    end
  end
  return bits == 0 and table.concat(parts) or nil
end

-- Lines -----------------------------------------------------------------------------

-- The last byte of the line that begins at `from`, with those that go on with it.
local function line_end(text, from)
  local last = text:find("\n", from, true) or #text
  while text:byte(last + 1) == 32 do last = text:find("\n", last + 1, true) or #text end
  return last
end

local function unfold(raw) return (raw:gsub("\r?\n ", ""):gsub("\r?\n$", "")) end

-- Not in the name, the first `least` bytes.
local function fold_line(text, least, ending)
  local width = math.max(WIDTH, least)
  if #text <= width then return text end
  local parts = { text:sub(1, width) }
  for i = width + 1, #text, WIDTH - 1 do parts[#parts + 1] = text:sub(i, i + WIDTH - 2) end
  return table.concat(parts, ending .. " ")
end

local function value_of(mark, text, line)
  if mark == ":" then
    return decode(text) or fail(line, "this is no base64")
  elseif mark == "<" then
    return setmetatable({ url = text }, Url)
  end
  return text
end

-- Attribute and value of a line without folds.
local function split(text, line)
  local name, mark, value = text:match("^(%w[%w_.;-]*):([:<]?) *(.*)$")
  if not name then fail(line, "neither 'attribute: value' nor a comment") end
  return name, value_of(mark, value, line)
end

-- What is written behind the name of an attribute.
local function written(value)
  if getmetatable(value) == Url then return ":< " .. value.url end
  if value == "" then return ":" end
  if value:find("^[ :<]") or value:find("[^\1-\127]") or value:find("[\r\n]") or value:find(" $") then
    return ":: " .. encode(value)
  end
  return ": " .. value
end

local function line_of(name, value, ending) return fold_line(name .. written(value), #name + 1, ending) end

-- Entries ---------------------------------------------------------------------------

local function count_lines(text) return select(2, text:gsub("\n", "")) end

-- The items of the lines of an entry.
local function read_attributes(text, line)
  local items, at = {}, 1
  while at <= #text do
    local last = line_end(text, at)
    local raw = text:sub(at, last)
    local item = { raw = raw }
    if not raw:find("^#") and not raw:find("^%-\r?\n?$") then item.name, item.value = split(unfold(raw), line) end
    items[#items + 1] = item
    at, line = last + 1, line + count_lines(raw)
  end
  return items
end

-- Where an entry's first attribute begins, and its DN; comments and the version of
-- the format may stand before it. Nothing when there is no entry, only these.
local function find_dn(raw, line)
  local at = 1
  while at <= #raw do
    local last = line_end(raw, at)
    local one = raw:sub(at, last)
    if not one:find("^#") then
      local name, value = split(unfold(one), line)
      name = name:lower()
      if name == "dn" then return last + 1, value end
      if name ~= "version" then fail(line, "an entry begins with its dn") end
    end
    at, line = last + 1, line + count_lines(one)
  end
end

local function open(section)
  local first = find_dn(section.raw, section.line)
  section.head, section.tail = section.raw:sub(1, first - 1), ""
  section.items = read_attributes(section.raw:sub(first), section.line + count_lines(section.head))
end

-- Each line of an entry may be a comment, a folded one, an attribute, or the "-" of
-- a record of changes. This is all that is done with most lines of a file.
local function check_lines(raw, line)
  local at, last, dns = 1, #raw, 0
  while at <= last do
    if raw:find("^[Dd][Nn]:", at) then
      dns = dns + 1
      if dns > 1 then fail(line, "a dn in the middle of an entry; an empty line is missing before it") end
    elseif not raw:find("^%w[%w_.;-]*:", at) and not raw:find("^[# ]", at) and not raw:find("^%-\r?%f[\n\0]", at) then
      fail(line, "neither 'attribute: value' nor a comment")
    end
    at, line = (raw:find("\n", at, true) or last) + 1, line + 1
  end
  return line
end

local function add_entry(items, raw, line)
  local next_line = check_lines(raw, line)
  local first, dn = find_dn(raw, line)
  if not first then
    items[#items + 1] = { raw = raw }
  elseif type(dn) ~= "string" then
    fail(line, "a dn has no URL")
  else
    items[#items + 1] = { raw = raw, name = dn, line = line, is_section = true }
  end
  return next_line
end

local function parse(text)
  local items, at, line = {}, 1, 1
  while at <= #text do
    local empty = text:match("^\r?\n()", at)
    if empty then
      items[#items + 1] = { raw = text:sub(at, empty - 1) }
      at, line = empty, line + 1
    else
      local last = text:find("\n\r?\n", at) or #text
      line = add_entry(items, text:sub(at, last), line)
      at = last + 1
    end
  end
  return items
end

-- What is read in a piece: an entry, or attributes of one.
local function read(text, line)
  if not text:lower():find("^dn:") then return read_attributes(text, line) end
  local items = parse(text)
  for _, section in ipairs(items) do open(section) end
  return items
end

-- Names -----------------------------------------------------------------------------

local function hex(char) return ("\\%02x"):format(char:byte()) end

-- One spelling for what is written as "\2C", "\," or in quotes.
local function plain_escapes(dn)
  dn = dn:gsub('\\(%x%x)', function(code)
    local char = string.char(tonumber(code, 16))
    return char:find("^[%w]$") and char or hex(char)
  end)
  dn = dn:gsub('\\([^%x])', hex):gsub('"([^"]*)"', function(quoted) return (quoted:gsub("[,;=+<>#\" ]", hex)) end)
  return dn
end

-- Without spaces around what separates names from values. (" *," would take a time that
-- grows with the square of a run of spaces.)
local function squeeze(dn)
  if not dn:find(" ", 1, true) then return dn end
  local backwards = dn:gsub("^ +", ""):gsub("([,=+]) +", "%1"):reverse()
  return (backwards:gsub("^ +", ""):gsub("([,=+]) +", "%1"):reverse())
end

local function fold(name, is_section)
  if is_section then name = squeeze(name:find('[\\"]') and plain_escapes(name) or name) end
  return name:lower()
end

local function depth(dn) return select(2, plain_escapes(dn):gsub(",", "")) end

-- Entries above before those below them, objectClass before what it allows.
local function order(names)
  local ranks = {}
  for _, name in ipairs(names) do
    ranks[name] = name:find("=", 1, true) and depth(name) or name:lower() == "objectclass" and 0 or 1
  end
  for i = 2, #names do -- few, already sorted by name
    local name, j = names[i], i
    while j > 1 and ranks[names[j - 1]] > ranks[name] do
      names[j], j = names[j - 1], j - 1
    end
    names[j] = name
  end
end

-- An empty line goes with its entry.
local function remains(_, items, at)
  if items[at] and items[at].raw:find("^\r?\n$") then table.remove(items, at) end
end

local M = document.module {
  [""] = {
    name = "ldif",
    first = true,
    parse = parse,
    read = read,
    open = open,
    fold = fold,
    order = order,
    remains = remains,
    line = function(name, value, _, _, ending) return line_of(name, value, ending) end,
    section = function(name, parent, ending)
      if not parent.name then return line_of("dn", name, ending) .. ending, "" end
    end,
  },
}

M.written = written

--- A value that is in a file elsewhere.
-- @string url "file:///etc/ssl/certs/ca.der"
function M.url(url) return setmetatable({ url = url }, Url) end

return M
