describe("init.hooks", function()
  local hooks, files, log

  before_each(function()
    files, log = {}, {}
    package.loaded["sys.host"] = { mode = "boot" }
    package.loaded["moonrise.boot"] = { globals = { log = log } }
    package.loaded["sys.file"] = {
      list = function(folder)
        if folder ~= "/hooks" then return nil, folder .. ": No such file or directory", 2 end
        local names = {}
        for name in pairs(files) do names[#names + 1] = name end
        return names
      end,
      read = function(path)
        local text = files[path:match("[^/]+$")]
        if text then return text end
        return nil, path .. ": Permission denied", 13
      end,
    }
    package.loaded["moonrise.hooks"] = nil
    hooks = require "moonrise.hooks"
  end)

  after_each(function()
    package.loaded["moonrise.boot"], package.loaded["moonrise.hooks"] = nil, nil
  end)

  it("runs them by name", function()
    files = { ["20-b.lua"] = "log[#log + 1] = 'b'", ["10-a.lua"] = "log[#log + 1] = 'a'", ["..data"] = false }
    hooks.run("/hooks")
    assert.same({ "a", "b" }, log)
  end)

  it("runs none when one can't be used, and lists all of these", function()
    files = { ["10-a.lua"] = "log[1] = 'a'", ["20-b.sh"] = "", ["30-c.lua"] = "local = 1", ["40-d.lua"] = false }
    assert.error_matches(function() hooks.run("/hooks") end, [[
init.hooks: none of /hooks is run:
  /hooks/20-b.sh is no *.lua file
  /hooks/30-c.lua:1: <name> expected near '='
  /hooks/40-d.lua: Permission denied]], nil, true)
    assert.same({}, log)
  end)

  it("wants the folder to be there", function()
    assert.error_matches(function() hooks.run("/hoks") end, "init.hooks: /hoks: No such file or directory")
  end)
end)
