--- The words of a boot script.
-- @module moonrise
local loop = require "sys.loop"
local log = require "sys.log"
local proc = require "sys.proc"
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

-- Split what all() and any() got into services and functions.
local function sort_out(word, ...)
  local services, functions = {}, {}
  for i, item in ipairs { ... } do
    if supervisor.is_service(item) then
      services[#services + 1] = item
    elseif type(item) == "function" then
      functions[#functions + 1] = item
    else
      fault.raise(STATUS.script, "argument %d of %s is %s; it takes services and functions", i, word,
        require("moonrise.strict").describe(item))
    end
  end
  return services, functions
end

local function side_by_side(word, ...)
  local services, functions = sort_out(word, ...)
  local tasks = {}
  supervisor.begin(services)
  for _, service in ipairs(services) do
    tasks[#tasks + 1] = task.spawn(service.name, supervisor.wait_ready, service)
  end
  for i, f in ipairs(functions) do tasks[#tasks + 1] = task.spawn(("%s #%d"):format(word, i), f) end
  return tasks
end

local function cancel_all(tasks)
  for _, one in ipairs(tasks) do one:cancel() end
end

-- Wait until `enough(ok)` says so or all have ended; the others are cancelled.
local function gather(tasks, enough)
  local _ <close> = setmetatable({}, { __close = function() cancel_all(tasks) end })
  local ended, left = task.condition(), #tasks
  for _, one in ipairs(tasks) do
    one.on_end = function() ended:broadcast() end
  end
  local seen = {}
  while left > 0 do
    for _, one in ipairs(tasks) do
      if one.done and not seen[one] then
        seen[one], left = true, left - 1
        if enough(one.ok) then return one end
      end
    end
    if left > 0 then ended:wait() end
  end
end

--- Functions and declared services side by side; returns when all have succeeded,
-- raises the first failure. Services start as soon as what they are `after` is ready.
function M.all(...)
  local failed = gather(side_by_side("all", ...), function(ok) return not ok end)
  if failed then error(failed.results[1], 0) end
end

--- As `all`, but the first success is enough: what that function returned. Raises
-- the last failure when none succeeds.
function M.any(...)
  local tasks = side_by_side("any", ...)
  local won = gather(tasks, function(ok) return ok end)
  if won then return table.unpack(won.results, 1, won.results.n) end
  if #tasks > 0 then error(tasks[#tasks].results[1], 0) end
end

--- Act on a signal sent to the container; f may wait.
-- @string name HUP, USR1, USR2, WINCH ... those that stop the container can't be taken
-- @func f
function M.on(name, f)
  local _, known = proc.signal(name)
  if not known then
    fault.raise(STATUS.script, "init.on: '%s' is no signal; it takes a name such as \"HUP\"", tostring(name))
  elseif boot.STOPS[known] then
    fault.raise(STATUS.script, "init.on: %s stops the container; that can't be changed", known)
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
    fault.raise(STATUS.script, "init.log: '%s' is no level; these are: error, warning, notice, info, debug",
      tostring(level))
  end
  log.line(level, select("#", ...) > 0 and tostring(fmt):format(...) or tostring(fmt))
end

--- Stop everything in order, then exit. Does not return.
-- @int[opt=0] status
function M.exit(status)
  status = status or 0
  if math.type(status) ~= "integer" or status < 0 or status > 255 then
    fault.raise(STATUS.script, "init.exit: the status is %s; it takes 0 to 255", tostring(status))
  end
  if host.mode ~= "boot" then require("moonrise.rehearse").exit(status) end
  boot.stop(status)
  task.condition():wait()
end

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
