--- Time zones by name, out of the system's files (RFC 8536), for calendars that name
-- one. libc knows only the zone that the process lives in.
--
-- A file lists the changes of the clock, and for what comes after the last one it has a
-- rule as in $TZ: "CET-1CEST,M3.5.0,M10.5.0/3". Pure but for M.find.
-- @module moonrise.zone
local calendar = require "moonrise.calendar"

local M = {}

local FOLDER = "/usr/share/zoneinfo/"
local HOUR, DAY = 3600, 86400

-- Rules --------------------------------------------------------------------------------

-- "[+-]hh[:mm[:ss]]" at the start of a text: seconds, and what is behind it.
local function take_time(text)
  local sign, digits, rest = text:match("^([+-]?)(%d[%d:]*)(.*)$")
  if not digits or digits:find(":$") then return nil end
  local hours, minutes, seconds = digits:match("^(%d+):?(%d*):?(%d*)$")
  if not hours then return nil end
  local value = tonumber(hours) * HOUR + (tonumber(minutes) or 0) * 60 + (tonumber(seconds) or 0)
  return sign == "-" and -value or value, rest
end

-- "CET" or "<+03>"; what is behind it.
local function take_name(text) return text:match("^<[%w+-]+>(.*)$") or text:match("^%a%a%a+(.*)$") end

-- The day of a year on which the clock changes, counted from 1970.
local dates = {}

-- M3.5.0: the last Sunday in March.
function dates.M(year, month, week, weekday)
  local first = calendar.day_number(year, month, 1)
  local day = first + (weekday - (first + 4)) % 7 + (week - 1) * 7
  local next_month = month == 12 and calendar.day_number(year + 1, 1, 1) or calendar.day_number(year, month + 1, 1)
  return day < next_month and day or day - 7
end

-- J60: the first of March, in every year.
function dates.J(year, number)
  local is_leap = calendar.day_number(year + 1, 1, 1) - calendar.day_number(year, 1, 1) == 366
  return calendar.day_number(year, 1, 1) + number - 1 + (is_leap and number >= 60 and 1 or 0)
end

-- 59: the first of March, or the leap day.
function dates.N(year, number) return calendar.day_number(year, 1, 1) + number end

-- "M3.5.0/2": a function from a year to seconds of the local clock, and what is behind.
local function take_date(text)
  local kind, a, b, c, rest = "M", text:match("^M(%d+)%.(%d)%.(%d)(.*)$")
  if not a then
    kind, a, rest = text:match("^(J?)(%d+)(.*)$")
    if not a then return nil end
    kind = kind == "J" and "J" or "N"
  end
  a, b, c = tonumber(a), tonumber(b), tonumber(c)
  if kind == "M" and (a < 1 or a > 12 or b < 1 or b > 5 or c > 6) or kind ~= "M" and a > 366 then return nil end
  local time = 2 * HOUR
  if rest:find("^/") then time, rest = take_time(rest:sub(2)) end
  if not time then return nil end
  return function(year) return dates[kind](year, a, b, c) * DAY + time end, rest
end

local function year_at(seconds) return os.date("!*t", seconds).year end

-- Summer may begin late in a year and end early in the next.
local function with_summer(winter, summer, begin, finish)
  return function(seconds)
    local year = year_at(seconds + winter)
    local from, to = begin(year) - winter, finish(year) - summer
    local is_summer
    if from < to then is_summer = seconds >= from and seconds < to else is_summer = seconds < to or seconds >= from end
    return is_summer and summer or winter
  end
end

--- A rule as in $TZ.
-- @string text
-- @treturn function|nil seconds that the clock is ahead of UTC at a time
function M.parse_rule(text)
  local winter, summer, begin, finish
  local rest = take_name(text)
  if rest then winter, rest = take_time(rest) end
  if not winter then return nil end
  winter = -winter
  if rest == "" then return function() return winter end end
  rest = take_name(rest)
  if not rest then return nil end
  summer = winter + HOUR
  if not rest:find("^,") then
    summer, rest = take_time(rest)
    if not summer then return nil end
    summer = -summer
  end
  if rest:find("^,") then begin, rest = take_date(rest:sub(2)) end
  if begin and rest:find("^,") then finish, rest = take_date(rest:sub(2)) end
  return finish and rest == "" and with_summer(winter, summer, begin, finish) or nil
end

-- Files ----------------------------------------------------------------------------------

-- One of the two blocks of a file: what is in it, and where it ends.
local function read_block(data, at, time_size)
  local _, utc_count, std_count, leap_count, change_count, type_count, char_count, body =
    (">c20I4I4I4I4I4I4"):unpack(data, at)
  local types_at = body + change_count * (time_size + 1)
  local block = {
    times_at = body, kinds_at = body + change_count * time_size, types_at = types_at,
    change_count = change_count, type_count = type_count,
  }
  return block, types_at + type_count * 6 + char_count + leap_count * (time_size + 4) + std_count + utc_count
end

local function offsets_of(data, block)
  local offsets = {}
  for i = 0, block.type_count - 1 do offsets[i] = (">i4"):unpack(data, block.types_at + i * 6) end
  return offsets
end

-- Changes stay in the file's text: zones have hundreds, and hardly any is looked at.
local function by_changes(data, block, rule)
  local offsets, count = offsets_of(data, block), block.change_count
  local function time(i) return (">i8"):unpack(data, block.times_at + (i - 1) * 8) end
  local function offset(i) return offsets[i == 0 and 0 or data:byte(block.kinds_at + i - 1)] end
  return function(seconds)
    if count > 0 and seconds >= time(count) then return rule and rule(seconds) or offset(count) end
    if count == 0 and rule then return rule(seconds) end
    local low, high = 0, count -- the last change up to now is in low .. high - 1
    while high - low > 1 do
      local middle = (low + high) // 2
      if time(middle) <= seconds then low = middle else high = middle end
    end
    return offset(low)
  end
end

local function parse(data)
  if not data:find("^TZif[2-9]") then return nil end
  local _, second = read_block(data, 1, 4)
  local block, footer = read_block(data, second, 8)
  if block.type_count == 0 then return nil end
  for i = 1, block.change_count do
    if data:byte(block.kinds_at + i - 1) >= block.type_count then return nil end
  end
  return by_changes(data, block, M.parse_rule(data:match("^\n([^\n]*)\n", footer) or ""))
end

--- What a file says.
-- @string data
-- @treturn function|nil seconds that the clock is ahead of UTC at a time
function M.parse(data)
  local ok, offset = pcall(parse, data)
  return ok and offset or nil
end

--- A zone by its name.
-- @string name "Europe/Berlin"
-- @treturn function|nil seconds that its clock is ahead of UTC at a time
function M.find(name)
  if name:find("^[/.]") or name:find("..", 1, true) or name:find("[^%w/_+-]") then return nil end
  local data = require("sys.file").read(FOLDER .. name, 1 << 20)
  return data and M.parse(data)
end

return M
