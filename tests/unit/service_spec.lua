local service = require "moonrise.service"

-- What the supervisor knows how to do; the table may ask for nothing else.
local ACTIONS = { enter = true, spawn = true, terminate = true, condemn = true, kill = true,
  listen = true, reload = true, delay = true, report = true, abort = true, leave = true }

local function is_state(name)
  for _, state in ipairs(service.STATES) do
    if state == name then return true end
  end
  return false
end

-- Feeds events to the table and writes down what it was told to do.
local function recorder(state)
  local self = { state = state or "stopped", done = {} }
  function self.feed(...)
    for _, event in ipairs { ... } do
      local state_after, cell = service.next(self.state, event)
      self.state = state_after or self.state
      table.move(cell or {}, 2, cell and #cell or 0, #self.done + 1, self.done)
    end
    return self
  end
  return self
end

local function life(...)
  local run = recorder().feed(...)
  return run.state, table.concat(run.done, " ")
end

describe("the state table", function()
  it("has a row for every state and knows every event and action", function()
    for _, state in ipairs(service.STATES) do assert.is_table(service.TABLE[state], state) end
    for state, row in pairs(service.TABLE) do
      assert.is_true(is_state(state), state)
      for event, cell in pairs(row) do
        assert.is_string(service.EVENTS[event], event)
        assert.is_true(is_state(cell[1]), state .. " x " .. event)
        for i = 2, #cell do assert.is_true(ACTIONS[cell[i]], cell[i]) end
      end
    end
  end)

  it("leaves a state alone when the event means nothing in it", function()
    assert.is_nil(service.next("stopped", "ended"))
    assert.is_nil(service.next("failed", "ready"))
  end)

  -- A cell that is struck from the table, or leads elsewhere, is found here.
  it("tells these lives", function()
    local LIVES = {
      { { "start", "free", "ready", "stop", "ended" }, "stopped", "enter spawn terminate" },
      { { "start", "stop" }, "stopped", "enter" },
      { { "start", "blocked" }, "failed", "enter report" },
      { { "start", "late" }, "failed", "enter report" },
      { { "start", "free", "broken" }, "failed", "enter spawn report" },
      { { "start", "free", "ended" }, "failed", "enter spawn report" },
      { { "start", "free", "late", "condemned" }, "failed", "enter spawn condemn terminate report" },
      { { "start", "free", "late", "overdue", "condemned" }, "failed", "enter spawn condemn terminate kill report" },
      { { "start", "free", "blocked", "condemned" }, "failed", "enter spawn condemn terminate report" },
      { { "start", "free", "hung", "again" }, "backoff", "enter spawn abort delay" },
      { { "start", "free", "ready", "hung", "overdue", "condemned" }, "failed", "enter spawn abort kill report" },
      { { "start", "free", "ready", "reload", "hung" }, "stopping", "enter spawn reload abort" },
      { { "start", "free", "again", "due", "ready" }, "ready", "enter spawn delay spawn" },
      { { "start", "free", "again", "late" }, "failed", "enter spawn delay report" },
      { { "start", "free", "again", "blocked" }, "failed", "enter spawn delay report" },
      { { "start", "free", "again", "stop" }, "stopped", "enter spawn delay" },
      { { "start", "free", "again", "start" }, "starting", "enter spawn delay spawn" },
      { { "start", "free", "ready", "ended" }, "failed", "enter spawn report" },
      { { "start", "free", "ready", "ended", "start" }, "waiting", "enter spawn report enter" },
      { { "start", "free", "ready", "again", "due" }, "starting", "enter spawn delay spawn" },
      { { "start", "free", "ready", "blocked", "condemned" }, "failed", "enter spawn condemn terminate report" },
      { { "start", "free", "ready", "reload", "reloaded" }, "ready", "enter spawn reload" },
      { { "start", "free", "ready", "reload", "ready" }, "ready", "enter spawn reload" },
      { { "start", "free", "ready", "reload", "ended" }, "failed", "enter spawn reload report" },
      { { "start", "free", "ready", "reload", "again" }, "backoff", "enter spawn reload delay" },
      { { "start", "free", "ready", "reload", "stop" }, "stopping", "enter spawn reload terminate" },
      { { "start", "free", "ready", "reload", "blocked" }, "stopping", "enter spawn reload condemn terminate" },
      { { "start", "free", "ready", "reloading", "ready" }, "ready", "enter spawn" },
      { { "start", "free", "leaving", "condemned" }, "failed", "enter spawn leave report" },
      { { "start", "free", "ready", "leaving", "condemned" }, "failed", "enter spawn leave report" },
      { { "start", "free", "ready", "leaving", "overdue", "again" }, "backoff", "enter spawn leave kill delay" },
      { { "start", "free", "ready", "reloading", "leaving", "ended" }, "stopped", "enter spawn leave" },
      { { "start", "listening", "free", "ready", "idle" }, "waiting", "enter listen spawn listen" },
      { { "start", "listening", "stop" }, "stopped", "enter listen" },
      { { "start", "listening", "broken" }, "failed", "enter listen report" },
      { { "start", "free", "idle" }, "waiting", "enter spawn listen" },
      { { "start", "free", "ready", "reload", "idle" }, "waiting", "enter spawn reload listen" },
      { { "start", "free", "ready", "leaving", "idle" }, "waiting", "enter spawn leave listen" },
      { { "start", "free", "done" }, "stopped", "enter spawn" },
      { { "start", "free", "ready", "done" }, "stopped", "enter spawn" },
      { { "start", "free", "ready", "reload", "done" }, "stopped", "enter spawn reload" },
      { { "start", "free", "ready", "stop", "overdue", "ended" }, "stopped", "enter spawn terminate kill" },
    }
    for _, one in ipairs(LIVES) do
      local events = table.concat(one[1], ", ")
      local state, done = life(table.unpack(one[1]))
      assert.equal(one[2], state, events)
      assert.equal(one[3], done, events)
    end
  end)

  it("always comes to rest when it is told to stop", function()
    for _, state in ipairs(service.STATES) do
      local run = recorder(state).feed("stop", "overdue", "ended")
      assert.is_true(run.state == "stopped" or run.state == "failed", state)
    end
  end)
end)

describe("restart", function()
  it("follows the policy", function()
    assert.is_false(service.is_restarted("no", true) or false)
    assert.is_false(service.is_restarted(nil, true) or false)
    assert.is_true(service.is_restarted("on-failure", true))
    assert.is_false(service.is_restarted("on-failure", false))
    assert.is_true(service.is_restarted("always", false))
  end)

  it("waits longer each time, up to the maximum, and not at all unless asked", function()
    local backoff = { first = 0.1, factor = 2, max = 1 }
    assert.equal(0, service.delay(nil, 5))
    assert.equal(0.1, service.delay(backoff, 0))
    assert.equal(0.4, service.delay(backoff, 2))
    assert.equal(1, service.delay(backoff, 10))
    local jittered = service.delay({ first = 1, factor = 1, max = 1, jitter = 0.5 }, 0)
    assert.is_true(jittered >= 0.5 and jittered <= 1)
  end)
end)
