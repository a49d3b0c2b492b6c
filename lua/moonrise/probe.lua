--- Is it ready? Each probe looks until the answer is yes, and can say what the last
-- answer was. A probe may be waited for by itself, or be the `ready` of a service.
-- The rarer kinds are in moonrise.probe.*, which are loaded when they are asked for.
-- @module moonrise.probe
local loop = require "sys.loop"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
-- Seconds between looks, where nothing says that it is time for one: what is quick is
-- seen soon, what is slow is not asked more often for it.
local FIRST_DELAY, LAST_DELAY = 0.0005, 0.02

local Probe = { __name = "probe" }
Probe.__index = Probe

--- Make a probe.
-- @string subject what is waited for, in words
-- @func look function(run): true, or false and the answer in words. `run` is a table
--   for one wait, with `probe` and, for the `ready` of a service, `service`
-- @tparam[opt] table fields of the probe:
--   pause(run, seconds): wait until it is time to look again, or for so long;
--   finish(run): undo what the others did; prepare(self, service, launch);
--   is_notified: it needs the notify socket; is_message: it is READY=1 and nothing more
function M.new(subject, look, fields)
  local probe = fields or {}
  probe.subject, probe.look = subject, look
  return setmetatable(probe, Probe)
end

--- Before the process of the service is started.
function Probe.prepare() end

function Probe.pause(run)
  run.delay = math.min((run.delay or FIRST_DELAY / 2) * 2, LAST_DELAY)
  task.sleep(run.delay)
end

M.pause = Probe.pause

function Probe.finish() end

local Run = { __close = function(run) run.probe.finish(run) end }

--- Wait until the answer is yes.
-- @tparam[opt] number|string timeout a duration; for ever if left out
-- @tparam[opt] service service whose `ready` it is
-- @treturn Probe itself
-- @raise status 75, with what was waited for and the last answer
function Probe:wait(timeout, service)
  local deadline = timeout and loop.now() + require("moonrise.duration").seconds(timeout, "the timeout")
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note("wait for " .. self.subject, self) end
  local run <close> = setmetatable({ probe = self, service = service }, Run)
  while true do
    local ok, answer = self.look(run)
    if ok then return self end
    self.answer = answer
    if deadline and loop.now() >= deadline then
      fault.raise(STATUS.not_ready, "not ready after %s: %s", timeout, self:describe(service))
    end
    self.pause(run, deadline and math.max(0, deadline - loop.now()))
  end
end

--- "waited for http://127.0.0.1/; the last answer was: Connection refused"
function Probe:describe()
  return ("waited for %s; %s"):format(self.subject,
    self.answer and "the last answer was: " .. self.answer or "there was no answer yet")
end

function Probe:__tostring() return "probe of " .. self.subject end

-- What the probes share -------------------------------------------------------------------

--- "Connection refused" out of "connect 127.0.0.1:80: Connection refused".
function M.reason_of(text) return text and text:match("([^:]+)$"):gsub("^%s+", "") end

--- What a service's `ready` may be: a probe, or a function that is called until it
-- returns true, and may wait.
function M.check(value, what)
  if getmetatable(value) == Probe then return value end
  if type(value) ~= "function" then
    fault.raise(STATUS.script, "%s is %s; it takes a probe, such as probe.tcp(80)", what, strict.describe(value))
  end
  return M.new("its ready function", function(run)
    local answer = value(run.service)
    return answer, tostring(answer)
  end)
end

-- The kinds ---------------------------------------------------------------------------------

--- A command that exits with 0 (or what its `ok` says). Takes the options of init.run;
-- its output is not logged.
function M.command(options)
  local run, process = require("moonrise.run").really, require "moonrise.process"
  local checked = process.check("probe.command", options, process.RUN_OPTIONS)
  checked.stdout, checked.stderr = checked.stdout or "capture", checked.stderr or "capture"
  checked.timeout = checked.timeout or 10
  return M.new("the command " .. checked.name, function()
    local ok, err = pcall(run, checked)
    if task.is_cancelled(err) then error(err, 0) end
    return ok, not ok and (err.message or tostring(err)) or nil
  end)
end

local HOMES = {
  tcp = "net", unix = "net", http = "net", file = "path", pidfile = "path", notify = "service", fd = "service",
  log = "service", all = "group", any = "group", dbus = "dbus",
}

return setmetatable(M, {
  __index = function(_, key)
    local home = HOMES[key]
    if not home then
      for name in pairs(M) do HOMES[name] = true end
      fault.raise(STATUS.script, "moonrise.probe has no word '%s'%s", tostring(key),
        require("moonrise.nearest").hint(tostring(key), HOMES))
    end
    M[key] = require("moonrise.probe." .. home)[key]
    return M[key]
  end,
})
