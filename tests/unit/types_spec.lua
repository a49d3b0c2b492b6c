local specification = require "moonrise.specification"
local types = require "moonrise.types"

local function setting(options)
  return specification.check({ X = options })[1].setting
end

-- Every text of `accepted` gives its value; every one of `refused` gives nil.
local function check(options, accepted, refused)
  local checked = setting(options)
  for text, value in pairs(accepted) do
    assert.same(value, types.parse(checked, text), ("%q"):format(text))
  end
  for _, text in ipairs(refused) do
    assert.is_nil((types.parse(checked, text)), ("%q"):format(text))
  end
end

describe("the type", function()
  it("string", function()
    check({ type = "string" }, { [""] = "", [" a\nb "] = " a\nb " }, { "a\0b" })
    check({ min = 2, max = 3 }, { ab = "ab", ["äöü"] = "äöü" }, { "a", "abcd" })
    check({ pattern = "%l+%d?" }, { ab = "ab", ab1 = "ab1" }, { "ab12", "1ab", "" })
  end)

  it("int", function()
    check({ type = "int" },
      { ["0"] = 0, ["-7"] = -7, ["+7"] = 7, ["007"] = 7, ["9223372036854775807"] = math.maxinteger },
      { "", "1.0", "0x10", "1e3", " 1", "1 ", "ten", "99999999999999999999" })
    check({ type = "int", min = -1, max = 10 }, { ["-1"] = -1, ["10"] = 10 }, { "-2", "11" })
  end)

  it("port", function()
    check({ type = "port" }, { ["1"] = 1, ["65535"] = 65535 }, { "0", "65536", "-1", "http", "80/tcp" })
    check({ type = "port", min = 1024 }, { ["1024"] = 1024 }, { "80" })
  end)

  it("bool", function()
    check({ type = "bool" }, { ["true"] = true, Yes = true, ON = true, ["1"] = true,
      ["false"] = false, no = false, Off = false, ["0"] = false }, { "", "y", "2", "maybe" })
  end)

  it("enum", function()
    check({ type = "enum", values = { "dev", "prod" } }, { dev = "dev", prod = "prod" }, { "", "Prod", "test" })
  end)

  it("hostname", function()
    local label = ("a"):rep(63)
    check({ type = "hostname" },
      { localhost = "localhost", ["www.Example.org"] = "www.Example.org", ["a-b.c1"] = "a-b.c1",
        [label .. ".org"] = label .. ".org", ["4.example"] = "4.example" },
      { "", ".", "a..b", ".a", "a.", "-a", "a-", "a_b", "a b", "ä", label .. "a", "10.0.0.1", "::1", "a:80",
        (("a"):rep(50) .. "."):rep(5) .. "org" })
  end)

  it("path", function()
    check({ type = "path" }, { ["/"] = "/", ["/a b/c"] = "/a b/c" }, { "", "a/b", "./a", "~/a", "/a\nb" })
  end)

  it("dn", function()
    local good = { "dc=example,dc=org", "cn=Directory Manager", "ou=People, dc=example", "1.3.6.1=x",
      "cn=Doe\\, Jane,dc=x", "cn=a+sn=b,dc=x", "cn=a\\2Cb", "cn=#04024869", "cn=ä,dc=x", "cn=a=b" }
    local accepted = {}
    for _, dn in ipairs(good) do accepted[dn] = dn end
    check({ type = "dn" }, accepted, { "", "example", "dc=", "=x", "dc=a,,dc=b", "dc=a,", "cn=a;b", 'cn="a"', "cn=#0",
      "1a=x", "c n=x", "cn=a\\" })
  end)

  it("duration", function()
    check({ type = "duration" }, { ["30s"] = 30, ["1h 30min"] = 5400, ["5"] = 5 }, { "", "s", "-1", "1 parsec" })
    check({ type = "duration", min = "1s", max = "1min" }, { ["1s"] = 1, ["60"] = 60 }, { "900ms", "61s" })
  end)

  it("bytes", function()
    check({ type = "bytes" }, { ["64M"] = 64 << 20, ["10"] = 10 }, { "", "M", "64Q", "-1" })
    check({ type = "bytes", min = "1M" }, { ["1M"] = 1 << 20 }, { "1023K" })
  end)

  it("list", function()
    check({ type = "list" }, { ["a, b ,c"] = { "a", "b", "c" }, [""] = {}, ["a,,b,"] = { "a", "b" } }, {})
    check({ type = "list", of = "port", separator = " " }, { ["80  443"] = { 80, 443 } }, { "80 https", "80,443" })
    check({ type = "list", of = { type = "enum", values = { "a", "b" } }, min = 1, max = 2 },
      { a = { "a" }, ["a,b"] = { "a", "b" } }, { "", "a,c", "a,b,a" })
  end)

  it("takes any bytes calmly, and many of them quickly", function()
    math.randomseed(20)
    local alphabet = 'a1-.,=+#\\"/: \n\0\255KMs'
    local texts = {}
    for i = 1, 500 do
      local bytes = {}
      for j = 1, math.random(0, 12) do
        local at = math.random(#alphabet)
        bytes[j] = alphabet:sub(at, at)
      end
      texts[i] = table.concat(bytes)
    end
    for _, unit in ipairs { "1", " ", "a", ",", "\\", "\n", "\255" } do texts[#texts + 1] = unit:rep(1 << 20) .. "x" end
    for name in pairs(types.TYPES) do
      local checked = setting { type = name, values = name == "enum" and { "a" } or nil }
      for _, text in ipairs(texts) do types.parse(checked, text) end
    end
  end)

  it("says what it takes", function()
    local cases = {
      ["a whole number from 1 to 10"] = { type = "int", min = 1, max = 10 },
      ["a port, a number from 1 to 65535"] = { type = "port" },
      ["a text, at least 2 characters"] = { min = 2 },
      ['a text that matches "%d+"'] = { pattern = "%d+" },
      ["one of dev, prod"] = { type = "enum", values = { "dev", "prod" } },
      ['a duration such as "30s" or "1h 30min", at most 1h'] = { type = "duration", max = "1h" },
      ["a list separated by commas, of which each is an absolute path"] = { type = "list", of = "path" },
    }
    for words, options in pairs(cases) do assert.equal(words, types.takes(setting(options))) end
  end)

  it("has an example that it accepts", function()
    for name in pairs(types.TYPES) do
      local checked = setting { type = name, values = name == "enum" and { "a" } or nil }
      assert.not_nil((types.parse(checked, types.example(checked))), name)
    end
    assert.equal("xxxxxxxxxxxx", types.example(setting { type = "secret", min = 12 }))
    assert.equal("1024", types.example(setting { type = "int", min = 1024 }))
  end)
end)
