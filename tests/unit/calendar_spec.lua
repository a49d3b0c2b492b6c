local calendar = require "moonrise.calendar"

local function at(year, month, day, hour, min, sec)
  local days = 0
  for y = 1970, year - 1 do days = days + ((y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)) and 366 or 365) end
  local lengths = { 31, year % 4 == 0 and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  for m = 1, month - 1 do days = days + lengths[m] end
  return (days + day - 1) * 86400 + (hour or 0) * 3600 + (min or 0) * 60 + (sec or 0)
end

local date = os.date

-- A local clock that is `winter` seconds ahead of UTC, and an hour more from `spring`
-- to `autumn` (times of UTC).
local function live_in(winter, spring, autumn)
  os.date = function(format, seconds) -- luacheck: ignore 122
    if format == "!*t" then return date(format, seconds) end
    return date("!*t", seconds + winter + ((seconds >= spring and seconds < autumn) and 3600 or 0))
  end
end

local SPRING, AUTUMN = at(2026, 3, 29, 1), at(2026, 10, 25, 1) -- in Berlin, at 02:00 and 03:00

-- The times that follow, as text in UTC.
local function following(expression, after, count)
  local spec = assert(calendar.parse(expression))
  local texts = {}
  for i = 1, count do
    after = calendar.next(spec, after)
    if not after then break end
    texts[i] = date("!%m-%d %H:%M", math.floor(after))
  end
  return table.concat(texts, ", ")
end

describe("calendar", function()
  before_each(function() live_in(0, 0, 0) end)
  after_each(function() os.date = date end) -- luacheck: ignore 122

  it("agrees with systemd-analyze", function()
    local count = 0
    for line in io.lines("tests/unit/calendar.txt") do
      local base, expression, expected = line:match("^(%d+) (.*) | (.*)$")
      if base then
        local spec = calendar.parse(expression)
        local times, after = {}, tonumber(base)
        for i = 1, spec and 3 or 0 do
          after = calendar.next(spec, after)
          if not after then break end
          times[i] = ("%d"):format(math.floor(after))
        end
        local got = not spec and "invalid" or times[1] and table.concat(times, " ") or "never"
        assert.equal(expected, got, expression)
        count = count + 1
      end
    end
    assert.is_true(count > 250)
  end)

  it("knows parts of seconds", function()
    local spec = calendar.parse("*:*:0.25/20.5")
    local first = calendar.next(spec, 1000000000)
    assert.near(1000000001.25, first, 1e-5) -- 01:46:41.25
    assert.near(1000000020.25, calendar.next(spec, first), 1e-5)
  end)

  it("gives the same answer for a time with and without parts of a second", function()
    assert.equal(at(2026, 1, 2), calendar.next(calendar.parse("daily"), at(2026, 1, 1)))
    assert.equal(at(2026, 1, 2), calendar.next(calendar.parse("daily"), at(2026, 1, 1) + 0.75))
    assert.equal(at(2026, 1, 2), calendar.next(calendar.parse("daily"), at(2026, 1, 2) - 0.000002))
  end)
end)

describe("calendar, in the words of cron", function()
  before_each(function() live_in(0, 0, 0) end)
  after_each(function() os.date = date end) -- luacheck: ignore 122

  it("knows the five fields", function()
    local base = at(2026, 11, 29, 12) -- a Sunday
    local cases = {
      ["*/20 * * * *"] = "11-29 12:20, 11-29 12:40, 11-29 13:00",
      ["0 8 * * mon-fri"] = "11-30 08:00, 12-01 08:00, 12-02 08:00",
      ["0 8 * * 0"] = "12-06 08:00, 12-13 08:00, 12-20 08:00",
      ["0 8 * * 7"] = "12-06 08:00, 12-13 08:00, 12-20 08:00",
      ["0 8 * * 5-7"] = "12-04 08:00, 12-05 08:00, 12-06 08:00",
      ["0 8 * * 0-1"] = "11-30 08:00, 12-06 08:00, 12-07 08:00",
      ["0 0 1,15 * *"] = "12-01 00:00, 12-15 00:00, 01-01 00:00",
      ["0 0 13 * fri"] = "12-04 00:00, 12-11 00:00, 12-13 00:00", -- either will do
      ["0 0 */10 * fri"] = "12-11 00:00, 01-01 00:00, 05-21 00:00", -- both have to fit
      ["30 6-8/2 * JAN Mon"] = "01-04 06:30, 01-04 08:30, 01-11 06:30",
      ["5 4 29 2 *"] = "02-29 04:05, 02-29 04:05, 02-29 04:05",
      ["0 0 30 feb *"] = "",
      ["@hourly"] = "11-29 13:00, 11-29 14:00, 11-29 15:00",
      ["@daily"] = "11-30 00:00, 12-01 00:00, 12-02 00:00",
      ["@midnight"] = "11-30 00:00, 12-01 00:00, 12-02 00:00",
      ["@weekly"] = "12-06 00:00, 12-13 00:00, 12-20 00:00",
      ["@monthly"] = "12-01 00:00, 01-01 00:00, 02-01 00:00",
      ["@yearly"] = "01-01 00:00, 01-01 00:00, 01-01 00:00",
    }
    for expression, expected in pairs(cases) do
      assert.equal(expected, following(expression, base, 3), expression)
    end
  end)

  it("refuses what is none", function()
    local wrong = {
      "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "a * * * *", "1- * * * *",
      "5-1 * * * *", "* * * foo *", ", * * * *", "1/ * * * *", "* * * *", "* * * * * *", "@reboot", "", "  ",
    }
    for _, text in ipairs(wrong) do
      local spec, why = calendar.parse(text)
      assert.is_falsy(spec, text)
      assert.is_string(why, text)
    end
  end)
end)

describe("calendar, when the clock changes for the summer", function()
  before_each(function() live_in(3600, SPRING, AUTUMN) end)
  after_each(function() os.date = date end) -- luacheck: ignore 122

  local before_spring, before_autumn = SPRING - 5400, AUTUMN - 5400 -- 00:30 and 01:30 there

  it("strikes at the change for a time that is left out", function()
    assert.equal("03-29 01:00, 03-30 00:30", following("02:30", before_spring, 2))
    assert.equal("03-29 01:00, 03-30 00:30", following("30 2 * * *", before_spring, 2))
  end)

  it("strikes once for a time that comes twice", function()
    assert.equal("10-25 00:30, 10-26 01:30", following("02:30", before_autumn, 2))
  end)

  it("goes on by the hour", function()
    assert.equal("03-29 00:00, 03-29 01:00, 03-29 02:00", following("hourly", before_spring, 3))
    assert.equal("10-25 00:00, 10-25 01:00, 10-25 02:00", following("hourly", before_autumn, 3))
    assert.equal("10-25 00:10, 10-25 01:10, 10-25 02:10", following("10 * * * *", before_autumn, 3))
  end)

  it("finds the local day again months later", function()
    assert.equal("06-30 22:00, 11-30 23:00", following("*-07,12-01", SPRING - 86400, 2))
  end)

  it("does not mind it in UTC", function()
    assert.equal("03-29 02:30, 03-30 02:30", following("02:30 UTC", before_spring, 2))
  end)
end)
