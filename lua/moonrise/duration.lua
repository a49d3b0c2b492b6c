--- Durations and sizes as people write them: "500ms", "1h 30min", "64M".
-- @module moonrise.duration
local fault = require "moonrise.fault"

local M = {}

-- The units of systemd.time(7), as far as a boot needs them.
local SECONDS = {
  us = 1e-6, usec = 1e-6, ms = 1e-3, msec = 1e-3,
  s = 1, sec = 1, second = 1, seconds = 1,
  m = 60, min = 60, minute = 60, minutes = 60,
  h = 3600, hr = 3600, hour = 3600, hours = 3600,
  d = 86400, day = 86400, days = 86400,
  w = 604800, week = 604800, weeks = 604800,
}

local BYTES = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 }

--- What is right, for messages.
M.TAKES_SECONDS = 'a duration is a number of seconds or a string such as "500ms", "30s", "1h 30min"'
M.TAKES_BYTES = 'a size is a number of bytes or a string such as "512K", "64M", "2G"'

local function is_amount(number)
  return number >= 0 and number < math.huge
end

--- Seconds in a string.
-- @string text
-- @treturn number|nil
function M.parse_seconds(text)
  local sum, rest = 0, text:match("^%s*(.-)%s*$")
  if rest:find("^%d+%.?%d*$") then return tonumber(rest) end
  repeat
    local number, unit, after = rest:match("^(%d+%.?%d*)%s*(%a+)%s*(.*)$")
    if not number or not SECONDS[unit] then return nil end
    sum, rest = sum + tonumber(number) * SECONDS[unit], after
  until rest == ""
  return sum
end

--- Bytes in a string.
-- @string text
-- @treturn integer|nil
function M.parse_bytes(text)
  local number, unit = text:match("^%s*(%d+%.?%d*)%s*(%a?)%s*$")
  local factor = BYTES[(unit or "?"):upper()]
  return factor and math.tointeger(tonumber(number) * 1.0 * factor // 1) -- a float does not wrap around
end

local function convert(value, what, parse, takes)
  local amount
  if type(value) == "string" then
    amount = parse(value)
  elseif type(value) == "number" and is_amount(value) then
    amount = value
  end
  if not amount then
    fault.raise(fault.STATUS.script, "%s is %s; %s", what or "the value", require("moonrise.strict").show(value), takes)
  end
  return amount
end

--- Seconds from a number or a string; raises at the script's line.
-- @tparam number|string value
-- @string what for the message: "'grace' of start"
-- @treturn number
function M.seconds(value, what)
  return convert(value, what or "the duration", M.parse_seconds, M.TAKES_SECONDS)
end

--- Bytes from a number or a string; raises at the script's line.
-- @tparam number|string value
-- @string what for the message
-- @treturn integer
function M.bytes(value, what)
  local bytes = convert(value, what or "the size", M.parse_bytes, M.TAKES_BYTES)
  return math.tointeger(bytes) or math.tointeger(bytes // 1)
end

return M
