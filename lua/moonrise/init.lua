--- The words of a boot script.
-- @module moonrise
local loop = require "sys.loop"
local log = require "sys.log"
local host = require "sys.host"
local boot = require "moonrise.boot"
local fault = require "moonrise.fault"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS

local function seconds(value, what) return require("moonrise.duration").seconds(value, what) end

--- Run a command to completion.
function M.run(options)
  local outward, run = package.loaded["moonrise.outward"], require("moonrise.run").run
  if outward then return outward.during(run, options) end
  return run(options)
end

--- Declare a service without starting it.
function M.service(options) return supervisor.declare(options) end

--- Start a service and wait until it is ready.
function M.start(options)
  if supervisor.is_service(options) then return options:start() end
  return supervisor.declare(options, "start"):start()
end

--- Functions and declared services side by side: all of them, or any.
function M.all(...) return require("moonrise.together").all(...) end
function M.any(...) return require("moonrise.together").any(...) end

local NEVER_COME = { KILL = true, STOP = true }

--- Act on a signal sent to the container; f may wait.
-- @string name HUP, USR1, USR2, WINCH ... those that stop the container can't be taken
-- @func f
function M.on(name, f)
  local known = require("moonrise.declaration").signal(name, "the signal of init.on")
  if boot.STOPS[known] then
    fault.raise(STATUS.script, "init.on: %s stops the container; that can't be changed", known)
  elseif NEVER_COME[known] then
    fault.raise(STATUS.script, "init.on: %s never comes to a process", known)
  elseif type(f) ~= "function" then
    fault.raise(STATUS.script, "init.on takes a function, not %s", require("moonrise.strict").describe(f))
  end
  boot.handlers[known] = f
end

--- Suspend the caller for a duration.
function M.sleep(duration)
  local amount = seconds(duration, "the duration of init.sleep")
  if host.mode ~= "boot" then return require("moonrise.rehearse").note("sleep " .. duration) end
  task.sleep(amount)
end

--- Do something again and again: after a duration, or at times of the calendar.
function M.every(...) return require("moonrise.job").every(...) end
function M.at(...) return require("moonrise.job").at(...) end

--- Seconds of a clock that is never set (CLOCK_MONOTONIC).
M.now = loop.now

local LEVELS = { error = true, warning = true, notice = true, info = true, debug = true }

--- One line of the init's own.
-- @string level "error", "warning", "notice", "info" or "debug"
-- @string fmt as string.format
function M.log(level, fmt, ...)
  if not LEVELS[level] then
    fault.raise(STATUS.script, "the level of init.log is %s; these are: error, warning, notice, info, debug",
      require("moonrise.strict").show(level))
  end
  log.line(level, select("#", ...) > 0 and tostring(fmt):format(...) or tostring(fmt))
end

--- Stop everything in order, then exit. Does not return.
-- @int[opt=0] status
function M.exit(status)
  status = status or 0
  if math.type(status) ~= "integer" or status < 0 or status > 255 then
    fault.raise(STATUS.script, "the status of init.exit is %s; it takes 0 to 255",
      require("moonrise.strict").show(status))
  end
  if host.mode ~= "boot" then require("moonrise.rehearse").exit(status) end
  boot.stop(status)
  task.condition():wait()
end

--- Serve metrics for Prometheus over HTTP.
function M.metrics(options) return require("moonrise.scrape").start(options) end

--- Let another init take the place of this one. Does not return.
function M.handover(options) require("moonrise.handover").run(options) end

--- Run a folder of *.lua in order.
function M.hooks(dir) return require("moonrise.hooks").run(dir) end

-- init.stop_timeout = "30s" is the one thing that can be set.
return setmetatable(M, {
  __index = function(_, key)
    if key == "stop_timeout" then return boot.stop_timeout end
    fault.raise(STATUS.script, "moonrise has no word '%s'%s", tostring(key),
      require("moonrise.nearest").hint(tostring(key), M))
  end,
  __newindex = function(_, key, value)
    if key ~= "stop_timeout" then
      fault.raise(STATUS.script, "'%s' of moonrise can't be set; stop_timeout can", tostring(key))
    end
    boot.stop_timeout = seconds(value, "init.stop_timeout")
  end,
})
