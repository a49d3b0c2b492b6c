local apache = require "moonrise.format.apache"
local spec = require "spec"

local TEXT = [[
# all \
   of this is a comment
Listen 80
LogFormat "%h \"%{Referer}i\"" \
    common
<IfModule ssl_module>
    <VirtualHost  _default_:443 >
        SSLEngine on
        DocumentRoot "/var/www"
    </VirtualHost>
	Listen 443
</IfModule>
ClearModuleList
]]

local SSL = "IfModule ssl_module"

local message = spec.message

local function with(old, new) return spec.with(TEXT, old, new) end

describe("apache", function()
  local doc = apache.parse(TEXT)

  it("gives the text back to the byte", function()
    for _, text in ipairs { TEXT, TEXT:gsub("\n", "\r\n"), TEXT:sub(1, -2), "", "a", "a \\\n", "<a>\n</a>" } do
      assert.equal(text, apache.dump(apache.parse(text)))
    end
  end)

  it("has directives in sections, in any case and any spacing", function()
    assert.equal("80", doc:get("listen"))
    assert.equal('"%h \\"%{Referer}i\\""     common', doc:get("LogFormat"))
    assert.equal("on", doc:get(SSL, "virtualhost _default_:443", "sslengine"))
    assert.is_true(doc:get("ClearModuleList"))
    assert.equal("/", apache.parse("<Location  /\\\n>\r\nx \\\r\n/\r\n</location >\r\n"):get("Location /", "x"))
    assert.same({ "Listen", "LogFormat", SSL, "ClearModuleList" }, doc:names())
    assert.same({ "VirtualHost _default_:443", "Listen" }, doc:names(SSL))
  end)

  it("changes one line", function()
    local function changed(old, new, changes) assert.equal(with(old, new), apache.edit(TEXT, changes)) end
    changed("Listen 80", "Listen 8080", { listen = 8080 })
    changed("Listen 80\n", "Listen 80\nListen 8080\n", { Listen = { 80, 8080 } })
    changed('"%h \\"%{Referer}i\\"" \\\n    common', "x", { LogFormat = "x" })
    changed("SSLEngine on", "SSLEngine off", { [SSL] = { ["VirtualHost _default_:443"] = { SSLEngine = "off" } } })
    changed("ClearModuleList", "ClearModuleList x", { ClearModuleList = "x" })
    changed("ClearModuleList", "ClearModuleList\nServerName x", { ServerName = "x" })
    changed("	Listen 443\n", "	Listen 443\n	New x\n", { [SSL] = { New = "x" } })
  end)

  it("adds sections, and takes them out", function()
    assert.equal(with("	Listen 443\n", "	Listen 443\n	<VirtualHost *:80>\n		A b\n	</VirtualHost>\n"),
      apache.edit(TEXT, { [SSL] = { ["VirtualHost *:80"] = { A = "b" } } }))
    assert.equal('<Directory "/a b">\n    <Limit GET>\n        Require all granted\n    </Limit>\n</Directory>\n',
      apache.dump { ['Directory "/a b"'] = { ["Limit GET"] = { Require = "all granted" } } })
    assert.equal(TEXT .. "\n<If x>\n    A b\n</If>\n", apache.edit(TEXT, { ["If x"] = { A = "b" } }))
    assert.equal(with(TEXT:match("    <VirtualHost.*</VirtualHost>\n"), ""),
      apache.edit(TEXT, { [SSL] = { ["VirtualHost _default_:443"] = false } }))
  end)

  it("does not guess which of two sections is meant", function()
    local two = "<A b>\nC 1\n</A>\n<a  B>\nC 2\n</a>\n"
    assert.same({ "1", "2" }, apache.parse(two):list("A b", "C"))
    local why = "there are 2 of 'A b'; a change can be about only one"
    for _, changes in ipairs { { C = 3 }, { D = 3 } } do
      assert.equal(why, message(apache.edit, two, { ["A b"] = changes }))
    end
    assert.equal("", apache.edit(two, { ["A b"] = false }))
  end)

  it("refuses what is none, with the line", function()
    local function wrong(text) return message(apache.parse, text) end
    assert.equal("line 3: <a> is not closed", wrong("# \\\n\n<a>\n"))
    assert.equal("line 1: </a> without <a>", wrong("</a>\n"))
    assert.equal("line 3: </a> where </b> is missing, for line 2", wrong("<a>\n<b>\n</a>\n"))
    assert.equal("line 1: this is neither <Section> nor </Section>", wrong("<a\n"))
    assert.equal("line 1: this is no </Section>", wrong("</a b>\n"))
    assert.equal("line 101: too many sections in sections", wrong(("<a>\n"):rep(101)))
  end)

  it("refuses what it can't hold", function()
    for _, value in ipairs { " x", "x ", "x\ny", "x\\", "x\\\ny" } do
      assert.equal("'A': apache can't hold this name or value", message(apache.edit, "", { A = value }))
    end
    for _, name in ipairs { "", "#a", "a b", "<a", "a\nb" } do
      assert.equal(("'%s': apache can't hold this name or value"):format(name),
        message(apache.edit, "", { [name] = "x" }))
    end
    for _, name in ipairs { "", "/a", "a ", "a\nb" } do
      assert.equal(("'%s': apache can't hold this name"):format(name), message(apache.edit, "", { [name] = { b = 1 } }))
    end
  end)
end)
