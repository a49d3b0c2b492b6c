local complete = require "moonrise.complete"
local repl = require "moonrise.repl"

describe("moonrise.repl", function()
  local globals, session

  before_each(function()
    globals = setmetatable({ script = 1 }, { __index = function(_, key) error("unknown global " .. key) end })
    session = repl.session(globals, print)
  end)

  local function run(text) return assert(repl.compile(text, "test", session))() end

  it("reads an expression, else statements", function()
    assert.equal(3, run "1 + 2")
    assert.same({ 1, 2 }, { run "1, 2" })
    assert.is_nil(run "x = 1")
    assert.equal(1, run "x -- with a remark")
    assert.equal(5, run "local a = 5; return a")
  end)

  for _, text in ipairs { "for i = 1, 2 do", "1 +", "x =", "{ 1,", "f(", "if true then\nx = 1", "[[a" } do
    it("waits for the rest of " .. text, function()
      local chunk, _, is_incomplete = repl.compile(text, "test", session)
      assert.is_nil(chunk)
      assert.is_true(is_incomplete)
    end)
  end

  for _, text in ipairs { "x = = 1", "end", "1 + )", "'a" } do
    it("does not wait after " .. text, function()
      local chunk, err, is_incomplete = repl.compile(text, "test", session)
      assert.is_nil(chunk)
      assert.matches("^test:1: ", err)
      assert.is_false(is_incomplete)
    end)
  end

  it("refuses bytecode", function()
    assert.is_nil(repl.compile(string.dump(function() end), "test", session))
  end)

  it("sees the script's globals, and nil for what nobody has set", function()
    assert.equal(1, run "script")
    assert.is_nil(run "nosuch")
    assert.equal(string.rep, run "string.rep")
  end)

  it("changes the script's globals and keeps new ones to itself", function()
    run "script = 2; mine = 3"
    assert.equal(2, globals.script)
    assert.is_nil(rawget(globals, "mine"))
    assert.equal(3, run "mine")
  end)

  it("keeps the locals of a chunk", function()
    run "local a, b = 1; do local hidden = 2 end; local function f() return a end"
    assert.equal(1, run "a")
    assert.equal(1, run "f()")
    assert.is_nil(run "hidden")
  end)

  it("leaves our own frames out of a traceback", function()
    local err = setmetatable({ traceback = "  test:1: in f\n  moonrise/task.lua:9: in spawn\n  test:2: in main chunk" },
      { __tostring = function() return "test:1: no" end })
    assert.equal("test:1: no\n  test:1: in f\n  test:2: in main chunk", repl.explain(err))
    err.traceback = "  test:1: in main chunk"
    assert.equal("test:1: no", repl.explain(err)) -- says no more than the message
    local mute = setmetatable({}, { __tostring = function() error "no" end })
    assert.equal("an error that does not print", repl.explain(mute))
  end)

  describe("completion", function()
    local function candidates(left) return { complete.candidates(session, globals, left) } end

    it("finds globals, words of the language and what is at hand", function()
      assert.same({ "scr", { "script" } }, candidates "scr")
      assert.same({ "loc", { "local" } }, candidates "x = 1; loc")
      assert.same({ "settin", { "settings" } }, candidates "settin")
      assert.same({ "print", { "print(" } }, candidates "print")
    end)

    it("does not show what is hidden", function()
      for _, name in ipairs(candidates "keep"[2]) do assert.not_matches("keep", name) end
    end)

    it("finds fields and methods", function()
      globals.t = setmetatable({ value = 1, ["va lue"] = 2 }, { __index = { vary = print } })
      assert.same({ ".va", { ".value", ".vary(", '["va lue"]' } }, candidates "return t.va")
      assert.same({ ":va", { ":vary(" } }, candidates "t:va")
      globals.outer = { inner = { field = 1 } }
      assert.same({ ".f", { ".field" } }, candidates "outer.inner.f")
    end)

    it("finds nothing where there is nothing", function()
      assert.same({ "", {} }, candidates "nosuch.field")
      assert.same({ "", {} }, candidates "script.field.x")
      assert.same({ ".x", {} }, candidates "string.x")
    end)

    it("survives values that refuse", function()
      globals.angry = setmetatable({}, { __index = function() error "no" end, __pairs = function() error "no" end })
      assert.same({ ".x", {} }, candidates "angry.x")
      assert.same({ "", {} }, candidates "angry.x.y")
    end)

    it("does not take long over a long line", function()
      assert.same({ ("a"):rep(256), {} }, candidates(("a"):rep(1 << 20)))
    end)
  end)
end)
