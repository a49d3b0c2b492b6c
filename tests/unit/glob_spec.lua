local glob = require "moonrise.glob"

local tree = {
  ["/"] = { "etc", "srv" },
  ["/etc"] = { "a.conf", "b.conf", ".hidden.conf", "conf.d", "odd[1]", "x-y" },
  ["/etc/conf.d"] = { "10-x", "20-y" },
  ["/srv"] = { "conf.d" },
  ["/srv/conf.d"] = { "30-z" },
  ["."] = { "here.lua" },
}

local function list(folder) return tree[folder] or {} end

local function exists(path)
  if tree[path] then return true end
  local folder, name = path:match("^(.*)/([^/]*)$")
  for _, entry in ipairs(list(not folder and "." or folder == "" and "/" or folder)) do
    if entry == (name or path) then return true end
  end
  return false
end

local function expand(pattern) return glob.expand(pattern, list, exists) end

describe("glob", function()
  it("matches names", function()
    for pattern, cases in pairs {
      ["*.conf"] = { ["a.conf"] = true, [".conf"] = true, ["a.conf.bak"] = false, ["aXconf"] = false },
      ["a?c"] = { abc = true, ac = false, abbc = false },
      ["[a-c]x"] = { bx = true, dx = false, ["-x"] = false },
      ["[!a-c]x"] = { bx = false, dx = true },
      ["[]]"] = { ["]"] = true, ["["] = false },
      ["[%]"] = { ["%"] = true, a = false },
      ["a[b"] = { ["a[b"] = true, ab = false },
      ["\\*"] = { ["*"] = true, a = false },
      ["a.b-c%d"] = { ["a.b-c%d"] = true, ["axb-c%d"] = false },
    } do
      for name, expected in pairs(cases) do
        assert.equal(expected, name:find(glob.pattern(pattern)) ~= nil, pattern .. " " .. name)
      end
    end
  end)

  it("finds files in folders", function()
    assert.same({ "/etc/a.conf", "/etc/b.conf" }, expand("/etc/*.conf"))
    assert.same({ "/etc/.hidden.conf" }, expand("/etc/.*.conf"))
    assert.same({ "/etc/conf.d/10-x", "/etc/conf.d/20-y", "/srv/conf.d/30-z" }, expand("/*/conf.d/*"))
    assert.same({ "/etc/conf.d" }, expand("//etc//conf.d/"))
    assert.same({ "/etc/odd[1]" }, expand("/etc/odd\\[1]"))
    assert.same({ "here.lua" }, expand("*.lua"))
    assert.same({}, expand("/none/*"))
    assert.same({}, expand("/etc/none"))
    assert.same({}, expand("/etc/a.conf/*"))
  end)
end)
