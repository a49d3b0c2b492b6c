-- SPDX-License-Identifier: MIT
local usage = require "moonrise.usage"

describe("usage", function()
  it("says bytes in three digits at most", function()
    for bytes, text in pairs {
      [0] = "0", [999] = "999", [1000] = "1.0K", [1023] = "1.0K", [10240] = "10K", [1022976] = "999K",
      [1 << 20] = "1.0M", [10433331] = "9.9M", [10485760] = "10M", [1 << 30] = "1.0G", [1 << 50] = "1024T",
    } do
      assert.are.equal(text, usage.bytes(bytes))
    end
  end)

  it("says nothing of a service without a process", function() assert.is_nil(usage.of {}) end)
end)
