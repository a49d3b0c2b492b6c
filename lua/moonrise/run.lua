--- Commands run to completion: init.run, and what else waits for a command's end.
-- @module moonrise.run
local log = require "sys.log"
local loop = require "sys.loop"
local proc = require "sys.proc"
local host = require "sys.host"
local fault = require "moonrise.fault"
local process = require "moonrise.process"
local steps = require "moonrise.steps"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local CAPTURE_LIMIT = 16 << 20 -- bytes of one captured stream

local function read_all(name, stream, fd)
  local _ <close> = fd
  local parts, size = {}, 0
  while true do
    local data, _, errno = fd:read(65536)
    if data == "" then break end
    if data then
      parts[#parts + 1], size = data, size + #data
      if size > CAPTURE_LIMIT then
        fault.raise(STATUS.script, "%s wrote more than 16M to its captured %s; send it to a file or to the log",
          name, stream)
      end
    elseif errno then
      task.readable(fd)
    end
  end
  return table.concat(parts)
end

-- What has been logged of a stream. The process has ended, but a daemon that it
-- left behind may keep the pipe open, so this does not wait for its end for long.
local function logged(relay)
  if not relay then return "" end
  for _ = 1, 20 do
    if relay:drained() then break end
    task.sleep(0.002)
  end
  return relay:tail()
end

local function how_it_ended(name, result)
  if result.signal then return ("%s was killed by signal %s"):format(name, result.signal) end
  return ("%s failed with exit status %d"):format(name, result.status)
end

local function last_lines(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = log.level(line)
    if #lines > 5 then table.remove(lines, 1) end
  end
  return #lines > 0 and ":\n  " .. table.concat(lines, "\n  ") or ""
end

local function is_ok(result, ok)
  if result.signal then return false end
  for _, status in ipairs(ok or { 0 }) do
    if status == result.status then return true end
  end
  return false
end

--- Run a command to completion. See moonrise-boot(5).
-- @tparam table options argv and options
-- @treturn table result: status, signal, stdout, stderr, duration
-- @raise unless the exit status is in `ok`, or when `timeout` is over
function M.run(options)
  options = process.check("run", options, process.RUN_OPTIONS)
  if host.mode ~= "boot" then return require("moonrise.rehearse").run(options) end
  return M.really(options)
end

-- An error of another task, at the script's line.
local function raise(err)
  if fault.is_fault(err) then err.where = err.where or fault.where() end
  error(err, 0)
end

-- A command that runs: process, options; result, as soon as it has ended; gone, when
-- nothing of it is left; trouble, an error that it is not worth to wait for its end.
local Running = {}
Running.__index = Running

local function start(options)
  local self = setmetatable({ options = options, ended = task.condition() }, Running)
  self.process = process.spawn(options, { ended = function(how, number, left)
    self.gone = not left
    self.result = self.result or { status = how == "exited" and number or 128 + number,
      signal = how ~= "exited" and select(2, proc.signal(number)) or nil }
    self.ended:broadcast(true)
  end })
  return self
end

-- Cancelled or too late: all of it is gone before the boot goes on to stop what it used.
function Running:__close()
  if self.result then return end
  for _, signal in ipairs { "TERM", "KILL" } do
    if self.gone then return end
    self.process.child:kill_all(signal)
    self.ended:wait(2)
  end
end

function Running:wait()
  local timeout = self.options.timeout
  local deadline = timeout and self.process.started + timeout
  while not self.result do
    if self.trouble then raise(self.trouble) end
    local _, why = self.ended:wait(deadline and deadline - loop.now())
    if why == "timeout" and not self.result then
      fault.raise(STATUS.not_ready, "%s was not done after %gs and is ended", self.options.name, timeout)
    end
  end
  self.result.duration = loop.now() - self.process.started
  return self.result
end

-- What it writes to a stream: a function that waits for the end of it, and returns all
-- of what is captured, the last part of what is logged.
local function follow(self, stream)
  local name, pipe, relay = self.options.name, self.process[stream], self.process.relays[stream]
  if not pipe then return function() return logged(relay) end end
  local reader = task.spawn(name, read_all, name, stream, pipe)
  reader.on_end = function(_, ok, err)
    if ok then return end
    self.trouble = err
    self.ended:broadcast(true)
  end
  return function()
    local ok, text = reader:wait()
    return ok and text or raise(text)
  end
end

--- The same for options that are checked already, in a rehearsal, too.
function M.really(options)
  local _ <close> = steps.begin("run", options.name)
  local running <close> = start(options)
  local stdout, stderr = follow(running, "stdout"), follow(running, "stderr")
  local result = running:wait()
  result.stdout, result.stderr = stdout(), stderr()
  if not is_ok(result, options.ok) then
    fault.raise(STATUS.script, "%s%s", how_it_ended(options.name, result), last_lines(result.stderr))
  end
  return result
end

return M
