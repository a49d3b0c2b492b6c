local json = require "moonrise.format.json"
local secret = require "moonrise.secret"
local spec = require "spec"

local TEXT = [[
{
    "a" : 1,
    "b": { "x": [1, 2,3], "y": {}, "e": [ ] },
    "c": [
        "\u00e4\ud83d\ude00\n\/",
        null
    ],
    "d": false
}
]]

local message = spec.message

local function with(old, new) return spec.with(TEXT, old, new) end

describe("json", function()
  it("gives the text back to the byte", function()
    for _, text in ipairs { TEXT, " 1", "\xEF\xBB\xBF[]\n", "-0", "1.5e+3", '"x"', "12345678901234567890", "null" } do
      assert.equal(text, json.dump(json.parse(text)))
    end
  end)

  it("has values of Lua", function()
    local doc = json.parse(TEXT)
    assert.equal(1, doc:get("a"))
    assert.equal("integer", math.type(doc:get("a")))
    assert.is_false(doc:get("d"))
    assert.equal("ä😀\n/", doc:get("c", 1))
    assert.equal(json.null, doc:get("c", 2))
    assert.same({ 1, 2, 3 }, doc:list("b", "x"))
    assert.same({ 1 }, doc:list("a"))
    assert.same({}, doc:list("none"))
    assert.is_nil(doc:get("b", "x", 4))
    assert.is_nil(doc:get("a", "b"))
    assert.same({ "a", "b", "c", "d" }, doc:names())
    assert.equal(2, json.parse('{"a":1,"a":2}'):get("a"))
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(old, new), json.edit(TEXT, changes)) end
    changed('"a" : 1', '"a" : "x\\ny"', { a = "x\ny" })
    changed("[1, 2,3]", "[1,2]", { b = { x = { 1, 2 } } })
    changed("false", "true", { d = true })
    changed("false", "null", { d = json.null })
    changed("false", '"pw"', { d = secret.new "pw" })
    changed('    "a" : 1,\n', "", { a = json.absent })
    changed(',\n    "d": false', "", { d = json.absent })
    changed('false\n', 'false,\n    "e": 1.5\n', { e = 1.5 })
    changed("{}", '{\n        "z": [\n            1\n        ]\n    }', { b = { y = { z = { 1 } } } })
    changed("null\n", "null,\n        3\n", function(doc) doc:add("c", 3) end)
    changed(",\n        null", "", function(doc) assert.is_true(doc:drop("c", json.null)) end)
    changed("[1, 2,3]", "[ 2,3]", function(doc) doc:remove("b", "x", 1) end)
    changed("[1, 2,3]", "[1, 2,3,4]", function(doc) doc:set("b", "x", 4, 4) end)
    changed("false\n", 'false,\n    "n": {\n        "m": 1\n    }\n', function(doc) doc:set("n", "m", 1) end)
    assert.equal('{"b":[{}]}', json.edit('{"a":1}', { a = json.absent, b = { {} } }))
    assert.equal('{"a":1,"b":[]}', json.edit('{"a":1}', { b = json.list {} }))
    assert.equal("[\n  1\n]", json.edit("{}", { 1 }))
  end)

  it("leaves all bytes alone when nothing changes", function()
    local doc = json.parse(TEXT)
    assert.is_false(doc:set { a = 1, b = { x = { 1, 2, 3 }, y = {}, e = json.list {} }, d = false, none = json.absent })
    assert.is_false(doc:add("c", json.null))
    assert.is_false(doc:drop("c", "x"))
    assert.is_false(doc:remove("x"))
    assert.equal(TEXT, tostring(doc))
    assert.is_false(doc:set("a", 1.0))
  end)

  it("is made of values", function()
    assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": "\\"\\\\"\n}\n', json.dump { b = '"\\', a = { 1, {} } })
    assert.equal("0.1\n", json.dump(0.1))
    assert.equal("[]\n", json.dump(json.parse("[ ]"):get()))
    for _, number in ipairs { 1e300, 1 / 3, math.mininteger, -0.0 } do
      assert.equal(number, json.parse(json.dump(number)):get())
    end
  end)

  it("refuses what is none, with the line", function()
    for text, why in pairs {
      [""] = "a value is missing", ["{"] = "a name is missing", ["{,}"] = "a name is missing",
      ["[1,]"] = "this is no value", ["01"] = "this is no value", ["1."] = "this is no value",
      ["1e"] = "this is no value",
      ["-"] = "this is no value", ["tru"] = "this is no value", ["nan"] = "this is no value",
      ['"a'] = "a quote is not closed", ['"\t"'] = "a text has a control character in it",
      ['"\\x"'] = 'a backslash is followed by none of "\\/bfnrtu', ['"\\u12"'] = "this is no \\uXXXX",
      ["{} x"] = "something follows the value", ["{1:2}"] = "a name is missing", ['{"a" 1}'] = "a colon is missing",
      ["[1 2]"] = "a comma or ] is missing", [("["):rep(300)] = "too many brackets in brackets",
      ["1 // x"] = "something follows the value",
    } do
      assert.equal("line 3: " .. why, message(json.parse, "\n\n" .. text))
    end
  end)

  it("refuses what it can't hold", function()
    local function wrong(value) return message(json.edit, TEXT, { a = value }) end
    assert.equal("'a': json can't hold this text, which is no UTF-8", wrong("\xff"))
    assert.equal("'a': json can't hold this number", wrong(1 / 0))
    assert.equal("'a': json can't hold this number", wrong(0 / 0))
    assert.equal("'a' can't be a function", wrong(print))
    assert.equal("'a' has a hole in its list, or names beside it", wrong { 1, x = 2 })
    assert.equal("'a' has [2] beside names", wrong { [2] = 1, x = 2 })
    assert.equal("'b' 'x' 'k': the list is not so long",
      message(function() json.parse(TEXT):set("b", "x", "k", 1) end))
    assert.equal("'b' 'x' '9': the list is not so long", message(function() json.parse(TEXT):set("b", "x", 9, 1) end))
    assert.equal("'b' '1' is in an object, where values have names",
      message(function() json.parse(TEXT):set("b", 1, 1) end))
    assert.equal("'a' '2': the list is not so long", message(function() json.parse(TEXT):set("a", 2, 1) end))
    assert.equal("'b' is no list", message(function() json.parse(TEXT):add("b", 1) end))
    local deep = {}
    deep.deep = deep
    assert.equal("json can't hold tables in tables so deep", message(json.dump, deep))
  end)
end)
