--- Services at work: carries out what moonrise.service's table says.
-- @module moonrise.supervisor
local loop = require "sys.loop"
local log = require "sys.log"
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local machine = require "moonrise.service"
local process = require "moonrise.process"
local strict = require "moonrise.strict"
local task = require "moonrise.task"
local host = require "sys.host"

local M = {}

local STATUS = fault.STATUS

--- Every declared service by name.
M.by_name = {}
--- And in the order of their declaration.
M.list = {}
--- Broadcast whenever a service has changed its state.
M.changed = task.condition()
--- Called in the scheduler when a service is over without having been told to:
-- set by moonrise.boot.
M.on_over = function() end

local rank = 0 -- how many starts the script has made; stopping goes backwards

local Service = { __name = "service" }
Service.__index = Service

-- Options ----------------------------------------------------------------------

local function seconds(value, what) return require("moonrise.duration").seconds(value, what) end

local function signal(value, what)
  local _, name = proc.signal(value)
  if name then return name end
  fault.raise(STATUS.script, '%s is "%s", which is no signal; it takes a name such as "TERM"', what, value)
end

local SIGNAL = { type = "string|integer", check = signal }
local STOP = { signal = SIGNAL, grace = { type = "string|number", check = seconds } }
local BACKOFF = {
  first = { type = "string|number", check = seconds, default = 0.1 },
  max = { type = "string|number", check = seconds, default = 30 },
  factor = { type = "number", default = 2 },
}
local POLICIES = { no = true, ["on-failure"] = true, always = true }

local function policy(value, what)
  if not POLICIES[value] then
    fault.raise(STATUS.script, '%s is "%s"; it takes "no", "on-failure" or "always"', what, tostring(value))
  end
end

local RESTART = {
  when = { type = "string", default = "on-failure", check = policy },
  backoff = { type = "table", check = function(value, what) return strict.check(what, value, BACKOFF) end },
}

local SERVICE_OPTIONS = process.options_with {
  ready = { type = "table|function", check = function(value, what)
    return require("moonrise.probe").check(value, what)
  end },
  start_timeout = { type = "string|number", check = seconds, default = 90 },
  after = "table",
  requires = "table",
  restart = { type = "string|table", check = function(value, what)
    if type(value) == "string" then
      policy(value, what)
      value = { when = value }
    end
    return strict.check(what, value, RESTART)
  end },
  stop = { type = "table", check = function(value, what) return strict.check(what, value, STOP) end },
  reload = { type = "table", check = function(value, what)
    return strict.check(what, value, { signal = { type = "string|integer", check = signal, required = true } })
  end },
  essential = { type = "boolean", default = true },
}

local function service_named(entry, key, owner)
  local name = getmetatable(entry) == Service and entry.name or entry
  local found = M.by_name[name]
  if name == owner then
    fault.raise(STATUS.script, "'%s' of %s names itself", key, owner)
  elseif not found then
    fault.raise(STATUS.script, "'%s' of %s names '%s', and there is no such service%s", key, owner, tostring(name),
      type(name) == "string" and require("moonrise.nearest").hint(name, M.by_name) or "")
  end
  return found
end

-- State -------------------------------------------------------------------------

local actions = {}

local function fire(self, event)
  local state, cell = machine.next(self.state, event)
  if not state then return end
  if state ~= self.state then
    self.state, self.since = state, loop.now()
    self.history[state] = self.history[state] or loop.now()
  end
  for i = 2, #cell do actions[cell[i]](self) end
  if state == "ready" then
    self.tries, self.was_ready = 0, true
    self:forget "start_timer"
  end
  self.changed:broadcast()
  M.changed:broadcast()
  for dependent in pairs(self.dependents) do dependent:look_around() end
end

-- Stop a timer or task that this service holds.
function Service:forget(name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

-- Waiting: can it start, or never more?
function Service:look_around()
  for _, other in ipairs(self.requires) do
    if other.state == "failed" then
      local text = ("%s requires %s, which has failed"):format(self.name, other.name)
      self.fault = fault.new(STATUS.script, text, self.where)
      return fire(self, "blocked")
    end
  end
  if self.state ~= "waiting" then return end
  for _, other in ipairs(self.after) do
    if other.state ~= "ready" and other.state ~= "reloading" then return end
  end
  fire(self, "free")
end

function actions.enter(self)
  self.fault, self.condemned, self.last, self.was_ready, self.tries = nil, nil, nil, nil, 0
  self.start_timer = task.after(self.options.start_timeout, function()
    local waited = self.state == "starting" and self.options.ready
    local what = waited and ("was not ready after %gs: %s"):format(self.options.start_timeout, waited:describe())
      or ("could not be started within %gs"):format(self.options.start_timeout)
    self.fault = fault.new(STATUS.not_ready, self.name .. " " .. what, self.where)
    fire(self, "late")
  end)
  -- Not at once: whoever started it sees "waiting" first, and all of a group are in.
  task.at(loop.now(), function() self:look_around() end)
end

local function is_failure(how, number) return how ~= "exited" or number ~= 0 end

local function ended(self, how, number)
  self.last = { how = how, number = number, status = how == "exited" and number or 128 + number }
  self.status = self.last.status
  self.process, self.pid = nil, nil
  self:forget "ready_task"
  self:forget "stop_timer"
  if self.condemned then return fire(self, "condemned") end
  local again = machine.is_restarted(self.options.restart and self.options.restart.when, is_failure(how, number))
  fire(self, again and "again" or "ended")
end

local function watch_ready(self)
  local probe = self.options.ready
  if not probe then return fire(self, "ready") end
  self.ready_task = task.spawn(self.name .. ": ready", function()
    probe:wait(nil, self)
    self.ready_task = nil
    fire(self, "ready")
  end)
  self.ready_task.on_end = function(_, ok, err)
    if ok or task.is_cancelled(err) then return end
    self.fault = err
    self.ready_task = nil
    fire(self, "late")
  end
end

function actions.spawn(self)
  local ok, result = pcall(process.spawn, self.options, function(how, number) ended(self, how, number) end, true)
  if not ok then
    self.fault = result
    if fault.is_fault(result) then result.where = self.where end
    self:forget "start_timer"
    return fire(self, "broken")
  end
  self.process, self.pid = result, result.pid
  self.starts = self.starts + 1
  watch_ready(self)
end

function actions.terminate(self)
  self:forget "ready_task"
  self:forget "start_timer"
  local stop = self.options.stop or {}
  self.process.child:kill(stop.signal or "TERM")
  self.stop_timer = task.after(stop.grace or 10, function() fire(self, "overdue") end)
end

-- We have given it up: when it has ended it will have failed.
function actions.condemn(self) self.condemned = true end

function actions.kill(self)
  if not self.process then return end
  log.line("warning", ("%s did not stop in time and is killed"):format(self.name))
  self.was_killed = true
  self.process.child:kill_group("KILL")
end

function actions.reload(self)
  self.process.child:kill(self.options.reload.signal)
  fire(self, "reloaded")
end

function actions.delay(self)
  local delay = machine.delay(self.options.restart.backoff, self.tries)
  log.line("notice", ("%s %s; starting it again%s"):format(self.name, self:how_it_ended(),
    delay > 0 and (" in %gs"):format(delay) or ""))
  self.tries = self.tries + 1
  self.restarts = self.restarts + 1
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
  M.on_over(self)
end

-- What scripts see -----------------------------------------------------------------

--- "exited with status 1", "was killed by KILL".
function Service:how_it_ended()
  local last = self.last
  if not last then return "has not run" end
  if last.how == "exited" then return ("exited with status %d"):format(last.number) end
  local _, name = proc.signal(last.number)
  return ("was killed by %s%s"):format(name, last.how == "dumped" and " (core dumped)" or "")
end

local function resolve_names(self)
  for _, key in ipairs { "after", "requires" } do
    self[key] = {}
    for i, entry in ipairs(self.options[key] or {}) do
      self[key][i] = service_named(entry, key, self.name)
      self[key][i].dependents[self] = true
    end
  end
  for _, other in ipairs(self.requires) do self.after[#self.after + 1] = other end
end

-- Raises when following `after` from `self` leads back to it, and shows the way.
local function refuse_cycle(self)
  local path, seen = {}, {}
  local function visit(service)
    path[#path + 1] = service.name
    if service == self and #path > 1 then
      fault.raise(STATUS.script, "these wait for each other: %s", table.concat(path, " -> "))
    end
    if not seen[service] then
      seen[service] = true
      for _, other in ipairs(service.after) do visit(other) end
    end
    path[#path] = nil
  end
  visit(self)
end

--- Begin to start services, side by side as their order allows.
function M.begin(services)
  for _, self in ipairs(services) do resolve_names(self) end
  for _, self in ipairs(services) do refuse_cycle(self) end
  rank = rank + 1
  for _, self in ipairs(services) do
    self.rank = rank
    if host.mode ~= "boot" then
      require("moonrise.rehearse").start(self)
    else
      fire(self, "start")
    end
  end
end

local SETTLED = { ready = true, failed = true, stopped = true }

--- Wait until a service is ready; raises when it fails.
function M.wait_ready(self)
  while not SETTLED[self.state] do self.changed:wait() end
  if self.state == "failed" then error(self.fault, 0) end
  if self.state == "stopped" then fault.raise(STATUS.script, "%s was stopped before it was ready", self.name) end
  return self
end

--- Start it and wait until it is ready. Two starts at once wait for one.
function Service:start()
  if self.state == "stopped" or self.state == "failed" then M.begin { self } end
  return M.wait_ready(self)
end

-- In a rehearsal: what would be done to the service, noted.
local function rehearsed(self, text, state)
  if host.mode == "boot" then return false end
  require("moonrise.rehearse").note(text .. " " .. self.name)
  self.state = state or self.state
  return true
end

--- Stop it and wait for its end.
function Service:stop()
  if rehearsed(self, "stop", "stopped") then return self end
  fire(self, "stop")
  self:forget "delay_timer"
  self:forget "start_timer"
  while self.state == "stopping" do self.changed:wait() end
  return self
end

function Service:restart()
  self:stop()
  return self:start()
end

--- Make it read its configuration again, by the signal of its `reload` option.
function Service:reload()
  if not self.options.reload then
    fault.raise(STATUS.script, "%s has no 'reload' option that says how it is done", self.name)
  elseif self.state ~= "ready" then
    fault.raise(STATUS.script, "%s can't reload: it is %s", self.name, self.state)
  end
  if rehearsed(self, "reload") then return self end
  fire(self, "reload")
  return self
end

--- Send a signal to its main process.
function Service:signal(name)
  local number = signal(name, ("the signal for %s"):format(self.name))
  if rehearsed(self, ("send %s to"):format(name)) then return self end
  if not self.process then fault.raise(STATUS.script, "%s is not running: it is %s", self.name, self.state) end
  local ok, reason = self.process.child:kill(number)
  if not ok then fault.raise(STATUS.script, "cannot signal %s: %s", self.name, reason) end
  return self
end

--- Wait for a state: true, or false when `timeout` (a duration) is over.
function Service:wait(state, timeout)
  if not machine.TABLE[state] then
    fault.raise(STATUS.script, "'%s' is no state of a service; these are: %s", tostring(state),
      table.concat(machine.STATES, ", "))
  end
  local deadline = timeout and loop.now() + seconds(timeout, "the timeout")
  if rehearsed(self, ("wait for the state %s of"):format(state), state) then return true end
  while self.state ~= state do
    local _, why = self.changed:wait(deadline and deadline - loop.now())
    if why == "timeout" then return self.state == state end
  end
  return true
end

function Service:__tostring()
  return ("service %s (%s%s)"):format(self.name, self.state, self.pid and ", pid " .. self.pid or "")
end

--- Declare a service. See moonrise-boot(5).
-- @tparam table options
-- @string[opt="service"] word the word of the script, for messages
function M.declare(options, word)
  options = process.check(word or "service", options, SERVICE_OPTIONS)
  if M.by_name[options.name] then
    fault.raise(STATUS.script, "there is a service '%s' already; give this one another 'name'", options.name)
  end
  local self = setmetatable({
    name = options.name, options = options, where = fault.where(), state = "stopped", since = loop.now(),
    history = {}, after = {}, requires = {}, dependents = {}, changed = task.condition(),
    starts = 0, restarts = 0, tries = 0, rank = 0,
  }, Service)
  M.by_name[self.name] = self
  M.list[#M.list + 1] = self
  return self
end

function M.is_service(value) return getmetatable(value) == Service end

-- Stopping all ----------------------------------------------------------------------

local function running(self) return self.process or self.state == "waiting" or self.state == "backoff" end

-- Those started last stop first; of those started together, dependents first.
local function stop_with_dependents_first(self)
  for dependent in pairs(self.dependents) do
    while dependent.rank == self.rank and running(dependent) do dependent.changed:wait() end
  end
  self:stop()
end

--- Stop every service in order. Runs in a task; the caller holds the deadline.
-- @treturn boolean false when one had to be killed
function M.stop_all()
  local in_time = true
  for level = rank, 1, -1 do
    local stops = {}
    for _, self in ipairs(M.list) do
      if self.rank == level and running(self) then
        stops[#stops + 1] = task.spawn("stop " .. self.name, stop_with_dependents_first, self)
      end
    end
    for _, stop in ipairs(stops) do stop:wait() end
  end
  for _, self in ipairs(M.list) do in_time = in_time and not self.was_killed end
  return in_time
end

--- The patience is over: KILL to every service that still runs.
function M.kill_all()
  for _, self in ipairs(M.list) do
    if self.process then
      if self.state ~= "stopping" then fire(self, "stop") end
      actions.kill(self)
    end
  end
end

return M
