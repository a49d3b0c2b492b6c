local ini = require "moonrise.format.ini"
local spec = require "spec"

local with, message = spec.with, spec.message

local SSSD = ([[
# made by hand
[sssd]
services = nss, pam
domains = a.example,
    b.example
  # not yet
;config_file_version = 1

# the first
[domain/a.example]
id_provider = ldap
ldap_uri = ldap://[::1]/?x=y@@
access_provider=simple
bare
]]):gsub("@", " ")

local PHP = [[
[PHP]
;;;;;;;;
engine = On
error_reporting = E_ALL & ~E_DEPRECATED
arg_separator.output = "&amp;" ; for XHTML
name = "a \"b\\c" "d"
path = 'C:\x;y'
extension=curl
extension=gd ; pictures
empty =

[Session]
session.save_path = "/var/lib/php"
]]

local KRB5 = [[
include /etc/krb5.d/x
[libdefaults]
	default_realm = ATHENA.MIT.EDU
	rdns = false

; who is where
[realms]
	ATHENA.MIT.EDU = {
		kdc = kerberos.mit.edu
		kdc = kerberos-1.mit.edu
		note = "a \"b\"\n"
	}
	stanford.edu =
	{
		kdc = krb5auth1.stanford.edu
		deeper = {
			x = 1
		}*
	}
[domain_realm]*
	.mit.edu = ATHENA.MIT.EDU
]]

describe("ini", function()
  it("gives the text back to the byte", function()
    local crlf = SSSD:gsub("\n", "\r\n")
    for _, text in ipairs { SSSD, crlf, SSSD:sub(1, -2), "", "\n", "x = 1", "\xEF\xBB\xBF[a]\nb=c\n" } do
      assert.equal(text, ini.dump(ini.parse(text)))
    end
  end)

  it("has values in sections, and before them", function()
    local doc = ini.parse("top = 1\n" .. SSSD)
    assert.equal("1", doc:get("top"))
    assert.equal("nss, pam", doc:get("sssd", "services"))
    assert.equal("a.example,\nb.example", doc:get("sssd", "domains"))
    assert.equal("ldap://[::1]/?x=y", doc:get("domain/a.example", "ldap_uri"))
    assert.equal("simple", doc:get("domain/a.example", "access_provider"))
    assert.is_true(doc:get("domain/a.example", "bare"))
    assert.is_nil(doc:get("sssd", "config_file_version"))
    assert.is_nil(doc:get("SSSD", "services"))
    assert.same({ "top", "sssd", "domain/a.example" }, doc:names())
    assert.equal("a  b\nc", ini.parse("[x]\ny = a \\\nb\n c\n"):get("x", "y"))
    assert.equal("b", ini.parse("\xEF\xBB\xBFa = b"):get("a"))
  end)

  it("takes sections of the same name as one; the last value counts", function()
    local text = "[a]\nx=1\n[b]\n[a]\nx=2\n"
    assert.equal("2", ini.parse(text):get("a", "x"))
    assert.equal("[a]\nx=1\n[b]\n[a]\nx=3\n", with(ini.edit(text, { a = { x = { 1, 3 } } }), "", ""))
    assert.equal("[a]\n[b]\n[a]\nx=3\n", ini.edit(text, { a = { x = 3 } }))
    assert.equal("[a]\nx=1\n[b]\n[a]\nx=2\ny=4\n", ini.edit(text, { a = { y = 4 } }))
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(SSSD, old, new), ini.edit(SSSD, changes)) end
    changed("services = nss, pam", "services = nss", { sssd = { services = "nss" } })
    changed("provider=simple", "provider=permit", { ["domain/a.example"] = { access_provider = "permit" } })
    changed("?x=y  \n", "?z  \n", { ["domain/a.example"] = { ldap_uri = "ldap://[::1]/?z" } })
    changed("a.example,\n    b.example", "c", { sssd = { domains = "c" } })
    changed("a.example,\n    b.example", "c\n    d", { sssd = { domains = "c\nd" } })
    changed("\nbare\n", "\nbare = x\n", { ["domain/a.example"] = { bare = "x" } })
    changed("id_provider = ldap", "id_provider", { ["domain/a.example"] = { id_provider = true } })
    changed("services = nss, pam\n", "", { sssd = { services = false } })
    changed("    b.example\n", "    b.example\ndebug_level = 9\n", { sssd = { debug_level = 9 } })
    local crlf = SSSD:gsub("\n", "\r\n")
    assert.equal(with(crlf, "nss, pam\r\n", "x\r\n"), ini.edit(crlf, { sssd = { services = "x" } }))
    assert.equal(with(crlf, "bare\r\n", "bare\r\nnew = x\r\n"),
      ini.edit(crlf, { ["domain/a.example"] = { new = "x" } }))
  end)

  it("adds sections an empty line apart, and takes them out", function()
    assert.equal(SSSD .. "\n[pam]\na = 1\nb = 2\n", ini.edit(SSSD, { pam = { b = 2, a = 1 } }))
    assert.equal("[a]\nx = 1\n", ini.dump { a = { x = 1 } })
    assert.equal("# c\nx = 1\n[a]\n", ini.edit("# c\n[a]", { x = 1 }):gsub("%]$", "]\n"))
    assert.equal("[a]\ny\n\n[b]\nz = 1\n", ini.edit("[a]\ny", { b = { z = 1 } }))
    assert.equal(with(SSSD, SSSD:match("%[sssd.-\n\n"), ""), ini.edit(SSSD, { sssd = false }))
  end)

  it("refuses what is none, with the line", function()
    assert.equal("line 2: neither [section] nor 'name = value'", message(ini.parse, "[a]\nnot this\n"))
    assert.equal("line 3: this is no [section]", message(ini.parse, "[a]\nb =\n[c\n"))
    assert.equal("line 1: this is no [section]", message(ini.parse, "[c] d\n"))
    assert.equal("there is no style 'pph' of ini; did you mean 'php'?", message(ini.parse, "", "pph"))
  end)

  it("refuses what it can't hold", function()
    for _, value in ipairs { " x", "x ", "a\n\nb", "a\n#b", "x\\", "a\n b", "a\n[b]", "\n" } do
      assert.equal("'a' 'b': ini can't hold this name or value", message(ini.edit, "", { a = { b = value } }))
    end
    for _, name in ipairs { "", "a=b", "[a]", "#a", " a", "a\nb" } do
      assert.equal(("'a' '%s': ini can't hold this name or value"):format(name),
        message(ini.edit, "", { a = { [name] = "x" } }))
    end
    assert.equal("'a]': ini can't hold this name", message(ini.edit, "", { ["a]"] = { b = "x" } }))
    assert.equal("'a' 'b': the line behind it would become part of the one before",
      message(ini.edit, "[a]\nb\n  c = d\n", { a = { b = "x" } }))
    assert.equal("'b': the line behind it would become part of the one before",
      message(ini.edit, "[a]\nx = 1\nb\n  c = d\n", { a = { b = false } }))
    assert.equal("ini has no section 'a' 'b'", message(ini.edit, "", { a = { b = { c = 1 } } }))
  end)
end)

describe("php.ini", function()
  local function edit(changes) return ini.edit(PHP, changes, "php") end

  it("gives the text back to the byte", function()
    assert.equal(PHP, ini.dump(ini.parse(PHP, "php")))
  end)

  it("reads quotes and comments behind values", function()
    local php = ini.parse(PHP, "php"):get("PHP")
    assert.equal("E_ALL & ~E_DEPRECATED", php.error_reporting)
    assert.equal("&amp;", php["arg_separator.output"])
    assert.equal("C:\\x;y", php.path)
    assert.equal('"a \\"b\\\\c" "d"', php.name)
    assert.same({ "curl", "gd" }, php.extension)
    assert.equal("", php.empty)
  end)

  it("keeps quotes and comments, and adds quotes where they are needed", function()
    local function changed(old, new, changes) assert.equal(with(PHP, old, new), edit { PHP = changes }) end
    changed('"&amp;" ;', '"&" ;', { ["arg_separator.output"] = "&" })
    changed("'C:\\x;y'", '"D:\\\\"', { path = "D:\\" })
    changed("engine = On", "engine = Off", { engine = "Off" })
    changed("engine = On", 'engine = "a;b"', { engine = "a;b" })
    changed("engine = On", 'engine = "a=\\"b"', { engine = 'a="b' })
    changed("~E_DEPRECATED", "~E_NOTICE", { error_reporting = "E_ALL & ~E_NOTICE" })
    changed("empty =\n", "empty =\nnew = 1\n", { new = 1 })
    changed("extension=gd ;", "extension=xml ;", { extension = { "curl", "xml" } })
    assert.equal("line 1: a quote is not closed", message(ini.parse, 'a = "b\n', "php"))
  end)
end)

describe("krb5.conf", function()
  local function edit(changes) return ini.edit(KRB5, changes, "krb5") end

  it("gives the text back to the byte", function()
    assert.equal(KRB5, ini.dump(ini.parse(KRB5, "krb5")))
  end)

  it("has sections in sections; the first value counts", function()
    local doc = ini.parse(KRB5, "krb5")
    assert.equal("kerberos.mit.edu", doc:get("realms", "ATHENA.MIT.EDU", "kdc"))
    assert.same({ "kerberos.mit.edu", "kerberos-1.mit.edu" }, doc:list("realms", "ATHENA.MIT.EDU", "kdc"))
    assert.equal('a "b"\n', doc:get("realms", "ATHENA.MIT.EDU", "note"))
    assert.equal("1", doc:get("realms", "stanford.edu", "deeper", "x"))
    assert.same({ "ATHENA.MIT.EDU", "stanford.edu" }, doc:names("realms"))
    assert.equal("ATHENA.MIT.EDU", doc:get("domain_realm", ".mit.edu"))
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(KRB5, old, new), edit(changes)) end
    changed("default_realm = ATHENA.MIT.EDU", "default_realm = X", { libdefaults = { default_realm = "X" } })
    changed("		kdc = kerberos-1.mit.edu\n", "", { realms = { ["ATHENA.MIT.EDU"] = { kdc = "kerberos.mit.edu" } } })
    changed("x = 1", 'x = " "', { realms = { ["stanford.edu"] = { deeper = { x = " " } } } })
    changed("krb5auth1.stanford.edu\n", "krb5auth1.stanford.edu\n		y = 2\n",
      { realms = { ["stanford.edu"] = { y = 2 } } })
    changed("\n	}\n[domain", "\n	}\n	A = {\n		b = c\n	}\n[domain", { realms = { A = { b = "c" } } })
    changed("\n	.mit.edu = ATHENA.MIT.EDU\n", "\n	.mit.edu = ATHENA.MIT.EDU\n\n[x]\n    y = z\n", { x = { y = "z" } })
  end)

  it("refuses what is none, with the line", function()
    local function wrong(text) return message(ini.parse, text, "krb5") end
    assert.equal("line 2: { without }", wrong("[a]\nb = {\nc = d\n"))
    assert.equal("line 2: { without }", wrong("[a]\nb = {\nc = d\n[e]\n"))
    assert.equal("line 2: } without {", wrong("[a]\n}\n"))
    assert.equal("line 101: too many sections in sections", wrong("[a]\n" .. ("b = {\n"):rep(100)))
    assert.equal("line 1: this is in no [section]", wrong("a = b\n"))
    assert.equal("line 1: this is in no [section]", wrong("a = {\n}\n"))
    assert.equal('line 2: a value is missing; an empty one is ""', wrong("[a]\nb =\n"))
    assert.equal("line 2: this is no text in quotes", wrong('[a]\nb = "c" d\n'))
    assert.equal("line 2: neither [section], 'name = value', 'name = {' nor }", wrong("[a]\nfoo\n"))
  end)
end)
