local format = require "moonrise.format"
local spec = require "spec"

local message = spec.message

describe("the format of a file", function()
  local function edit(path, text, changes, name) return tostring(format.edit(path, text, changes, name)) end

  it("is told from its name", function()
    for path, text in pairs {
      ["/etc/krb5.conf"] = "[a]\nb = {\nx = 1\n}\n", ["/etc/php/8.2/cli/php.ini"] = "[a]\nb = 1 ; x\n",
      ["/etc/postgresql/15/main/postgresql.conf"] = "b = 'x' # c\n", ["/etc/default/x"] = "if y; then\nb=1\nfi\n",
      ["/etc/apache2/sites-enabled/x.conf"] = "<A b>\nc d\n</A>\n", ["dse.ldif"] = "dn: a\nb: c\n", ["x.json"] = "[]",
      ["/etc/sssd/sssd.conf"] = "[a]\nb = 1 ; x\n", ["/etc/sysctl.d/1.conf"] = "a.b = c\n",
    } do
      assert.equal(text, edit(path, text, function() end))
    end
    assert.equal("what format /etc/motd has can't be told from its name; `format` is one of apache, ini, json, " ..
      "keyvalue, krb5, ldif, php, postgresql, shell", message(edit, "/etc/motd", "", {}))
  end)

  it("is one that there is", function()
    assert.equal("a = b\n", edit("/etc/motd", "", { a = "b" }, "keyvalue"))
    assert.equal("there is no format 'jsn'; did you mean 'json'?", message(edit, "/etc/motd", "", {}, "jsn"))
  end)

  it("has errors that name the file", function()
    assert.equal("cannot edit x.json: line 1: a value is missing", message(edit, "x.json", "", {}))
    assert.equal("cannot edit x.ini: ini has no section 'a' 'b'", message(edit, "x.ini", "", { a = { b = { c = 1 } } }))
    assert.equal("mine", select(2, pcall(edit, "x.ini", "", function() error("mine", 0) end)))
  end)

  it("says what changed", function()
    local doc = format.edit("x.ini", "[a]\nb = 1\nc = 2\n", { a = { b = 1, c = 3, d = 4 }, e = { f = "x" }, g = false })
    assert.same({ "a c", "a d", "e f" }, doc:changes())
    doc = format.edit("x.json", '{"a": {"b": 1}}', { a = { b = 1, c = 3 }, d = { 1 } })
    assert.same({ "a c", "d" }, doc:changes())
    doc:add("d", 2)
    doc:drop("d", 1)
    doc:remove("a")
    assert.same({ "a c", "d", "d", "d", "a" }, doc:changes())
  end)
end)
