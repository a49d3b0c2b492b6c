--- Services at work: carries out what moonrise.service's table says.
-- @module moonrise.supervisor
local loop = require "sys.loop"
local log = require "sys.log"
local proc = require "sys.proc"
local declaration = require "moonrise.declaration"
local fault = require "moonrise.fault"
local machine = require "moonrise.service"
local process = require "moonrise.process"
local task = require "moonrise.task"
local host = require "sys.host"

local M = {}

local STATUS = fault.STATUS

--- Every declared service by name.
M.by_name = {}
--- Those that run, by the id of their process: sys.proc knows what comes of it.
M.by_child = {}
--- And all in the order of their declaration.
M.list = {}
--- Broadcast whenever a service has changed its state.
M.changed = task.condition()
--- Called in the scheduler when a service is over without having been told to:
-- set by moonrise.boot.
M.on_over = function() end

local rank = 0 -- how many starts the script has made; stopping goes backwards
local is_closing = false -- everything is being stopped: nothing starts any more

local Service = { __name = "service" }
Service.__index = Service

-- Names --------------------------------------------------------------------------------

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

-- State -------------------------------------------------------------------------

local actions = {}

--- Tell a service's machine that something has happened.
local function fire(self, event)
  local state, cell = machine.next(self.state, event)
  if not state then return end
  if state ~= self.state then
    self.state, self.since = state, loop.now()
    self.history[state] = self.history[state] or loop.now()
  end
  for i = 2, #cell do actions[cell[i]](self) end
  if state == "ready" then
    self.was_ready = true
    self:forget "start_timer"
    self:forget "reload_timer"
    self:tell("ready")
  end
  if state ~= "waiting" then self:forget "listening" end
  if state == "failed" or state == "stopped" and not self.is_restarting then
    if self.store then require("moonrise.notify").forget_store(self) end
    if self.sockets or self.acceptor then require("moonrise.sockets").rest(self) end
  end
  self.changed:broadcast()
  M.changed:broadcast()
  for dependent in pairs(self.dependents) do dependent:look_around() end
end

local HOOKS = { ready = true, exit = true, restart = true, failed = true }

-- Call what the script has hung on an event.
function Service:tell(event, ...)
  for _, f in ipairs(self.hooks[event] or {}) do
    task.spawn(("on %s of %s"):format(event, self.name), f, self, ...).on_end = function(_, ok, err)
      if not ok and not task.is_cancelled(err) then
        log.line("error", ("on %s of %s: %s"):format(event, self.name, err))
      end
    end
  end
end

M.fire = fire

-- Stop a timer or task that this service holds.
function Service:forget(name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

local IS_UP = { ready = true, reloading = true }

--- Whoever comes after it can start: one that listens will answer, if later.
function M.is_up(self) return IS_UP[self.state] or self.listening ~= nil end

-- What has failed of those it needs: always what it requires, and before it has
-- started also what it comes after.
local function failed_need(self)
  for _, other in ipairs(self.state == "waiting" and self.after or self.requires) do
    if other.state == "failed" then return other end
  end
end

--- The services that it waits for.
function Service:waits_for()
  local others = {}
  for _, other in ipairs(self.state == "waiting" and self.after or {}) do
    if not M.is_up(other) then others[#others + 1] = other end
  end
  return others
end

-- Something that it comes after has changed: can it start, or never more?
function Service:look_around()
  local failed = failed_need(self)
  if failed then
    local text = ("%s needs %s, which has failed"):format(self.name, failed.name)
    self.fault = self.fault or fault.new(STATUS.script, text, self.where)
    fire(self, "blocked")
  elseif self.state == "waiting" and not self.listening and #self:waits_for() == 0 then
    fire(self, self.options.activate and not self.was_triggered and "listening" or "free")
  end
end

-- Why it is late, in words.
local function lateness(self)
  local timeout = self.start_limit
  if self.state == "starting" and self.options.forking and not self.ready_task then
    return ("%s was not ready after %.4gs: %s"):format(self.name, timeout,
      self.lateness or "its first process has not ended, as that of a daemon does")
  elseif self.state == "starting" and self.options.ready then
    return ("%s was not ready after %.4gs: %s"):format(self.name, timeout, self.options.ready:describe(self))
  end
  local names = {}
  for i, other in ipairs(self:waits_for()) do names[i] = ("%s, which is %s"):format(other.name, other.state) end
  return ("%s could not be started within %.4gs%s"):format(self.name, timeout,
    names[1] and ": it waits for " .. table.concat(names, "; ") or "")
end

--- From now on its start_timeout runs.
function M.limit_start(self)
  self.start_limit = self.options.start_timeout
  self.start_timer = task.after(self.start_limit, function()
    self.fault = fault.new(STATUS.not_ready, lateness(self), self.where)
    fire(self, "late")
  end)
end

function actions.enter(self)
  self.fault, self.condemned, self.last, self.was_ready, self.tries = nil, nil, nil, nil, 0
  M.limit_start(self)
  -- Not at once: whoever started it sees "waiting" first, and all of a group are in.
  task.at(loop.now(), function() self:look_around() end)
end

-- Sockets wait in its place.
function actions.listen(self) require("moonrise.sockets").await(self) end

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
  M.by_child[self.process.child:id()] = nil
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
    if fault.is_fault(err) then err.where = err.where or self.where end
    self.fault = err
    self.ready_task = nil
    fire(self, "late")
  end
end

-- What a service has asked for beyond a plain process.
local function prepare(self, launch)
  if self.sockets or self.acceptor then require("moonrise.sockets").prepare(self, launch) end
  if self.options.notify then require("moonrise.notify").prepare(self, launch) end
  if self.options.ready then self.options.ready:prepare(self, launch) end
end

local function start_process(self, launch)
  if self.options.accept then return require("moonrise.sockets").serve(self, launch) end
  prepare(self, launch)
  return process.spawn(self.options, launch)
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

-- The main process has ended; when others are left they are ended first: they must not
-- hold the port of the next one.
local function main_ended(self, how, number, left)
  if how == "gone" then return self.gone() end
  if not left then return ended(self, how, number) end
  self.pid = nil
  self.gone = function() ended(self, how, number) end
  if has_heir(self, how, number) then return end
  local was_killed = how == "killed" and number == proc.signal("KILL")
  require("moonrise.descend").sweep(self, self.state == "stopping" and self.condemned ~= "hung" and not was_killed)
end

-- `launch` is one run of the service: what its process is given, and what those who
-- prepared it keep there; the descriptors in `given` are the process's alone.
function actions.spawn(self)
  self.told_to_stop, self.condemned, self.leaving, self.has_forked, self.lateness = nil, nil, nil, nil, nil
  local launch = { env = {}, fds = {}, listen = {}, given = {}, sweep = true }
  local ok, result
  function launch.ended(...)
    if self.process == result then main_ended(self, ...) end
  end
  self.launch = launch
  ok, result = pcall(start_process, self, launch)
  for _, fd in ipairs(launch.given) do fd:close() end
  if not ok then
    self.fault = result
    if fault.is_fault(result) then result.where = self.where end
    self:forget "start_timer"
    return fire(self, "broken")
  end
  self.process, self.pid, self.relays = result, result.pid, result.relays
  self.starts, self.started = self.starts + 1, loop.now()
  M.by_child[result.child:id()] = self
  if not self.options.forking then watch_ready(self) end
end

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
    self.process.child:kill(reload.signal)
    if not reload.notify then return fire(self, "reloaded") end
    self.reload_timer = task.after(self.options.start_timeout, function()
      log.line("error", ("%s has not said that it has reloaded within %gs"):format(self.name,
        self.options.start_timeout))
      fire(self, "reloaded")
    end)
    self.launch.reload_asked = loop.now()
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
  M.on_over(self)
end

-- What scripts see -----------------------------------------------------------------

--- "exited with status 1", "was killed by KILL".
function Service:how_it_ended()
  local last = self.last
  if not last then return "has not run" end
  local errno = self.errno and require("moonrise.notify").errno_text(self) or ""
  if last.how == "exited" then return ("exited with status %d%s"):format(last.number, errno) end
  local _, name = proc.signal(last.number)
  return ("was killed by %s%s"):format(name, last.how == "dumped" and " (core dumped)" or "")
end

--- Begin to start services, side by side as their order allows.
function M.begin(services)
  if is_closing then fault.raise(STATUS.script, "nothing can be started: everything is being stopped") end
  for _, self in ipairs(services) do resolve_names(self) end
  for _, self in ipairs(services) do refuse_cycle(self) end
  for _, self in ipairs(services) do
    if self.options.listen and host.mode == "boot" then require("moonrise.sockets").open_for(self) end
  end
  rank = rank + 1
  for _, self in ipairs(services) do
    self.rank = self.rank or rank -- started again later, it keeps its place
    if host.mode ~= "boot" then
      require("moonrise.rehearse").start(self)
    else
      fire(self, "start")
    end
  end
end

local SETTLED = { ready = true, failed = true, stopped = true }

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

--- Wait until a service is ready; raises when it fails.
function M.wait_ready(self)
  while not SETTLED[self.state] and not self.listening do self.changed:wait() end
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
  self.told_to_stop = true
  fire(self, "stop")
  self:forget "delay_timer"
  self:forget "start_timer"
  while self.state == "stopping" do self.changed:wait() end
  return self
end

function Service:restart()
  self.is_restarting = true
  local _ <close> = setmetatable({}, { __close = function() self.is_restarting = nil end })
  self:stop()
  return self:start()
end

--- Make it read its configuration again, as its `reload` option says; waits for
-- a command or a function of it.
function Service:reload()
  if not self.options.reload then
    fault.raise(STATUS.script, "%s has no 'reload' option that says how it is done", self.name)
  elseif self.state ~= "ready" then
    fault.raise(STATUS.script, "%s can't reload: it is %s", self.name, self.state)
  end
  if rehearsed(self, "reload") then return self end
  fire(self, "reload")
  while self.state == "reloading" do self.changed:wait() end
  return self
end

--- Send a signal to its main process.
function Service:signal(name)
  local number = declaration.signal(name, ("the signal for %s"):format(self.name))
  if rehearsed(self, ("send %s to"):format(name)) then return self end
  if not self.process then fault.raise(STATUS.script, "%s is not running: it is %s", self.name, self.state) end
  local ok, reason = self.process.child:kill(number)
  if not ok then fault.raise(STATUS.script, "cannot signal %s: %s", self.name, reason) end
  return self
end

--- Another of its processes is the main one from now on.
-- @int pid
-- @treturn boolean|nil nil: it is no process of this service
-- @treturn string why
function Service:follow(pid)
  if not self.process or self.sweep then return nil, self.name .. " does not run" end
  local ok, reason = self.process.child:follow(pid)
  if not ok then return nil, reason end
  self.pid, self.gone = pid, nil
  self:forget "main_task"
  if self.state == "starting" and not self.ready_task then watch_ready(self) end
  return true
end

--- Call f(service) when it is "ready", has had an "exit" (f also gets the status),
-- is about to "restart", or has "failed". It runs as a task of its own.
function Service:on(event, f)
  if not HOOKS[event] then
    fault.raise(STATUS.script, "%s:on('%s'): it takes ready, exit, restart or failed", self.name, tostring(event))
  elseif type(f) ~= "function" then
    fault.raise(STATUS.script, "%s:on takes a function", self.name)
  end
  self.hooks[event] = self.hooks[event] or {}
  table.insert(self.hooks[event], f)
  return self
end

--- Wait for a state: true, or false when `timeout` (a duration) is over.
function Service:wait(state, timeout)
  if not machine.TABLE[state] then
    fault.raise(STATUS.script, "'%s' is no state of a service; these are: %s", tostring(state),
      table.concat(machine.STATES, ", "))
  end
  local deadline = timeout and loop.now() + require("moonrise.duration").seconds(timeout, "the timeout")
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

--- A new service.
-- @tparam table options checked
-- @string where the script's line
function M.add(options, where)
  local self = setmetatable({
    name = options.name, options = options, where = where, state = "stopped", since = loop.now(),
    history = {}, after = {}, requires = {}, dependents = {}, changed = task.condition(),
    starts = 0, restarts = 0, tries = 0, restart_times = {}, hooks = {},
  }, Service)
  M.by_name[self.name] = self
  M.list[#M.list + 1] = self
  return self
end

--- It is no more.
function M.remove(self)
  M.by_name[self.name] = nil
  for i, other in ipairs(M.list) do
    if other == self then table.remove(M.list, i) end
  end
end

--- Declare a service. See moonrise-boot(5).
-- @tparam table options
-- @string[opt="service"] word the word of the script, for messages
function M.declare(options, word)
  options = declaration.check(word or "service", options)
  if M.by_name[options.name] then
    fault.raise(STATUS.script, "there is a service '%s' already; give this one another 'name'", options.name)
  end
  return M.add(options, fault.where())
end

--- The service that a process comes from, or nil.
function M.owner_of(pid) return M.by_child[proc.owner(pid)] end

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
  is_closing = true
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
      self.told_to_stop = true
      fire(self, "stop")
      actions.kill(self)
    end
  end
end

return M
