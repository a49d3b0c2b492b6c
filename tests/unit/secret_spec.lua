local secret = require "moonrise.secret"

describe("a secret", function()
  local password = secret.new("hunter2")

  it("gives its value only when asked", function()
    assert.equal("hunter2", password:reveal())
    assert.equal("hunter2", secret.reveal(password))
    assert.equal("plain", secret.reveal("plain"))
    assert.is_true(secret.is(password))
    assert.is_false(secret.is("plain"))
  end)

  it("is printed as <secret>", function()
    assert.equal("<secret>", tostring(password))
    assert.equal("pw=<secret>", ("pw=%s"):format(password))
    assert.is_nil(next(password))
    assert.is_nil(password.value)
  end)

  it("does not become part of a text", function()
    local why = "a secret does not become part of a text by itself; :reveal%(%) gives its value"
    assert.error_matches(function() return "pw=" .. password end, why)
    assert.error_matches(function() return password .. "\n" end, why)
    assert.error_matches(function() return #password end, why)
    assert.error_matches(function() password.x = 1 end, why)
  end)

  it("equals another with the same value", function()
    assert.is_true(password == secret.new("hunter2"))
    assert.is_false(password == secret.new("other"))
  end)
end)
