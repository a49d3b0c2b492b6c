--- The boot: runs the script as a task, acts on signals, and stops in order.
-- The container is `booting` until the script has returned, then `ready`; a failure
-- or a signal makes it `stopping`, and that ends in the exit status. There is no way
-- back, and each step is taken once.
-- @module moonrise.boot
local loop = require "sys.loop"
local log = require "sys.log"
local net = require "sys.net"
local control = require "sys.control"
local host = require "sys.host"
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local CANCEL_GRACE = 2 -- seconds that what is cancelled has to leave

--- "booting", "ready", "stopping", or "failed" (held by MOONRISE_HOLD=1).
M.state = "booting"
M.since = loop.now()
--- When the boot began, and when it was done.
M.began, M.ready_at = M.since, nil
--- Broadcast when the state has changed.
M.changed = task.condition()
--- The folder of our sockets, nil when there is no place for one.
M.rundir = nil
--- The error that ended the boot, if one did.
M.failure = nil
--- Seconds from the wish to stop to the last KILL.
M.stop_timeout = 10
--- What the script said with init.on: name -> function.
M.handlers = {}
--- The world that the script's chunk sees; the REPL sees it too.
M.globals = nil

--- Signals that stop the container.
M.STOPS = {
  TERM = true, INT = true, QUIT = true, PWR = true,
  ["RTMIN+3"] = true, ["RTMIN+4"] = true, ["RTMIN+5"] = true, ["RTMIN+6"] = true,
}

local script_task, exit_status, stop_deadline, finished
local is_asked -- a signal has asked for the stop

local function enter(state)
  M.state, M.since = state, loop.now()
  M.changed:broadcast()
  supervisor.changed:broadcast()
end

-- Stopping ---------------------------------------------------------------------------

--- How long a stop waits for the script to leave, and for the jobs: most of the time
-- is the services'.
function M.cancel_grace() return math.min(CANCEL_GRACE, M.stop_timeout / 4) end

local function cancel_script()
  if not script_task or script_task.done then return end
  script_task:cancel()
  script_task:wait(M.cancel_grace())
end

local function stop_in_order()
  local decline = require "moonrise.decline"
  -- The last KILL goes out a little early: `docker stop` counts the same seconds.
  local patience = M.stop_timeout - math.min(0.5, M.stop_timeout / 10)
  stop_deadline = loop.now() + patience
  local killer = task.at(stop_deadline, decline.kill_all)
  cancel_script()
  if package.loaded["moonrise.job"] then package.loaded["moonrise.job"].stop(M.cancel_grace()) end
  local in_time = decline.stop_all()
  if package.loaded["moonrise.net"] then package.loaded["moonrise.net"].put_back() end
  killer:cancel()
  if exit_status == 0 and not in_time then exit_status = 137 end
end

-- Without memory even the stop may fail; what it has left to do is C's then.
local function stop_ended(_, ok, err)
  finished = true
  if not ok then log.line("error", tostring(err)) end
end

--- Stop everything in order, then exit; does not wait. The first caller's status counts.
-- @int status
function M.stop(status)
  if M.state == "stopping" then return end
  exit_status = M.failure and exit_status or status
  host.memory_reserve()
  host.deadline(M.stop_timeout + 1)
  enter "stopping"
  net.notify("STOPPING=1")
  task.spawn("stop", stop_in_order).on_end = stop_ended
end

local function explain(err)
  local text = tostring(err)
  if text:find("not enough memory", 1, true) then
    text = ("%s: the script used more than its limit of %dM; --memory SIZE raises it"):format(text,
      select(2, host.memory()) >> 20)
  end
  return text
end

--- The boot has failed: say why, stop what was started, exit non-zero.
function M.fail(err)
  if M.state == "stopping" then return end
  M.failure = err
  exit_status = fault.status_of(err)
  local text = explain(err)
  log.line(exit_status == 0 and "notice" or "error", text)
  if err.traceback then log.line("debug", err.traceback) end
  if exit_status ~= 0 then host.termination_log(text) end
  if exit_status ~= 0 and proc.environ().MOONRISE_HOLD == "1" then
    log.line("notice", "held by MOONRISE_HOLD=1: look in with moonrise repl, end it with TERM")
    return enter "failed"
  end
  M.stop(exit_status)
end

-- A service that ends by itself ends the container. One that failed before it was
-- ready is the business of whoever started it and is being told.
function supervisor.on_over(service)
  if not service.was_ready then return end
  if service.options.essential then
    M.fail(service.fault)
  else
    log.line("warning", service.fault.message)
  end
end

-- Events -----------------------------------------------------------------------------

local function run_handler(name, f, ...)
  task.spawn("on " .. name, f, ...).on_end = function(_, ok, err)
    if not ok and not task.is_cancelled(err) then log.line("error", ("on %s: %s"):format(name, err)) end
  end
end

local function reload_all()
  for _, service in ipairs(supervisor.list) do
    if service.options.reload and service.state == "ready" then run_handler("HUP", service.reload, service) end
  end
end

function task.on_event.signal(name)
  if M.STOPS[name] then
    if is_asked then
      log.line("warning", ("%s again: what still runs is killed"):format(name))
      return require("moonrise.decline").kill_all()
    end
    is_asked = true
    if M.state == "stopping" then return log.line("info", ("%s: stopping already"):format(name)) end
    log.line("info", ("%s: stopping"):format(name))
    -- A boot that was cut short is not a success.
    return M.stop(M.state == "booting" and 128 + proc.signal(name) or 0)
  end
  local handler = M.handlers[name]
  if handler then
    run_handler(name, handler)
  elseif name == "HUP" then
    reload_all()
  else
    log.line("debug", ("%s: nothing to do"):format(name))
  end
end

-- A finalizer that raises is a fault of the script like any other.
function task.on_event.warning(text) M.fail(fault.new(STATUS.script, text)) end

function task.on_event.control(...) require("moonrise.control").handle(...) end

-- A container without a place for its socket must still run.
function M.open_control()
  local refusals = {}
  for _, path in ipairs(control.places()) do
    local ok, reason = control.listen(path)
    if ok then
      M.rundir = path:match("^(.*)/")
      return
    end
    refusals[#refusals + 1] = reason
  end
  log.line("warning", "no control socket, so moonrise status and repl won't work: " .. table.concat(refusals, "; "))
end

-- The script ---------------------------------------------------------------------------

-- Reading a global that nobody has set is a misspelling.
local function make_globals()
  return setmetatable({}, {
    __index = function(_, key)
      local value = _G[key]
      if value == nil then
        fault.raise(STATUS.script, "unknown global '%s'%s", tostring(key),
          require("moonrise.nearest").hint(tostring(key), _G))
      end
      return value
    end,
  })
end

-- Who is used to other inits names the program, or a script of another language.
local function program_hint(path, text)
  local line = text:match("^#!([^\n]*)")
  local is_program = text:find("^\127ELF") or line and not line:find("lua") and not line:find("moonrise")
  return is_program and ("; this is not Lua: a program is run by 'moonrise -- %s'"):format(path) or ""
end

local function load_script()
  local path = host.script
  local text, reason = require("sys.file").read(path)
  if not text then fault.raise(STATUS.no_script, "cannot read the script: %s", reason) end
  if not text:find("%S") then fault.raise(STATUS.script, "the script %s is empty", path) end
  local chunk, message = load(text:gsub("^#[^\n]*", "", 1), "@" .. path, "t", M.globals)
  if not chunk then
    message = message:find(path, 1, true) and message or path .. ": " .. message
    fault.raise(STATUS.script, "%s%s", message, program_hint(path, text))
  end
  return chunk
end

local function run_script() load_script()(table.unpack(host.args)) end

local function script_ended(_, ok, err)
  if ok then
    if M.state ~= "booting" then return end
    enter "ready"
    M.ready_at = M.since
    net.notify("READY=1")
  elseif not task.is_cancelled(err) then
    M.fail(err)
  end
end

--- Run the init to its end.
-- @treturn int exit status
-- @treturn number seconds that are left for processes which no service owns
function M.main()
  M.globals = make_globals()
  rawset(coroutine, "resume", task.resume)
  rawset(coroutine, "wrap", task.wrap)
  rawset(coroutine, "close", host.close)
  if host.mode ~= "boot" then
    return require("moonrise.rehearse").main(run_script)
  end
  script_task = task.spawn("boot", run_script)
  script_task.on_end = script_ended
  if os.getenv("NOTIFY_SOCKET") then require("moonrise.outward").begin() end
  task.spawn("control", M.open_control) -- when the script waits for the first time
  task.run(function() return finished end)
  return exit_status, math.max(0, (stop_deadline or 0) - loop.now())
end

return M
