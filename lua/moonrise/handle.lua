--- What scripts, and people in the REPL, do with a service.
-- @module moonrise.handle
local loop = require "sys.loop"
local proc = require "sys.proc"
local host = require "sys.host"
local declaration = require "moonrise.declaration"
local fault = require "moonrise.fault"
local machine = require "moonrise.service"
local strict = require "moonrise.strict"
local supervisor = require "moonrise.supervisor"

local M = {}

local STATUS = fault.STATUS
local fire = supervisor.fire

--- "exited with status 1", "was killed by KILL".
function M:how_it_ended()
  local last = self.last
  if not last then return "has not run" end
  local errno = self.errno and require("moonrise.notify").errno_text(self) or ""
  if last.how == "exited" then return ("exited with status %d%s"):format(last.number, errno) end
  local _, name = proc.signal(last.number)
  return ("%swas killed by %s%s"):format(self.condemned == "hung" and "did not keep its watchdog alive and " or "",
    name, last.how == "dumped" and " (core dumped)" or "")
end

-- In a rehearsal: what would be done to the service, noted.
local function rehearsed(self, text, state)
  if host.mode == "boot" then return false end
  require("moonrise.rehearse").note(text .. " " .. self.name)
  self.state = state or self.state
  return true
end

local function halt(self)
  if rehearsed(self, "stop", "stopped") then return end
  require("moonrise.decline").tell_to_stop(self)
  while self.state == "stopping" do self.changed:wait() end
end

--- Stop it and wait for its end. That is also the end of a restart that is under way.
function M:stop()
  self.is_restarting = nil
  halt(self)
  return self
end

function M:restart()
  local ours = {}
  self.is_restarting = ours
  local _ <close> = setmetatable({}, { __close = function()
    if self.is_restarting == ours then self.is_restarting = nil end
  end })
  halt(self)
  if not self.is_restarting then fault.raise(STATUS.script, "%s was stopped while it was restarted", self.name) end
  return self:start()
end

--- Make it read its configuration again, as its `reload` option says; waits for
-- a command or a function of it.
function M:reload()
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
function M:signal(name)
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
function M:follow(pid)
  if not self.process or self.sweep then return nil, self.name .. " does not run" end
  local ok, result = self.process.child:follow(pid)
  if not ok then return nil, result end
  -- It may have named the next one and ended, and the event of that is still to come.
  self.has_successor = result and not self.gone
  self.pid, self.gone = pid, nil
  self:forget "main_task"
  if self.state == "starting" and not self.ready_task then supervisor.watch_ready(self) end
  return true
end

local HOOKS = { ready = true, exit = true, restart = true, failed = true }

--- Call f(service) when it is "ready", has had an "exit" (f also gets the status),
-- is about to "restart", or has "failed". It runs as a task of its own.
function M:on(event, f)
  if not HOOKS[event] then
    fault.raise(STATUS.script, 'the event for %s:on is %s; it takes "ready", "exit", "restart" or "failed"', self.name,
      strict.show(event))
  elseif type(f) ~= "function" then
    fault.raise(STATUS.script, "%s:on takes a function, not %s", self.name, strict.show(f))
  end
  self.hooks[event] = self.hooks[event] or {}
  table.insert(self.hooks[event], f)
  return self
end

--- Wait for a state: true, or false when `timeout` (a duration) is over.
function M:wait(state, timeout)
  if not machine.TABLE[state] then
    fault.raise(STATUS.script, "%s is no state of a service; these are: %s", strict.show(state),
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

return M
