--- Probes in which the service itself says that it is ready: notify, fd, log. They
-- can only be the `ready` of a service, for which they prepare its start.
-- @module moonrise.probe.service
local log = require "sys.log"
local net = require "sys.net"
local fault = require "moonrise.fault"
local probe = require "moonrise.probe"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS

local function service_of(run)
  return run.service or fault.raise(STATUS.script, "only a service can wait for %s, as its 'ready'", run.probe.subject)
end

-- notify ----------------------------------------------------------------------------------

local function describe_notify(self, service)
  local status = service and service.status_text
  return ("waited for %s; %s"):format(self.subject,
    status and "its last status was: " .. status or "it has not said anything of its status")
end

--- READY=1 by sd_notify(3).
function M.notify()
  local self = probe.new("its READY=1", function(run) return service_of(run).launch.is_ready or false end, {
    pause = function(run, seconds) run.service.changed:wait(seconds) end,
    is_notified = true, is_message = true,
  })
  self.describe = describe_notify
  return self
end

-- fd -----------------------------------------------------------------------------------------

-- Both ends are made here; ours is in the launch, that of the process is its own.
local function prepare_fd(number)
  return function(self, service, launch)
    local reader, writer = net.pipe()
    if not reader then fault.raise(STATUS.script, "cannot start %s: %s", service.name, writer) end
    launch.fds[number], launch[self] = writer, reader
    table.insert(launch.given, writer)
  end
end

local function look_fd(run)
  local launch = service_of(run).launch
  local reader = launch[run.probe]
  if not reader then return false, "it has closed the descriptor without a newline" end
  local text, _, errno = reader:read(4096)
  if text == "" then
    reader:close()
    launch[run.probe] = nil
    return look_fd(run)
  end
  return text and text:find("\n", 1, true) ~= nil, errno and "nothing was written" or ("it wrote %q"):format(text)
end

local function pause_fd(run, seconds)
  local reader = run.service.launch[run.probe]
  if reader then
    task.readable(reader, seconds)
  else
    task.condition():wait(seconds)
  end
end

--- A newline on a descriptor that the service is started with, as s6 has it.
-- @int number
function M.fd(number)
  if math.type(number) ~= "integer" or number < 3 or number > 1023 then
    fault.raise(STATUS.script, "probe.fd takes the number of a descriptor, 3 to 1023, not %s", strict.show(number))
  end
  return probe.new(("a newline on descriptor %d"):format(number), look_fd, {
    prepare = prepare_fd(number), pause = pause_fd,
    finish = function(run)
      local reader = run.service and run.service.launch[run.probe]
      if reader then reader:close() end
    end,
  })
end

-- log ----------------------------------------------------------------------------------------

local watches = {} -- id of the relay's watch -> run

function task.on_event.line(id, text)
  local run = watches[id]
  if not run then return end
  table.insert(run.lines, text)
  run.came:broadcast()
end

-- What is in the tail came before the watch, what comes as an event after it.
local function watch_output(run)
  local service = service_of(run)
  run.lines, run.came, run.relays = {}, task.condition(), service.process.relays
  for _, relay in pairs(run.relays) do
    for line in relay:tail():gmatch("([^\n]*)\n") do table.insert(run.lines, (log.level(line))) end
    watches[relay:watch()] = run
  end
end

local function is_logged(options)
  return (options.stdout or "log") == "log" or (options.stderr or "log") == "log"
end

local function prepare_log(self, service)
  if is_logged(service.options) then return end
  fault.raise(STATUS.script, "%s can't be seen: the output of %s does not go to the log", self.subject, service.name)
end

local function look_log(pattern)
  return function(run)
    if not run.relays then watch_output(run) end
    local lines = run.lines
    run.lines = {}
    for _, line in ipairs(lines) do
      if line:find(pattern) then return true end
    end
    run.last = lines[#lines] or run.last
    return false, run.last and ("its last line was %q"):format(run.last) or "it wrote nothing"
  end
end

local function finish_log(run)
  for id, other in pairs(watches) do
    if other == run then watches[id] = nil end
  end
  for _, relay in pairs(run.relays or {}) do relay:unwatch() end
end

--- A line of the service's output.
-- @string pattern of Lua
function M.log(pattern)
  if type(pattern) ~= "string" then
    fault.raise(STATUS.script, "probe.log takes a pattern, not %s", strict.show(pattern))
  end
  strict.pattern(pattern, "the pattern of probe.log")
  return probe.new(("a line of its output with '%s'"):format(pattern), look_log(pattern), {
    prepare = prepare_log, pause = function(run, seconds) run.came:wait(seconds) end, finish = finish_log,
  })
end

return M
