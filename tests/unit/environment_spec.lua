-- SPDX-License-Identifier: MIT
local environment = require "moonrise.environment"

describe("environment", function()
  it("is quoted for a shell where that is needed, and sorted", function()
    assert.are.equal("A=plain/text\nB=''\nC='a b'\nD='it'\\''s'\n",
      environment.text({ D = "it's", C = "a b", B = "", A = "plain/text" }, "shell"))
  end)

  it("may have a zero byte behind each", function()
    assert.are.equal("A=x\ny\0B=\0", environment.text({ A = "x\ny", B = "" }, "null"))
  end)
end)
