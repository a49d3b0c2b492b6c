--- Calendar expressions: when does it strike next?
-- Those of systemd.time(7), "Mon..Fri *-*-* 08:00", and the five fields and words of
-- crontab(5), "0 8 * * mon-fri". Pure but for os.date, which knows the time zone that
-- we live in; moonrise.zone knows others.
--
-- A time of the calendar is six numbers, year to second. The search looks at them
-- from the left: a number that its field does not have is raised to the next that it
-- has, and all behind it start anew; when there is none, the one before it is raised.
--
-- Between two changes of the local clock (summer time), local time is UTC plus a
-- constant, so the search is made with that constant; an answer that lies behind a
-- change is thrown away, and the search goes on from the change.
-- @module moonrise.calendar
local M = {}

local FIRST_YEAR, LAST_YEAR = 1970, 2199
local MICRO = 1000000 -- seconds are counted in microseconds

-- The fields of a time, from the left. `least` and `most` bound their values.
local FIELDS = {
  { name = "year", least = FIRST_YEAR, most = LAST_YEAR },
  { name = "month", least = 1, most = 12 },
  { name = "day", least = 1, most = 31 },
  { name = "hour", least = 0, most = 23 },
  { name = "minute", least = 0, most = 59 },
  { name = "second", least = 0, most = 60 * MICRO - 1 },
}
local DAY = 3
local DAY_FROM_THE_END = { name = "day from the end of the month", least = 1, most = 28 }

-- Dates ---------------------------------------------------------------------------

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in_month(year, month)
  local is_leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and is_leap and 29 or MONTH_DAYS[month]
end

-- Days since 1970-01-01. The year is taken to begin in March, so that the leap day
-- is its last.
local function day_number(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

M.day_number = day_number

-- Seconds of a time as if it were UTC.
local function civil_seconds(t)
  return ((day_number(t[1], t[2], t[3]) * 24 + t[4]) * 60 + t[5]) * 60 + t[6] / MICRO
end

-- The reverse: the time at these seconds.
local function civil_time(seconds)
  local whole = math.floor(seconds)
  local d = os.date("!*t", whole)
  return { d.year, d.month, d.day, d.hour, d.min, d.sec * MICRO + math.floor((seconds - whole) * MICRO + 0.5) }
end

-- 1 is Monday.
local function weekday(t) return (day_number(t[1], t[2], t[3]) + 3) % 7 + 1 end

-- Searching ------------------------------------------------------------------------

-- A field's values: a list of { first, last, step }, or nil: all of them.
-- The least one from `value` on, nil when there is none up to `most`.
local function next_value(list, value, most)
  if not list then return value <= most and value or nil end
  local best
  for _, part in ipairs(list) do
    local candidate = part.first
    if candidate < value then
      candidate = candidate + (value - candidate + part.step - 1) // part.step * part.step
    end
    if candidate <= math.min(part.last, most) and (not best or candidate < best) then best = candidate end
  end
  return best
end

-- "~3" is the third last day of this month, "~7/1" each from the seventh last on.
local function days_from_the_end(list, last_day)
  local days = {}
  for i, part in ipairs(list) do
    local from, to = last_day + 1 - part.first, last_day
    if not part.is_open then
      from, to = last_day + 1 - (part.last - (part.last - part.first) % part.step), from
    end
    days[i] = { first = from, last = to, step = part.step }
  end
  return days
end

-- crontab(5): with both the day of the month and of the week given, either will do.
local function next_day(spec, t)
  local most = days_in_month(t[1], t[2])
  local list = spec[DAY]
  if list and spec.from_the_end then list = days_from_the_end(list, most) end
  local days = spec.weekdays
  for day = t[3], most do
    local fits = next_value(list, day, most) == day
    local fits_week = not days or days[weekday { t[1], t[2], day }]
    if spec.either and (fits or fits_week) or fits and fits_week then return day end
  end
end

local function start_anew(t, from)
  for i = from, #FIELDS do t[i] = FIELDS[i].least end
end

-- The first time from `t` (which is changed) on; nil when there is none.
local function next_time(spec, t)
  local i = 1
  while i <= #FIELDS do
    local value
    if i == DAY then value = next_day(spec, t) else value = next_value(spec[i], t[i], FIELDS[i].most) end
    if value then
      if value > t[i] then start_anew(t, i + 1) end
      t[i] = value
      i = i + 1
    elseif i == 1 then
      return nil
    else
      start_anew(t, i)
      i = i - 1
      t[i] = t[i] + 1
    end
  end
  return t
end

-- The local clock ---------------------------------------------------------------------

-- Seconds that the local clock is ahead of UTC at a time.
local function offset_at(spec, seconds)
  local whole = math.floor(seconds)
  if spec.zone then return spec.zone(whole) end
  local d = os.date("*t", whole)
  return civil_seconds { d.year, d.month, d.day, d.hour, d.min, d.sec * MICRO } - whole
end

-- The second at which the clock stops being `offset` ahead: between `from`, where it
-- is, and `to`, where it is not.
local function change_between(spec, offset, from, to)
  from, to = math.floor(from), math.floor(to)
  while to - from > 1 do
    local middle = (from + to) // 2
    if offset_at(spec, middle) == offset then from = middle else to = middle end
  end
  return to
end

--- The next time after a time.
-- A time of day that the change to summer time leaves out strikes at the change, and
-- one that comes twice in autumn strikes once; with "*" for the hour it is as if there
-- was no change.
-- @tparam table spec from parse()
-- @number after seconds since 1970
-- @treturn number|nil nil: never again
function M.next(spec, after)
  local start = after + 1 / MICRO
  local offset = offset_at(spec, start)
  local civil = start + offset
  while true do
    local found = next_time(spec, civil_time(civil))
    if not found then return nil end
    local seconds = civil_seconds(found) - offset
    if offset_at(spec, seconds) == offset then return seconds end
    local change = change_between(spec, offset, start, seconds)
    local before, now = change + offset, change + offset_at(spec, change)
    local has_hours = spec[4] ~= nil
    if has_hours and civil_seconds(found) < now then return change end
    start, offset = change, now - change
    civil = has_hours and math.max(before, now) or now
  end
end

-- Parsing ----------------------------------------------------------------------------------

-- "1,5" with `part` for each item: a list of { first, last, step }, or nil and what
-- is wrong.
local function parse_list(text, field, part)
  local list = {}
  for item in (text .. ","):gmatch("([^,]*),") do
    local one = part(item)
    if not one then return nil, ("'%s' is no %s"):format(item, field.name) end
    if one.first < field.least or one.last > field.most or one.first > one.last or one.step < 1 then
      return nil, ("the %s '%s' is out of range"):format(field.name, item)
    end
    list[#list + 1] = one
  end
  return list
end

local WEEKDAYS = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" }
local MONTHS = {
  "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
  "december",
}

-- The number of a name, which may be cut to three letters.
local function named(names, text)
  for i, name in ipairs(names) do
    if text == name or text == name:sub(1, 3) then return i end
  end
end

local function to_number(text) return #text <= 9 and text:find("^%d+$") and math.tointeger(tonumber(text)) or nil end

-- systemd.time(7) ------------------------------------------------------------------------------

local WORDS = {
  minutely = "*-*-* *:*", hourly = "*-*-* *:00", daily = "*-*-*", weekly = "mon *-*-*", monthly = "*-*-01",
  quarterly = "*-01,04,07,10-01", semiannually = "*-01,07-01", yearly = "*-01-01",
}
WORDS["semi-annually"], WORDS.biannually, WORDS["bi-annually"] =
  WORDS.semiannually, WORDS.semiannually, WORDS.semiannually
WORDS.annually = WORDS.yearly

-- 26 is 2026, and 70 is 1970.
local function to_year(text)
  local year = to_number(text)
  if not year or year >= 100 then return year end
  return year + (year < 70 and 2000 or 1900)
end

-- "7.5" in microseconds.
local function to_micro(text)
  local whole, fraction = text:match("^(%d+)%.?(%d*)$")
  if not whole or #whole > 9 or #fraction > 6 or text:find("%.$") then return nil end
  return to_number(whole) * MICRO + math.tointeger(tonumber(fraction .. ("0"):rep(6 - #fraction)))
end

-- Makes a list of "1", "1..5", "1/2" and "1..5/2"; nil for "*".
local function systemd_list(text, field, number, unit)
  if text == "*" then return nil end
  return parse_list(text, field, function(item)
    local range, step = item:match("^([^/]*)/?(.*)$")
    local first, last = range:match("^(.-)%.%.(.*)$")
    local from, to = number(first or range), last and number(last)
    local by = step ~= "" and (field == FIELDS[1] and to_number or number)(step)
    if not from or last and not to or step ~= "" and not by or item:find("/$") then return nil end
    if by and not to and field ~= DAY_FROM_THE_END and from + by > field.most then return nil end
    return { first = from, last = to or by and field.most or from, step = by or unit, is_open = by and not to }
  end)
end

-- "mon", "mon..fri", "mon,wed"; a comma may end it.
local function systemd_weekdays(text)
  local days = {}
  for item in (text:gsub(",$", "") .. ","):gmatch("([^,]*),") do
    local from, to = item:match("^(%a+)%.%.(%a+)$")
    if not from then from, to = item:match("^(%a+)-(%a+)$") end
    local first, last = named(WEEKDAYS, from or item), named(WEEKDAYS, to or item)
    if not first or not last or first > last then return nil, ("'%s' is no weekday"):format(item) end
    for day = first, last do days[day] = true end
  end
  return days
end

-- "2026-12-24", "12-24", "*-*~01".
local function systemd_date(spec, text)
  local rest, mark, day = text:match("^(.*)([-~])([^-~]*)$")
  local year, month = rest:match("^([^-~]*)-([^-~]*)$")
  spec.from_the_end = mark == "~"
  return { year or "*", month or rest, day }
end

local function systemd_time(text)
  local hour, minute, second = text:match("^([^:]*):([^:]*):?([^:]*)$")
  return { [4] = hour, [5] = minute, [6] = text:find(":.*:") and second or "0" }
end

-- Fill in the fields from the texts of a date or a time.
local function systemd_fields(spec, texts)
  for i, text in pairs(texts) do
    local field = i == DAY and spec.from_the_end and DAY_FROM_THE_END or FIELDS[i]
    local why
    if i == 6 then
      if text == "*" then text = "0/1" end
      spec[i], why = systemd_list(text, field, to_micro, MICRO)
    else
      spec[i], why = systemd_list(text, field, i == 1 and to_year or to_number, 1)
    end
    if why then return why end
  end
end

local function parse_systemd(text, zone)
  local spec, why = { zone = zone }
  local words = {}
  for word in (WORDS[text] or text):gmatch("[^ ]+") do words[#words + 1] = word end
  if words[1] and words[1]:find("^%a") then
    spec.weekdays, why = systemd_weekdays(table.remove(words, 1))
    if why then return nil, why end
    spec.has_words = true
  end
  local texts = { [4] = "0", [5] = "0", [6] = "0" }
  if words[1] and words[1]:find("[-~]") and not words[1]:find(":") then
    for i, one in pairs(systemd_date(spec, table.remove(words, 1))) do texts[i] = one end
    spec.has_words = true
  end
  if words[1] and words[1]:find("^[^:]*:[^:]*:?[^:]*$") then
    for i, one in pairs(systemd_time(table.remove(words, 1))) do texts[i] = one end
    spec.has_words = true
  end
  if words[1] or not spec.has_words then
    return nil, words[1] and ("'%s' has no place in it"):format(words[1]) or "it is empty"
  end
  why = systemd_fields(spec, texts)
  return not why and spec, why
end

-- crontab(5) --------------------------------------------------------------------------------------

local CRON_WORDS = {
  ["@hourly"] = "0 * * * *", ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@weekly"] = "0 0 * * 0",
  ["@monthly"] = "0 0 1 * *", ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *",
}

-- In the order of a line in a crontab, with their place in a time.
local CRON = {
  { name = "minute", least = 0, most = 59, place = 5 },
  { name = "hour", least = 0, most = 23, place = 4 },
  { name = "day of the month", least = 1, most = 31, place = DAY },
  { name = "month", least = 1, most = 12, place = 2, names = MONTHS, first = 1 },
  { name = "day of the week", least = 0, most = 7, names = WEEKDAYS, first = 1 },
}

-- Makes a list of "*", "1", "1-5", "*/5" and "1-5/2".
local function cron_list(text, field)
  local function number(word)
    return to_number(word) or field.names and named(field.names, word)
  end
  return parse_list(text, field, function(item)
    local range, step = item:match("^([^/]*)/?(.*)$")
    local first, last = range:match("^([^-]*)-?(.*)$")
    local from, to = number(first), number(last)
    if range == "*" then from, to = field.least, field.most end
    local by = step == "" and 1 or to_number(step)
    if last == "" and range ~= "*" then to = step == "" and from or field.most end
    if not from or not to or not by or item:find("[-/]$") then return nil end
    return { first = from, last = to, step = by }
  end)
end

-- Both 0 and 7 are Sunday.
local function cron_weekdays(list)
  local days = {}
  for day = 0, 7 do
    if next_value(list, day, 7) == day then days[(day + 6) % 7 + 1] = true end
  end
  return days
end

local function parse_cron(fields)
  local spec = { [6] = { { first = 0, last = 0, step = 1 } } }
  local starred = {}
  for i, text in ipairs(fields) do
    local field = CRON[i]
    local list, why = cron_list(text, field)
    if why then return nil, why end
    starred[i] = text:find("^%*") ~= nil
    if field.place == nil then
      spec.weekdays = cron_weekdays(list)
    elseif text ~= "*" then
      spec[field.place] = list
    end
  end
  spec.either = not starred[3] and not starred[5]
  return spec
end

-- Both ---------------------------------------------------------------------------------------------

local function utc() return 0 end

-- A word behind the last blank that is no weekday, date or time: the text before it,
-- and the clock of that zone.
local function take_zone(text, find_zone)
  local rest, name = text:match("^(.*%S)%s+(%a%S*)$")
  if not name then return text end
  if name:lower() == "utc" then return rest, utc end
  return rest, find_zone and find_zone(name), ("'%s' is no time zone that is known here"):format(name)
end

--- Understand an expression of either kind.
-- @string text
-- @func[opt] find_zone from a name to a function as of moonrise.zone, or nil
-- @treturn table|nil a value for next()
-- @treturn string what is wrong
function M.parse(text, find_zone)
  text = text:match("^%s*(.-)%s*$")
  local fields = {}
  for field in (CRON_WORDS[text:lower()] or text:lower()):gmatch("%S+") do fields[#fields + 1] = field end
  if #fields == #CRON then return parse_cron(fields) end
  local rest, zone, trouble = take_zone(text, find_zone)
  if trouble and not zone then return nil, trouble end
  return parse_systemd(rest:lower(), zone)
end

return M
