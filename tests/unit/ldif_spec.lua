local ldif = require "moonrise.format.ldif"
local secret = require "moonrise.secret"
local spec = require "spec"

local TEXT = [[
version: 1
# the root
dn:
objectClass: top
aci: (targetattr != "aci")(version 3.0; acl "rootdse anon read access"; allow(
 read,search,compare) userdn="ldap:///anyone";)

dn: cn=config
objectClass: top
objectClass: nsslapdConfig
# where it listens
nsslapd-port: 389
nsslapd-rootpw:: e0NMRUFSfcOk
jpegPhoto:< file:///tmp/x.jpg
empty:

dn: cn="dc=example,dc=com",cn=mapping tree, cn=config
cn: dc=example,dc=com

]]

local CONFIG = "cn=config"

local function edited(changes, text) return ldif.edit(text or TEXT, changes) end

local message = spec.message

local function with(old, new) return spec.with(TEXT, old, new) end

describe("an LDIF document", function()
  local doc = ldif.parse(TEXT)

  it("gives its text back to the byte", function()
    local crlf = TEXT:gsub("\n", "\r\n")
    for _, text in ipairs { TEXT, crlf, "", "\n", "\n\n# only this", TEXT:sub(1, -2), TEXT:sub(1, -3) } do
      assert.equal(text, ldif.dump(ldif.parse(text)))
      local taken_apart = ldif.parse(text)
      taken_apart:get()
      assert.equal(text, tostring(taken_apart))
    end
  end)

  it("has entries by any spelling of their name, attributes by any case", function()
    assert.equal("389", doc:get("CN = config", "NSSLAPD-Port"))
    for _, dn in ipairs { 'cn="dc=example,dc=com",cn=mapping tree,cn=config',
      "cn=dc\\3Dexample\\2cdc\\=com, cn=Mapping Tree,cn=config" } do
      assert.equal("dc=example,dc=com", doc:get(dn, "cn"))
    end
    assert.is_nil(doc:get("cn=dc=example,dc=com,cn=mapping tree,cn=config"))
    assert.is_nil(doc:get(CONFIG, "nsslapd"))
  end)

  it("has no names that take long to compare", function()
    local spaces = (" "):rep(300000)
    assert.equal("b", ldif.parse("dn: cn=a" .. spaces .. "x" .. spaces .. "," .. spaces .. "o=c\na: b\n")
      :get("cn=a" .. spaces .. "x,o=c", "a"))
  end)

  it("decodes values and unfolds lines", function()
    assert.equal("{CLEAR}ä", doc:get(CONFIG, "nsslapd-rootpw"))
    assert.equal('(targetattr != "aci")(version 3.0; acl "rootdse anon read access"; allow(read,search,compare) ' ..
      'userdn="ldap:///anyone";)', doc:get("", "aci"))
    assert.equal("file:///tmp/x.jpg", doc:get(CONFIG, "jpegPhoto").url)
    assert.equal("", doc:get(CONFIG, "empty"))
  end)

  it("lists values and names", function()
    assert.same({ "top", "nsslapdConfig" }, doc:list(CONFIG, "objectclass"))
    assert.equal("top", doc:get(CONFIG, "objectclass"))
    assert.same({}, doc:list(CONFIG, "none"))
    assert.same({ "", CONFIG, 'cn="dc=example,dc=com",cn=mapping tree, cn=config' }, doc:names())
    assert.same({ "objectClass", "nsslapd-port", "nsslapd-rootpw", "jpegPhoto", "empty" }, doc:names(CONFIG))
    assert.same({ "top", "nsslapdConfig" }, doc:get(CONFIG).objectClass)
    assert.equal("dc=example,dc=com", doc:get()[doc:names()[3]].cn)
  end)
end)

describe("a change of LDIF", function()
  it("is about one line", function()
    assert.equal(with("port: 389", "port: 1389"), edited { ["cn=config"] = { ["NSSLAPD-PORT"] = 1389 } })
    assert.equal(with("jpegPhoto:< file:///tmp/x.jpg", "jpegPhoto: x"), edited { [CONFIG] = { jpegPhoto = "x" } })
    assert.equal(with("file:///tmp/x.jpg", "file:///y"), edited { [CONFIG] = { jpegPhoto = ldif.url "file:///y" } })
  end)

  it("that changes nothing leaves all bytes alone", function()
    local doc = ldif.parse(TEXT)
    assert.is_false(doc:set(CONFIG, { ["nsslapd-port"] = 389, objectclass = { "top", "nsslapdConfig" }, none = false }))
    assert.is_false(doc:set(CONFIG, "jpegPhoto", ldif.url "file:///tmp/x.jpg"))
    assert.is_false(doc:add(CONFIG, "objectClass", "top"))
    assert.is_false(doc:drop(CONFIG, "objectClass", "bottom"))
    assert.is_false(doc:remove("cn=nobody"))
    assert.equal(TEXT, tostring(doc))
  end)

  it("adds values behind those that there are", function()
    local doc = ldif.parse(TEXT)
    assert.is_true(doc:add(CONFIG, "objectClass", "other"))
    assert.is_true(doc:add(CONFIG, "new", "x"))
    assert.equal(with("objectClass: nsslapdConfig\n", "objectClass: nsslapdConfig\nobjectClass: other\n")
      :gsub("empty:\n", "empty:\nnew: x\n"), tostring(doc))
    assert.is_true(doc:drop(CONFIG, "OBJECTCLASS", "other"))
    assert.is_true(doc:remove(CONFIG, "new"))
    assert.equal(TEXT, tostring(doc))
  end)

  it("encodes and folds what needs it", function()
    local value = ("x"):rep(70) .. ("y"):rep(80)
    local folded = { value:sub(1, 73), value:sub(74, 148), value:sub(149) }
    assert.equal("dn: cn=a\na: " .. table.concat(folded, "\n ") .. "\n",
      ldif.dump { ["cn=a"] = { a = value } })
    for _, one in ipairs { " x", ":x", "<x", "x ", "ä", "a\nb", "a\0", "\255", "xx", "xxx" } do
      local text = ldif.dump { ["cn=a"] = { a = one } }
      assert.equal(one, ldif.parse(text):get("cn=a", "a"))
      assert.equal(one:find("^x+$") == nil, text:find("a:: ", 1, true) ~= nil)
      assert.is_nil(text:find("[^\n -~]"))
    end
    assert.equal("pw", ldif.parse(edited { [CONFIG] = { pw = secret.new "pw" } }):get(CONFIG, "pw"))
  end)

  it("adds entries, one empty line apart, those above first", function()
    local changes = { ["a=b,cn=new"] = { a = "b" }, ["cn=new"] = { cn = "new", objectClass = "top" } }
    local added = "dn: cn=new\nobjectClass: top\ncn: new\n\ndn: a=b,cn=new\na: b\n"
    assert.equal(TEXT .. added .. "\n", edited(changes))
    assert.equal(TEXT .. added, edited(changes, TEXT:sub(1, -2)))
    assert.equal(TEXT .. added, edited(changes, TEXT:sub(1, -3)))
    assert.equal(added, edited(changes, ""))
    assert.equal((TEXT .. added .. "\n"):gsub("\n", "\r\n"), edited(changes, (TEXT:gsub("\n", "\r\n"))))
  end)

  it("takes entries out with their empty line", function()
    local gone = TEXT:gsub("dn: cn=config.-\n\n", "")
    assert.equal(gone, edited { ["CN=Config"] = false })
    assert.equal(TEXT:match("^(.-)dn: cn=\""), edited(function(doc) doc:remove(doc:names()[3]) end))
  end)
end)

describe("LDIF that is none", function()
  it("is refused with the line", function()
    assert.equal("line 3: neither 'attribute: value' nor a comment", message(ldif.parse, "dn: x\na: b\nfoo\n"))
    assert.equal("line 5: an entry begins with its dn", message(ldif.parse, "dn: x\n\n\n# a\ncn: x\n"))
    assert.equal("line 3: a dn in the middle of an entry; an empty line is missing before it",
      message(ldif.parse, "dn: x\na: b\ndn: y\n"))
    assert.equal("line 1: neither 'attribute: value' nor a comment", message(ldif.parse, " x\n"))
    assert.equal("line 4: this is no base64",
      message(function() ldif.parse("dn: x\na: b\n c\nb:: a\n"):get("x", "a") end))
    for _, bad in ipairs { "YQ=", "YQ", "Y===", "YR==", "YWJ=", "Y!==", "=YQ=" } do
      assert.equal("line 2: this is no base64", message(function() ldif.parse("dn: x\nb:: " .. bad):get("x") end))
    end
  end)

  it("is not made", function()
    assert.equal("'cn=config' 'a b': ldif can't hold this name or value",
      message(edited, { [CONFIG] = { ["a b"] = "x" } }))
    assert.equal("ldif has no section 'cn=config' 'a'", message(edited, { [CONFIG] = { a = { b = "x" } } }))
    assert.equal("'cn=config' 'a' can't be a boolean; a value is a text or a number" ,
      message(function() ldif.parse(TEXT):add(CONFIG, "a", false) end))
    assert.equal("'cn=config' 'a' has a hole in its list, or names beside it",
      message(edited, { [CONFIG] = { a = { "x", b = "y" } } }))
    assert.equal("the value for 'cn=config' 'a' is nil", message(function() ldif.parse(TEXT):set(CONFIG, "a", nil) end))
    assert.equal("ldif is parsed from a text, not nil", message(ldif.parse))
  end)
end)
