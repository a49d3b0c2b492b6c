--- Services that say their state with sd_notify(3): the socket, and what their
-- messages do. A message belongs to the service of whoever has sent it, by the pid
-- that the kernel says; messages of strangers are dropped.
-- @module moonrise.notify
local log = require "sys.log"
local loop = require "sys.loop"
local sys_notify = require "sys.notify"
local fault = require "moonrise.fault"
local notification = require "moonrise.notification"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local socket_path

local function open(service)
  local rundir = require("moonrise.boot").rundir
  local path = rundir and rundir .. "/notify"
  local ok, reason = nil, "there is no folder for it"
  if path then ok, reason = sys_notify.listen(path) end
  if not ok then
    fault.raise(fault.STATUS.script, "cannot open the notify socket that %s needs: %s", service.name, reason)
  end
  return path
end

-- Watchdog ------------------------------------------------------------------------------

local IS_WATCHED = { starting = true, ready = true, reloading = true }

-- One timer, set anew when it is due and not with each sign of life. A service that
-- is starting need not give any yet.
local function look_after(service)
  local launch, now = service.launch, loop.now()
  if not IS_WATCHED[service.state] then return end
  local alive = service.state == "starting" and now or math.max(launch.alive or 0, service.since)
  if alive + launch.watchdog <= now then return supervisor.fire(service, "hung") end
  service.watchdog_timer = task.at(alive + launch.watchdog, function() look_after(service) end)
end

local function set_watchdog(service, period)
  service:forget "watchdog_timer"
  service.launch.watchdog = period
  if period > 0 then look_after(service) end
end

-- Descriptors that outlive a restart -------------------------------------------------------

local function drop(service, entry)
  for i, other in ipairs(service.store) do
    if other == entry then table.remove(service.store, i) end
  end
  entry.watcher:cancel()
  entry.fd:close()
end

local function is_stored(service, fd)
  for _, entry in ipairs(service.store) do
    if sys_notify.same(entry.fd, fd) then return true end
  end
end

local function keep(service, fd, fields)
  local room = (service.options.fd_store or 0) - #service.store
  if is_stored(service, fd) then return fd:close() end
  if room <= 0 then
    log.line("warning", ("%s stores more descriptors than its 'fd_store' allows"):format(service.name))
    return fd:close()
  end
  local entry = { fd = fd, name = fields.fd_name or "stored" }
  service.store[#service.store + 1] = entry
  entry.watcher = task.spawn("store of " .. service.name, function()
    if fields.fd_poll ~= false and task.hung_up(fd) then drop(service, entry) end
  end)
end

local function remove(service, name)
  for i = #service.store, 1, -1 do
    if service.store[i].name == name then drop(service, service.store[i]) end
  end
end

--- The service is over: nobody will ask for what it stored.
function M.forget_store(service)
  while service.store and service.store[1] do drop(service, service.store[1]) end
end

-- States ------------------------------------------------------------------------------------

local states = {}

-- In a reload that we have asked for, an older READY=1 may still have been on its way.
function states.ready(service)
  local launch = service.launch
  if service.state == "reloading" and launch.reload_asked then return end
  launch.is_ready = true
  -- At once, not by way of the task that waits for it: the next message may be RELOADING=1.
  local ready = service.options.ready
  if service.state == "reloading" or ready and ready.is_message then
    service:forget "ready_task"
    supervisor.fire(service, "ready")
  end
end

function states.reloading(service, fields)
  local launch = service.launch
  if (fields.monotonic or math.huge) >= (launch.reload_asked or 0) then launch.reload_asked = nil end
  supervisor.fire(service, "reloading")
end

function states.stopping(service) supervisor.fire(service, "leaving") end

-- Messages ------------------------------------------------------------------------------------

local function follow(service, pid)
  local ok, reason = service:follow(pid)
  if not ok then log.line("warning", ("%s names another main process: %s"):format(service.name, reason)) end
end

local function act(service, fields)
  if fields.main_pid then follow(service, fields.main_pid) end
  if fields.status then service.status_text = fields.status ~= "" and fields.status or nil end
  if fields.errno then service.errno = fields.errno > 0 and fields.errno or nil end
  if fields.extension then require("moonrise.decline").extend(service, fields.extension) end
  if fields.watchdog_period then set_watchdog(service, fields.watchdog_period) end
  if fields.watchdog == "alive" then
    service.launch.alive = loop.now()
  elseif fields.watchdog == "hung" then
    supervisor.fire(service, "hung")
  end
  if fields.fd_remove and fields.fd_name then remove(service, fields.fd_name) end
  if fields.state then states[fields.state](service, fields) end
  service.changed:broadcast()
end

-- The service that may say this, or nil and why there is none.
local function speaker(pid, id)
  local service = supervisor.by_child[id]
  if not service then return nil, "which no service owns" end
  local access = service.options.notify
  if not access or access == "main" and pid ~= service.pid then
    return nil, "who may not speak for " .. service.name
  end
  return service
end

function task.on_event.notify(text, pid, id, fds)
  local service, why = speaker(pid, id)
  if service then
    local fields = notification.parse(text)
    act(service, fields)
    if fields.fd_store then
      for _, fd in ipairs(fds) do keep(service, fd, fields) end
      return
    end
  else
    log.line("debug", ("message of process %d, %s: %q"):format(pid, why, text:sub(1, 60)))
  end
  -- For BARRIER=1 this is the answer.
  for _, fd in ipairs(fds) do fd:close() end
end

--- What it has said of its troubles.
function M.errno_text(service) return (" (its last errno: %s)"):format(sys_notify.strerror(service.errno)) end

--- Before the process of a service is started.
function M.prepare(service, launch)
  socket_path = socket_path or open(service)
  launch.env.NOTIFY_SOCKET = socket_path
  service.status_text, service.errno, service.store = nil, nil, service.store or {}
  for _, entry in ipairs(service.store) do launch.listen[#launch.listen + 1] = entry end
  local period = service.options.watchdog
  if not period then return end
  launch.env.WATCHDOG_USEC = ("%d"):format(math.ceil(period * 1e6))
  launch.own_pid = { "WATCHDOG_PID" }
  set_watchdog(service, period)
end

return M
