-- Jobs on clocks that exist only here: time passes when the scheduler waits.

local monotonic, realtime, said, job, task
local clock_was_set

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

local function let_pass(seconds) monotonic, realtime = monotonic + seconds, realtime + seconds end

-- Scheduler and jobs, at 1970-01-01 00:00 (or `now`) in UTC.
local function make_world(now)
  monotonic, realtime, said, clock_was_set = 100, now or 0, {}, false
  stub("sys.file", { read = function() return nil, "no such zone" end })
  stub("sys.loop", {
    now = function() return monotonic end,
    realtime = function() return realtime end,
    wait = function(seconds) let_pass(seconds or 0) end,
    next = function()
      if not clock_was_set then return end
      clock_was_set = false
      return "ready", 1, "r"
    end,
    watch = function() return 1 end,
    unwatch = function() end,
    clock_changes = function() return { read = function() end } end,
  })
  stub("sys.host", { mode = "boot", resume = resume, raw_resume = resume, close = coroutine.close })
  stub("sys.log", { line = function(level, text) said[#said + 1] = level .. ": " .. text end })
  for _, name in ipairs { "task", "job", "fault", "strict", "calendar", "duration" } do
    package.loaded["moonrise." .. name] = nil
  end
  job, task = require "moonrise.job", require "moonrise.task"
end

local function run_for(seconds)
  local over = monotonic + seconds
  local timer = task.at(over, function() end) -- so that the wait is no longer than that
  task.run(function() return monotonic >= over end)
  timer:cancel()
end

local function set_clock(to)
  realtime, clock_was_set = to, true
  run_for(0.001) -- the event comes,
  run_for(0.001) -- and what it starts runs
end

-- A function that writes down when it is called.
local function recorder(clock)
  local times = {}
  return times, function() times[#times + 1] = clock() end
end

local function in_utc() return math.floor(realtime) end
local function since_start() return monotonic - 100 end

describe("init.every", function()
  before_each(function() make_world() end)

  it("runs once in each interval, and not at once", function()
    local times, f = recorder(since_start)
    job.every("10s", f)
    run_for(35)
    assert.same({ 10, 20, 30 }, times)
  end)

  it("does not run twice at once unless it is to", function()
    local starts, overlapping = 0, 0
    job.every(10, function() starts = starts + 1 task.sleep(25) end, { name = "slow" })
    job.every(10, function() overlapping = overlapping + 1 task.sleep(25) end, { overlap = true })
    run_for(45)
    assert.equal(2, starts) -- at 10 and 40
    assert.equal(4, overlapping)
    assert.equal("notice: job slow still runs; this time is left out", said[1])
  end)

  it("says what fails, and goes on", function()
    local handle = job.every(10, function() error("no luck") end, { name = "backup" })
    run_for(25)
    assert.equal(2, handle.failures)
    assert.matches("error: job backup: .*no luck", said[1])
    assert.matches("no luck", job.describe()[1].last_error)
  end)

  it("can be cancelled, run by hand, and be stopped", function()
    local times, f = recorder(since_start)
    local handle = job.every(10, f)
    task.spawn("script", function() handle:run() end)
    run_for(15)
    handle:cancel()
    run_for(20)
    assert.same({ 0, 10 }, times)
    local cut_short
    job.every(10, function()
      local _ <close> = setmetatable({}, { __close = function() cut_short = true end })
      task.sleep(1000)
    end)
    run_for(12)
    task.spawn("stop", job.stop)
    run_for(1)
    assert.is_true(cut_short)
    assert.same({}, job.describe())
  end)

  it("passes on what a run by hand raises and returns", function()
    local answer, err
    task.spawn("script", function()
      answer = job.every(10, function() return 7 end):run()
      err = select(2, pcall(function() job.every(10, function() error({ "x" }) end):run() end))
    end)
    run_for(1)
    assert.equal(7, answer)
    assert.is_truthy(err)
  end)

  it("comes up to its jitter later", function()
    local times, f = recorder(since_start)
    job.every(10, f, { jitter = "5s" })
    run_for(1000)
    assert.is_true(#times >= 99)
    for i, time in ipairs(times) do assert.is_true(time >= i * 10 and time <= i * 10 + 5) end
  end)

  it("refuses what makes no sense", function()
    assert.error_matches(function() job.every(0, print) end, "is 0")
    assert.error_matches(function() job.every("5 parsecs", print) end, "5 parsecs")
    assert.error_matches(function() job.every(1, "echo") end, "takes a function or")
    assert.error_matches(function() job.every(1, print, { jiter = 1 }) end, "jitter")
    assert.error_matches(function() job.at("daily at noon", print) end, 'is "daily at noon", but .*; it takes a')
    assert.error_matches(function() job.at(nil, print) end, "the time of init.at is nil")
  end)
end)

describe("init.at", function()
  before_each(function() make_world(10) end)

  it("runs at times of the calendar", function()
    local times, f = recorder(in_utc)
    job.at("*:*:0/30 UTC", f)
    run_for(100)
    assert.same({ 30, 60, 90 }, times)
  end)

  it("catches up with what the clock was set over, once", function()
    local times, f = recorder(in_utc)
    job.at("hourly UTC", f)
    run_for(0)
    set_clock(3 * 3600 + 60)
    assert.same({ 3 * 3600 + 60 }, times)
    run_for(3600)
    assert.same({ 3 * 3600 + 60, 4 * 3600 }, times)
  end)

  it("leaves out what it has missed when it is told so", function()
    local times, f = recorder(in_utc)
    job.at("hourly UTC", f, { catch_up = false, name = "report" })
    run_for(0)
    set_clock(3 * 3600 + 60)
    assert.same({}, times)
    assert.equal("notice: job report has missed its time", said[1])
    run_for(3600)
    assert.same({ 4 * 3600 }, times)
  end)

  it("comes earlier when the clock is set back", function()
    make_world(5 * 3600 + 10)
    local times, f = recorder(in_utc)
    job.at("hourly UTC", f)
    run_for(0)
    set_clock(3600 + 10)
    run_for(3600)
    assert.same({ 2 * 3600 }, times)
  end)

  it("does not repeat when the clock is set back a little", function()
    local times, f = recorder(in_utc)
    job.at("hourly UTC", f)
    run_for(3600)
    set_clock(3599)
    run_for(10)
    assert.same({ 3600 }, times)
  end)

  it("waits on when the clock goes slower than ours", function()
    local times, f = recorder(in_utc)
    job.at("*:*:0/30 UTC", f)
    run_for(0)
    realtime = realtime - 5 -- nobody has been told
    run_for(30)
    assert.same({ 30 }, times)
  end)

  it("is over after its last time", function()
    make_world(1767225500)
    local times, f = recorder(in_utc)
    job.at("2026-01-01 UTC", f)
    assert.equal(1, #job.describe())
    run_for(200)
    assert.same({ 1767225600 }, times)
    assert.same({}, job.describe())
  end)
end)
