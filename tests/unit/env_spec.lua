local fault = require "moonrise.fault"

-- The world as env.lua sees it.
local environ, files, host = {}, {}, { mode = "boot" }

local function read(path)
  local file = files[path]
  if type(file) == "string" then return file end
  local errno = file or 2
  local reasons = { [2] = "No such file or directory", [13] = "Permission denied", [21] = "Is a directory" }
  return nil, path .. ": " .. reasons[errno], errno
end

local function fresh_env()
  package.loaded["sys.file"] = { read = read }
  package.loaded["sys.host"] = host
  package.loaded["sys.proc"] = {
    environ = function()
      local copy = {}
      for name, value in pairs(environ) do copy[name] = value end
      return copy
    end,
  }
  package.loaded["moonrise.env"] = nil
  return require "moonrise.env"
end

describe("env.read", function()
  local env

  before_each(function()
    environ, files, host.mode = {}, {}, "boot"
    env = fresh_env()
  end)

  local function refused(specification, status)
    local ok, err = pcall(env.read, specification)
    assert.is_false(ok)
    assert.is_true(fault.is_fault(err), tostring(err))
    assert.equal(status or fault.STATUS.settings, err.status)
    return err.message
  end

  it("lets the script object to a value", function()
    environ = { SUFFIX = "x=y", PORT = "81", NAME = "good" }
    files["/run/secrets/PASSWORD"] = "hunter2"
    local seen
    local message = refused {
      SUFFIX = { type = "dn", check = function(value, name) return name .. " can't be " .. value end },
      PORT = { type = "port", check = function(value) seen = value end },
      PASSWORD = { type = "secret", check = function(value) return value:reveal() == "hunter2" and "too easy" end },
      NAME = { check = function() return false end },
      ABSENT = { optional = true, check = error },
    }
    assert.equal(81, seen)
    assert.truthy(message:find('SUFFIX is "x=y": SUFFIX can\'t be x=y', 1, true))
    assert.truthy(message:find("PASSWORD is not accepted: too easy", 1, true))
    assert.is_nil(message:find("hunter2", 1, true))
    assert.truthy(message:find("^2 settings"))
  end)

  it("reads a group of settings by what their names have in common", function()
    environ = { DS_CONFIG_a = "1", DS_CONFIG_b_FILE = "/b", DS_CONFIG_known = "3", DS_OTHER = "4", DS_CONFIG_ = "5" }
    files["/b"] = "2\n"
    local cfg = env.read { ["DS_CONFIG_*"] = { type = "int" }, DS_CONFIG_known = { type = "int" } }
    assert.same({ a = 1, b = 2 }, cfg["DS_CONFIG_*"])
    assert.equal(3, cfg.DS_CONFIG_known)
    environ = {}
    assert.same({}, env.read({ ["DS_CONFIG_*"] = {} })["DS_CONFIG_*"])
  end)

  it("says what is wrong with each of a group", function()
    environ = { X_a = "1", X_b = "many", X_c = "3" }
    local message = refused { ["X_*"] = { type = "int", check = function(value, name)
      return value == 3 and name .. " is one too much"
    end } }
    assert.truthy(message:find('X_b is "many"; it takes a whole number', 1, true))
    assert.truthy(message:find('X_c is "3": X_c is one too much', 1, true))
    assert.truthy(message:find("^2 settings"))
    refused({ ["X_*"] = { default = "1" } }, fault.STATUS.script)
    refused({ ["X_*_Y"] = {} }, fault.STATUS.script)
  end)

  it("keeps the secrets of a group", function()
    environ = { KEY_a = "one", OTHER = "x" }
    local cfg = env.read { ["KEY_*"] = { type = "secret" } }
    assert.equal("one", cfg["KEY_*"].a:reveal())
    assert.same({ OTHER = "x" }, env.child_environment())
  end)

  it("reads values of every kind, and defaults", function()
    environ = { SERVER_NAME = "www.example.org", TLS = "off", PORTS = "80,443", TIMEOUT = "5min" }
    local cfg = env.read {
      SERVER_NAME = { type = "hostname", default = "localhost" },
      TLS = { type = "bool", default = true },
      PORTS = { type = "list", of = "port" },
      TIMEOUT = { type = "duration" },
      HTTP_PORT = { type = "port", default = 80 },
      LOGS = { type = "list", default = { "a", "b" } },
      DEBUG = { type = "bool", default = false },
      ADMIN = { optional = true },
    }
    local values = {}
    for name, value in pairs(cfg) do values[name] = value end
    assert.same({ SERVER_NAME = "www.example.org", TLS = false, PORTS = { 80, 443 }, TIMEOUT = 300, HTTP_PORT = 80,
      LOGS = { "a", "b" }, DEBUG = false }, values)
    assert.is_nil(cfg.ADMIN)
  end)

  it("is strict about the names of settings", function()
    local cfg = env.read { HTTP_PORT = { type = "port", default = 80 } }
    local _, err = pcall(load("local cfg = ...\nreturn cfg.HTTP_PROT", "@boot.lua"), cfg)
    assert.equal("boot.lua:2: unknown setting 'HTTP_PROT'; did you mean 'HTTP_PORT'?", tostring(err))
  end)

  it("takes the first source that has something", function()
    environ = { A = "variable", B_FILE = "/etc/b", CREDENTIALS_DIRECTORY = "/creds", E = "" }
    files = { ["/etc/b"] = "file\n", ["/creds/C"] = "credential\r\n", ["/creds/A"] = "no", ["/run/secrets/C"] = "no",
      ["/run/secrets/D"] = "secret\n\n", ["/run/secrets/E"] = "7" }
    local cfg = env.read { A = {}, B = {}, C = {}, D = {}, E = { type = "int" } }
    assert.same({ "variable", "file", "credential", "secret", 7 }, { cfg.A, cfg.B, cfg.C, cfg.D, cfg.E })
  end)

  it("drops line ends at the end of a file only, however many", function()
    local newlines = ("\n"):rep(1 << 18)
    files = { ["/run/secrets/A"] = newlines .. "x" .. newlines, ["/run/secrets/B"] = newlines }
    local cfg = env.read { A = {}, B = {} }
    assert.is_true(cfg.A == newlines .. "x")
    assert.equal("", cfg.B)
  end)

  it("takes an empty text for nothing, but not for a string", function()
    environ = { NAME = "", PORT = "", LIST = "", EMPTY_LIST = "" }
    local cfg = env.read {
      NAME = { default = "x" }, PORT = { type = "port", default = 80 }, LIST = { type = "list", default = "a" },
      EMPTY_LIST = { type = "list", default = "a", empty = true },
    }
    assert.same({ "", 80, { "a" }, {} }, { cfg.NAME, cfg.PORT, cfg.LIST, cfg.EMPTY_LIST })
    assert.equal("1 setting is wrong:\n  NAME is missing: it takes a text; give it as NAME, NAME_FILE or " ..
      "/run/secrets/NAME", refused { NAME = { empty = false } })
  end)

  it("lists all faults at once, at the script's line", function()
    environ = { HTTP_PORT = "80x", TLS = "maybe", MODE = "x\ny", ADMIN_PASWORD = "hunter2" }
    local script = load("local env = ...\nenv.read { HTTP_PORT = { type = 'port' }, TLS = { type = 'bool' },\n" ..
      "MODE = { type = 'enum', values = { 'dev', 'prod' } }, ADMIN_PASSWORD = { type = 'secret' } }", "@boot.lua")
    local _, err = pcall(script, env)
    assert.equal([[
boot.lua:2: 4 settings are wrong:
  ADMIN_PASSWORD is missing: it takes a secret; give it as ADMIN_PASSWORD, ADMIN_PASSWORD_FILE or ]] ..
      [[/run/secrets/ADMIN_PASSWORD; there is ADMIN_PASWORD, did you mean that?
  HTTP_PORT is "80x"; it takes a port, a number from 1 to 65535
  MODE is "x\ny"; it takes one of dev, prod
  TLS is "maybe"; it takes true or false (yes or no, on or off, 1 or 0)]], tostring(err))
    assert.equal(fault.STATUS.settings, err.status)
  end)

  it("says which item of a list is wrong, and which file a value is from", function()
    environ = { PORTS = "80,https", PORT_FILE = "/etc/port" }
    files["/etc/port"] = "99999\n"
    assert.equal('2 settings are wrong:\n' ..
      '  PORT is "99999" (from /etc/port); it takes a port, a number from 1 to 65535\n' ..
      '  PORTS is "80,https", with the item "https"; it takes a list separated by commas, of which each is a port, ' ..
      'a number from 1 to 65535', refused { PORTS = { type = "list", of = "port" }, PORT = { type = "port" } })
  end)

  it("refuses a setting that is given twice", function()
    environ, files["/pw"] = { PW = "hunter2", PW_FILE = "/pw" }, "hunter3"
    assert.equal("1 setting is wrong:\n  PW is given twice, as PW and as PW_FILE: keep one of them",
      refused { PW = { type = "secret" } })
    environ.PW = ""
    assert.equal("hunter3", env.read { PW = { type = "secret" } }.PW:reveal())
  end)

  it("explains a file that can't be read", function()
    environ = { NAME_FILE = "/no/name", KEY_FILE = "/keys", REL_FILE = "name", TOKEN_FILE = "/hunter2",
      CREDENTIALS_DIRECTORY = "/creds" }
    files = { ["/keys"] = 21, ["/run/secrets/PW"] = 13, ["/creds/ID"] = 13 }
    assert.equal([[
6 settings are wrong:
  ID is missing: cannot read /creds/ID: Permission denied
  KEY is missing: cannot read /keys: Is a directory
  NAME is missing: cannot read /no/name: No such file or directory
  PW is missing: cannot read /run/secrets/PW: Permission denied
  REL is missing: REL_FILE takes an absolute path
  TOKEN is missing: cannot read the file that TOKEN_FILE names: No such file or directory]],
      refused { NAME = {}, KEY = { optional = true }, REL = {}, PW = { type = "secret" }, ID = { default = "x" },
        TOKEN = { type = "secret" } })
  end)

  it("never shows a secret", function()
    environ = { PW = "short", HOME = "/root" }
    assert.equal("1 setting is wrong:\n  PW is not accepted: it takes a secret, at least 8 characters",
      refused { PW = { type = "secret", min = 8 } })
    local cfg = env.read { PW = { type = "secret" }, NONE = { type = "secret", optional = true } }
    assert.equal("<secret>", tostring(cfg.PW))
    assert.equal("short", cfg.PW:reveal())
    assert.is_nil(cfg.NONE)
  end)

  it("keeps secrets and the names of their files from children", function()
    environ = { PW = "hunter2", KEY_FILE = "/key", HOME = "/root", CONF_FILE = "/conf" }
    files = { ["/key"] = "abc", ["/conf"] = "x" }
    local cfg = env.read { PW = { type = "secret" }, KEY = { type = "secret" }, CONF = {} }
    assert.same({ HOME = "/root", CONF_FILE = "/conf" }, env.child_environment())
    assert.same({ KEY = "abc" }, env.secrets { "KEY" })
    assert.same({ KEY = "abc", PGPASSWORD = "hunter2" }, env.secrets { "KEY", PGPASSWORD = cfg.PW })
    assert.error_matches(function() env.secrets { PW = "x" } end, "PW in 'secrets' is a string; it takes a secret")
    assert.error_matches(function() env.secrets { "PV" } end,
      "'secrets' has PV, which is no secret that env.read has read; did you mean 'PW'%?")
  end)

  it("refuses a wrong specification as an error of the script", function()
    local function wrong(options) return refused({ PORT = options }, fault.STATUS.script) end
    assert.equal("setting PORT has the unknown type 'prot'; did you mean 'port'?", wrong { type = "prot" })
    assert.equal("unknown option 'defualt' of setting PORT; did you mean 'default'?", wrong { defualt = 80 })
    assert.equal("unknown option 'values' of setting PORT", wrong { type = "port", values = {} })
    assert.equal("setting PORT is a string; it takes a table", wrong "port")
    assert.equal("setting PORT needs 'values', a list of texts: { \"on\", \"off\" }", wrong { type = "enum" })
    assert.equal("'values' of setting PORT has 1 in it; it takes a list of texts: { \"on\", \"off\" }",
      wrong { type = "enum", values = { 1 } })
    assert.equal("the default of setting PORT is \"0\"; it takes a port, a number from 1 to 65535",
      wrong { type = "port", default = 0 })
    assert.equal("the default of setting PORT is a table; it takes a text", wrong { default = {} })
    assert.equal("setting PORT has a default and is optional: it can't be both",
      wrong { default = "", optional = true })
    assert.equal("setting PORT has a default: what everybody can read is no secret",
      wrong { type = "secret", default = "changeme" })
    assert.equal("setting PORT can't be a list of type 'secret'", wrong { type = "list", of = "secret" })
    assert.equal("unknown option 'default' of 'of' of setting PORT",
      wrong { type = "list", of = { type = "int", default = 1 } })
    assert.equal("'pattern' of setting PORT is \"[a\": malformed pattern (missing ']')", wrong { pattern = "[a" })
    assert.equal("'min' of setting PORT is \"x\"; a duration is a number of seconds or a string such as " ..
      '"500ms", "30s", "1h 30min"', wrong { type = "duration", min = "x" })
    assert.equal("env.read takes a table of settings, not a string", refused("PORT", fault.STATUS.script))
    assert.equal('"MY-PORT" is no name of a setting', refused({ ["MY-PORT"] = {} }, fault.STATUS.script))
    assert.equal("1 is no name of a setting", refused({ "PORT" }, fault.STATUS.script))
    assert.equal("setting PW_FILE has a name that is taken: it says where PW is read from",
      refused({ PW = {}, PW_FILE = {} }, fault.STATUS.script))
  end)
end)
