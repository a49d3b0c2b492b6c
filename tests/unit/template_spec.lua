local template = require "moonrise.template"
local secret = require "moonrise.secret"
local strict = require "moonrise.strict"

local function render(text, values) return assert(template.render(text, values or {}, "site.conf.in")) end

local function message(text, values)
  local result, why = template.render(text, values or {}, "site.conf.in")
  assert.is_nil(result)
  return why
end

describe("template values", function()
  it("put text and numbers in", function()
    assert.equal("Listen 8080 on a.example\n",
      render("Listen {{PORT}} on {{ NAME }}\n", { PORT = 8080, NAME = "a.example" }))
    assert.equal("1.5 true false", render("{{x}} {{y}} {{z}}", { x = 1.5, y = true, z = false }))
    assert.equal("", render("", {}))
  end)

  it("reach into tables", function()
    assert.equal("/c.pem", render("{{tls.cert}}", { tls = { cert = "/c.pem" } }))
  end)

  it("reveal secrets", function()
    assert.equal("pw=s3cret", render("pw={{PW}}", { PW = secret.new("s3cret") }))
    assert.equal("yes", render("{{if PW == \"s3cret\"}}yes{{end}}", { PW = secret.new("s3cret") }))
  end)

  it("are not templates themselves", function()
    assert.equal("{{NAME}} %1 $x", render("{{NAME}}", { NAME = "{{NAME}} %1 $x" }))
  end)

  it("leave other formats' brackets alone", function()
    local text = 'LogFormat "%{%Y}t ${X} %{Referer}i"\n$host { } {a,b} <If> [x] {"a":{"b":1}} $((1)) }}\n'
    assert.equal(text, render(text))
  end)

  it("write braces", function()
    assert.equal("{{x}} }} a", render('{{"{{"}}x}} {{ "}}" }} {{"a"}}'))
  end)
end)

describe("template conditions", function()
  local text = "{{if A}}a{{elseif B == 2}}b{{else}}c{{end}}"

  it("take the first branch that holds", function()
    assert.equal("a", render(text, { A = true, B = 2 }))
    assert.equal("b", render(text, { A = false, B = 2 }))
    assert.equal("c", render(text, { A = false, B = 3 }))
  end)

  it("take false, unset, empty text and the empty list as no", function()
    local known = { A = true, B = true }
    for _, values in ipairs { { A = false }, {}, { A = "" }, { A = {} } } do
      assert.equal("no", render("{{if A}}yes{{else}}no{{end}}", strict.readonly(values, "setting", known)))
      assert.equal("yes", render("{{if not A}}yes{{end}}", strict.readonly(values, "setting", known)))
    end
    for _, value in ipairs { true, 0, "0", { 1 } } do
      assert.equal("yes", render("{{if A}}yes{{else}}no{{end}}", { A = value }))
    end
  end)

  it("compare", function()
    local values = { mode = "event", other = "event", n = 3, on = true }
    for test, expected in pairs {
      ['mode == "event"'] = true, ['mode=="x"'] = false, ['mode != "x"'] = true, ['mode!="event"'] = false,
      ["mode == other"] = true, ["n == 3"] = true, ["n != 4"] = true, ["n == 3.0"] = true, ["on == true"] = true,
      ["on == false"] = false, ['n == "3"'] = false,
    } do
      assert.equal(expected and "yes" or "", render("{{if " .. test .. "}}yes{{end}}", values), test)
    end
  end)
end)

describe("template loops", function()
  it("go through lists", function()
    assert.equal("a.b.", render("{{for x in LIST}}{{x}}.{{end}}", { LIST = { "a", "b" } }))
    assert.equal("", render("{{for x in LIST}}{{x}}{{end}}", { LIST = {} }))
    assert.equal("a=1 b=2 ", render("{{for h in hosts}}{{h.name}}={{h.port}} {{end}}",
      { hosts = { { name = "a", port = 1 }, { name = "b", port = 2 } } }))
  end)

  it("nest, and see the names outside", function()
    assert.equal("a1Xa2Xb1Xb2X", render("{{for x in X}}{{for y in Y}}{{x}}{{y}}{{Z}}{{end}}{{end}}",
      { X = { "a", "b" }, Y = { 1, 2 }, Z = "X" }))
    assert.equal("1", render("{{for x in X}}{{for x in x.list}}{{x}}{{end}}{{end}}", { X = { { list = { 1 } } } }))
  end)
end)

describe("template lines", function()
  it("of tags alone vanish", function()
    assert.equal("a\nb\nc\n", render("a\n  {{if A}}\nb\n\t{{end}}  \n{{# say so }}\nc\n", { A = true }))
    assert.equal("a\r\nb\r\n", render("a\r\n{{if A}}\r\nb\r\n{{end}}\r\n", { A = true }))
    assert.equal("a\n", render("{{if A}}\na\n{{end}}", { A = true }))
    assert.equal("1\n2\n", render("{{for x in X}}\n{{x}}\n{{end}}\n", { X = { 1, 2 } }))
  end)

  it("of tags with text stay", function()
    assert.equal("a \nx b\n", render("a {{if A}}\nx {{end}}b\n", { A = true }))
    assert.equal("{{}}\n", render('{{if A}}{{"{{"}}}}{{end}}\n', { A = true }))
  end)
end)

describe("template escapes", function()
  local function one(escape, value) return render("{{x | " .. escape .. "}}", { x = value }) end

  it("make one value of it, whatever it is", function()
    assert.equal("'it'\\''s $x\n'", one("shell", "it's $x\n"))
    assert.equal('"a \\"b\\" \\\\"', one("conf", 'a "b" \\'))
    assert.equal("&lt;a b=&quot;&#39;&amp;&gt;\n\t", one("xml", "<a b=\"'&>\n\t"))
    assert.equal('"a\\"\\n"', one("json", 'a"\n'))
    assert.equal('[1,{"a":true}]', one("json", { 1, { a = true } }))
    assert.equal("1 2.5 false", one("json", 1) .. " " .. one("json", 2.5) .. " " .. one("json", false))
    assert.equal(": x", one("ldif", "x"))
    assert.equal(":: IHg=", one("ldif", " x"))
    assert.equal("'it''s'", one("sql", "it's"))
    assert.equal("E'\\\\''; drop'", one("sql", "\\'; drop"))
    assert.equal("1 TRUE", one("sql", 1) .. " " .. one("sql", true))
    assert.equal("a'b", one("raw", "a'b"))
    assert.equal("'s3cret'", one("shell", secret.new "s3cret"))
  end)

  it("hold for all values behind them in the file", function()
    assert.equal("a'b\n'a'\\''b' a'b 'a'\\''b'\n\"a'b\"",
      render('{{x}}\n{{escape shell}}\n{{x}} {{x|raw}} {{for y in L}}{{y}}{{end}}\n{{escape conf}}\n{{x}}',
        { x = "a'b", L = { "a'b" } }))
  end)

  it("refuse what the format can't hold", function()
    assert.equal("site.conf.in:2: 'x' has a line break in it", message("\n{{x|conf}}", { x = "a\nb" }))
    assert.equal("site.conf.in:1: 'x' has a NUL byte in it", message("{{x|shell}}", { x = "a\0b" }))
    assert.equal("site.conf.in:1: 'x' has a NUL byte in it", message("{{x|sql}}", { x = "a\0b" }))
    assert.equal("site.conf.in:1: 'x' has a control character in it, which XML can't have",
      message("{{x|xml}}", { x = "\27" }))
    assert.equal("site.conf.in:1: 'x' can't be written as JSON", message("{{x|json}}", { x = "\xff" }))
    assert.equal("site.conf.in:1: there is no escape 'shel'; did you mean 'shell'?", message("{{x|shel}}", { x = 1 }))
    assert.equal("site.conf.in:2: there is no escape 'html'", message("\n{{escape html}}", { x = 1 }))
  end)

  it("take no names away", function()
    assert.equal("a b", render("{{escape}} {{include|raw}}", { escape = "a", include = "b" }))
  end)
end)

describe("template includes", function()
  local files = {
    ["/t/head.in"] = "# {{NAME}}\n", ["/t/sub/a.in"] = '{{include "b.in"}}{{x}}{{y}}\n',
    ["/t/sub/b.in"] = "b{{x|raw}} ",
    ["/t/loop.in"] = '{{include "loop.in"}}', ["/t/bad.in"] = "\n{{end}}\n", ["/t/unknown.in"] = "\n\n{{NAM}}\n",
    ["/x"] = "{{if NAME}}x{{end}}",
  }
  local function read(path) return files[path], not files[path] and "No such file or directory" or nil end
  local function include(text, values) return template.render(text, values or { NAME = "n" }, "/t/site.in", read) end

  it("put another template in, with the same names", function()
    assert.equal("# n\nrest\n", include('{{include "head.in"}}\nrest\n'))
    assert.equal("x", include('{{include "/x"}}'))
    assert.equal("b'1 '1'2\nb'2 '2'2\n", include('{{for y in Y}}{{for x in X}}{{include "sub/a.in"}}{{end}}{{end}}',
      { X = { "'1", "'2" }, Y = { "'2" } }))
    assert.equal("", include('{{if not NAME}}{{include "none.in"}}{{end}}'))
  end)

  it("have escapes of their own", function()
    files["/t/own.in"] = "{{escape shell}}\n{{NAME}}"
    assert.equal("'n'n", include('{{include "own.in"}}{{NAME}}'))
    assert.equal("# n\n", include('{{escape shell}}{{include "head.in"}}'))
  end)

  it("name the file that an error is in", function()
    local function why(text) return select(2, include(text)) end
    assert.equal("/t/site.in:2: cannot include /t/none.in: No such file or directory", why('\n{{include "none.in"}}'))
    assert.equal("/t/bad.in:2: {{end}} without {{if}} or {{for}}", why('{{include "bad.in"}}'))
    assert.equal("/t/unknown.in:3: unknown name 'NAM'; did you mean 'NAME'?", why('{{include "unknown.in"}}'))
    assert.truthy(why('{{include "loop.in"}}'):find("loop.in' is included in itself", 1, true))
    assert.equal("/t/site.in:1: 'include x' names no file; it is {{include \"FILE\"}}", why("{{include x}}"))
    assert.equal("site.conf.in:1: cannot include a: there are no other templates", message('{{include "a"}}'))
  end)
end)

describe("template errors", function()
  it("name the file and the line", function()
    assert.equal("site.conf.in:3: unknown name 'SERVR'; did you mean 'SERVER'?",
      message("a\n{{# c }}\nb {{SERVR}}\n", { SERVER = "x" }))
    assert.equal("site.conf.in:1: unknown name 'zebra'", message("{{zebra}}", { SERVER = "x" }))
    assert.equal("site.conf.in:2: unknown name 'tls.crt'; did you mean 'cert'?",
      message("\n{{tls.crt}}", { tls = { cert = "x" } }))
  end)

  it("of settings too", function()
    local settings = strict.readonly({ PORT = 80 }, "setting", { PORT = true, MAIL = true })
    assert.equal("site.conf.in:1: unknown name 'PROT'; did you mean 'PORT'?", message("{{PROT}}", settings))
    assert.equal("site.conf.in:1: unknown name 'PROT'; did you mean 'PORT'?", message("{{if PROT}}{{end}}", settings))
    assert.equal("site.conf.in:1: 'MAIL' is not set; {{if MAIL}} asks for that", message("{{MAIL}}", settings))
  end)

  it("explain each mistake", function()
    for text, expected in pairs {
      ["{{if A}}\n"] = "1: {{if}} has no {{end}}",
      ["\n{{for x in A}}{{x}}"] = "2: {{for}} has no {{end}}",
      ["{{if A}}{{else}}"] = "1: {{else}} has no {{end}}",
      ["{{end}}"] = "1: {{end}} without {{if}} or {{for}}",
      ["{{else}}"] = "1: {{else}} without {{if}}",
      ["{{if A}}{{else}}{{else}}{{end}}"] = "1: {{else}} without {{if}}",
      ["{{if A}}{{else}}{{elseif A}}{{end}}"] = "1: {{elseif}} without {{if}}",
      ["{{if A}}{{else if A}}{{end}}"] = "1: {{else}} takes nothing; {{elseif A}} takes a condition",
      ["{{if A}}{{end if}}"] = "1: {{end}} takes nothing",
      ["{{for A}}"] = "1: 'for A' is no loop; it is {{for x in LIST}}",
      ["{{for x in N}}{{end}}"] = "1: 'N' is no list",
      ["{{A B}}"] = "1: '{{A B}}' is no name, and none of if, elseif, else, for, end",
      ["{{}}"] = "1: '{{}}' is no name, and none of if, elseif, else, for, end",
      ["{{A..B}}"] = "1: '{{A..B}}' is no name, and none of if, elseif, else, for, end",
      ["{{if A or B}}{{end}}"] =
        "1: 'A or B' is no condition; there are NAME, not NAME, NAME == VALUE and NAME != VALUE",
      ["{{if}}{{end}}"] = "1: '' is no condition; there are NAME, not NAME, NAME == VALUE and NAME != VALUE",
      ["{{if N == 'x'}}{{end}}"] = "1: ''x'' is no \"text\", number or name",
      ["a {{ b\n}}"] = "1: {{ without }} on the same line; {{\"{{\"}} writes two braces",
      ["{{L}}"] = "1: 'L' is a list; {{for x in L}} goes through it",
      ["{{N.x}}"] = "1: 'N' has no fields, so there is no 'N.x'",
      ["{{F}}"] = "1: 'F' is a function, which is no text",
    } do
      assert.equal("site.conf.in:" .. expected, message(text, { A = true, N = 1, L = { 1 }, F = print }), text)
    end
  end)
end)
