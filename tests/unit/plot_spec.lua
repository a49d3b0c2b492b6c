-- SPDX-License-Identifier: MIT
local plot = require "moonrise.plot"

local function draw(changes)
  local data = { began = 100, ready = 101, finish = 101.5, host = "box", steps = {}, services = {} }
  for key, value in pairs(changes) do data[key] = value end
  return plot.svg(data)
end

describe("plot", function()
  it("says when the boot was done", function()
    assert.is_truthy(draw({}):find("box: ready after 1.00 s", 1, true))
    assert.is_truthy(draw({ ready = false, finish = 100.02 }):find("box: not ready after 20 ms", 1, true))
  end)

  it("draws each state of a service from its beginning to the next one", function()
    local svg = draw { services = { { name = "db", history = { waiting = 100, starting = 100.5, ready = 101 } } } }
    local widths = {}
    for state, width in svg:gmatch '<rect class="(%l+)" x="[%d.]+" y="%d+" width="([%d.]+)" height="14">' do
      widths[state] = tonumber(width)
    end
    assert.are.same({ waiting = 286.7, starting = 286.7, ready = 286.7 }, widths)
    assert.is_truthy(svg:find(">500 ms</text>", 1, true))
  end)

  it("leaves out what has not begun, and keeps what can't be shown out of the XML", function()
    local svg = draw {
      services = { { name = "idle", history = {} }, { name = "later", history = { waiting = 200 } } },
      steps = { { kind = "run", name = "a\1<\255&" .. ("x"):rep(50), began = 100 } },
    }
    assert.is_nil(svg:find("idle", 1, true))
    assert.is_nil(svg:find("later", 1, true))
    assert.is_truthy(svg:find("a &lt;?&amp;xxx", 1, true))
    assert.is_nil(svg:find("[%z\1-\9\11-\31]"))
  end)

  for _, span in ipairs { 0.00001, 0.0013, 0.2, 1, 7, 59, 3600 } do
    it(("has a few ticks for %g s"):format(span), function()
      local _, count = draw({ ready = false, finish = 100 + span }):gsub('class="grid"', "")
      assert.is_true(count >= 4 and count <= 11)
    end)
  end
end)
