-- A random walk over a random graph of services: the real supervisor, scheduler and
-- state table, on a clock and on processes that exist only here.

local SERVICES, EVENTS = 50, 100000
local CALM = 2000 -- of these, the last: everything comes up, so that there is something to stop

-- ---- the world: sys.* and moonrise.process on a recorder

local clock
local running -- process -> true
local broken -- what went against the order
local check_order, check_stop -- below

local function stub(name, value)
  package.loaded[name] = nil
  package.preload[name] = function() return value end
end

local function describe_resume(ok, co, ...)
  if not ok then return "error", ... end
  return coroutine.status(co) == "dead" and "done" or "yield", ...
end

local function resume(co, ...)
  local results = table.pack(coroutine.resume(co, ...))
  return describe_resume(results[1], co, table.unpack(results, 2, results.n))
end

local function make_world()
  clock, running, broken = 0, {}, nil
  stub("sys.loop", {
    now = function() return clock end,
    wait = function(seconds) clock = clock + (seconds or 0) end,
    next = function() end,
  })
  stub("sys.host", { mode = "boot", resume = resume, raw_resume = resume, close = coroutine.close })
  stub("sys.log", { line = function() end, tail = function() return {} end })
  stub("sys.proc", { signal = function(name) return 15, name end })
  stub("moonrise.declaration", {
    signal = function(name) return name end,
    check = function(_, options) return options end,
  })
  stub("moonrise.process", {
    spawn = function(options, launch)
      check_order(require("moonrise.supervisor").by_name[options.name])
      if math.random() < 0.05 then error("no memory", 0) end
      local process = { pid = 1, options = options, ended = launch.ended }
      process.child = {
        kill = function()
          check_stop(require("moonrise.supervisor").by_name[options.name])
          process.told = true
          return true
        end,
        kill_all = function() return true end,
        id = function() return process end,
      }
      running[process] = true
      return process
    end,
    run = function() end,
  })
  for _, name in ipairs { "task", "supervisor", "decline", "handle", "order", "service", "fault" } do
    package.loaded["moonrise." .. name] = nil
  end
  return require "moonrise.supervisor", require "moonrise.task"
end

local function finish(process, how, number)
  if running[process] then
    running[process] = nil
    local left = math.random() < 0.2 -- processes, which end a little later
    process.ended(how, number, left)
    if left then process.ended "gone" end
  end
end

-- ---- the graph

local POLICIES = { "no", "on-failure", "always" }

-- A probe that never answers by itself: the walk says when it is ready.
local function probe()
  local self = {}
  function self.wait() while not self.is_ready do require("moonrise.task").sleep(0.5) end end
  function self.describe() return "waited" end
  return self
end

local function declare_all(supervisor)
  local services = {}
  for i = 1, SERVICES do
    local options = {
      name = "s" .. i, after = {}, requires = {}, start_timeout = 20, essential = false,
      restart = { when = POLICIES[math.random(3)], backoff = { first = 0.1, factor = 2, max = 5 }, interval = 10,
        burst = math.random(2) == 1 and 3 or nil },
      ready = math.random(2) == 1 and probe() or nil,
    }
    for _ = 1, i > 1 and math.random(0, 3) or 0 do
      local list = math.random(2) == 1 and options.after or options.requires
      list[#list + 1] = "s" .. math.random(i - 1)
    end
    services[i] = supervisor.declare(options)
  end
  return services
end

-- ---- the invariants

local IS_UP = { ready = true, reloading = true }
local HAS_PROCESS = { starting = true, ready = true, reloading = true, stopping = true }

-- When a process is made: is everything up that it comes after? A later try of the
-- same start does not wait again.
function check_order(service)
  for _, other in ipairs(service.tries == 0 and service.after or {}) do
    if not IS_UP[other.state] then
      broken = ("%s was started while %s was %s"):format(service.name, other.name, other.state)
    end
  end
end

-- When all are stopped, each one's dependents have ended before it is told to.
function check_stop(service)
  if not require("moonrise.supervisor").is_closing or service.condemned then return end
  for dependent in pairs(service.dependents) do
    if dependent.process then
      broken = ("%s was stopped while %s was %s"):format(service.name, dependent.name, dependent.state)
    end
  end
end

local function check(services)
  assert(not broken, broken)
  for _, service in ipairs(services) do
    assert((service.process ~= nil) == (HAS_PROCESS[service.state] == true),
      service.name .. " is " .. service.state .. " and has " .. (service.process and "a" or "no") .. " process")
  end
end

-- ---- the walk

local function pick(list) return list[math.random(#list)] end

local function process_of(service)
  return service.process and running[service.process] and service.process
end

local function start(service, _, task) task.spawn("start", function() pcall(service.start, service) end) end
local function get_ready(service) if service.options.ready then service.options.ready.is_ready = true end end
local function let_time_pass() clock = clock + math.random() * 3 end

-- What was told to stop does so, sooner or later.
local function obey(service)
  local process = process_of(service)
  if process and process.told then finish(process, "exited", 0) end
end

local CALM_STEPS = { start, get_ready, let_time_pass, obey }

-- Each does one thing to one service, as the world or a person would.
local STEPS = {
  start, get_ready, let_time_pass, obey,
  function(service) if process_of(service) then finish(service.process, "exited", math.random(0, 1)) end end,
  function(service) if process_of(service) then finish(service.process, "killed", 9) end end,
  function(service) if service.options.ready then service.options.ready.is_ready = math.random(2) == 1 end end,
  function(service, _, task) task.spawn("stop", service.stop, service) end,
  function(service, _, task) task.spawn("restart", function() pcall(service.restart, service) end) end,
  function(service, supervisor) supervisor.fire(service, "hung") end,
}

describe("a random walk over a random graph", function()
  it("never breaks the order, and everything stops", function()
    local seed = tonumber(os.getenv("SEED")) or 1 -- SEED=N walks elsewhere
    math.randomseed(seed)
    local supervisor, task = make_world()
    local services, steps, stopped = declare_all(supervisor), 0, false
    task.spawn("start", function() supervisor.begin(services) end)
    local ok, err = pcall(task.run, function()
      if steps % 10 == 0 then check(services) end
      if steps < EVENTS then
        steps = steps + 1
        pick(steps > EVENTS - CALM and CALM_STEPS or STEPS)(pick(services), supervisor, task)
        task.spawn("turn", function() end) -- the next turn comes at once
      elseif not stopped then
        stopped = true
        task.spawn("stop", require("moonrise.decline").stop_all).on_end = function() stopped = "all" end
      else
        for process in pairs(running) do if process.told then finish(process, "exited", 0) end end
      end
      return stopped == "all"
    end)
    assert(ok and not broken, ("SEED=%d: %s"):format(seed, tostring(broken or err)))
    for _, service in ipairs(services) do
      local is_down = service.state == "stopped" or service.state == "failed"
      assert(is_down, ("SEED=%d: %s is %s"):format(seed, service.name, service.state))
    end
    assert.is_nil(next(running))
  end)
end)
