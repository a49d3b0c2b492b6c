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

local function seconds(value) return require("moonrise.duration").seconds(value) end

local function read_all(name, stream, fd)
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
  fd:close()
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

--- The same for options that are checked already, in a rehearsal, too.
function M.really(options)
  local _ <close> = steps.begin("run", options.name)
  local result, gone, ended = nil, false, task.condition()
  local running = process.spawn(options, { ended = function(how, number, left)
    gone = not left
    result = result or { status = how == "exited" and number or 128 + number,
      signal = how ~= "exited" and select(2, proc.signal(number)) or nil }
    ended:broadcast(true)
  end })
  -- Cancelled or too late: all of it is gone before the boot goes on to stop what it used.
  local _ <close> = setmetatable({}, { __close = function()
    if result then return end
    for _, signal in ipairs { "TERM", "KILL" } do
      if gone then return end
      running.child:kill_all(signal)
      ended:wait(2)
    end
  end })
  local readers = {}
  for _, stream in ipairs { "stdout", "stderr" } do
    local pipe = running[stream]
    if pipe then readers[stream] = task.spawn(options.name, read_all, options.name, stream, pipe) end
  end
  local deadline = options.timeout and running.started + seconds(options.timeout)
  while not result do
    local _, why = ended:wait(deadline and deadline - loop.now())
    if why == "timeout" and not result then
      fault.raise(STATUS.not_ready, "%s was not done after %s and is ended", options.name, options.timeout)
    end
  end
  result.duration = loop.now() - running.started
  for _, stream in ipairs { "stdout", "stderr" } do
    if readers[stream] then
      local ok, text = readers[stream]:wait()
      if not ok then error(text, 0) end
      result[stream] = text
    else
      result[stream] = logged(running.relays[stream])
    end
  end
  if not is_ok(result, options.ok) then
    fault.raise(STATUS.script, "%s%s", how_it_ended(options.name, result), last_lines(result.stderr))
  end
  return result
end

return M
