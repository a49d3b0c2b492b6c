local pretty = require "moonrise.pretty"

local function secretive(text)
  return setmetatable({ value = "hidden" }, { __tostring = function() return text end })
end

describe("moonrise.pretty", function()
  local rows = {
    { nil, "nil" },
    { true, "true" },
    { 12, "12" },
    { 1.5, "1.5" },
    { "text", '"text"' },
    { 'a "b"\n\t\\', [["a \"b\"\n\t\\"]] },
    { "grüße", '"grüße"' },
    { "\0\127\255", [["\x00\x7f\xff"]] },
    { {}, "{}" },
    { { 1, 2, nil, 4 }, "{ 1, 2, [4] = 4 }" },
    { { b = 1, a = 2 }, "{ a = 2, b = 1 }" },
    { { ["end"] = 1, ["a b"] = 2 }, '{ ["a b"] = 2, ["end"] = 1 }' },
    { { [true] = 1, [2] = 2, x = 3 }, "{ [2] = 2, x = 3, [true] = 1 }" },
    { { a = { b = { "c" } } }, '{ a = { b = { "c" } } }' },
    { print, "<function, built in>" },
    { secretive "<secret>", "<secret>" },
    { { password = secretive "<secret>" }, "{ password = <secret> }" },
  }
  for i = 1, #rows do
    it("shows " .. rows[i][2], function() assert.equal(rows[i][2], pretty.value(rows[i][1])) end)
  end

  it("says where a function is from", function()
    assert.matches("^<function, .*pretty_spec.lua:%d+>$", pretty.value(secretive))
  end)

  it("breaks what is too long for a line", function()
    local long = ("x"):rep(50)
    assert.equal('{\n  a = "' .. long .. '",\n  b = {\n    "' .. long .. '",\n    "' .. long .. '"\n  }\n}',
      pretty.value { a = long, b = { long, long } })
  end)

  it("does not follow a table into itself", function()
    local t = { name = "t" }
    t.t = t
    assert.equal('{ name = "t", t = <the same again> }', pretty.value(t))
    local shared = {}
    assert.equal("{ {}, {} }", pretty.value { shared, shared })
  end)

  it("ends at some depth and after some entries", function()
    assert.equal("{ { { { { { {...} } } } } } }", pretty.value { { { { { { { 1 } } } } } } })
    local many = {}
    for i = 1, 1000 do many[i] = i end
    assert.matches("200,\n  ... 800 more\n}$", pretty.value(many))
  end)

  it("goes on when a value does not want to be shown", function()
    local function refuse() error "no" end
    assert.equal("<table that does not print>", pretty.value(setmetatable({}, { __tostring = refuse })))
    assert.equal("<table that does not show its entries>", pretty.value(setmetatable({}, { __pairs = refuse })))
  end)

  it("puts commas between several", function()
    assert.equal('1, nil, "a"', pretty.values(table.pack(1, nil, "a")))
    assert.equal("", pretty.values(table.pack()))
  end)
end)
