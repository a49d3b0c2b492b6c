-- luacheck: ignore 122 (io.stdout is replaced to look at it)
local fault = require "moonrise.fault"

describe("a rehearsal", function()
  local rehearse, env, host, out, err
  local stdout, stderr = io.stdout, io.stderr

  local function sink(lines)
    return { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end }
  end

  before_each(function()
    host, out, err = { mode = "check", format = "text" }, {}, {}
    package.loaded["sys.host"] = host
    package.loaded["sys.file"] = { read = function() return nil, "x: No such file or directory", 2 end }
    package.loaded["sys.proc"] = {
      environ = function() return { PW = "hunter2", PORT = "x", PATH = "/bin" } end,
      find = function(name)
        if name == "/bin/true" then return name end
        return nil, name .. ": not found", 2
      end,
    }
    package.loaded["moonrise.process"] = { rights_of = function() return {} end }
    package.loaded["moonrise.rehearse"], package.loaded["moonrise.env"] = nil, nil
    rehearse, env = require "moonrise.rehearse", require "moonrise.env"
    io.stdout, io.stderr = sink(out), sink(err)
  end)

  after_each(function() io.stdout, io.stderr = stdout, stderr end)

  it("says what would be done and at which line", function()
    local script = load([[
      local rehearse = ...
      rehearse.note("write /etc/motd")
      local result = rehearse.within("once 'key'", function()
        local result = rehearse.run { "genkey", "it's" }
        return result
      end)
      assert(result.status == 0)
      rehearse.start { name = "httpd", options = { "/bin/true", ready = "probe of /", name = "httpd" } }
    ]], "@boot.lua")
    script(rehearse)
    assert.equal([[
boot.lua:2                 write /etc/motd
boot.lua:3                 once 'key'
boot.lua:4                   run genkey 'it'\''s'  (now: genkey: not found)
boot.lua:8                 start httpd: /bin/true, probe of /
]], table.concat(out))
    assert.equal(0, rehearse.finish())
    assert.same({}, err)
  end)

  it("goes on after wrong settings and reports them at the end", function()
    local cfg = env.read { PORT = { type = "port" }, PW = { type = "secret" }, NAME = { type = "hostname" } }
    assert.same({ 8080, "localhost", "<secret>" }, { cfg.PORT, cfg.NAME, cfg.PW:reveal() })
    assert.equal(fault.STATUS.settings, rehearse.finish(fault.new(70, "something else", "boot.lua:9")))
    assert.equal("2 settings are wrong", err[1]:match("2 settings are wrong"))
    assert.equal("moonrise: boot.lua:9: something else\n", err[2])
  end)

  it("tells the script's own error", function()
    assert.equal(70, rehearse.finish("boot.lua:1: oops"))
    assert.same({ "moonrise: boot.lua:1: oops\n" }, err)
  end)

  it("lists the settings and faults of none of them", function()
    host.mode = "settings"
    env.read { PORT = { type = "port" } }
    rehearse.note("write /etc/motd")
    assert.equal(0, rehearse.finish())
    assert.same({}, err)
    assert.equal("PORT  a port, a number from 1 to 65535; required", out[1]:match("^[^\n]*"))
    assert.equal(1, #out)
  end)
end)
