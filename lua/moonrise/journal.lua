--- The record that a volume keeps of what was done to it.
-- A text that only grows: a line with the format's number, then one line an entry,
-- each with a checksum in front:
--
--     moonrise-volume 1
--     5c8d0e3f begin site%20certificate
--     91b00b0c done site%20certificate
--
-- A crash can only tear the last line, and then what it was to say has not
-- happened. Anything else that does not add up is damage, and is refused. Pure.
-- @module moonrise.journal
local M = {}

local FORMAT = 1

--- The first line.
M.HEADER = ("moonrise-volume %d\n"):format(FORMAT)

local crc_table

local function make_table()
  local result = {}
  for byte = 0, 255 do
    local crc = byte
    for _ = 1, 8 do crc = crc & 1 == 1 and 0xedb88320 ~ (crc >> 1) or crc >> 1 end
    result[byte] = crc
  end
  return result
end

--- CRC-32 as in zlib, png and Ethernet.
-- @string text
-- @treturn int
function M.checksum(text)
  crc_table = crc_table or make_table()
  local crc = 0xffffffff
  for i = 1, #text do crc = crc_table[(crc ~ text:byte(i)) & 0xff] ~ (crc >> 8) end
  return crc ~ 0xffffffff
end

local function escape(name)
  return (name:gsub("[%c%% \x7f]", function(char) return ("%%%02x"):format(char:byte()) end))
end

--- %XX back to what it stands for; manifests have the same.
function M.unescape(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- One entry as a line.
-- @string what a word: "begin", "done", "image" ...
-- @string name any text
function M.encode(what, name)
  local text = what .. " " .. escape(name)
  return ("%08x %s\n"):format(M.checksum(text), text)
end

local function decode_line(line)
  local digits, text = line:match("^(%x%x%x%x%x%x%x%x) (.*)$")
  if not digits or tonumber(digits, 16) ~= M.checksum(text) then return nil end
  local what, name = text:match("^(%l+) (.*)$")
  return what and { what = what, name = M.unescape(name) }
end

local function decode_header(text)
  local number, after = text:match("^moonrise%-volume (%d+)\n()")
  if not number then
    -- Torn when it was first written, or empty.
    if #text < #M.HEADER and not text:find("\n", 1, true) then return 1 end
    return nil, "it does not begin as a record does"
  elseif tonumber(number) > FORMAT then
    return nil, ("it was written by a newer moonrise (format %s; this one reads up to %d)"):format(number, FORMAT)
  end
  return after
end

--- Read a record.
-- @string text
-- @treturn[1] {table,...} entries: what, name
-- @treturn[1] int how much of the text is good; the rest is a torn end
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.decode(text)
  local at, why = decode_header(text)
  if not at then return nil, why end
  if at == 1 then return {}, 0 end
  local entries, number = {}, 1
  for line, after in text:gmatch("([^\n]*)\n()", at) do
    number = number + 1
    local entry = decode_line(line)
    if not entry and after <= #text then return nil, ("line %d is damaged"):format(number) end
    if not entry then break end
    entries[#entries + 1], at = entry, after
  end
  return entries, at - 1
end

return M
