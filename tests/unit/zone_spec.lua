local calendar = require "moonrise.calendar"
local zone = require "moonrise.zone"

local BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"

-- A file with these changes, { { seconds, index of the offset }, ... }, offsets and rule.
local function file(changes, offsets, rule)
  local times, kinds, types = {}, {}, {}
  for i, change in ipairs(changes) do
    times[i], kinds[i] = (">i8"):pack(change[1]), string.char(change[2])
  end
  for i, offset in ipairs(offsets) do types[i] = (">i4I1I1"):pack(offset, 0, 0) end
  local parts = {}
  parts[1] = "TZif2" .. ("\0"):rep(15) .. (">I4I4I4I4I4I4"):pack(0, 0, 0, 0, 1, 4)
    .. (">i4I1I1"):pack(0, 0, 0) .. "UTC\0"
  parts[2] = "TZif2" .. ("\0"):rep(15) .. (">I4I4I4I4I4I4"):pack(0, 0, 0, #changes, #offsets, 4)
  parts[3] = table.concat(times) .. table.concat(kinds) .. table.concat(types) .. "LMT\0"
  return table.concat(parts) .. "\n" .. rule .. "\n"
end

local function at(year, month, day, hour) return calendar.day_number(year, month, day) * 86400 + (hour or 0) * 3600 end

describe("zone", function()
  it("follows the changes, and then the rule", function()
    local offset = zone.parse(file({ { at(1900, 1, 1), 1 }, { at(1980, 4, 6), 2 }, { at(1980, 9, 28), 1 },
      { at(1996, 10, 27, 1), 1 } }, { 3208, 3600, 7200 }, BERLIN))
    assert.equal(3208, offset(at(1890, 1, 1)))
    assert.equal(3600, offset(at(1900, 1, 1)))
    assert.equal(3600, offset(at(1980, 4, 6) - 1))
    assert.equal(7200, offset(at(1980, 4, 6)))
    assert.equal(3600, offset(at(1980, 9, 28)))
    assert.equal(3600, offset(at(2026, 3, 29, 1) - 1))
    assert.equal(7200, offset(at(2026, 3, 29, 1)))
    assert.equal(7200, offset(at(2026, 10, 25, 1) - 1))
    assert.equal(3600, offset(at(2026, 10, 25, 1)))
  end)

  it("knows rules of all kinds", function()
    local cases = {
      { "UTC0", at(2026, 7, 1), 0 },
      { "<+0330>-3:30", at(2026, 7, 1), 12600 },
      { "<-03>3", at(2026, 7, 1), -10800 },
      { "EST5EDT,M3.2.0,M11.1.0", at(2026, 3, 8, 7) - 1, -18000 },
      { "EST5EDT,M3.2.0,M11.1.0", at(2026, 3, 8, 7), -14400 },
      { "AEST-10AEDT,M10.1.0,M4.1.0/3", at(2026, 1, 1), 39600 }, -- summer at the turn of the year
      { "AEST-10AEDT,M10.1.0,M4.1.0/3", at(2026, 7, 1), 36000 },
      { "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", at(2026, 1, 1), 39600 },
      { "IST-1GMT0,M10.5.0,M3.5.0/1", at(2026, 1, 1), 0 }, -- Dublin, where winter is the exception
      { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", at(2026, 3, 29, 1) - 1, -7200 },
      { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", at(2026, 3, 29, 1), -3600 },
      { "A", at(2026, 1, 1), nil },
      { "AAA0BBB,J60/0,J300/0", at(2028, 3, 1) - 1, 0 }, -- J60 is the first of March in a leap year, too
      { "AAA0BBB,J60/0,J300/0", at(2028, 3, 1), 3600 },
      { "AAA0BBB,59/0,300/0", at(2028, 2, 29), 3600 },
    }
    for _, case in ipairs(cases) do
      local rule = zone.parse_rule(case[1])
      assert.equal(case[3], rule and rule(case[2]), case[1])
    end
  end)

  it("refuses rules that are none", function()
    for _, text in ipairs { "", "CET", "CET-", "CET-1:", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
      "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/", "CET-1CEST,M3.5.0,M10.5.0x",
      "<CET-1", "CET-1CEST,J400,J1" } do
      assert.is_nil(zone.parse_rule(text), text)
    end
  end)

  it("survives files that are cut or damaged", function()
    local data = file({ { at(1980, 4, 6), 1 }, { at(1980, 9, 28), 0 } }, { 3600, 7200 }, BERLIN)
    for length = 0, #data - 1 do
      local offset = zone.parse(data:sub(1, length))
      if offset then assert.is_number(offset(at(2026, 1, 1))) end
    end
    math.randomseed(1)
    for _ = 1, 5000 do
      local where = math.random(#data)
      local offset = zone.parse(data:sub(1, where - 1) .. string.char(math.random(0, 255)) .. data:sub(where + 1))
      if offset then assert.is_number(offset(at(2026, 1, 1))) end
    end
  end)

  it("agrees with systemd-analyze", function()
    if not io.open("/usr/share/zoneinfo/Europe/Berlin") then return pending("there is no tzdata") end
    local function find(name)
      local data <close> = io.open("/usr/share/zoneinfo/" .. name, "rb")
      return data and zone.parse(data:read("a"))
    end
    local count = 0
    for line in io.lines("tests/unit/zones.txt") do
      local base, expression, expected = line:match("^(%d+) (.*) | (.*)$")
      if base then
        local spec = calendar.parse(expression, find)
        local name = expression:match("%u%S*$")
        if name and not find(name) then expected = "invalid" end -- GB and EST5EDT may be in tzdata-legacy
        local times, after = {}, tonumber(base)
        for i = 1, spec and 3 or 0 do
          after = calendar.next(spec, after)
          if not after then break end
          times[i] = ("%d"):format(after)
        end
        local got = not spec and "invalid" or times[1] and table.concat(times, " ") or "never"
        assert.equal(expected, got, expression)
        count = count + 1
      end
    end
    assert.is_true(count > 40)
  end)
end)
