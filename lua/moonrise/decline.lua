--- The way down: how a service is told to stop, reload or give up, what its end means,
-- and how all of them stop in order.
-- @module moonrise.decline
local loop = require "sys.loop"
local log = require "sys.log"
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local machine = require "moonrise.service"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local fire = supervisor.fire

--- The actions of moonrise.service's table that are none of a start.
M.actions = {}
local actions = M.actions

-- The end of a process --------------------------------------------------------------------

local function is_failure(how, number) return how ~= "exited" or number ~= 0 end

-- More than `burst` restarts within `interval` are no life.
local function too_often(self, restart)
  if not restart.burst then return false end
  local now, recent = loop.now(), {}
  for _, when in ipairs(self.restart_times) do
    if now - when < restart.interval then recent[#recent + 1] = when end
  end
  self.restart_times = recent
  return #recent >= restart.burst
end

-- The event that its process has ended: is that the end of it?
local function event_of_end(self, how, number)
  local restart = self.options.restart
  if self.condemned == "late" then return "condemned" end
  local again = restart and machine.is_restarted(restart.when, is_failure(how, number) or self.condemned ~= nil)
  if again and too_often(self, restart) then
    log.line("error", ("%s was started again %d times within %gs: that is enough"):format(self.name, restart.burst,
      restart.interval))
    again = false
  end
  if self.told_to_stop then return "ended" end
  if not again and not self.condemned and not is_failure(how, number) then
    if self.options.activate then return "idle" end
    if self.acceptor then return "done" end
  end
  return again and "again" or (self.condemned or self.leaving) and "condemned" or "ended"
end

local function ended(self, how, number)
  self.last = { how = how, number = number, status = how == "exited" and number or 128 + number }
  self.status = self.last.status
  supervisor.by_child[self.process.child:id()] = nil
  self.process, self.pid, self.gone = nil, nil, nil
  self:forget "sweep"
  self:forget "main_task"
  self:forget "ready_task"
  self:forget "reload_timer"
  self:forget "stop_timer"
  self:forget "stop_task"
  self:forget "watchdog_timer"
  self:tell("exit", self.status)
  fire(self, event_of_end(self, how, number))
end

-- Has another process of a daemon become the main one?
local function has_heir(self, how, number)
  if not self.options.forking or is_failure(how, number) or self.state == "stopping" then return false end
  local descend = require "moonrise.descend"
  if self.has_forked then return descend.has_heir(self) end
  self.has_forked = true
  descend.find_main(self)
  return true
end

--- The main process has ended; when others are left they are ended first: they must not
-- hold the port of the next one.
function M.main_ended(self, how, number, left)
  if how == "gone" then return self.gone() end
  if not left then return ended(self, how, number) end
  if self.has_successor then
    self.has_successor = nil
    return
  end
  self.pid = nil
  self.gone = function() ended(self, how, number) end
  if has_heir(self, how, number) then return end
  local was_killed = how == "killed" and number == proc.signal("KILL")
  require("moonrise.descend").sweep(self, self.state == "stopping" and self.condemned ~= "hung" and not was_killed)
end

-- Actions --------------------------------------------------------------------------------

-- To the main process, or to what could be it. What is left has been told already.
local function send(self, signal)
  if self.sweep then return end
  if self.gone then require("moonrise.descend").follow_any(self) end
  self.process.child:kill(signal)
end

-- Do what an option says, in a task of its own: a command, or a function of the script.
local function carry_out(self, what, option, done)
  local run = task.spawn(("%s %s"):format(what, self.name), function()
    if type(option) == "function" then option(self) else require("moonrise.run").run(option.command) end
  end)
  run.on_end = function(_, ok, err)
    if task.is_cancelled(err) then return end
    if not ok then log.line("error", ("%s of %s: %s"):format(what, self.name, err)) end
    done()
  end
  return run
end

local GRACE = 10

local function limit_stop(self)
  local stop = self.options.stop
  self.stop_timer = task.after(type(stop) == "table" and stop.grace or GRACE, function() fire(self, "overdue") end)
end

function actions.terminate(self)
  self:forget "main_task"
  self:forget "ready_task"
  self:forget "start_timer"
  local stop = self.options.stop or {}
  local is_function = type(stop) == "function"
  limit_stop(self)
  if not is_function and not stop.command then
    send(self, stop.signal or "TERM")
    return
  end
  self.stop_task = carry_out(self, "stop", stop, function()
    if self.process then send(self, not is_function and stop.signal or "TERM") end
  end)
end

-- It hangs: ABRT, so that it may leave a core, and KILL after the grace time.
function actions.abort(self)
  self.condemned = "hung"
  self.fault = fault.new(128 + proc.signal("ABRT"), self.name .. " did not keep its watchdog alive", self.where)
  send(self, "ABRT")
  limit_stop(self)
end

-- It ends by itself, and has the time for it that a stop has.
function actions.leave(self)
  self.leaving = true
  self:forget "ready_task"
  self:forget "start_timer"
  limit_stop(self)
end

-- We have given it up: when it has ended it will have failed.
function actions.condemn(self) self.condemned = self.condemned or "late" end

function actions.kill(self)
  if not self.process then return end
  -- What it left behind does not count.
  if self.sweep then return require("moonrise.descend").sweep(self, false) end
  log.line("warning", ("%s did not stop in time and is killed"):format(self.name))
  self.was_killed = true
  send(self, "KILL")
end

function actions.reload(self)
  local reload = self.options.reload
  if type(reload) == "table" and reload.signal then
    self.launch.reload_asked = reload.notify and loop.now() -- what it says of an earlier time is old
    self.process.child:kill(reload.signal)
    if not reload.notify then return fire(self, "reloaded") end
    self.reload_timer = task.after(self.options.start_timeout, function()
      log.line("error", ("%s has not said that it has reloaded within %gs"):format(self.name,
        self.options.start_timeout))
      fire(self, "reloaded")
    end)
  else
    carry_out(self, "reload", reload, function() fire(self, "reloaded") end)
  end
end

function actions.delay(self)
  local backoff = self.options.restart.backoff
  -- One that has been up for long starts anew.
  if backoff and self.was_ready and loop.now() - self.started > backoff.max then self.tries = 0 end
  local delay = machine.delay(backoff, self.tries)
  log.line("notice", ("%s %s; starting it again%s"):format(self.name, self:how_it_ended(),
    delay > 0 and (" in %.3gs"):format(delay) or ""))
  self.tries = self.tries + 1
  self.restarts = self.restarts + 1
  self.restart_times[#self.restart_times + 1] = loop.now()
  self:tell("restart")
  self.delay_timer = task.after(delay, function()
    self.delay_timer = nil
    fire(self, "due")
  end)
end

-- It has failed, or ended by itself; before it was ready that is never a success.
function actions.report(self)
  self:forget "start_timer"
  self:forget "delay_timer"
  if not self.fault then
    local early = not self.was_ready
    local status = self.last.status
    if early and status == 0 then status = STATUS.not_ready end
    self.fault = fault.new(status, ("%s %s%s"):format(self.name, self:how_it_ended(),
      early and " before it was ready" or ""), self.where)
  end
  self:tell("failed")
  supervisor.on_over(self)
end

--- It needs more time for what it does now, starting, reloading or stopping: at
-- least these seconds from now.
function M.extend(self, seconds)
  local when = loop.now() + seconds
  for _, name in ipairs { "start_timer", "reload_timer", "stop_timer" } do
    local timer = self[name]
    if timer and timer.f and timer.when < when then
      if name == "start_timer" then self.start_limit = self.start_limit + when - timer.when end
      self[name] = task.at(when, timer.f)
      timer:cancel()
    end
  end
end

-- Stopping all ----------------------------------------------------------------------

--- Tell it to stop, without waiting for its end.
function M.tell_to_stop(self)
  self.told_to_stop = true
  fire(self, "stop")
  self:forget "delay_timer"
  self:forget "start_timer"
end

local function running(self) return self.process or self.state == "waiting" or self.state == "backoff" end

-- Stop services that were started together, dependents first. `held[self]` is how many of
-- these still hold it back; in `free` are those that none does.
local function stop_together(services)
  local held, free, left, news = {}, {}, 0, task.condition()
  local function let_go(self)
    for _, other in ipairs(self.after) do
      if held[other] then
        held[other] = held[other] - 1
        if held[other] == 0 then free[#free + 1] = other end
      end
    end
  end
  for _, self in ipairs(services) do
    if running(self) then held[self], left = 0, left + 1 end
  end
  for self in pairs(held) do
    for _, other in ipairs(self.after) do held[other] = held[other] and held[other] + 1 end
  end
  for _, self in ipairs(services) do
    if held[self] == 0 then free[#free + 1] = self end
  end
  function supervisor.on_rest(self)
    if not held[self] then return end
    held[self], left = nil, left - 1
    let_go(self)
    news:broadcast()
  end
  while left > 0 do
    local self = table.remove(free)
    if self then M.tell_to_stop(self) else news:wait() end
  end
end

-- Whatever the script began first: one that comes after another has started after it.
local function put_below(self, rank)
  if not self.rank or self.rank <= rank then return end
  self.rank = rank
  for _, other in ipairs(self.after) do put_below(other, rank) end
end

-- Those that run, by their rank.
local function levels_of(services)
  local levels = {}
  for level = 1, supervisor.rank do levels[level] = {} end
  for _, self in ipairs(services) do
    for _, other in ipairs(running(self) and self.after or {}) do put_below(other, self.rank) end
  end
  for _, self in ipairs(services) do
    if running(self) then table.insert(levels[self.rank], self) end
  end
  return levels
end

--- Stop every service in order: those started last stop first. Runs in a task; the
-- caller holds the deadline.
-- @treturn boolean false when one had to be killed
function M.stop_all()
  local in_time = true
  supervisor.is_closing = true
  local levels = levels_of(supervisor.list)
  for level = #levels, 1, -1 do stop_together(levels[level]) end
  for _, self in ipairs(supervisor.list) do in_time = in_time and not self.was_killed end
  return in_time
end

--- The patience is over: KILL to every service that still runs, and none starts again.
function M.kill_all()
  for _, self in ipairs(table.move(supervisor.list, 1, #supervisor.list, 1, {})) do
    if running(self) then
      M.tell_to_stop(self)
      actions.kill(self)
    end
  end
end

return M
