--- What comes of a service's main process: what it leaves behind when it ends, and
-- daemons that go into the background. Loaded when there is something of the kind.
-- @module moonrise.descend
local log = require "sys.log"
local loop = require "sys.loop"
local task = require "moonrise.task"

local M = {}

local GRACE = 1 -- seconds between TERM and KILL for what is left after an orderly stop
local AGAIN = 0.05 -- seconds until KILL is sent again, to what forks faster than it is killed
local PATIENCE = 10 -- seconds; what is not gone then sleeps in the kernel

-- Until the event "gone" comes; then service.sweep is taken off.
local function kill(service, child, give_up)
  if loop.now() > give_up then
    log.line("error", ("processes of %s can't be killed: %s"):format(service.name,
      table.concat(child:members(), ", ")))
    return service.gone()
  end
  child:kill_all("KILL")
  service.sweep = task.after(AGAIN, function() kill(service, child, give_up) end)
end

local function kill_all(service, child) kill(service, child, loop.now() + PATIENCE) end

--- The main process has ended and others are left: end them. An orderly stop tells
-- them first.
-- @tparam Service service its field `gone` is called when none is left, or none that can
--   be ended
-- @bool orderly
function M.sweep(service, orderly)
  service:forget "sweep"
  local child = service.process.child
  if not orderly then return kill_all(service, child) end
  child:kill_all("TERM")
  service.sweep = task.after(GRACE, function() kill_all(service, child) end)
end

-- Daemons ------------------------------------------------------------------------------

-- A pid file is written bit by bit: nothing yet, or half a number, is no error.
local function read_pidfile(path)
  local text, reason = require("sys.file").read(path)
  if not text then return nil, "it has not written its pid file: " .. reason end
  local pid = math.tointeger(tonumber(text:match("^%s*(%d+)%s*$")))
  if not pid then return nil, ("its pid file %s has no number in it"):format(path) end
  return pid
end

-- The main process of a daemon, or nil and why it is not known yet.
local function find_main(service)
  local path = service.options.pidfile
  if not path then
    return service.process.child:heir(), "none of its processes has stayed"
  end
  return read_pidfile(path)
end

-- Make it the main one: true, or nil and why not yet.
local function follow(service)
  local pid, why = find_main(service)
  if not pid then return nil, why end
  if service:follow(pid) then return true end
  return nil, ("its pid file %s names %d, which is none of its processes"):format(service.options.pidfile, pid)
end

local function keep_trying(service)
  local wait = 0.002
  while true do
    local ok, why = follow(service)
    if ok then return end
    service.lateness = why
    task.sleep(wait)
    wait = math.min(wait * 2, 0.05)
  end
end

--- It is to stop before its main process is known: whoever may be it.
function M.follow_any(service)
  if not follow(service) then service:follow(service.process.child:heir() or 0) end
end

--- The first process of a daemon has gone well and left others: look for the main one,
-- in service.main_task.
function M.find_main(service)
  service.main_task = task.spawn(service.name .. ": main process", keep_trying, service)
end

--- The main process has gone well and left others: is one of them the main one now, as
-- after an upgrade?
function M.has_heir(service) return follow(service) or false end

return M
