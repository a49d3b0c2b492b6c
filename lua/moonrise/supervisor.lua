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
--- Called in the scheduler when a service is stopped or has failed.
M.on_rest = function() end

--- How many starts the script has made; stopping goes backwards.
M.rank = 0
--- Everything is being stopped: nothing starts any more.
M.is_closing = false

local Service = { __name = "service" }

-- The way down and what scripts do with a service are read when they are needed: not
-- before the first service runs.
local LATER = {}
for _, name in ipairs { "stop", "restart", "reload", "signal", "follow", "on", "wait", "how_it_ended" } do
  LATER[name] = true
end

local methods = setmetatable({}, {
  __index = function(self, key)
    if not rawget(LATER, key) then return nil end
    setmetatable(self, nil)
    for name, method in pairs(require "moonrise.handle") do self[name] = method end
    return self[key]
  end,
})
Service.__index = methods

-- For the completion, which can't see what a function would answer.
Service.__names = setmetatable(LATER, { __index = methods })

-- State -------------------------------------------------------------------------

local actions = setmetatable({}, {
  __index = function(self, name)
    setmetatable(self, { __index = require("moonrise.decline").actions })
    return self[name]
  end,
})

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
  if state == "failed" or state == "stopped" then M.on_rest(self) end
  if self.settled then M.tell_settled(self) end
  self.changed:broadcast()
  M.changed:broadcast()
  for dependent in pairs(self.dependents) do dependent:look_around() end
end

local NONE <const> = {}

-- Call what the script has hung on an event.
function methods:tell(event, ...)
  for _, f in ipairs(self.hooks[event] or NONE) do
    task.spawn(("on %s of %s"):format(event, self.name), f, self, ...).on_end = function(_, ok, err)
      if not ok and not task.is_cancelled(err) then
        log.line("error", ("on %s of %s: %s"):format(event, self.name, err))
      end
    end
  end
end

M.fire = fire

-- Stop a timer or task that this service holds.
function methods:forget(name)
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
function methods:waits_for()
  local others = {}
  for _, other in ipairs(self.state == "waiting" and self.after or {}) do
    if not M.is_up(other) then others[#others + 1] = other end
  end
  return others
end

-- Something that it comes after has changed: can it start, or never more?
function methods:look_around()
  local failed = failed_need(self)
  if failed then
    local text = ("%s needs %s, which has failed: %s"):format(self.name, failed.name,
      fault.is_fault(failed.fault) and failed.fault.message or tostring(failed.fault))
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

--- Ready as soon as its probe says so, or at once.
function M.watch_ready(self)
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
  if self.speaker then require("moonrise.logging").prepare(self, launch) end
  if self.options.notify then require("moonrise.notify").prepare(self, launch) end
  if self.options.ready then self.options.ready:prepare(self, launch) end
end

local function start_process(self, launch)
  launch.output = self.options.log_to and require("moonrise.logging").output(self)
  if self.options.logs and not self.follows then require("moonrise.logging").follow(self, launch.output) end
  if self.options.accept then return require("moonrise.sockets").serve(self, launch) end
  prepare(self, launch)
  return process.spawn(self.options, launch)
end

-- `launch` is one run of the service: what its process is given, and what those who
-- prepared it keep there; the descriptors in `given` are the process's alone.
function actions.spawn(self)
  self.told_to_stop, self.condemned, self.leaving, self.has_forked, self.lateness = nil, nil, nil, nil, nil
  self.was_killed = nil
  self.tail = self.tail or log.tail()
  local launch = { env = {}, fds = {}, listen = {}, given = {}, sweep = true, tail = self.tail }
  local ok, result
  function launch.ended(...)
    if self.process == result then require("moonrise.decline").main_ended(self, ...) end
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
  if not self.options.forking then M.watch_ready(self) end
end

local function in_order(services)
  for _, self in ipairs(services) do
    if self.options.after or self.options.requires then return require("moonrise.order").put(services) end
  end
  return services
end

--- Begin to start services, and what they require, side by side as their order allows.
function M.begin(services)
  if M.is_closing then fault.raise(STATUS.script, "nothing can be started: everything is being stopped") end
  services = in_order(services)
  for _, self in ipairs(services) do
    if self.options.listen and host.mode == "boot" then require("moonrise.sockets").open_for(self) end
  end
  M.rank = M.rank + 1
  for _, self in ipairs(services) do
    self.rank = self.rank or M.rank -- started again later, it keeps its place
    if host.mode ~= "boot" then
      require("moonrise.rehearse").start(self)
    else
      fire(self, "start")
    end
  end
end

-- true when it is ready, false and why when it won't be; nil as long as that is open.
local function outcome(self)
  if self.state == "ready" or self.listening then return true end
  if self.state == "failed" then return false, self.fault end
  if self.state == "stopped" and not self.is_restarting then
    return false, fault.new(STATUS.script, self.name .. " was stopped before it was ready")
  end
end

--- Call f(ok, err) in the scheduler when it is ready or won't be; at once if that is so
-- already. For those who wait for many: they need no task for each.
function M.on_settled(self, f)
  self.settled = { f, next = self.settled }
  M.tell_settled(self)
end

function M.tell_settled(self)
  local waiter, ok, err = self.settled, outcome(self)
  if ok == nil then return end
  self.settled = nil
  while waiter do
    waiter[1](ok, err)
    waiter = waiter.next
  end
end

--- Wait until a service is ready; raises when it fails.
function M.wait_ready(self)
  local ok, err = outcome(self)
  while ok == nil do
    self.changed:wait()
    ok, err = outcome(self)
  end
  if not ok then error(err, 0) end
  return self
end

--- Start it and wait until it is ready. Two starts at once wait for one; one that is
-- just being stopped is started afterwards.
function methods:start()
  while self.state == "stopping" and self.told_to_stop do self.changed:wait() end
  if self.state == "stopped" or self.state == "failed" then M.begin { self } end
  return M.wait_ready(self)
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
  if self.follows then require("moonrise.logging").forget(self) end
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
  local self = M.add(options, fault.where())
  if options.log_to then require("moonrise.logging").declare(self) end
  return self
end

--- The service that a process comes from, or nil.
function M.owner_of(pid) return M.by_child[proc.owner(pid)] end

function M.is_service(value) return getmetatable(value) == Service end

return M
