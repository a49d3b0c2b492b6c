-- luacheck: ignore 122 (io.open is replaced)
describe("moonrise.host", function()
  local host, files, users, written, refusal
  local open = io.open

  before_each(function()
    files, users, written, refusal = {}, {}, {}, nil
    package.loaded["sys.host"] = { mode = "boot" }
    package.loaded["sys.cred"] = {
      uid = function() return 12345 end, gid = function() return 0 end,
      user = function(key) return users[key] end,
      caps = function() return { "net_bind_service", "chown" } end,
    }
    package.loaded["sys.file"] = {
      write = function(path, data)
        if refusal then return nil, path .. ": " .. refusal, 13 end
        written[path] = data
        return true
      end,
    }
    package.loaded["moonrise.host"], package.loaded["moonrise.caps"] = nil, nil
    host = require "moonrise.host"
    io.open = function(path)
      return files[path] and setmetatable({ read = function() return files[path] end }, { __close = function() end })
    end
  end)

  after_each(function() io.open = open end)

  local V2 = {
    ["/proc/self/mountinfo"] = "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
    ["/proc/self/cgroup"] = "0::/\n",
  }

  it("counts processors", function()
    assert.equal(1, host.cpus())
    files["/proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-3,8\n"
    assert.equal(5, host.cpus())
    for path, text in pairs(V2) do files[path] = text end
    files["/cg/cpu.max"] = "150000 100000\n"
    assert.equal(2, host.cpus())
    files["/cg/cpu.max"] = "900000 100000\n"
    assert.equal(5, host.cpus())
    files["/cg/cpu.max"] = "1000 100000\n"
    assert.equal(1, host.cpus())
    assert.equal("integer", math.type(host.cpus()))
  end)

  it("counts memory", function()
    files["/proc/meminfo"] = "MemTotal:        1024 kB\nMemFree: 1 kB\n"
    assert.equal(1 << 20, host.memory())
    for path, text in pairs(V2) do files[path] = text end
    files["/cg/memory.max"] = "65536\n"
    assert.equal(65536, host.memory())
    files["/cg/memory.max"] = "99999999\n"
    assert.equal(1 << 20, host.memory())
  end)

  it("leaves a uid alone that has an account", function()
    users[12345] = { name = "web", uid = 12345 }
    assert.equal("web", host.identity({}).name)
    assert.same({}, written)
  end)

  it("gives a uid an account", function()
    files["/etc/passwd"] = "root:x:0:0:root:/root:/bin/sh"
    local account = host.identity { name = "web", home = "/data" }
    assert.same({ name = "web", uid = 12345, gid = 0, groups = { 0 }, home = "/data", shell = "/sbin/nologin" },
      account)
    assert.same({ ["/etc/passwd"] =
      "root:x:0:0:root:/root:/bin/sh\nweb:x:12345:0:web:/data:/sbin/nologin\n" }, written)
  end)

  it("knows accounts", function()
    users.web = { name = "web", uid = 33 }
    assert.equal(33, host.user("web").uid)
    assert.is_nil(host.user("nobody"))
    assert.is_nil(host.user(33))
    assert.error_matches(function() host.user(true) end, "host.user takes a name or a uid, not a boolean")
    assert.error_matches(function() host.user() end, "host.user takes a name or a uid, not nil")
  end)

  it("leaves a uid without a name where passwd can't be written", function()
    refusal = "Read-only file system"
    local account = host.identity { name = "web", home = "/data", optional = true }
    assert.is_nil(account.name)
    assert.equal(12345, account.uid)
  end)

  it("says what to do where passwd can't be written", function()
    refusal = "Permission denied"
    assert.error_matches(function() host.identity {} end,
      "the uid 12345 has no entry in /etc/passwd, and it can't be added: Permission denied; let the image have it, " ..
      "or let its group 0 write the file: chmod g=u /etc/passwd", nil, true)
  end)

  it("refuses accounts that can't be", function()
    users.web = { name = "web", uid = 33 }
    assert.error_matches(function() host.identity { name = "web" } end, "the name 'web' belongs to the uid 33")
    assert.error_matches(function() host.identity { name = "a:b" } end, "'name' of host.identity is \"a:b\"")
    assert.error_matches(function() host.identity { home = "data" } end, "'home' of host.identity is \"data\"")
    assert.error_matches(function() host.identity { nmae = "a" } end, "did you mean 'name'%?")
  end)

  it("keeps a machine id, and makes one", function()
    files["/proc/sys/kernel/random/uuid"] = "01234567-89ab-4def-8123-456789abcdef\n"
    files["/etc/machine-id"] = "uninitialized\n"
    assert.equal("0123456789ab4def8123456789abcdef", host.machine_id())
    assert.equal("0123456789ab4def8123456789abcdef\n", written["/etc/machine-id"])
    files["/etc/machine-id"] = ("ab"):rep(16) .. "\n"
    assert.equal(("ab"):rep(16), host.machine_id())
    files["/etc/machine-id"], refusal = nil, "Read-only file system"
    assert.error_matches(host.machine_id,
      "there is no machine id, and none can be made: /etc/machine%-id: Read%-only file system")
  end)

  it("knows capabilities", function()
    local caps = require "moonrise.caps"
    assert.same({ "chown", "net_bind_service" }, caps.list())
    assert.is_true(caps.has("CAP_NET_BIND_SERVICE"))
    assert.is_false(caps.has("sys_admin"))
    assert.error_matches(function() caps.has("net_bind") end, "there is no capability 'net_bind'")
    assert.error_matches(function() caps.has("sys_admn") end, "did you mean 'sys_admin'%?")
  end)
end)
