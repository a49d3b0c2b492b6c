local strict = require "moonrise.strict"
local fault = require "moonrise.fault"

local SPEC = {
  argv = true,
  name = "string",
  ready = { type = "table|function", takes = "a probe" },
  nice = { type = "integer", default = 0 },
  user = { type = "string|integer" },
  timeout = { check = function(value) return value * 2 end },
}

local function message(...)
  local ok, err = pcall(strict.check, ...)
  assert.is_false(ok)
  assert.is_true(fault.is_fault(err))
  assert.equal(fault.STATUS.script, err.status)
  return err.message
end

describe("strict.check", function()
  it("returns a copy with defaults, converted values and arguments as strings", function()
    local options = { "sleep", 10, name = "nap", timeout = 3 }
    assert.same({ "sleep", "10", name = "nap", nice = 0, timeout = 6 }, strict.check("start", options, SPEC))
    assert.same({ "sleep", 10, name = "nap", timeout = 3 }, options)
  end)

  it("keeps false apart from absent", function()
    assert.same({ log = false }, strict.check("start", { log = false }, { log = { type = "boolean", default = true } }))
    assert.same({ log = false }, strict.check("start", {}, { log = { type = "boolean", default = false } }))
  end)

  it("names the nearest known option", function()
    assert.equal("unknown option 'redy' of start; did you mean 'ready'?", message("start", { redy = 1 }, SPEC))
    assert.equal("unknown option 'nmae' of start; did you mean 'name'?", message("start", { nmae = 1 }, SPEC))
    assert.equal("unknown option 'Timeout' of start; did you mean 'timeout'?", message("start", { Timeout = 1 }, SPEC))
    assert.equal("unknown option 'zebra' of start", message("start", { zebra = 1 }, SPEC))
    assert.equal("unknown option 'argv' of start", message("start", { argv = {} }, SPEC))
  end)

  it("says what a value is and what it should be", function()
    assert.equal("'name' of start is an integer; it takes a string", message("start", { name = 1 }, SPEC))
    assert.equal("'nice' of start is a float; it takes an integer", message("start", { nice = 1.5 }, SPEC))
    assert.equal("'user' of start is a boolean; it takes a string or an integer",
      message("start", { user = true }, SPEC))
    assert.equal("'ready' of start is a string; it takes a probe", message("start", { ready = "tcp" }, SPEC))
    local secret = setmetatable({}, { __name = "secret" })
    assert.equal("'name' of start is a secret; it takes a string", message("start", { name = secret }, SPEC))
  end)

  it("refuses holes, floats, booleans, tables and NUL in the arguments", function()
    assert.equal("argument 2 of run is nil: the list of arguments has a hole", message("run", { "a", nil, "c" }, SPEC))
    assert.equal("argument 2 of run is a float; it takes a string or an integer", message("run", { "a", 1.0 }, SPEC))
    assert.equal("argument 2 of run is a boolean; it takes a string or an integer", message("run", { "a", true }, SPEC))
    assert.equal("argument 1 of run is a table; it takes a string or an integer", message("run", { {} }, SPEC))
    assert.equal("argument 1 of run has a NUL byte in it", message("run", { "a\0b" }, SPEC))
    assert.equal("run has [0] = ...: neither an option nor an argument", message("run", { [0] = "a" }, SPEC))
    assert.equal("run has [1.5] = ...: neither an option nor an argument", message("run", { [1.5] = "a" }, SPEC))
    assert.equal("exec has [1] = ...: its options have names", message("exec", { "a" }, { name = "string" }))
  end)

  it("wants a table, and what is required in it", function()
    assert.equal("run takes a table of options, not a string", message("run", "ls -l", SPEC))
    assert.equal("run takes a table of options, not nil", message("run", nil, SPEC))
    assert.equal("volume needs 'path'", message("volume", {}, { path = { required = true } }))
  end)

  it("looks at what is in a list", function()
    local spec = { after = strict.list("string|integer", "a list of names") }
    local function wrong(list) return message("start", { after = list }, spec) end
    assert.same({ after = { "a", 1 } }, strict.check("start", { after = { "a", 1 } }, spec))
    assert.equal("'after' of start is a string; it takes a list of names", wrong "a")
    assert.equal("'after' of start has true in it; it takes a list of names", wrong { true })
    assert.equal("'after' of start has [\"a\"] = ...; it takes a list of names", wrong { a = "b" })
    assert.equal("'after' of start has a hole; it takes a list of names", wrong { [1] = "a", [3] = "b" })
  end)

  it("looks at numbers and patterns", function()
    local spec = {
      nice = { type = "integer", check = strict.between(-20, 19) },
      burst = { type = "integer", check = strict.between(1) },
      match = { type = "string", check = strict.pattern },
    }
    assert.same({ nice = 19, burst = 1, match = "^a" }, strict.check("x", { nice = 19, burst = 1, match = "^a" }, spec))
    assert.equal("'nice' of x is 20; it takes -20 to 19", message("x", { nice = 20 }, spec))
    assert.equal("'burst' of x is 0; it takes 1 or more", message("x", { burst = 0 }, spec))
    assert.equal("'match' of x is \"(\": unfinished capture", message("x", { match = "(" }, spec))
  end)

  it("raises at the line of the script", function()
    local script = load("local strict, spec = ...\n\nstrict.check('start', { redy = 1 }, spec)", "@boot.lua")
    local _, err = pcall(script, strict, SPEC)
    assert.equal("boot.lua:3: unknown option 'redy' of start; did you mean 'ready'?", tostring(err))
  end)
end)

describe("strict.show", function()
  it("shows texts and numbers, and of all else what it is", function()
    local secret = setmetatable({}, { __name = "secret", __tostring = function() return "hunter2" end })
    local shown = {}
    for i, value in ipairs { "a\n", 5, true, {}, print, secret } do shown[i] = strict.show(value) end
    assert.same({ '"a\\n"', "5", "true", "a table", "a function", "a secret" }, shown)
    assert.equal("nil", strict.show(nil))
  end)
end)

describe("strict.words", function()
  it("makes a misspelt word an error that names the nearest", function()
    local words = strict.words({ read = print }, "moonrise.fs")
    assert.equal(print, words.read)
    local function misspelt() return words.raed end
    assert.error_matches(misspelt, "moonrise.fs has no word 'raed'; did you mean 'read'?", 1, true)
  end)
end)

describe("strict.readonly", function()
  local view = strict.readonly({ HTTP_PORT = 80 }, "setting", { HTTP_PORT = true, TLS = true })

  it("reads what is known, also when it has no value", function()
    assert.equal(80, view.HTTP_PORT)
    assert.is_nil(view.TLS)
  end)

  it("refuses unknown names and writing", function()
    assert.error_matches(function() return view.HTTP_PROT end,
      "unknown setting 'HTTP_PROT'; did you mean 'HTTP_PORT'%?")
    assert.error_matches(function() return view[1] end, "unknown setting '1'")
    assert.error_matches(function() view.HTTP_PORT = 81 end, "setting 'HTTP_PORT' can't be changed")
  end)

  it("can be walked", function()
    local seen = {}
    for key, value in pairs(view) do seen[key] = value end
    assert.same({ HTTP_PORT = 80 }, seen)
  end)
end)
