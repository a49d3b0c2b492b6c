local keyvalue = require "moonrise.format.keyvalue"
local spec = require "spec"

local with, message = spec.with, spec.message

local PLAIN = [[
# addresses
mynetworks = 127.0.0.0/8,
    [::1]/128
; old
smtpd_banner=$myhostname ESMTP
passwd:         files systemd
a:b = c
Port 22
 Indented yes
UseDNS
empty =
]]

local SHELL = [[
# options
DAEMON_ARGS="-f /etc/x \$HOME \"q\" $X" # as root
export LANG=C.UTF-8
NOTE='it'"'"'s
two lines'
  PLAIN=a\ b#c
EMPTY=
if [ -f /etc/default/y ]; then . /etc/default/y; fi
TIME=$(date "+%Y it's")
BOTH=1 command
echo "x
NOT=1" # it's
]]

local POSTGRESQL = [[
#listen_addresses = 'localhost'		# what IP address(es) to listen on;
Port = 5432				# (change requires restart)
shared_buffers 128MB
datestyle = 'iso, mdy'
log_line_prefix = '%m [%p] it''s \'\\\n\101 '# prefix
include_if_exists 'x.conf'
ratio=.5
]]

describe("keyvalue", function()
  it("gives the text back to the byte", function()
    for _, text in ipairs { PLAIN, PLAIN:gsub("\n", "\r\n"), PLAIN:sub(1, -2), "", "x" } do
      assert.equal(text, keyvalue.dump(keyvalue.parse(text)))
    end
  end)

  it("has values behind =, : or space", function()
    local values = keyvalue.parse(PLAIN):get()
    assert.same({
      mynetworks = "127.0.0.0/8,\n[::1]/128", smtpd_banner = "$myhostname ESMTP", passwd = "files systemd",
      ["a:b"] = "c", Port = "22", Indented = "yes", UseDNS = true, empty = "",
    }, values)
    assert.same(values, keyvalue.parse((PLAIN:gsub("\n", "\r\n"))):get())
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(PLAIN, old, new), keyvalue.edit(PLAIN, changes)) end
    changed("127.0.0.0/8,\n    [::1]/128", "x", { mynetworks = "x" })
    changed("=$myhostname ESMTP", "=x", { smtpd_banner = "x" })
    changed("files systemd", "files sss", { passwd = "files sss" })
    changed("Port 22", "Port 2222", { Port = 2222 })
    changed("Port 22\n", "Port 22\nPort 23\n", { Port = { 22, 23 } })
    changed("UseDNS", "UseDNS = no", { UseDNS = "no" })
    changed("a:b = c\n", "", { ["a:b"] = false })
    changed("empty =\n", "empty =\nnew = 1\n", { new = 1 })
    assert.equal("a = 1\nb = 2\nc\n", keyvalue.dump { b = 2, a = 1, c = true })
    assert.equal("Port 22\nHost x\n", keyvalue.edit("Port 22", { Host = "x" }))
    assert.equal("a: b\nc: d\n", keyvalue.edit("a: b\n", { c = "d" }))
  end)

  it("refuses what it is not, and what it can't hold", function()
    assert.equal("line 2: neither 'name = value' nor a comment", message(keyvalue.parse, "a = b\n= c\n"))
    for _, value in ipairs { " x", "x ", "a\n\nb" } do
      assert.equal("'a': keyvalue can't hold this name or value", message(keyvalue.edit, "", { a = value }))
    end
    assert.equal("'a': keyvalue can't hold this name or value", message(keyvalue.edit, "a b\n", { a = "= c" }))
    for _, name in ipairs { "", "a b", "a=b", "#a" } do
      assert.equal(("'%s': keyvalue can't hold this name or value"):format(name),
        message(keyvalue.edit, "", { [name] = "x" }))
    end
    assert.equal("keyvalue has no section 'a'", message(keyvalue.edit, "", { a = { b = 1 } }))
  end)
end)

describe("shell", function()
  local function edit(changes) return keyvalue.edit(SHELL, changes, "shell") end

  it("gives the text back to the byte", function()
    assert.equal(SHELL, keyvalue.dump(keyvalue.parse(SHELL, "shell")))
  end)

  it("reads quotes and expands nothing", function()
    assert.same({
      DAEMON_ARGS = '-f /etc/x $HOME "q" $X', LANG = "C.UTF-8", NOTE = "it's\ntwo lines", PLAIN = "a b#c", EMPTY = "",
    }, keyvalue.parse(SHELL, "shell"):get())
  end)

  it("changes one line, in quotes as before or where they are needed", function()
    local function changed(old, new, changes) assert.equal(with(SHELL, old, new), edit(changes)) end
    changed('"-f /etc/x \\$HOME \\"q\\" $X" #', '"\\$(rm) \\`x\\` \\\\" #', { DAEMON_ARGS = "$(rm) `x` \\" })
    changed("export LANG=C.UTF-8", "export LANG=C", { LANG = "C" })
    changed("export LANG=C.UTF-8", 'export LANG="a b"', { LANG = "a b" })
    changed("'it'\"'\"'s\ntwo lines'", "'$x\n'", { NOTE = "$x\n" })
    changed("'it'\"'\"'s\ntwo lines'", '"it\'s"', { NOTE = "it's" })
    changed("EMPTY=\n", "EMPTY=\nNEW=1\n", { NEW = 1 })
    changed("EMPTY=\n", "EMPTY=\nNOT=1\n", { NOT = 1 })
    assert.equal("export A=1\nexport B=\"~/x\"\n", keyvalue.edit("export A=1\n", { B = "~/x" }, "shell"))
  end)

  it("refuses what it is not, and what it can't hold", function()
    assert.equal("line 2: a quote is not closed", message(keyvalue.parse, "A=1\nB='x\n", "shell"))
    assert.equal("line 1: a quote is not closed", message(keyvalue.parse, 'A="x\\"\n', "shell"))
    assert.equal("'A-B': shell can't hold this name or value", message(edit, { ["A-B"] = "x" }))
    assert.equal("'A': shell can't hold this name or value", message(edit, { A = true }))
  end)
end)

describe("postgresql.conf", function()
  local function edit(changes) return keyvalue.edit(POSTGRESQL, changes, "postgresql") end

  it("gives the text back to the byte", function()
    assert.equal(POSTGRESQL, keyvalue.dump(keyvalue.parse(POSTGRESQL, "postgresql")))
  end)

  it("reads quotes, comments behind values, and names in any case", function()
    local doc = keyvalue.parse(POSTGRESQL, "postgresql")
    assert.equal("5432", doc:get("port"))
    assert.same({
      Port = "5432", shared_buffers = "128MB", datestyle = "iso, mdy", log_line_prefix = "%m [%p] it's '\\\nA ",
      include_if_exists = "x.conf", ratio = ".5",
    }, doc:get())
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(POSTGRESQL, old, new), edit(changes)) end
    changed("Port = 5432", "Port = 5433", { port = 5433 })
    changed("128MB", "'1 GB'", { shared_buffers = "1 GB" })
    changed("128MB", "''", { shared_buffers = "" })
    changed("iso, mdy", "x\\n''\\\\", { datestyle = "x\n'\\" })
    changed("ratio=.5\n", "ratio=.5\nlisten_addresses = '*'\n", { listen_addresses = "*" })
  end)

  it("refuses what it is not, and what it can't hold", function()
    local function wrong(text) return message(keyvalue.parse, text, "postgresql") end
    assert.equal("line 2: a quote is not closed", wrong("a = 1\nb = 'x\n'\n"))
    assert.equal("line 1: neither 'name = value' nor a comment", wrong("a = 1 2\n"))
    assert.equal("line 1: neither 'name = value' nor a comment", wrong("a\n"))
    assert.equal("'a b': postgresql.conf can't hold this name or value", message(edit, { ["a b"] = 1 }))
  end)

  it("takes a backslash at the very end for itself", function()
    local doc = keyvalue.parse("A=1\nB=x\\", "shell")
    assert.equal("x\\", doc:get "B")
    assert.equal("A=1\nB=x\\", tostring(doc))
  end)

  it("adds nothing behind a line that goes on", function()
    for _, text in ipairs { "echo a \\", 'X="a\nb" c $X\\' } do
      local doc = keyvalue.parse(text, "shell")
      assert.equal("'Y': it would become part of the line before it", message(doc.set, doc, "Y", "1"))
      assert.equal(text, tostring(doc))
    end
  end)
end)
