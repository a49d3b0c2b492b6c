--- Jobs: what runs again and again, after a duration or by the calendar.
-- A job has one timer, for its next time, so nothing wakes up in between. Durations
-- are counted by a clock that is never set. The calendar's can be, and stands still
-- while the machine sleeps: the loop says when it has been set, and all look again.
-- @module moonrise.job
local loop = require "sys.loop"
local log = require "sys.log"
local host = require "sys.host"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local LATE = 30 -- seconds after which a time counts as missed
local REPEATS = 3600 -- seconds that the clock is set back and times that come again are left out

--- All jobs that have a next time, in the order of their declaration.
M.list = {}

-- The same to go through, while some leave the list.
local function all() return table.move(M.list, 1, #M.list, 1, {}) end

local Job = { __name = "job" }
Job.__index = Job

-- Running ------------------------------------------------------------------------------

local runs = {} -- the tasks of all jobs that run

local function ended(self, run, ok, err)
  runs[run], self.tasks[run] = nil, nil
  self.running = self.running - 1
  if ok or task.is_cancelled(err) then return end
  if fault.is_fault(err) then err.where = err.where or self.where end
  self.failures, self.last_error = self.failures + 1, tostring(err)
  log.line("error", ("job %s: %s"):format(self.name, self.last_error))
end

local function start(self)
  local run = task.spawn("job " .. self.name, self.work, self)
  self.runs, self.running, self.last = self.runs + 1, self.running + 1, loop.now()
  runs[run], self.tasks[run] = true, true
  self.has_said = false
  run.on_end = function(_, ok, err) ended(self, run, ok, err) end
  return run
end

--- Run it now, and wait for its end; one that runs already is waited for.
-- @return what it returned
-- @raise what it raised
function Job:run()
  if host.mode ~= "boot" then return self.work(self) end
  local run = not self.overlap and next(self.tasks) or start(self)
  local ok, result = run:wait()
  if not ok then error(result, 0) end
  return result
end

-- Time ---------------------------------------------------------------------------------

local strike

local function set_timer(self)
  self.timer = task.after(math.max(0, self.due - self.clock()), function() strike(self) end)
end

local function forget(self)
  if self.timer then self.timer:cancel() end
  self.timer = nil
  for i, job in ipairs(M.list) do
    if job == self then table.remove(M.list, i) end
  end
end

-- Wait for the first time after `after`; when there is none, that was it.
local function plan(self, after)
  if self.timer then self.timer:cancel() end
  self.planned = self.next_time(after)
  if not self.planned then return forget(self) end
  self.due = self.planned + self.jitter * math.random()
  set_timer(self)
end

-- The timer is over.
function strike(self)
  local now = self.clock()
  if now < self.due then return set_timer(self) end -- the clock goes slower than ours
  local is_missed = now - self.due > LATE
  self.struck = self.planned
  plan(self, math.max(now, self.planned))
  if is_missed and not self.catch_up then
    log.line("notice", ("job %s has missed its time"):format(self.name))
  elseif self.running > 0 and not self.overlap then
    if not self.has_said then log.line("notice", ("job %s still runs; this time is left out"):format(self.name)) end
    self.has_said = true
  else
    start(self)
  end
end

-- The clock has been set, forward beyond the next time perhaps, or back.
local function look_again(self)
  local now = self.clock()
  if now >= self.due then return strike(self) end
  local is_repeat = self.struck and self.struck > now and self.struck - now < REPEATS
  plan(self, is_repeat and self.struck or now)
end

local watches_clock = false

local function watch_clock()
  if watches_clock then return end
  local changes, reason = loop.clock_changes()
  if not changes then return log.line("warning", "cannot see when the clock is set: " .. reason) end
  watches_clock = true
  task.spawn("clock", function()
    while true do
      task.readable(changes)
      changes:read(8)
      for _, job in ipairs(all()) do
        if job.clock == loop.realtime then look_again(job) end
      end
    end
  end)
end

--- No more times. A run that is under way goes on to its end.
function Job:cancel() forget(self) end

function Job:__tostring() return ("job %s (%s)"):format(self.name, self.when) end

-- Declaring ------------------------------------------------------------------------------

local OPTIONS = {
  name = "string",
  jitter = { type = "string|number", default = 0, check = function(value, what)
    return require("moonrise.duration").seconds(value, what)
  end },
  overlap = { type = "boolean", default = false },
  catch_up = { type = "boolean", default = true },
}

-- What is to be done: a function, and what it is called: a command's lines have the name
-- of the job in front, if it has one and the command has not.
local function work_of(word, what, when, name)
  if type(what) == "function" then return what, when end
  if type(what) ~= "table" then
    fault.raise(fault.STATUS.script, "%s takes a function or { \"program\", \"argument\" }, not %s", word,
      strict.describe(what))
  end
  local process = require "moonrise.process"
  local command = {}
  for key, value in pairs(what) do command[key] = value end
  command.name = command.name or name
  local checked = process.check(word, command, process.RUN_OPTIONS)
  return function() return require("moonrise.run").run(command) end, checked.name
end

local function declare(word, when, what, options, timing)
  local self = strict.check(word, options or {}, OPTIONS)
  local work, name = work_of(word, what, when, self.name)
  self.work, self.name, self.when, self.where = work, self.name or name, when, fault.where()
  self.runs, self.failures, self.running, self.tasks = 0, 0, 0, {}
  self.clock, self.next_time = timing.clock, timing.next_time
  setmetatable(self, Job)
  if host.mode ~= "boot" then return require("moonrise.rehearse").note(("%s: %s"):format(when, self.name), self) end
  M.list[#M.list + 1] = self
  plan(self, self.clock())
  if not self.planned then
    log.line("notice", ("job %s: its time is over, and does not come again"):format(self.name))
  end
  return self
end

--- Do something each time that a duration has passed. See moonrise-boot(5).
function M.every(duration, what, options)
  local interval = require("moonrise.duration").seconds(duration, "the duration of init.every")
  if interval <= 0 then fault.raise(fault.STATUS.script, "the duration of init.every is 0") end
  local first = loop.now()
  return declare("init.every", "every " .. duration, what, options, {
    clock = loop.now,
    next_time = function(after)
      local time = first + interval * ((after - first) // interval + 1)
      return time > after and time or time + interval -- the division may have rounded down
    end,
  })
end

--- Do something at times of the calendar. See moonrise-boot(5).
function M.at(expression, what, options)
  local calendar = require "moonrise.calendar"
  local spec, why
  if type(expression) == "string" then
    spec, why = calendar.parse(expression, function(name) return require("moonrise.zone").find(name) end)
  end
  if spec and not calendar.next(spec, 0) then spec, why = nil, "there is no such time" end
  if not spec then
    fault.raise(fault.STATUS.script,
      "the time of init.at is %s%s; it takes a calendar expression such as \"Mon..Fri 08:00\", \"daily\" or "
      .. "\"*/5 * * * *\"", strict.show(expression), why and ", but " .. why or "")
  end
  if host.mode == "boot" then watch_clock() end
  return declare("init.at", "at " .. expression, what, options, {
    clock = loop.realtime,
    next_time = function(after) return calendar.next(spec, after) end,
  })
end

--- Everything is being stopped: no more times, and what runs is cancelled.
-- @number grace seconds that all of it has to leave
function M.stop(grace)
  for _, self in ipairs(all()) do forget(self) end
  local left = {}
  for run in pairs(runs) do left[#left + 1] = run end
  for _, run in ipairs(left) do run:cancel() end
  local deadline = loop.now() + grace
  for _, run in ipairs(left) do run:wait(math.max(0, deadline - loop.now())) end
end

--- For `moonrise status`.
-- @treturn {table,...} name, when, seconds until the next time, runs, failures, running, last_error
function M.describe()
  local jobs = {}
  for i, self in ipairs(M.list) do
    jobs[i] = {
      name = self.name, when = self.when, seconds = math.max(0, self.due - self.clock()), runs = self.runs,
      failures = self.failures, running = self.running, last_error = self.last_error,
    }
  end
  return jobs
end

return M
