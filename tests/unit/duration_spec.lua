local duration = require "moonrise.duration"

describe("duration.seconds", function()
  it("takes numbers of seconds", function()
    assert.equal(0, duration.seconds(0))
    assert.equal(1.5, duration.seconds(1.5))
    assert.equal(90, duration.seconds("90"))
  end)

  it("takes the units of systemd.time and sums of them", function()
    local cases = {
      ["500ms"] = 0.5, ["250us"] = 0.00025, ["30s"] = 30, ["5min"] = 300, ["5m"] = 300, ["1h"] = 3600,
      ["2d"] = 172800, ["1w"] = 604800, ["1h 30min"] = 5400, ["1h30m"] = 5400, ["1.5h"] = 5400,
      [" 2 hours  10 seconds "] = 7210,
    }
    for text, seconds in pairs(cases) do
      assert.near(seconds, duration.seconds(text), 1e-9, text)
    end
  end)

  it("refuses everything else", function()
    local wrong = { "", "s", "5 parsecs", "-3s", "1h foo", "1h 30", "0x10", "1e3", "nan", -1, 0 / 0, math.huge }
    for _, value in ipairs(wrong) do
      assert.has_error(function() duration.seconds(value, "'grace' of start") end, nil, tostring(value))
    end
    assert.error_matches(function() duration.seconds("5 parsecs", "'grace' of start") end,
      '\'grace\' of start is "5 parsecs"; a duration is a number of seconds or a string such as "500ms"')
    assert.error_matches(function() duration.seconds({}, "'grace' of start") end, "'grace' of start is a table")
  end)
end)

describe("duration.bytes", function()
  it("takes numbers and powers of 1024", function()
    local cases = { [10] = 10, ["0"] = 0, ["512"] = 512, ["4K"] = 4096, ["64M"] = 67108864, ["1.5g"] = 1610612736,
      ["1T"] = 1099511627776 }
    for value, bytes in pairs(cases) do
      assert.equal(bytes, duration.bytes(value))
      assert.equal("integer", math.type(duration.bytes(value)))
    end
  end)

  it("refuses everything else", function()
    for _, value in ipairs { "", "M", "64X", "64MB", "-1", "1 2", "9999999999T", -1, 0 / 0, true } do
      assert.has_error(function() duration.bytes(value, "'limit' of start") end, nil, tostring(value))
    end
    assert.error_matches(function() duration.bytes("64X", "'limit' of start") end,
      '\'limit\' of start is "64X"; a size is a number of bytes or a string such as "512K", "64M"')
  end)
end)
