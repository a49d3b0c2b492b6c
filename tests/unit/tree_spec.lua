-- SPDX-License-Identifier: MIT
local tree = require "moonrise.tree"

-- "a b<a c<a,b": services and what they come after.
local function draw(text)
  local services, lines = {}, {}
  for name, after in text:gmatch "(%w+)<?(%S*)" do
    local names = {}
    for other in after:gmatch "%w+" do names[#names + 1] = other end
    services[#services + 1] = { name = name, after = names }
  end
  for i, service in ipairs(tree.order(services)) do lines[i] = service.branch .. service.name end
  return table.concat(lines, "\n")
end

describe("tree", function()
  it("leaves what comes after nothing as it is", function()
    assert.are.equal("a\nb\nc", draw "a b c")
    assert.are.equal("", draw "")
  end)

  it("puts each below what it comes after", function()
    assert.are.equal("a\n├─ b\n└─ d\nc", draw "a b<a c d<a")
    assert.are.equal("db\n├─ app\n│  └─ web\n└─ cron\nssh", draw "web<app app<db cron<db db ssh")
  end)

  it("puts it below the last one, each once", function()
    assert.are.equal("a\n└─ b\n   └─ c", draw "a b<a c<a,b")
    assert.are.equal("a\n└─ b\n   └─ c", draw "a b<a c<b,a")
    assert.are.equal("a\nb\n└─ c", draw "a b c<a,b")
  end)

  it("shows those that wait for each other, too", function()
    assert.are.equal(3, select(2, (draw "a<b b<a c" .. "\n"):gsub("%w", "")))
  end)
end)
